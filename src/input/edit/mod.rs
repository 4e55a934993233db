//! Edits of the manifest that keep its author's layout and comments (`create`, `scale`, `remove`).
//!
//! The text is spliced at the bytes that the tree says, and nowhere else; after each splice the tree is read anew. The
//! caller parses the result again before it writes a byte: an edit that this module got wrong is an error there, never a
//! broken file.

use std::collections::BTreeSet;

use super::problem::{Faults, InputFile};
use super::yaml::{self, Entry, Kind, Node};
use crate::model::ids::Pool;

mod collection;
mod flow;
mod splice;

use collection::Collection;

/// Which numbers a pool has, as `count: n` where they are 1..=n and the file doesn't say `numbers:`, else as `numbers:`.
///
/// # Errors
/// One sentence when the file has a form that can't be edited in place.
pub fn set_numbers(text: &str, pool: &Pool, numbers: &BTreeSet<u32>) -> Result<String, String> {
    let text = own_pool(text, pool)?;
    let path = path(pool);
    let section = find(&read(&text)?, &path)?;
    let list = || format!("[{}]", numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", "));
    if let Some(entry) = section.get("numbers") {
        return match &entry.value.kind {
            Kind::List(items) if !items.is_empty() && !entry.value.is_alias(&text) => {
                let path = [path.as_slice(), &["numbers"]].concat();
                set_items(text, &path, numbers)
            }
            Kind::List(_) | Kind::Map(_) | Kind::Scalar { .. } => Ok(splice::set_value(&text, entry, &list())),
        };
    }
    let gapless = numbers.iter().copied().eq(1..=u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    match section.get("count") {
        Some(entry) if gapless => Ok(splice::set_value(&text, entry, &numbers.len().to_string())),
        Some(entry) => {
            // The value first: it stands behind the key, whose place it leaves alone.
            let text = splice::set_value(&text, entry, &list());
            let key = text[entry.key.span.clone()].replace("count", "numbers");
            Ok(splice::replace(&text, entry.key.span.clone(), &key))
        }
        None => {
            let (key, value) = if gapless { ("count", numbers.len().to_string()) } else { ("numbers", list()) };
            Collection::of(&text, &section).push_entry(key, &value)
        }
    }
}

/// The pools that the file describes.
pub fn pools(text: &str) -> Vec<Pool> {
    let Ok(root) = read(text) else { return Vec::new() };
    let own = [("masters", Pool::Masters), ("workers", Pool::Workers)];
    let mut pools: Vec<Pool> =
        own.into_iter().filter(|(key, _)| root.get(key).is_some()).map(|(_, pool)| pool).collect();
    if let Some(Entry { value: Node { kind: Kind::Map(named), .. }, .. }) = root.get("pools") {
        pools.extend(named.iter().map(|entry| Pool::Named(entry.key.text.clone())));
    }
    pools
}

/// A pool's own settings, where it has none of these keys.
///
/// # Errors
/// As `set_numbers`.
pub fn describe(text: &str, pool: &Pool, settings: &[(&str, String)]) -> Result<String, String> {
    settings.iter().try_fold(text.to_owned(), |text, (key, value)| {
        let section = find(&read(&text)?, &path(pool))?;
        Collection::of(&text, &section).push_entry(key, value)
    })
}

/// One machine's own settings under `overrides:`, as `key: value` pairs of YAML scalars or flow text.
///
/// # Errors
/// As `set_numbers`.
pub fn set_override(text: &str, pool: &Pool, number: u32, settings: &[(&str, String)]) -> Result<String, String> {
    if settings.is_empty() {
        return Ok(text.to_owned());
    }
    let pairs: Vec<String> = settings.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let settings = format!("{{{}}}", pairs.join(", "));
    let path = [path(pool).as_slice(), &["overrides"]].concat();
    let text = write_out(own_pool(text, pool)?, &path)?;
    let (key, root) = (number.to_string(), read(&text)?);
    let section = find(&root, &path[..path.len() - 1])?;
    let Some(overrides) = section.get("overrides") else {
        return Collection::of(&text, &section).push_section("overrides", &key, &settings);
    };
    match &overrides.value.kind {
        Kind::Map(_) => match overrides.value.get(&key) {
            Some(entry) => Ok(splice::set_value(&text, entry, &settings)),
            None => Collection::of(&text, &overrides.value).push_entry(&key, &settings),
        },
        Kind::Scalar { .. } if overrides.value.is_null() => {
            Ok(splice::set_value(&text, overrides, &format!("{{{key}: {settings}}}")))
        }
        Kind::Scalar { .. } | Kind::List(_) => Err("`overrides` is not a mapping".to_owned()),
    }
}

/// Takes one machine's overrides away, and the whole key when nothing is left in it, but for a `{}` that may have stood
/// there before.
///
/// # Errors
/// As `set_numbers`.
pub fn remove_override(text: &str, pool: &Pool, number: u32) -> Result<String, String> {
    let key = number.to_string();
    let path = path(pool);
    let has = |text: &str| -> Result<bool, String> {
        let root = read(text)?;
        let section = find(&root, &path).ok();
        Ok(section.and_then(|section| section.get("overrides")?.value.get(&key).map(|_| ())).is_some())
    };
    if !has(text)? {
        return Ok(text.to_owned());
    }
    let text = write_out(own_pool(text, pool)?, &[path.as_slice(), &["overrides"]].concat())?;
    let section = find(&read(&text)?, &path)?;
    let overrides = find(&section, &["overrides"])?;
    let (outer, inner) = (Collection::of(&text, &section), Collection::of(&text, &overrides));
    if inner.len() == 1 && (outer.is_flow() || !inner.is_flow()) {
        outer.remove_key("overrides")
    } else {
        inner.remove_key(&key)
    }
}

/// Adds and takes away single elements of a list that has some.
fn set_items(mut text: String, path: &[&str], numbers: &BTreeSet<u32>) -> Result<String, String> {
    if numbers.is_empty() {
        let list = find(&read(&text)?, path)?;
        return Collection::of(&text, &list).clear();
    }
    // Added first, so that the list never is empty.
    for number in numbers {
        let list = find(&read(&text)?, path)?;
        let there = list_numbers(&list);
        if !there.contains(&Some(*number)) {
            let place = there.iter().position(|other| other.is_some_and(|other| other > *number));
            text = Collection::of(&text, &list).insert(place.unwrap_or(there.len()), &number.to_string())?;
        }
    }
    loop {
        let list = find(&read(&text)?, path)?;
        let gone = |number: &Option<u32>| number.is_none_or(|number| !numbers.contains(&number));
        match list_numbers(&list).iter().rposition(gone) {
            Some(index) => text = Collection::of(&text, &list).remove(index)?,
            None => return Ok(text),
        }
    }
}

fn list_numbers(list: &Node) -> Vec<Option<u32>> {
    let Kind::List(items) = &list.kind else { return Vec::new() };
    let number = |item: &Node| match &item.kind {
        Kind::Scalar { text, .. } => text.parse().ok(),
        Kind::List(_) | Kind::Map(_) => None,
    };
    items.iter().map(number).collect()
}

fn path(pool: &Pool) -> Vec<&str> {
    match pool {
        Pool::Masters => vec!["masters"],
        Pool::Workers => vec!["workers"],
        Pool::Named(name) => vec!["pools", name],
    }
}

/// The text with a section for the pool: masters and workers are begun where the file has none.
fn own_pool(text: &str, pool: &Pool) -> Result<String, String> {
    let root = read(text)?;
    match pool {
        Pool::Masters | Pool::Workers if root.get(path(pool)[0]).is_none() => {
            Collection::of(text, &root).push_section(path(pool)[0], "count", "0")
        }
        Pool::Masters | Pool::Workers | Pool::Named(_) => write_out(text.to_owned(), &path(pool)),
    }
}

/// An alias on the way to what is edited becomes what it stands for: the edit is for this place alone.
fn write_out(mut text: String, path: &[&str]) -> Result<String, String> {
    for depth in 1..=path.len() {
        let root = read(&text)?;
        if let Ok(node) = find(&root, &path[..depth])
            && node.is_alias(&text)
        {
            text = splice::replace(&text, node.span.clone(), &flow::write(&node, false));
        }
    }
    Ok(text)
}

fn find(root: &Node, path: &[&str]) -> Result<Node, String> {
    let mut node = root;
    for key in path {
        node = &node.get(key).ok_or_else(|| format!("there is no `{}`", path.join(".")))?.value;
    }
    Ok(node.clone())
}

fn read(text: &str) -> Result<Node, String> {
    let mut faults = Faults::default();
    match yaml::parse(InputFile::Manifest, text, &mut faults) {
        Some(root @ Node { kind: Kind::Map(_), .. }) => Ok(root),
        Some(_) | None => Err("it is not a mapping of keys".to_owned()),
    }
}

impl Node {
    fn get(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key.text == key),
            Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }

    /// Written as `*name`: what it stands for lies elsewhere.
    fn is_alias(&self, text: &str) -> bool {
        let first = match &self.kind {
            Kind::Map(entries) => entries.first().map(|entry| &entry.key.span),
            Kind::List(items) => items.first().map(|item| &item.span),
            Kind::Scalar { plain: false, .. } => return false,
            Kind::Scalar { plain: true, .. } => None,
        };
        text[self.span.start..].starts_with('*') && first.is_none_or(|first| *first != self.span)
    }
}

#[cfg(test)]
mod tests;
