//! What pvestatd broadcasts: `/etc/pve/.rrd`, brought up to date whenever somebody is about to read it.
//!
//! Every online node sends every 10 s; lines of a node that is down stay as they were (contract §1.3).

use crate::pve::conf;
use crate::pve::property::memory_mb;

use super::guest::hypervisor;
use super::node::SandboxNode;
use super::tools::storage;

/// pvestatd's cycle.
const CYCLE_S: i64 = 10;

/// Writes the samples of every online member of this node's realm.
pub fn broadcast(node: &SandboxNode) {
    let faults = node.world.faults();
    let now = node.world.clock.now_s();
    let at = now - now.rem_euclid(CYCLE_S);
    let path = format!("/realms/{}/.rrd", node.realm().name);
    let before = node.fs().read_text(&path).unwrap_or_default();
    let mut lines = Vec::new();
    for member in node.members() {
        let name = member.name();
        if faults.offline.contains(name) || faults.silent_statd.contains(name) {
            let of_node = |line: &&str| line.split([':', '/']).nth(1).is_some_and(|owner| owner == name);
            lines.extend(before.lines().filter(of_node).map(str::to_owned));
        } else {
            lines.extend(samples(&member, at));
        }
    }
    let text = lines.join("\n");
    if text != before.trim_end() {
        // Nobody but a reader of the samples misses them.
        let _ = node.fs().write(&path, format!("{text}\n"));
    }
}

fn samples(node: &SandboxNode, at: i64) -> Vec<String> {
    let name = node.name();
    let old = node.spec().version.major() < 9;
    let (node_key, storage_key, vm_key) = if old {
        ("pve2-node", "pve2-storage", "pve2.3-vm")
    } else {
        ("pve-node-9.0", "pve-storage-9.0", "pve-vm-9.0")
    };
    let memory = node.spec().memory_mib << 20;
    let cpus = node.spec().cpus;
    let mut lines =
        vec![format!("{node_key}/{name}:3600::{at}:0.40:{cpus}:0.02:0:{memory}:{}:0:0:0:0:0:0", memory / 8)];
    for storage in storage::all(node).iter().filter(|storage| storage.enabled_on(name)) {
        let used = storage::used_bytes(node, storage);
        lines.push(format!("{storage_key}/{name}/{}:{at}:{}:{used}", storage.name, storage.total_bytes));
    }
    for (vmid, owner, kind) in node.guests().into_iter().filter(|guest| guest.1 == name) {
        let folder = if kind == "lxc" { "lxc" } else { "qemu-server" };
        let bytes = node.read(&format!("/etc/pve/nodes/{owner}/{folder}/{vmid}.conf")).unwrap_or_default();
        let config = conf::parse(&bytes).unwrap_or_default();
        let label = config.get("name").or_else(|| config.get("hostname")).unwrap_or("unknown");
        let bytes = config.get("memory").and_then(memory_mb).unwrap_or(512) << 20;
        let cores = config.get("cores").unwrap_or("1");
        let (status, uptime) = match hypervisor::settle(node, vmid) {
            Some(boot) => ("running", at.saturating_sub((boot.started_ms / 1000).cast_signed()).max(0)),
            // Containers have no guest model: they run when they start at boot.
            None if kind == "lxc" && config.get("onboot") == Some("1") => ("running", 3600),
            None => ("stopped", 0),
        };
        let template = u8::from(config.is_template());
        lines.push(format!(
            "{vm_key}/{vmid}:{uptime}:{label}:{status}:{template}:{at}:{cores}:0:{bytes}:0:0:0:0:0:U:U"
        ));
    }
    lines
}
