//! `/etc/pve/storage.cfg`: which storages there are, for what, and where (Storage/Plugin.pm `parse_config`).

use std::collections::{BTreeMap, BTreeSet};

use super::property::boolean;
use super::section_config::{self, Section};
use crate::model::ids::{PveName, StorageName};
use crate::model::observed::StorageDef;

/// Kinds that are one and the same store on every node, whatever the file says. (PVE 9 no longer has `glusterfs`.)
const SHARED_KINDS: [&str; 10] =
    ["iscsi", "nfs", "cifs", "rbd", "cephfs", "iscsidirect", "glusterfs", "zfs", "drbd", "pbs"];

/// Kinds that keep volumes as files.
const FILE_KINDS: [&str; 6] = ["dir", "nfs", "cifs", "btrfs", "cephfs", "glusterfs"];

/// Whether `qm template` turns a disk there into a base volume. Thick LVM can't, and the disk stays as it is without a
/// word (contract §4.3); of kinds that come from elsewhere nobody knows. Full clones work from either.
pub fn makes_bases(kind: &str) -> bool {
    FILE_KINDS.contains(&kind) || ["lvmthin", "zfspool", "zfs", "rbd"].contains(&kind)
}

/// Every storage of the file; `local` is there even without one.
pub fn parse(bytes: &[u8]) -> BTreeMap<StorageName, StorageDef> {
    let sections = section_config::parse(bytes);
    let mut storages: BTreeMap<StorageName, StorageDef> =
        sections.iter().map(|section| (StorageName::new(section.id.clone()), storage(section))).collect();
    let local = storages.entry("local".into()).or_insert_with(default_local);
    let elsewhere = local.path.as_deref().is_some_and(|path| path != "/var/lib/vz");
    if local.kind != "dir" || elsewhere {
        *local = default_local();
    }
    if local.path.is_some() {
        local.path = Some("/var/lib/vz".to_owned());
    }
    local.nodes = None;
    storages
}

fn default_local() -> StorageDef {
    StorageDef {
        kind: "dir".to_owned(),
        content: words("backup,images,iso,rootdir,snippets,vztmpl"),
        shared: false,
        enabled: true,
        nodes: None,
        path: Some("/var/lib/vz".to_owned()),
        thin: true,
    }
}

fn storage(section: &Section) -> StorageDef {
    let kind = section.kind.as_str();
    let is_on = |key: &str| section.keys.get(key).and_then(|value| boolean(value)).unwrap_or(false);
    let content = section.keys.get("content").map(String::as_str).unwrap_or_else(|| default_content(kind));
    let nodes = section.keys.get("nodes").map(|list| words(list).into_iter().map(PveName::new).collect());
    StorageDef {
        kind: kind.to_owned(),
        content: words(content),
        shared: SHARED_KINDS.contains(&kind) || is_on("shared"),
        enabled: !is_on("disable"),
        nodes,
        path: path(section),
        thin: is_thin(section, is_on("sparse")),
    }
}

/// Where a file storage is mounted, its `path` or PVE's own mount point, if its snippets lie in `snippets/` below that:
/// `content-dirs` can move them (Storage/Plugin.pm `get_subdir`).
fn path(section: &Section) -> Option<String> {
    let moved = section.keys.get("content-dirs").is_some_and(|folders| {
        let folder = folders.split(',').find_map(|part| part.trim().strip_prefix("snippets="));
        folder.is_some_and(|folder| folder.trim_matches('/') != "snippets")
    });
    if moved {
        return None;
    }
    if let Some(path) = section.keys.get("path") {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        return Some(format!("/{}", parts.join("/")));
    }
    ["nfs", "cifs", "cephfs", "glusterfs"].contains(&section.kind.as_str()).then(|| format!("/mnt/pve/{}", section.id))
}

/// Whether a new volume takes only what is written to it. Files are sparse unless preallocation is asked for.
fn is_thin(section: &Section, sparse: bool) -> bool {
    let preallocated = section.keys.get("preallocation").is_some_and(|mode| mode == "full" || mode == "falloc");
    match section.kind.as_str() {
        "lvmthin" | "rbd" => true,
        "zfspool" | "zfs" => sparse,
        kind => FILE_KINDS.contains(&kind) && !preallocated,
    }
}

/// What a storage without `content` is for (each plugin's `plugindata`).
fn default_content(kind: &str) -> &'static str {
    match kind {
        "lvmthin" | "zfspool" | "dir" | "btrfs" => "images,rootdir",
        "cephfs" | "pbs" => "backup",
        "esxi" => "import",
        _ => "images",
    }
}

fn words(list: &str) -> BTreeSet<String> {
    list.split(|c: char| matches!(c, ',' | ';') || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_file() {
        let storages = parse(include_bytes!("../../tests/fixtures/pve/storage.cfg"));
        assert_eq!(storages.keys().map(StorageName::as_str).collect::<Vec<_>>(), ["local", "local-lvm", "tiny"]);
        assert!(storages[&"local".into()].content.contains("snippets"));
        assert_eq!(storages[&"tiny".into()].path.as_deref(), Some("/mnt/tiny"));
    }

    #[test]
    fn kinds() {
        let storages = parse(
            b"# ours\nlvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\nzfspool: tank\n\tpool tank\n\tsparse\n\tnodes c1,c2\n\nzfspool: thick\n\tpool t\n\nnfs: share\n\tserver x\n\texport /y\n\tcontent images,snippets\n\tdisable 1\n\nlvm: san\n\tvgname v\n\tshared 1\n\nglusterfs: gl\n\tvolume v\n\ndir: full\n\tpath /f\n\tpreallocation full\n",
        );
        let of = |name: &str| &storages[&name.into()];
        assert!(of("local-lvm").thin && !of("local-lvm").shared && of("local-lvm").content.contains("images"));
        assert!(of("tank").thin && !of("thick").thin);
        assert_eq!(of("tank").nodes.as_ref().unwrap().len(), 2);
        assert!(of("share").shared && !of("share").enabled);
        assert_eq!(of("share").path.as_deref(), Some("/mnt/pve/share"));
        assert!(of("gl").shared && of("gl").path.as_deref() == Some("/mnt/pve/gl"));
        assert!(of("san").shared && !of("san").thin && !of("full").thin);
    }

    #[test]
    fn moved_snippets_have_no_known_folder() {
        let storages = parse(
            b"dir: own\n\tpath /o\n\tcontent-dirs backup=b,snippets=scripts\n\ndir: same\n\tpath /s\n\tcontent-dirs snippets=snippets,iso=i\n",
        );
        assert_eq!(storages[&"own".into()].path, None);
        assert_eq!(storages[&"same".into()].path.as_deref(), Some("/s"));
    }

    /// PVE keeps a path as it was typed; ours are put together and compared.
    #[test]
    fn slashes_too_many() {
        let storages = parse(b"dir: nas\n\tpath /mnt//nas/\n");
        assert_eq!(storages[&"nas".into()].path.as_deref(), Some("/mnt/nas"));
    }

    #[test]
    fn local_is_always_there_and_everywhere() {
        assert_eq!(parse(b"")[&"local".into()], default_local());
        let odd = parse(b"dir: local\n\tpath /elsewhere\n\tnodes c1\n");
        assert_eq!(odd[&"local".into()], default_local());
        let kept = parse(b"dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\tnodes c1\n");
        assert_eq!(kept[&"local".into()].content, words("iso"));
        assert_eq!(kept[&"local".into()].nodes, None);
    }

    #[test]
    fn odd_lines() {
        let storages = parse(b"\tstray 1\nbroken\n: x\ndir: a b\n\tpath /no\ndir: ok\n\tpath /p\n\xff\n");
        assert_eq!(storages.len(), 2);
        assert_eq!(storages[&"ok".into()].path.as_deref(), Some("/p"));
    }
}
