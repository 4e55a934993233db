//! One simulated node: its files, its view of pmxcfs, and the rules that pmxcfs enforces on writes.

mod layout;

pub(super) use layout::storage_cfg;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use super::flock::{self, Flock, Mode};
use super::fs::Fs;
use super::world::{NodeSpec, RealmSpec, World};

/// A node of a world. Paths given to it are the node's own (`/etc/pve/storage.cfg`).
#[derive(Clone, Debug)]
pub struct SandboxNode {
    pub world: Arc<World>,
    realm: usize,
    member: usize,
}

impl SandboxNode {
    pub(super) fn new(world: Arc<World>, realm: usize, member: usize) -> Self {
        Self { world, realm, member }
    }

    pub fn name(&self) -> &str {
        &self.spec().name
    }

    pub fn spec(&self) -> &NodeSpec {
        &self.realm().nodes[self.member]
    }

    pub fn realm(&self) -> &RealmSpec {
        &self.world.topology.realms[self.realm]
    }

    /// Every node of this node's realm, itself included.
    pub fn members(&self) -> Vec<SandboxNode> {
        (0..self.realm().nodes.len()).map(|member| Self::new(self.world.clone(), self.realm, member)).collect()
    }

    pub fn fs(&self) -> &Fs {
        &self.world.fs
    }

    /// The world's path of one of the node's paths.
    pub fn at(&self, path: &str) -> String {
        format!("/nodes/{}{path}", self.name())
    }

    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.fs().read(&self.at(path))
    }

    pub fn read_text(&self, path: &str) -> io::Result<String> {
        self.fs().read_text(&self.at(path))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.fs().exists(&self.at(path))
    }

    /// Sorted names; a missing folder has none.
    pub fn list(&self, path: &str) -> Vec<String> {
        self.fs().list(&self.at(path)).unwrap_or_default()
    }

    /// Writes an ordinary file of the node. Files under `/etc/pve` go through [`Self::pve_write`].
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.fs().write(&self.at(path), bytes)
    }

    pub fn append(&self, path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.fs().append(&self.at(path), bytes)
    }

    pub fn remove(&self, path: &str) -> io::Result<()> {
        self.fs().remove(&self.at(path))
    }

    /// `flock` on one of the node's files; `None` after `patience` (of the simulated or real clock, scaled by its speed).
    pub async fn flock(&self, path: &str, mode: Mode, patience_s: f64) -> io::Result<Option<Flock>> {
        let patience: Duration = self.world.clock.scaled(patience_s);
        flock::flock(self.fs(), &self.at(path), mode, patience).await
    }

    /// An exclusive lock that all members of the realm share.
    pub async fn realm_flock(&self, name: &str, patience_s: f64) -> io::Result<Option<Flock>> {
        let path = format!("/realms/{}/locks/{name}", self.realm().name);
        flock::flock(self.fs(), &path, Mode::Exclusive, self.world.clock.scaled(patience_s)).await
    }

    /// Waits as long as `seconds` of work take on this node, which a fault may slow down.
    pub async fn work(&self, seconds: f64) {
        let slow = self.world.faults().slow.get(self.name()).copied().unwrap_or(1.0);
        self.world.clock.work(seconds * slow).await;
    }

    /// Whether this node is up and its realm has a majority of its nodes (contract §9).
    pub fn quorate(&self) -> bool {
        let faults = self.world.faults();
        let up = self.realm().nodes.iter().filter(|node| !faults.offline.contains(&node.name)).count();
        let majority = self.realm().cluster.is_none() || up * 2 > self.realm().nodes.len();
        majority && !faults.no_quorum.contains(&self.realm().name)
    }

    /// The config file of a VM that this node owns.
    pub fn conf_path(&self, vmid: u32) -> String {
        format!("/etc/pve/nodes/{}/qemu-server/{vmid}.conf", self.name())
    }

    /// Every guest of the realm that the node sees: (VMID, node, `qemu` or `lxc`), by VMID. Empty without pmxcfs.
    pub fn guests(&self) -> Vec<(u32, String, &'static str)> {
        let mut guests = Vec::new();
        for owner in self.list("/etc/pve/nodes") {
            for (folder, kind) in [("qemu-server", "qemu"), ("lxc", "lxc")] {
                for file in self.list(&format!("/etc/pve/nodes/{owner}/{folder}")) {
                    if let Some(vmid) = file.strip_suffix(".conf").and_then(|id| id.parse().ok()) {
                        guests.push((vmid, owner.clone(), kind));
                    }
                }
            }
        }
        guests.sort();
        guests
    }

    /// A write through pmxcfs: refused without quorum (`PermissionDenied`) and for a guest's config whose VMID another
    /// node or kind of guest has (`AlreadyExists`, contract §2); moves `.vmlist`'s counters at each config write.
    pub fn pve_write(&self, path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.pve_change(|| {
            if let Some((vmid, node, kind)) = guest_of(path)
                && self.guests().iter().any(|g| g.0 == vmid && (g.1 != node || g.2 != kind))
            {
                return Err(ErrorKind::AlreadyExists.into());
            }
            self.write(path, bytes)?;
            self.touch(path)
        })
    }

    /// Removes a file through pmxcfs.
    pub fn pve_remove(&self, path: &str) -> io::Result<()> {
        self.pve_change(|| {
            self.remove(path)?;
            self.touch(path)
        })
    }

    /// Moves a guest's config to another member (migration; pmxcfs allows it for one VMID).
    pub fn pve_rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.pve_change(|| {
            self.fs().rename(&self.at(from), &self.at(to))?;
            self.touch(to)
        })
    }

    fn pve_change(&self, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if !self.exists("/etc/pve/local") || !self.quorate() {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.fs().exclusively(&format!("/realms/{}/lock", self.realm().name), change)?
    }

    /// Moves the counters that a write of `path` moves. Counters of `.vmlist` are global and per guest (contract §1.5).
    fn touch(&self, path: &str) -> io::Result<()> {
        let Some((vmid, _, _)) = guest_of(path) else { return Ok(()) };
        let realm = format!("/realms/{}", self.realm().name);
        let counters = format!("{realm}/counters.json");
        let mut versions: std::collections::BTreeMap<String, u64> =
            self.fs().read(&counters).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let next = versions.get("version").copied().unwrap_or(0) + 1;
        versions.insert("version".into(), next);
        versions.insert(vmid.to_string(), next);
        let guests = self.guests();
        versions.retain(|id, _| id == "version" || guests.iter().any(|guest| guest.0.to_string() == *id));
        self.fs().write(&counters, serde_json::to_vec(&versions)?)?;
        self.fs().write(&format!("{realm}/.vmlist"), vmlist(next, &guests, &versions))
    }
}

/// VMID, owner and kind, if the path is a guest's config.
fn guest_of(path: &str) -> Option<(u32, &str, &str)> {
    let (owner, rest) = path.strip_prefix("/etc/pve/nodes/")?.split_once('/')?;
    let (folder, file) = rest.split_once('/')?;
    let kind = match folder {
        "qemu-server" => "qemu",
        "lxc" => "lxc",
        _ => return None,
    };
    Some((file.strip_suffix(".conf")?.parse().ok()?, owner, kind))
}

/// `.vmlist` with the odd spacing that pmxcfs has.
fn vmlist(version: u64, guests: &[(u32, String, &str)], versions: &std::collections::BTreeMap<String, u64>) -> String {
    if guests.is_empty() {
        return format!("{{\n\"version\": {version}\n\n}}\n");
    }
    let ids: Vec<String> = guests
        .iter()
        .map(|(vmid, node, kind)| {
            let own = versions.get(&vmid.to_string()).copied().unwrap_or(0);
            format!("\"{vmid}\": {{ \"node\": \"{node}\", \"type\": \"{kind}\", \"version\": {own} }}")
        })
        .collect();
    format!("{{\n\"version\": {version},\n\"ids\": {{\n{}}}\n\n}}\n", ids.join(",\n"))
}

#[cfg(test)]
mod tests;
