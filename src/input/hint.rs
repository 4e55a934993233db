//! What the operator probably meant.

use std::sync::LazyLock;

use serde_json::Value;

use super::number::MemoryMb;
use super::problem::{InputFile, listed, shown};
use super::schema;
use super::walk::Read;
use super::yaml::{Kind, Node};

/// Names that people write, and ours.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("cpu", "cpus"),
    ("cores", "cpus"),
    ("vcpus", "cpus"),
    ("sockets", "cpus"),
    ("memory", "memory_mb"),
    ("memory_gb", "memory_mb"),
    ("memory_mib", "memory_mb"),
    ("mem", "memory_mb"),
    ("ram", "memory_mb"),
    ("disk", "disk_gb"),
    ("disk_size", "disk_gb"),
    ("disk_mb", "disk_gb"),
    ("storage", "storage_pool"),
    ("bridge", "network_bridge"),
    ("replicas", "count"),
    ("instances", "count"),
    ("ip", "address"),
    ("ips", "addresses"),
    ("address", "addresses"),
    ("gw", "gateway"),
    ("nameservers", "dns"),
    ("nameserver", "dns"),
    ("dns", "nameserver"),
    ("dns_servers", "dns"),
    ("nodes", "proxmox_nodes"),
    ("hosts", "proxmox_nodes"),
    ("control_plane", "masters"),
    ("controlplane", "masters"),
    ("control_planes", "masters"),
    ("master", "masters"),
    ("worker", "workers"),
    ("name", "cluster"),
    ("cluster_name", "cluster"),
    ("host", "node"),
    ("vm_id", "vmid"),
    ("id", "vmid"),
    ("tag", "vlan"),
    ("autostart", "onboot"),
    ("type", "size"),
    ("flavor", "size"),
    ("ssh_key", "ssh_public_key"),
    ("ssh_keys", "ssh_public_keys"),
    ("username", "user"),
    ("ciuser", "user"),
    ("sizes", "vm_sizes"),
    ("template", "vm_template"),
    ("timeout", "timeout_seconds"),
];

/// Keys that people look for in another section.
const OTHER_SECTIONS: &[(&str, &str, &str)] = &[
    (
        "proxmox_nodes",
        "user",
        "`ssh_user` at the top of the config is the user on all nodes; ssh_config can tell them apart",
    ),
    ("proxmox_nodes", "key", "`ssh_private_key_path` stands at the top of the config; ssh_config can tell nodes apart"),
    ("masters", "address", "`addresses` is a key of `masters.network`"),
    ("workers", "address", "`addresses` is a key of `workers.network`"),
];

/// Words for values that people write, and ours.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("true", "on"),
    ("yes", "on"),
    ("false", "off"),
    ("no", "off"),
    ("uefi", "ovmf"),
    ("efi", "ovmf"),
    ("bios", "seabios"),
    ("legacy", "seabios"),
    ("manual", "static"),
    ("auto", "dhcp"),
    ("none", "off"),
    ("jump", "via_node"),
    ("proxy", "via_node"),
    ("local", "controller"),
    ("yes-new", "accept-new"),
    ("no-check", "accept-new"),
    ("spread", "vm_count"),
];

/// The known key that a wrong one probably stands for.
pub fn meant(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let synonym = OTHER_NAMES.iter().find(|(theirs, ours)| *theirs == key && known.contains(ours));
    let synonym = synonym.and_then(|(_, ours)| known.iter().find(|name| *name == ours).copied());
    synonym.or_else(|| closest(key, known.iter().copied()))
}

/// The choice that a wrong word probably stands for.
pub fn meant_word<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let synonym = OTHER_WORDS.iter().filter(|(theirs, _)| theirs.eq_ignore_ascii_case(word));
    let synonym = synonym.filter_map(|(_, ours)| known.clone().find(|name| name == ours)).next();
    synonym.or_else(|| closest(word, known))
}

/// The hint for a key that `section` does not have.
pub fn unknown_key(file: InputFile, section: &str, key: &str, value: &Node, known: &[&'static str]) -> String {
    let place = section.split('[').next().unwrap_or_default();
    if let Some((.., help)) = OTHER_SECTIONS.iter().find(|(path, name, _)| *path == place && *name == key) {
        return (*help).to_owned();
    }
    if let Some(ours) = meant(key, known) {
        return format!("did you mean `{ours}`?{}", converted(key, ours, value));
    }
    elsewhere(file, section, key).unwrap_or_else(|| format!("it has {}", listed(known)))
}

/// The hint for a key that must be there.
pub fn add<T: Read>(file: InputFile, key: &str) -> String {
    match example_for(key, T::example()) {
        "{…}" => format!("add the section `{key}:`, as in `{}`", file.example_name()),
        example => format!("add `{key}: {example}`"),
    }
}

/// An example that suits the key where its type's own does not.
fn example_for(key: &str, of_type: &'static str) -> &'static str {
    match key {
        "id" => "9000",
        "cpus" | "base_cpus" => "2",
        "memory_mb" | "base_memory_mb" => "4096",
        "disk_gb" | "base_disk_gb" => "40",
        "port" | "ssh_port" => "22",
        "count" => "3",
        "numbers" => "[1, 2, 4]",
        "vlan" => "20",
        "vmid" => "250",
        "proxmox_nodes" => "[pve1.lan]",
        "checksum_url" => "https://cloud-images.ubuntu.com/jammy/current/SHA256SUMS",
        "size" => "medium",
        "gateway6" => "fd00::1",
        "addresses" | "address" => "10.0.0.11/24",
        "addresses6" | "address6" => "fd00::11/64",
        "config_file" => "~/.ssh/config",
        "ssh_public_key_file" => "~/.ssh/id_ed25519.pub",
        "snippet_storage" => "local",
        "ssh_user" => "root",
        "before_stop" => "[./drain.sh]",
        "after_ready" => "[./join.sh]",
        "packages" => "[containerd, nfs-common]",
        "commands" => "[swapoff -a]",
        "tags" => "[team-a]",
        "exclude_networks" => "[10.244.0.0/16]",
        "timeout_seconds" => "300",
        key if key.ends_with("_seconds") => "10",
        _ => of_type,
    }
}

/// The example as a value for the schema; sections have none.
pub fn example_of(key: &str, of_type: &'static str) -> Option<Value> {
    let example = example_for(key, of_type);
    if example.contains('…') && example.starts_with(['{', '[']) {
        return None;
    }
    serde_yaml::from_str(example).ok()
}

/// ` 16 GB is `memory_mb: 16384``.
fn converted(theirs: &str, ours: &str, value: &Node) -> String {
    let Kind::Scalar { text, plain: true } = &value.kind else { return String::new() };
    let number: Option<u64> = text.parse().ok();
    match (theirs, number) {
        ("memory_gb", Some(gb)) => match gb.checked_mul(1024) {
            Some(mb) if mb <= MemoryMb::MOST => format!(" {gb} GB is `{ours}: {mb}`"),
            Some(_) | None => String::new(),
        },
        ("disk_mb", Some(mb)) => format!(" {mb} MB is `{ours}: {}`", mb.div_ceil(1024)),
        _ => String::new(),
    }
}

/// Where else this key belongs.
fn elsewhere(file: InputFile, section: &str, key: &str) -> Option<String> {
    if key.len() > 40 {
        return None;
    }
    let here = generic(section);
    let ours = keys(file);
    let other = match file {
        InputFile::Config => InputFile::Manifest,
        InputFile::Manifest => InputFile::Config,
    };
    let mut places: Vec<String> =
        ours.iter().filter(|(path, name)| name == key && *path != here).map(|(path, _)| path.clone()).collect();
    // Nearest first: what lies below this section.
    places.sort_by_key(|path| (!path.starts_with(&here), path.len()));
    if let Some(place) = places.first() {
        return Some(match place.as_str() {
            "" => format!("`{key}` stands at the top of {}, without indentation", file.noun()),
            place => format!("`{key}` is a key of `{}`", shown(place)),
        });
    }
    let place = &keys(other).iter().find(|(_, name)| name == key)?.0;
    Some(match place.as_str() {
        "" => format!("`{key}` belongs in {}", other.noun()),
        place => format!("`{key}` belongs in {}, in `{place}`", other.noun()),
    })
}

/// A file's keys with their sections; made once.
fn keys(file: InputFile) -> &'static [(String, String)] {
    static CONFIG: LazyLock<Vec<(String, String)>> = LazyLock::new(|| schema::all_keys(InputFile::Config));
    static MANIFEST: LazyLock<Vec<(String, String)>> = LazyLock::new(|| schema::all_keys(InputFile::Manifest));
    match file {
        InputFile::Config => &CONFIG,
        InputFile::Manifest => &MANIFEST,
    }
}

/// `pools.gpu.network` → `pools.NAME.network`; lists lose their index.
fn generic(section: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for part in section.split('.').filter(|part| !part.is_empty()) {
        let part = part.split('[').next().unwrap_or(part);
        let free = matches!(out.last(), Some(&"pools" | &"overrides" | &"vm_sizes"));
        out.push(if free { "NAME" } else { part });
    }
    out.join(".")
}

/// The candidate within a few typing mistakes of `word`.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, candidate)| (*distance, candidate.len(), *candidate))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, with the swap of two neighbours as one mistake.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::{closest, distance};

    #[test]
    fn distance_counts_typing_mistakes() {
        assert_eq!(distance("memory_mb", "memory_mb"), 0);
        assert_eq!(distance("memroy_mb", "memory_mb"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn closest_wants_a_real_likeness() {
        assert_eq!(closest("workres", ["masters", "workers"]), Some("workers"));
        assert_eq!(closest("Count", ["count", "numbers"]), Some("count"));
        assert_eq!(closest("zzz", ["count", "numbers"]), None);
    }
}
