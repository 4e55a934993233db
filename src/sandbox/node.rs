//! One simulated node: its files, its view of pmxcfs, and the rules that pmxcfs enforces on writes.

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

/// Names in `/etc/pve` that every member of a cluster shares.
const SHARED_FOLDERS: [&str; 4] = ["nodes", "ha", "priv", "firewall"];
const SHARED_FILES: [&str; 7] =
    ["storage.cfg", "datacenter.cfg", "user.cfg", "corosync.conf", ".vmlist", ".version", ".rrd"];

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

    /// Lays out the node's folders and its share of `/etc/pve`.
    pub(super) fn install(&self) -> io::Result<()> {
        let realm = format!("/realms/{}", self.realm().name);
        for folder in SHARED_FOLDERS {
            self.fs().mkdir_all(&format!("{realm}/{folder}"))?;
        }
        for folder in ["qemu-server", "lxc"] {
            self.fs().mkdir_all(&format!("{realm}/nodes/{}/{folder}", self.name()))?;
        }
        self.fs().mkdir_all(&format!("{realm}/priv/lock"))?;
        if !self.fs().exists(&format!("{realm}/storage.cfg")) {
            self.fs().write(&format!("{realm}/storage.cfg"), storage_cfg(self.realm()))?;
            self.fs().write(&format!("{realm}/user.cfg"), "user:root@pam:1:0::::::\n")?;
            self.fs().write(&format!("{realm}/.vmlist"), "{\n\"version\": 0\n\n}\n")?;
        }
        for digit in 0..16 {
            self.fs().mkdir_all(&self.at(&format!("/var/log/pve/tasks/{digit:X}")))?;
        }
        for folder in ["/run/qemu-server", "/run/lock/qemu-server", "/var/lib/vz/snippets", "/var/log/pve/tasks"] {
            self.fs().mkdir_all(&self.at(folder))?;
        }
        for storage in self.realm().storages.iter().filter(|storage| storage.shared) {
            let place = format!("/realms/{}/shared/{}", self.realm().name, storage.name);
            self.fs().mkdir_all(&place)?;
            self.fs().symlink(&place, &self.at(&storage.folder()))?;
        }
        let dirs = self.realm().storages.iter().filter(|storage| storage.kind.is_files());
        for storage in dirs.filter(|storage| storage.content.iter().any(|kind| kind == "images")) {
            self.fs().mkdir_all(&self.at(&format!("{}/images", storage.folder())))?;
        }
        for bridge in &self.spec().bridges {
            self.fs().mkdir_all(&self.at(&format!("/sys/class/net/{bridge}/bridge")))?;
        }
        let kib = self.spec().memory_mib * 1024;
        self.write(
            "/proc/meminfo",
            format!(
                "MemTotal:       {kib} kB\nMemFree:        {} kB\nMemAvailable:   {} kB\n",
                kib / 8 * 7,
                kib / 8 * 7
            ),
        )?;
        self.write("/etc/resolv.conf", &self.spec().resolv_conf)?;
        self.write(
            "/usr/share/perl5/PVE/pvecfg.pm",
            format!("package PVE::pvecfg;\n\nsub version {{\n    return '{}';\n}}\n", self.spec().version.manager),
        )?;
        self.write("/sys/devices/system/cpu/online", format!("0-{}\n", self.spec().cpus.saturating_sub(1)))?;
        self.write("/etc/hostname", format!("{}\n", self.name()))?;
        self.mount_pmxcfs(true)
    }

    /// Puts pmxcfs' files at `/etc/pve`, or leaves the empty folder that is there without it.
    pub(super) fn mount_pmxcfs(&self, mounted: bool) -> io::Result<()> {
        let pve = self.at("/etc/pve");
        self.fs().remove_tree(&pve)?;
        self.fs().mkdir_all(&pve)?;
        if !mounted {
            return Ok(());
        }
        for name in SHARED_FOLDERS.into_iter().chain(SHARED_FILES) {
            self.fs().symlink(&format!("/realms/{}/{name}", self.realm().name), &format!("{pve}/{name}"))?;
        }
        for (link, folder) in [("local", ""), ("qemu-server", "/qemu-server"), ("lxc", "/lxc")] {
            self.fs().symlink(&format!("nodes/{}{folder}", self.name()), &format!("{pve}/{link}"))?;
        }
        self.refresh_members()
    }

    pub(super) fn refresh_members(&self) -> io::Result<()> {
        if !self.exists("/etc/pve/local") {
            return Ok(());
        }
        let local = self.at("/etc/pve/local");
        if self.fs().root().is_none() {
            // Only memory has modes for links; elsewhere `.members` alone tells (contract §1.5).
            self.fs().set_mode(&local, if self.quorate() { 0o755 } else { 0o555 })?;
        }
        self.write("/etc/pve/.members", self.members_text())
    }

    fn members_text(&self) -> String {
        let faults = self.world.faults();
        let name = self.name();
        let Some(cluster) = &self.realm().cluster else {
            return format!("{{\n\"nodename\": \"{name}\",\n\"version\": 0\n}}\n");
        };
        let nodes = &self.realm().nodes;
        let quorate = u8::from(self.quorate());
        let version = 3 + nodes.len() + faults.offline.len();
        let mut text = format!(
            "{{\n\"nodename\": \"{name}\",\n\"version\": {version},\n\"cluster\": {{ \"name\": \"{cluster}\", \"version\": {}, \"nodes\": {}, \"quorate\": {quorate} }},\n\"nodelist\": {{\n",
            nodes.len(),
            nodes.len(),
        );
        let lines: Vec<String> = nodes
            .iter()
            .enumerate()
            .map(|(at, node)| {
                let online = u8::from(!faults.offline.contains(&node.name));
                format!(
                    "  \"{}\": {{ \"id\": {}, \"online\": {online}, \"ip\": \"{}\"}}",
                    node.name,
                    at + 1,
                    node.address
                )
            })
            .collect();
        text.push_str(&lines.join(",\n"));
        text.push_str("\n  }\n}\n");
        text
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

/// `storage.cfg` as PVE writes it: one section a storage, tab-indented.
pub(super) fn storage_cfg(realm: &RealmSpec) -> String {
    use super::world::StorageKind;
    let mut text = String::new();
    for storage in &realm.storages {
        text.push_str(&format!("{}: {}\n", storage.kind.as_str(), storage.name));
        match storage.kind {
            StorageKind::Dir => text.push_str(&format!("\tpath {}\n", storage.place)),
            StorageKind::Nfs => text.push_str(&format!(
                "\texport {}\n\tpath /mnt/pve/{}\n\tserver 10.0.0.9\n",
                storage.place, storage.name
            )),
            StorageKind::Lvm => text.push_str(&format!("\tvgname {}\n", storage.place)),
            StorageKind::Lvmthin => {
                let (group, pool) = storage.place.split_once('/').unwrap_or((&storage.place, "data"));
                text.push_str(&format!("\tthinpool {pool}\n\tvgname {group}\n"));
            }
            StorageKind::Zfspool => text.push_str(&format!("\tpool {}\n", storage.place)),
        }
        text.push_str(&format!("\tcontent {}\n", storage.content.join(",")));
        if storage.sparse {
            text.push_str("\tsparse 1\n");
        }
        if let Some(nodes) = &storage.nodes {
            text.push_str(&format!("\tnodes {}\n", nodes.join(",")));
        }
        if storage.shared && storage.kind != StorageKind::Nfs {
            text.push_str("\tshared 1\n");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
