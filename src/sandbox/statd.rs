//! What pvestatd broadcasts: `/etc/pve/.rrd`, brought up to date whenever somebody is about to read it.
//!
//! Every online node sends every 10 s; what a node that is down sent last stays for 5 minutes (contract §1.3).

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::node::SandboxNode;
use super::tools::storage;
use crate::pve::conf;
use crate::pve::property::{first_boot_disk, memory_mb};

/// pvestatd's cycle.
const CYCLE_S: i64 = 10;
/// Seconds after which a silent node's samples are dropped.
const KEPT_S: i64 = 300;

/// One node's lines as it sent them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sample {
    taken_at: i64,
    lines: Vec<String>,
}

/// Takes the samples that are due in this node's realm.
pub fn broadcast(node: &SandboxNode) {
    let folder = format!("/realms/{}", node.realm().name);
    // Nobody but a reader of the samples misses them.
    let _ = node.fs().exclusively(&format!("{folder}/statd.lock"), || take(node, &folder));
}

fn take(node: &SandboxNode, folder: &str) -> io::Result<()> {
    let faults = node.world.faults();
    let now = node.world.clock.now_s();
    let at = now - now.rem_euclid(CYCLE_S);
    let state = format!("{folder}/statd.json");
    let mut samples: BTreeMap<String, Sample> =
        node.fs().read(&state).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let mut changed = false;
    for member in node.members() {
        let silent = faults.offline.contains(member.name()) || faults.silent_statd.contains(member.name());
        if !silent && samples.get(member.name()).is_none_or(|sample| at > sample.taken_at) {
            samples.insert(member.name().to_owned(), Sample { taken_at: at, lines: lines(&member, at) });
            changed = true;
        }
    }
    let count = samples.len();
    samples.retain(|_, sample| now - sample.taken_at < KEPT_S);
    if changed || samples.len() != count {
        node.fs().write(&state, serde_json::to_vec(&samples)?)?;
        let text: String = samples.values().flat_map(|sample| &sample.lines).map(|line| format!("{line}\n")).collect();
        node.fs().write(&format!("{folder}/.rrd"), text)?;
    }
    Ok(())
}

/// One node's lines, with the keys of PVE 9 or of PVE 8.
fn lines(node: &SandboxNode, at: i64) -> Vec<String> {
    let nine = node.spec().version.major() >= 9;
    let (node_key, storage_key, vm_key) = if nine {
        ("pve-node-9.0", "pve-storage-9.0", "pve-vm-9.0")
    } else {
        ("pve2-node", "pve2-storage", "pve2.3-vm")
    };
    let name = node.name();
    let (memory, cpus) = (node.spec().memory_mib << 20, node.spec().cpus);
    let mut lines =
        vec![format!("{node_key}/{name}:3600::{at}:0.40:{cpus}:0.02:0:{memory}:{}:0:0:0:0:0:0", memory / 8)];
    for storage in storage::all(node).iter().filter(|storage| storage.enabled_on(name)) {
        let used = storage::used_bytes(node, storage);
        lines.push(format!("{storage_key}/{name}/{}:{at}:{}:{used}", storage.name, storage.total_bytes));
    }
    let tail = if nine { ":U:U:U:U:U:U:U:U:U:U" } else { ":U:U:U:U" };
    for (vmid, _, kind) in node.guests().into_iter().filter(|guest| guest.1 == name) {
        lines.push(format!("{vm_key}/{vmid}:{}{tail}", guest_line(node, vmid, kind, at)));
    }
    lines
}

/// `uptime:name:status:template:ctime:maxcpu:cpu:maxmem:mem:maxdisk:disk`
fn guest_line(node: &SandboxNode, vmid: u32, kind: &str, at: i64) -> String {
    let folder = if kind == "lxc" { "lxc" } else { "qemu-server" };
    let bytes = node.read(&format!("/etc/pve/nodes/{}/{folder}/{vmid}.conf", node.name())).unwrap_or_default();
    let config = conf::parse(&bytes).unwrap_or_default();
    let label =
        config.get("name").or_else(|| config.get("hostname")).map_or_else(|| format!("VM {vmid}"), str::to_owned);
    let memory = config.get("memory").and_then(memory_mb).unwrap_or(512) << 20;
    let number = |key: &str| config.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(1);
    // Without a boot order PVE knows of no boot disk.
    let ordered = config.get("boot").is_some_and(|boot| boot.contains("order="));
    let disk = first_boot_disk(&config.keys).filter(|_| ordered).and_then(|(_, drive)| drive.size_bytes()).unwrap_or(0);
    let started = node.world.guests.running(node, vmid).map(|run| run.started_at as i64);
    let (status, uptime) = match started {
        Some(started) if kind == "qemu" => ("running", (at - started).max(0)),
        // Containers have no guest model: they run when they start at boot.
        _ if kind == "lxc" && config.get("onboot") == Some("1") => ("running", 3600),
        _ => ("stopped", 0),
    };
    let (cpu, used) = if status == "running" { ("0.02", (memory / 5 * 4).to_string()) } else { ("U", "U".into()) };
    let cores = number("sockets") * number("cores");
    let template = u8::from(config.is_template());
    format!("{uptime}:{label}:{status}:{template}:{at}:{cores}:{cpu}:{memory}:{used}:{disk}:0")
}

/// What a line says of a VM, as `/cluster/resources` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmSample {
    pub name: String,
    pub status: String,
    pub template: bool,
    pub uptime: u64,
    pub cpus: u64,
    pub memory: u64,
    pub used_memory: u64,
    pub disk: u64,
}

/// The latest sample of a VM that the node has.
pub fn vm_sample(node: &SandboxNode, vmid: u32) -> Option<VmSample> {
    let text = node.read_text("/etc/pve/.rrd").ok()?;
    let line = ["pve-vm-9.0", "pve2.3-vm"].iter().find_map(|key| {
        let prefix = format!("{key}/{vmid}:");
        text.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
    })?;
    let fields: Vec<&str> = line.split(':').collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(VmSample {
        name: (*fields.get(1)?).to_owned(),
        status: (*fields.get(2)?).to_owned(),
        template: number(3) == 1,
        uptime: number(0),
        cpus: number(5),
        memory: number(7),
        used_memory: number(8),
        disk: number(9),
    })
}
