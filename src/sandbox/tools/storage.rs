//! Storages as `storage.cfg` defines them, and the volumes on them. A volume is a small JSON file where PVE would have
//! an image or a block device: its format, sizes and what it is a copy of.

mod copy;
mod image;
mod volume;

pub use copy::{Content, Copy, copy};
pub use image::{Image, inspect};
pub use volume::{Allocation, Volume, VolumeId, content_folder, free, linked_clone_of, list, lock_storage};

use std::collections::{BTreeMap, BTreeSet};

use super::super::node::SandboxNode;
use super::super::world::StorageKind;
use super::call::{Die, Run};

/// One section of `storage.cfg`, with its size on this node.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    pub name: String,
    pub kind: StorageKind,
    /// As written; `content` in lists is in this order.
    pub content: Vec<String>,
    pub settings: BTreeMap<String, String>,
    pub total_bytes: u64,
}

impl Storage {
    pub fn shared(&self) -> bool {
        self.kind == StorageKind::Nfs || self.settings.get("shared").is_some_and(|value| value == "1")
    }

    pub fn enabled_on(&self, node: &str) -> bool {
        let here = self.settings.get("nodes").is_none_or(|nodes| nodes.split(',').any(|name| name.trim() == node));
        here && self.settings.get("disable").is_none_or(|value| value != "1")
    }

    pub fn holds(&self, content: &str) -> bool {
        self.content.iter().any(|kind| kind == content)
    }

    /// The folder of a file storage.
    pub fn path(&self) -> &str {
        self.settings.get("path").map_or("/nonexistent", String::as_str)
    }

    /// Volumes are named without a format: raw is all that fits.
    pub fn raw_only(&self) -> bool {
        !self.kind.is_files()
    }

    /// Where volumes without a folder of their own lie, as paths of the node.
    pub fn device_folder(&self) -> String {
        match self.kind {
            StorageKind::Lvm | StorageKind::Lvmthin => {
                format!("/dev/{}", self.settings.get("vgname").map_or("pve", String::as_str))
            }
            StorageKind::Zfspool => {
                format!("/dev/zvol/{}", self.settings.get("pool").map_or("rpool", String::as_str))
            }
            StorageKind::Dir | StorageKind::Nfs => format!("{}/images", self.path()),
        }
    }

    pub fn default_format(&self) -> &'static str {
        "raw"
    }

    /// Whether a base volume can be made and cloned from (thick LVM has neither, contract §4.3).
    pub fn has_templates(&self) -> bool {
        self.kind != StorageKind::Lvm
    }

    /// Whether space is only taken as it is written.
    pub fn thin(&self) -> bool {
        match self.kind {
            StorageKind::Lvm => false,
            StorageKind::Zfspool => self.settings.get("sparse").is_some_and(|value| value == "1"),
            StorageKind::Dir | StorageKind::Nfs | StorageKind::Lvmthin => true,
        }
    }
}

/// Every storage of the node's `storage.cfg`, in its order. A node without the file has `local`.
pub fn all(node: &SandboxNode) -> Vec<Storage> {
    let text = node
        .read_text("/etc/pve/storage.cfg")
        .unwrap_or_else(|_| "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n".to_owned());
    let mut storages: Vec<Storage> = Vec::new();
    for line in text.lines() {
        if line.starts_with(['\t', ' ']) {
            let (key, value) = line.trim().split_once(' ').unwrap_or((line.trim(), "1"));
            if let Some(storage) = storages.last_mut() {
                match key {
                    "content" => storage.content = value.split(',').map(|kind| kind.trim().to_owned()).collect(),
                    "" => {}
                    _ => drop(storage.settings.insert(key.to_owned(), value.trim().to_owned())),
                }
            }
        } else if let Some((kind, name)) = line.split_once(':')
            && let Some(kind) = StorageKind::parse(kind.trim())
        {
            let name = name.trim().to_owned();
            let total_bytes = node
                .realm()
                .storages
                .iter()
                .find(|spec| spec.name == name)
                .map_or(DEFAULT_BYTES, |spec| spec.size_mib << 20);
            storages.push(Storage { name, kind, content: Vec::new(), settings: BTreeMap::new(), total_bytes });
        }
    }
    storages
}

/// A storage that the topology does not know (an administrator added it) is this large.
const DEFAULT_BYTES: u64 = 100 << 30;

/// A storage by name: `storage 'x' does not exist`, `storage 'x' is disabled`, or not on this node.
pub fn find(node: &SandboxNode, name: &str) -> Run<Storage> {
    find_for(node, name, node.name())
}

/// As [`find`], to be used on another member.
pub fn find_for(node: &SandboxNode, name: &str, on: &str) -> Run<Storage> {
    let storage = all(node)
        .into_iter()
        .find(|storage| storage.name == name)
        .ok_or_else(|| Die::new(format!("storage '{name}' does not exist")))?;
    if storage.settings.get("disable").is_some_and(|value| value == "1") {
        return Err(Die::new(format!("storage '{name}' is disabled")));
    }
    if !storage.enabled_on(on) {
        return Err(Die::new(format!("storage '{name}' is not available on node '{on}'")));
    }
    Ok(storage)
}

/// Bytes taken on a storage by what lies there.
pub fn used_bytes(node: &SandboxNode, storage: &Storage) -> u64 {
    let volumes = volume::list(node, storage);
    let taken = |volume: &Volume| if storage.thin() { volume.used } else { volume.size };
    let mut seen = BTreeSet::new();
    let images: u64 = volumes.iter().filter(|(id, _)| seen.insert(id.name.clone())).map(|(_, v)| taken(v)).sum();
    images
}
