//! Volume ids, their paths, and the small files that stand for volumes.

use serde::{Deserialize, Serialize};

use super::super::super::contents;
use super::super::super::node::SandboxNode;
use super::super::super::world::StorageKind;
use super::super::call::{Call, Die, Run};
use super::{Storage, find};

/// `STORAGE:NAME`, where NAME is `101/vm-101-disk-0.raw`, `9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2`,
/// `vm-101-disk-0`, or `snippets/x.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeId {
    pub storage: String,
    pub name: String,
}

/// What stands for a volume's bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// `raw`, `qcow2`.
    pub format: String,
    /// What the guest sees.
    pub size: u64,
    /// What it takes on a thin storage.
    pub used: u64,
    pub ctime: i64,
    /// Read-only base of linked clones.
    #[serde(default)]
    pub base: bool,
    /// The base that a linked clone rests on: the name within its storage.
    #[serde(default)]
    pub linked_to: Option<String>,
}

impl VolumeId {
    pub fn parse(text: &str) -> Option<Self> {
        let (storage, name) = text.split_once(':')?;
        Some(Self { storage: storage.to_owned(), name: name.to_owned() })
    }

    /// The last part: `vm-101-disk-0.raw`.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The guest it belongs to, from its name `vm-ID-…` or `base-ID-…`.
    pub fn owner(&self) -> Option<u32> {
        let rest = self.file_name().strip_prefix("vm-").or_else(|| self.file_name().strip_prefix("base-"))?;
        rest.split('-').next()?.parse().ok()
    }

    /// The base that a linked clone rests on, as far as its id tells (not on lvmthin, contract §4.3).
    pub fn base(&self) -> Option<VolumeId> {
        let (base, _) = self.name.split_once("/vm-")?;
        let base = base.strip_suffix(&format!("/{}", self.owner()?)).unwrap_or(base);
        base.contains("base-").then(|| VolumeId { storage: self.storage.clone(), name: base.to_owned() })
    }

    pub fn is_base(&self) -> bool {
        self.file_name().starts_with("base-")
    }

    /// The path on the node.
    pub fn path(&self, storage: &Storage) -> String {
        if let Some((kind, file)) = self.name.split_once('/')
            && let Some(folder) = content_folder(kind)
        {
            return format!("{}/{folder}/{file}", storage.path());
        }
        if storage.kind.is_files() {
            let owner = self.owner().map_or_else(String::new, |owner| format!("{owner}/"));
            format!("{}/{owner}{}", storage.device_folder(), self.file_name())
        } else {
            format!("{}/{}", storage.device_folder(), self.file_name())
        }
    }
}

impl std::fmt::Display for VolumeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.storage, self.name)
    }
}

/// Folders of a file storage by kind of content.
pub fn content_folder(kind: &str) -> Option<&'static str> {
    match kind {
        "snippets" => Some("snippets"),
        "import" => Some("import"),
        "iso" => Some("template/iso"),
        "vztmpl" => Some("template/cache"),
        "backup" => Some("dump"),
        _ => None,
    }
}

impl Volume {
    pub fn read(node: &SandboxNode, id: &VolumeId) -> Run<Volume> {
        let storage = find(node, &id.storage)?;
        let missing = || Die::new(format!("volume '{id}' does not exist"));
        let bytes = node.read(&id.path(&storage)).map_err(|_| missing())?;
        serde_json::from_slice(&bytes).map_err(|_| Die::new(format!("volume '{id}' is damaged")))
    }

    pub fn write(&self, node: &SandboxNode, id: &VolumeId) -> Run<()> {
        let storage = find(node, &id.storage)?;
        let bytes = serde_json::to_vec(self).map_err(|error| Die::new(error.to_string()))?;
        node.write(&id.path(&storage), bytes).map_err(|error| Die::new(format!("unable to write '{id}' - {error}")))
    }
}

/// A new volume to make.
#[derive(Clone, Debug)]
pub struct Allocation<'a> {
    pub storage: &'a Storage,
    pub vmid: u32,
    pub format: &'a str,
    pub bytes: u64,
    /// `vm-ID-cloudinit` instead of the next free disk.
    pub cloudinit: bool,
    /// The base that it is a linked clone of.
    pub base: Option<&'a VolumeId>,
}

impl Allocation<'_> {
    /// Makes the volume under the storage's lock, printing what the storage's own tool prints.
    pub async fn make(&self, call: &Call<'_>) -> Run<VolumeId> {
        let Allocation { storage, vmid, format, bytes, cloudinit, base } = *self;
        let _held = lock_storage(call, storage).await?;
        // The lock is held while the storage's tool runs.
        call.work(0.15).await?;
        let full = call.node.world.faults().storage_full.contains(&format!("{}/{}", call.node.name(), storage.name));
        if !storage.thin()
            && base.is_none()
            && (full || super::used_bytes(call.node, storage) + bytes > storage.total_bytes)
        {
            return Err(no_room(storage, vmid, bytes));
        }
        let name = self.free_name(call.node);
        let id = VolumeId { storage: storage.name.clone(), name };
        if call.node.exists(&id.path(storage)) {
            return Err(Die::new(format!("disk image '{}' already exists", id.path(storage))));
        }
        call.say(made_line(&id, self))?;
        let ctime = call.node.world.clock.now_s();
        let used = if cloudinit { 266_240 } else { 0 };
        Volume { format: format.into(), size: bytes, used, ctime, base: false, linked_to: None }
            .write(call.node, &id)?;
        Ok(id)
    }

    fn free_name(&self, node: &SandboxNode) -> String {
        let (vmid, files) = (self.vmid, self.storage.kind.is_files());
        let suffix = if files { format!(".{}", self.format) } else { String::new() };
        let folder = if files { format!("{vmid}/") } else { String::new() };
        if self.cloudinit {
            return format!("{folder}vm-{vmid}-cloudinit{suffix}");
        }
        let taken: Vec<String> =
            list(node, self.storage).into_iter().map(|(id, _)| id.file_name().to_owned()).collect();
        let is_taken = |number: u32| {
            [format!("vm-{vmid}-disk-{number}"), format!("base-{vmid}-disk-{number}")]
                .iter()
                .any(|stem| taken.iter().any(|name| name.split('.').next() == Some(stem)))
        };
        let number = (0..).find(|number| !is_taken(*number)).unwrap_or(0);
        format!("{folder}vm-{vmid}-disk-{number}{suffix}")
    }
}

fn no_room(storage: &Storage, vmid: u32, bytes: u64) -> Die {
    match storage.kind {
        StorageKind::Lvm | StorageKind::Lvmthin => {
            let group = storage.settings.get("vgname").map_or("pve", String::as_str);
            Die::new(format!(
                "lvcreate 'vm-{vmid}-disk-0' error:   Volume group \"{group}\" has insufficient free space ({} extents required).",
                bytes >> 22
            ))
        }
        StorageKind::Zfspool => Die::new(format!(
            "zfs error: cannot create '{}/vm-{vmid}-disk-0': out of space",
            storage.settings.get("pool").map_or("rpool", String::as_str)
        )),
        StorageKind::Dir | StorageKind::Nfs => Die::new("unable to create image: No space left on device"),
    }
}

/// The line that `qemu-img`, `lvcreate` print; zfs prints nothing.
fn made_line(id: &VolumeId, made: &Allocation<'_>) -> String {
    let Allocation { storage, format, bytes, base, .. } = *made;
    match storage.kind {
        StorageKind::Dir | StorageKind::Nfs if base.is_some() => format!(
            "Formatting '{}', fmt=qcow2 cluster_size=131072 extended_l2=on preallocation=off compression_type=zlib size={bytes} backing_file=../{} backing_fmt=raw lazy_refcounts=off refcount_bits=16",
            id.path(storage),
            base.map_or("", |base| base.name.as_str()),
        ),
        StorageKind::Dir | StorageKind::Nfs if format == "qcow2" => format!(
            "Formatting '{}', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size={bytes} lazy_refcounts=off refcount_bits=16",
            id.path(storage)
        ),
        StorageKind::Dir | StorageKind::Nfs => {
            format!("Formatting '{}', fmt={format} size={bytes} preallocation=off", id.path(storage))
        }
        StorageKind::Lvm | StorageKind::Lvmthin => format!("  Logical volume \"{}\" created.", id.file_name()),
        StorageKind::Zfspool => format!("allocated zvol '{}'", id.file_name()),
    }
}

/// The lock that allocation, freeing and cloning hold: 10 s, then a time-out (contract §5).
pub async fn lock_storage(call: &Call<'_>, storage: &Storage) -> Run<super::super::super::flock::Flock> {
    let mode = super::super::super::flock::Mode::Exclusive;
    if storage.shared() {
        let name = format!("storage-{}", storage.name);
        return match call.cfs_lock(&name, 10.0).await {
            Err(Die::Text { .. }) => Err(Die::new(format!("cfs-lock '{name}' error: got lock request timeout"))),
            other => other,
        };
    }
    call.lock(&format!("/run/lock/pve-manager/pve-storage-{}", storage.name), mode, 10.0).await
}

/// Removes a volume; a missing one is what `unlink` says.
pub async fn free(call: &Call<'_>, id: &VolumeId) -> Run<()> {
    let storage = find(call.node, &id.storage)?;
    let _held = lock_storage(call, &storage).await?;
    call.work(0.1).await?;
    if let Some(user) = linked_clone_of(call.node, &storage, id) {
        return Err(Die::new(format!("base volume '{id}' is still in use by linked cloned '{user}'")));
    }
    let path = id.path(&storage);
    // What it held goes with it.
    let _ = contents::remove(call.node, &id.to_string());
    if call.node.remove(&path).is_err() {
        if storage.kind.is_files() {
            call.warn(format!("disk image '{path}' does not exist"))?;
            return Ok(());
        }
        return Err(Die::new(format!("volume '{id}' does not exist")));
    }
    match storage.kind {
        StorageKind::Lvm | StorageKind::Lvmthin => {
            call.say(format!("  Logical volume \"{}\" successfully removed.", id.file_name()))?;
        }
        StorageKind::Dir | StorageKind::Nfs | StorageKind::Zfspool => {
            // The guest's folder goes with its last image.
            if let Some((folder, _)) = path.rsplit_once('/')
                && storage.kind.is_files()
            {
                let _ = call.node.fs().rmdir(&call.node.at(folder));
            }
        }
    }
    Ok(())
}

/// A linked clone that rests on a base, where ids tell so.
pub fn linked_clone_of(node: &SandboxNode, storage: &Storage, base: &VolumeId) -> Option<VolumeId> {
    list(node, storage).into_iter().map(|(id, _)| id).find(|id| id.base().as_ref() == Some(base))
}

/// Every guest image of a storage, by id.
pub fn list(node: &SandboxNode, storage: &Storage) -> Vec<(VolumeId, Volume)> {
    let mut volumes = Vec::new();
    let folder = storage.device_folder();
    let mut add = |name: String, path: &str| {
        let Ok(bytes) = node.read(path) else { return };
        let Ok(volume) = serde_json::from_slice::<Volume>(&bytes) else { return };
        let name = match volume.linked_to.as_deref() {
            Some(base) if storage.kind != StorageKind::Lvmthin => format!("{base}/{name}"),
            Some(_) | None => name,
        };
        volumes.push((VolumeId { storage: storage.name.clone(), name }, volume));
    };
    for entry in node.list(&folder) {
        if storage.kind.is_files() {
            for file in node.list(&format!("{folder}/{entry}")) {
                add(format!("{entry}/{file}"), &format!("{folder}/{entry}/{file}"));
            }
        } else {
            add(entry.clone(), &format!("{folder}/{entry}"));
        }
    }
    volumes.sort_by(|a, b| a.0.cmp(&b.0));
    volumes
}
