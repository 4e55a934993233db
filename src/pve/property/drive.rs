//! Drives (`scsi0`, `ide2`, …): the volume first, then options sorted, and which of them the VM boots from.

use std::collections::BTreeMap;
use std::fmt;

use super::{Properties, PropertyError, boot_order};
use crate::pve::size;

/// One drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// `local-lvm:vm-101-disk-0`, a path, `none`, or `cdrom`.
    pub volume: String,
    pub options: Properties,
}

impl Drive {
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        let mut options = Properties::parse(text, Some("file"))?;
        let lacks = || PropertyError::Lacks { what: "a volume", text: text.to_owned() };
        let alias = options.remove("volume");
        let volume = options.remove("file").or(alias).ok_or_else(lacks)?;
        Ok(Self { volume, options })
    }

    /// Bytes, from `size=`; informational in PVE, but it is what a resize compares with.
    pub fn size_bytes(&self) -> Option<u64> {
        size::parse(self.options.get("size")?)
    }

    /// None for a device of the node that is passed through (`/dev/disk/by-path/pci-0000:00:…`).
    pub fn storage(&self) -> Option<&str> {
        self.volume.split_once(':').map(|(storage, _)| storage).filter(|storage| !storage.starts_with('/'))
    }

    pub fn is_cdrom(&self) -> bool {
        self.options.get("media") == Some("cdrom") || self.volume == "cdrom"
    }

    /// A cloud-init drive (contract §4.2): `…vm-101-cloudinit[.qcow2]`, or `STORAGE:cloudinit` when it is being asked for.
    pub fn is_cloudinit(&self) -> bool {
        let file = self.volume.rsplit(['/', ':']).next().unwrap_or_default();
        let stem = file.split('.').next().unwrap_or_default();
        stem == "cloudinit" || (stem.starts_with("vm-") && stem.ends_with("-cloudinit"))
    }

    /// A template's converted volume: `base-9000-disk-0`.
    pub fn is_base(&self) -> bool {
        self.volume.rsplit(['/', ':']).next().is_some_and(|file| file.starts_with("base-"))
    }
}

impl fmt::Display for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.volume)?;
        if !self.options.is_empty() {
            write!(f, ",{}", self.options)?;
        }
        Ok(())
    }
}

/// `scsi0`…`scsi30`, `ide0`…, `sata0`…, `virtio0`….
pub fn is_drive_key(key: &str) -> bool {
    ["scsi", "ide", "sata", "virtio"].iter().any(|bus| {
        key.strip_prefix(bus).is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// A drive key whose value is a disk, not a CD.
pub fn is_disk_key(keys: &BTreeMap<String, String>, key: &str) -> bool {
    is_drive_key(key) && keys.get(key).and_then(|value| Drive::parse(value).ok()).is_some_and(|drive| !drive.is_cdrom())
}

/// A disk that is attached, or one that was only detached (`unusedN`).
pub fn has_disk(keys: &BTreeMap<String, String>) -> bool {
    keys.keys().any(|key| key.starts_with("unused") || is_disk_key(keys, key))
}

/// The first disk of `boot:`; without an order, `bootdisk:` (as old recipes have it, beside `boot: c`), else the lowest scsi,
/// virtio, sata or ide disk.
pub fn first_boot_disk(keys: &BTreeMap<String, String>) -> Option<(String, Drive)> {
    let mut ordered = keys.get("boot").map(|boot| boot_order(boot)).unwrap_or_default();
    if ordered.is_empty() {
        ordered.extend(keys.get("bootdisk").cloned());
    }
    let found = ordered.into_iter().find(|key| is_disk_key(keys, key)).or_else(|| {
        let mut disks: Vec<&String> = keys.keys().filter(|key| is_disk_key(keys, key)).collect();
        disks.sort_by_key(|key| bus_rank(key));
        disks.first().map(|key| (*key).clone())
    })?;
    let drive = Drive::parse(keys.get(&found)?).ok()?;
    Some((found, drive))
}

fn bus_rank(key: &str) -> (usize, u32) {
    let bus = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let rank = ["scsi", "virtio", "sata", "ide"].iter().position(|name| *name == bus).unwrap_or(4);
    (rank, key[bus.len()..].parse().unwrap_or(u32::MAX))
}
