//! A node's files as it is installed: its folders, its share of pmxcfs, what its kernel shows.

use std::io;

use super::super::world::{RealmSpec, StorageKind};
use super::SandboxNode;

/// Names in `/etc/pve` that every member of a cluster shares.
const SHARED_FOLDERS: [&str; 4] = ["nodes", "ha", "priv", "firewall"];
const SHARED_FILES: [&str; 7] =
    ["storage.cfg", "datacenter.cfg", "user.cfg", "corosync.conf", ".vmlist", ".version", ".rrd"];

impl SandboxNode {
    /// Lays out the node's folders and its share of `/etc/pve`.
    pub(in crate::sandbox) fn install(&self) -> io::Result<()> {
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
    pub(in crate::sandbox) fn mount_pmxcfs(&self, mounted: bool) -> io::Result<()> {
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

    pub(in crate::sandbox) fn refresh_members(&self) -> io::Result<()> {
        if !self.exists("/etc/pve/local") {
            return Ok(());
        }
        let local = self.at("/etc/pve/local");
        if self.fs().root().is_none() {
            // Only memory has modes for links; elsewhere `.members` alone tells (contract §1.5).
            self.fs().set_mode(&local, if self.quorate() { 0o755 } else { 0o555 })?;
        }
        let text = self.members_text();
        // Another process may be reading it.
        let same = self.read_text("/etc/pve/.members").is_ok_and(|before| before == text);
        if same { Ok(()) } else { self.write("/etc/pve/.members", text) }
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

/// `storage.cfg` as PVE writes it: one section a storage, tab-indented.
pub(in crate::sandbox) fn storage_cfg(realm: &RealmSpec) -> String {
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
