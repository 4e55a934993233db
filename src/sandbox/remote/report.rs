//! What observe.sh and vm.sh print (their format: `pve::report`), read from the sandbox's files.

use std::time::Duration;

use super::follow;
use super::operations::{OPERATIONS, Operations};
use crate::model::ids::{PveName, Vmid};
use crate::pve::storage_cfg;
use crate::remote::ObserveAsk;
use crate::sandbox::fs::Kind;
use crate::sandbox::guest::hypervisor::{settle, settle_all};
use crate::sandbox::node::SandboxNode;
use crate::sandbox::statd;

/// Delimits the sections of `vm`; no file of the sandbox holds it.
const NONCE_OF_VM: &str = "5a4ebd0c4e0b5a4e";
/// `stat -f` of a roomy root file system: 100 GiB free in blocks of 4 KiB.
const SPACE: &str = "26214400 4096\n";
/// A sample of pvestatd is fresh for so long.
const FRESH_S: i64 = 120;

struct Report<'a> {
    node: &'a SandboxNode,
    nonce: &'a str,
    out: Vec<u8>,
}

pub(super) async fn observe(node: &SandboxNode, ask: &ObserveAsk, operations: &Operations) -> Vec<u8> {
    settle_all(node);
    statd::broadcast(node);
    let mut report = Report { node, nonce: &ask.nonce, out: Vec::new() };
    report.section("begin 1");
    report.section("clock");
    report.text(&format!("{}\n", node.world.clock.now_s()));
    report.local_link();
    report.file("members", "/etc/pve/.members");
    report.file("vmlist", "/etc/pve/.vmlist");
    report.configs(None);
    report.containers();
    report.file("vmlist-after", "/etc/pve/.vmlist");
    let rrd = node.read_text("/etc/pve/.rrd").unwrap_or_default();
    report.section("file rrd");
    report.text(&format!("{}\n", rrd.trim_end_matches('\n')));
    for name in ["storage.cfg", "datacenter.cfg", "user.cfg", "ha/resources.cfg"] {
        report.file(name, &format!("/etc/pve/{name}"));
    }
    report.file("pvecfg.pm", "/usr/share/perl5/PVE/pvecfg.pm");
    report.file("meminfo", "/proc/meminfo");
    report.file("cpus", "/sys/devices/system/cpu/online");
    report.file("resolv.conf", "/etc/resolv.conf");
    report.running(None);
    report.bridges(ask);
    report.images();
    report.section("space");
    report.text(SPACE);
    report.snippets(ask.snippet_folder.as_deref().unwrap_or("/var/lib/vz/snippets"));
    report.section("missing");
    report.operations(None, operations);
    report.storages(ask, &rrd).await;
    report.section("end");
    report.out
}

pub(super) fn vm(node: &SandboxNode, vmid: Vmid, operations: &Operations) -> Vec<u8> {
    settle(node, vmid.0);
    let mut report = Report { node, nonce: NONCE_OF_VM, out: Vec::new() };
    report.section("begin 1");
    report.local_link();
    report.configs(Some(vmid));
    report.file("vmlist", "/etc/pve/.vmlist");
    report.running(Some(vmid));
    report.operations(Some(vmid), operations);
    report.section("end");
    report.out
}

impl Report<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn section(&mut self, words: &str) {
        self.text(&format!("\n@@{} {words}\n", self.nonce));
    }

    fn file(&mut self, name: &str, path: &str) {
        match self.node.read(path) {
            Ok(bytes) => {
                self.section(&format!("file {name}"));
                self.out.extend(bytes);
            }
            Err(_) => self.section(&format!("absent {name}")),
        }
    }

    fn local_link(&mut self) {
        self.section("local");
        let local = self.node.at("/etc/pve/local");
        if self.node.fs().kind(&local) == Some(Kind::Link) {
            let mode = self.node.fs().mode(&local).unwrap_or(0o755);
            let target = self.node.fs().read_link(&local).unwrap_or_default();
            self.text(&format!("link {mode:o} {target}\n"));
        } else if self.node.exists("/etc/pve") {
            self.text("unmounted\n");
        } else {
            self.text("absent\n");
        }
    }

    /// Sizes and paths, an empty line, then all files joined.
    fn configs(&mut self, only: Option<Vmid>) {
        self.section("configs");
        let mut index = String::new();
        let mut all = Vec::new();
        for owner in self.node.list("/etc/pve/nodes") {
            let folder = format!("/etc/pve/nodes/{owner}/qemu-server");
            for name in self.node.list(&folder) {
                let wanted = name
                    .strip_suffix(".conf")
                    .is_some_and(|id| !id.starts_with('.') && only.is_none_or(|vmid| id == vmid.to_string()));
                if let (true, Ok(bytes)) = (wanted, self.node.read(&format!("{folder}/{name}"))) {
                    index.push_str(&format!("{} {owner}/qemu-server/{name}\n", bytes.len()));
                    all.extend(bytes);
                }
            }
        }
        if !index.is_empty() {
            self.text(&format!("{index}\n"));
            self.out.extend(all);
        }
    }

    fn containers(&mut self) {
        self.section("containers");
        let mut paths = Vec::new();
        for owner in self.node.list("/etc/pve/nodes") {
            let names = self.node.list(&format!("/etc/pve/nodes/{owner}/lxc"));
            let configs = names.into_iter().filter(|name| name.ends_with(".conf") && !name.starts_with('.'));
            paths.extend(configs.map(|name| format!("{owner}/lxc/{name}")));
        }
        if paths.is_empty() {
            return;
        }
        paths.iter().for_each(|path| self.text(&format!("{path}\n")));
        self.section("container-memory");
        for path in paths {
            let text = self.node.read_text(&format!("/etc/pve/nodes/{path}")).unwrap_or_default();
            for line in text.lines().filter(|line| line.starts_with("memory:")) {
                self.text(&format!("{path}:{line}\n"));
            }
        }
    }

    fn running(&mut self, only: Option<Vmid>) {
        self.section("pids");
        let mut pids = Vec::new();
        for name in self.node.list("/run/qemu-server") {
            let Some(id) = name.strip_suffix(".pid") else { continue };
            if only.is_some_and(|vmid| vmid.to_string() != id) {
                continue;
            }
            let text = self.node.read_text(&format!("/run/qemu-server/{name}")).unwrap_or_default();
            let pid = text.lines().next().unwrap_or_default().trim().to_owned();
            if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) {
                self.text(&format!("{id} {pid}\n"));
                pids.push(pid);
            }
        }
        self.section("cmdlines");
        for pid in pids {
            let line = self.node.read(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
            for word in line.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()) {
                let file = word.rsplit_once("/run/qemu-server/").and_then(|(_, rest)| rest.strip_suffix(".pid"));
                if file.is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) {
                    self.text(&format!("{pid}/cmdline:{word}\n"));
                }
            }
        }
    }

    fn bridges(&mut self, ask: &ObserveAsk) {
        self.section("bridges");
        let links = self.node.list("/sys/class/net");
        let has = |link: &str, name: &str| self.node.exists(&format!("/sys/class/net/{link}/{name}"));
        let mut found: Vec<String> = links.iter().filter(|link| has(link, "bridge")).cloned().collect();
        let asked = ask.bridges.iter().map(|bridge| bridge.as_str().to_owned());
        found.extend(asked.filter(|name| links.contains(name) && !has(name, "bridge") && !has(name, "device")));
        for name in found {
            self.text(&format!("{name}\n"));
        }
    }

    fn images(&mut self) {
        self.section("images");
        for name in self.node.list("/var/lib/pvekube/images") {
            if name.starts_with("sha") && name.contains('-') {
                let size = self.node.read(&format!("/var/lib/pvekube/images/{name}")).map_or(0, |bytes| bytes.len());
                self.text(&format!("{size} {name}\n"));
            }
        }
    }

    fn snippets(&mut self, folder: &str) {
        self.section("snippets");
        for name in self.node.list(folder).iter().filter(|name| name.starts_with("pvekube-")) {
            self.text(&format!("{name}\n"));
        }
    }

    fn operations(&mut self, only: Option<Vmid>, operations: &Operations) {
        for name in self.node.list(OPERATIONS) {
            let folder = format!("{OPERATIONS}/{name}");
            let hidden = name.starts_with('.') || self.node.fs().kind(&self.node.at(&folder)) != Some(Kind::Folder);
            if hidden || only.is_some_and(|vmid| !name.contains(&format!("-{vmid}-"))) {
                continue;
            }
            let live = u8::from(operations.is_live(self.node, &name));
            let code = self.node.read_text(&format!("{folder}/rc")).unwrap_or_default();
            let code = if code.trim().is_empty() { "-" } else { code.trim() }.to_owned();
            self.section(&format!("op {name} {live} {code}"));
            let log = self.node.read(&format!("{folder}/log")).unwrap_or_default();
            self.out.extend_from_slice(&log[log.len().saturating_sub(4096)..]);
        }
    }

    /// `pvesm` for the storages that have no fresh sample.
    async fn storages(&mut self, ask: &ObserveAsk, rrd: &str) {
        let defined = storage_cfg::parse(&self.node.read("/etc/pve/storage.cfg").unwrap_or_default());
        let here = PveName::new(self.node.name());
        for storage in &ask.storages {
            let usable = defined.get(storage).is_some_and(|definition| {
                definition.enabled && definition.nodes.as_ref().is_none_or(|nodes| nodes.contains(&here))
            });
            if !(usable || storage.as_str() == "local") || self.is_fresh(storage.as_str(), rrd) {
                continue;
            }
            let argv = vec!["pvesm", "status", "--storage", storage.as_str()];
            let answer = follow::run(self.node, argv, Duration::from_secs(30)).await;
            let both = [answer.stdout, answer.stderr].concat();
            let text = String::from_utf8_lossy(&both);
            let status = text.trim_end_matches('\n');
            self.text(&format!("\n@@{} pvesm {storage} {}\n{status}\n", self.nonce, answer.exit));
        }
    }

    fn is_fresh(&self, storage: &str, rrd: &str) -> bool {
        let key = format!("/{}/{storage}:", self.node.name());
        let samples = rrd.match_indices(&key).filter_map(|(at, found)| {
            rrd[at + found.len()..].split(':').next().and_then(|text| text.parse::<i64>().ok())
        });
        samples.into_iter().any(|sample| self.node.world.clock.now_s() - sample <= FRESH_S)
    }
}
