//! Edits of the manifest that keep its author's layout and comments (`create`, `scale`, `remove`).
//!
//! `yaml-edit` keeps the whole syntax tree, so only what is edited changes. The caller parses the result again before it
//! writes a byte: an edit that this module got wrong is an error there, never a broken file.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::str::FromStr;

use yaml_edit::{Document, Mapping};

use crate::model::ids::Pool;

/// Which numbers a pool has, as `count: n` where they are 1..=n and the file doesn't say `numbers:`, else as `numbers:`.
///
/// # Errors
/// One sentence when the file has a form that can't be edited in place.
pub fn set_numbers(text: &str, pool: &Pool, numbers: &BTreeSet<u32>) -> Result<String, String> {
    edit(text, pool, |mapping| {
        let gapless = numbers.iter().copied().eq(1..=u32::try_from(numbers.len()).unwrap_or(u32::MAX));
        if let Some(sequence) = mapping.get_sequence("numbers") {
            let written: Vec<Option<u32>> =
                sequence.values().map(|node| node.to_string().trim().parse().ok()).collect();
            for (index, number) in written.iter().enumerate().rev() {
                if number.is_none_or(|number| !numbers.contains(&number)) {
                    sequence.remove(index);
                }
            }
            for number in numbers {
                if !written.contains(&Some(*number)) {
                    sequence.push(*number);
                }
            }
        } else if gapless {
            mapping.set("count", u32::try_from(numbers.len()).unwrap_or(u32::MAX));
        } else {
            if mapping.contains_key("count") {
                mapping.rename_key("count", "numbers");
            }
            let list = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            set_yaml(mapping, "numbers", &format!("[{list}]"))?;
        }
        Ok(())
    })
}

/// The pools that the file describes.
pub fn pools(text: &str) -> Vec<Pool> {
    let Some(root) = Document::from_str(text).ok().and_then(|document| document.as_mapping()) else {
        return Vec::new();
    };
    let own = [("masters", Pool::Masters), ("workers", Pool::Workers)];
    let mut pools: Vec<Pool> =
        own.into_iter().filter(|(key, _)| root.contains_key(*key)).map(|(_, pool)| pool).collect();
    if let Some(named) = root.get_mapping("pools") {
        pools.extend(named.keys().map(|key| Pool::Named(key.to_string().trim().trim_matches(['"', '\'']).to_owned())));
    }
    pools
}

/// One machine's own settings under `overrides:`, as `key: value` pairs of YAML scalars or flow text.
///
/// # Errors
/// As `set_numbers`.
pub fn set_override(text: &str, pool: &Pool, number: u32, settings: &[(&str, String)]) -> Result<String, String> {
    if settings.is_empty() {
        return Ok(text.to_owned());
    }
    let mut flow = String::from("{");
    for (index, (key, value)) in settings.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let _ = write!(flow, "{comma}{key}: {value}");
    }
    flow.push('}');
    edit(text, pool, |mapping| {
        if mapping.get_mapping("overrides").is_none() {
            mapping.remove("overrides");
            return set_yaml(mapping, "overrides", &format!("{{{number}: {flow}}}"));
        }
        let overrides = mapping.get_mapping("overrides").ok_or("`overrides` is not a mapping")?;
        let value = parse_value(&flow)?;
        overrides.set(number, &value);
        Ok(())
    })
}

/// Takes one machine's overrides away, and the whole key when nothing is left in it.
///
/// # Errors
/// As `set_numbers`.
pub fn remove_override(text: &str, pool: &Pool, number: u32) -> Result<String, String> {
    edit(text, pool, |mapping| {
        if let Some(overrides) = mapping.get_mapping("overrides") {
            if overrides.contains_key(number) && overrides.len() == 1 {
                mapping.remove("overrides");
            } else {
                overrides.remove(number);
            }
        }
        Ok(())
    })
}

/// Runs `change` on the pool's mapping, which is made (with nothing in it but what `change` sets) where the file has none.
fn edit(text: &str, pool: &Pool, change: impl FnOnce(&Mapping) -> Result<(), String>) -> Result<String, String> {
    let document = Document::from_str(text).map_err(|error| format!("the file can't be edited: {error}"))?;
    let root = document.as_mapping().ok_or("the file is not a mapping of keys")?;
    let mapping = match pool {
        Pool::Masters => child(&root, "masters")?,
        Pool::Workers => child(&root, "workers")?,
        Pool::Named(name) => root
            .get_mapping("pools")
            .and_then(|pools| pools.get_mapping(name.as_str()))
            .ok_or_else(|| format!("`pools` has no `{name}`"))?,
    };
    change(&mapping)?;
    let mut edited = document.to_string();
    if text.ends_with('\n') && !edited.ends_with('\n') {
        edited.push('\n');
    }
    Ok(edited)
}

fn child(root: &Mapping, key: &str) -> Result<Mapping, String> {
    if !root.contains_key(key) {
        set_yaml(root, key, "{count: 0}")?;
    }
    root.get_mapping(key).ok_or_else(|| format!("`{key}` is not a mapping of keys"))
}

fn set_yaml(mapping: &Mapping, key: &str, yaml: &str) -> Result<(), String> {
    let document = Document::from_str(yaml).map_err(|error| error.to_string())?;
    if let Some(sequence) = document.as_sequence() {
        mapping.set(key, &sequence);
    } else {
        mapping.set(key, &parse_value(yaml)?);
    }
    Ok(())
}

fn parse_value(flow: &str) -> Result<Mapping, String> {
    let document = Document::from_str(flow).map_err(|error| format!("`{flow}` is not YAML: {error}"))?;
    document.as_mapping().ok_or_else(|| format!("`{flow}` is not a mapping"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# my cluster
cluster: k8s   # the name
masters:
  count: 3  # three
  size: medium

# those who work
workers:
  numbers: [1, 2, 4]   # 3 is broken
  size: large
  overrides:
    4: {memory_mb: 16384, node: pve2}   # the big one
    # end of overrides

pools:
  gpu: {count: 1, size: large}
prune: false
";

    fn set(numbers: &[u32]) -> BTreeSet<u32> {
        numbers.iter().copied().collect()
    }

    /// Lines that differ, as `-old`/`+new`.
    fn difference(old: &str, new: &str) -> String {
        similar::TextDiff::from_lines(old, new)
            .iter_all_changes()
            .filter(|change| change.tag() != similar::ChangeTag::Equal)
            .map(|change| format!("{}{}", change.tag(), change))
            .collect()
    }

    #[test]
    fn a_count_grows_in_place() {
        let edited = set_numbers(FILE, &Pool::Masters, &set(&[1, 2, 3, 4])).unwrap();
        assert_eq!(difference(FILE, &edited), "-  count: 3  # three\n+  count: 4  # three\n");
    }

    #[test]
    fn a_gap_turns_count_into_numbers() {
        let edited = set_numbers(FILE, &Pool::Masters, &set(&[1, 3])).unwrap();
        assert_eq!(difference(FILE, &edited), "-  count: 3  # three\n+  numbers: [1, 3]  # three\n");
    }

    #[test]
    fn numbers_keep_their_comment() {
        let edited = set_numbers(FILE, &Pool::Workers, &set(&[1, 4, 5])).unwrap();
        assert_eq!(
            difference(FILE, &edited),
            "-  numbers: [1, 2, 4]   # 3 is broken\n+  numbers: [1, 4, 5]   # 3 is broken\n"
        );
    }

    #[test]
    fn block_lists_stay_block_lists() {
        let file = "workers:\n  numbers:\n    - 1  # first\n    - 2\n  size: small\n";
        let edited = set_numbers(file, &Pool::Workers, &set(&[1, 2, 3])).unwrap();
        assert_eq!(edited, "workers:\n  numbers:\n    - 1  # first\n    - 2\n    - 3\n  size: small\n");
    }

    #[test]
    fn overrides_come_and_go() {
        let with = set_override(FILE, &Pool::Workers, 2, &[("node", "pve3".into()), ("vmid", "250".into())]).unwrap();
        assert_eq!(difference(FILE, &with), "+    2: {node: pve3, vmid: 250}\n");
        assert_eq!(remove_override(&with, &Pool::Workers, 2).unwrap(), FILE);
        let first = set_override(FILE, &Pool::Masters, 1, &[("cpus", "4".into())]).unwrap();
        assert_eq!(difference(FILE, &first), "+  overrides: {1: {cpus: 4}}\n");
        assert_eq!(remove_override(&first, &Pool::Masters, 1).unwrap(), FILE);
    }

    #[test]
    fn flow_pools_and_missing_pools() {
        let edited = set_numbers(FILE, &Pool::Named("gpu".into()), &set(&[1, 2])).unwrap();
        assert_eq!(difference(FILE, &edited), "-  gpu: {count: 1, size: large}\n+  gpu: {count: 2, size: large}\n");
        assert!(set_numbers(FILE, &Pool::Named("tpu".into()), &set(&[1])).is_err());
        let edited = set_numbers("cluster: k8s\n", &Pool::Workers, &set(&[1])).unwrap();
        assert_eq!(edited, "cluster: k8s\nworkers: {count: 1}\n");
    }
}
