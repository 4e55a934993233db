//! What must be true when nothing is left to do: every machine there once, running, and nothing left lying about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pvekube::model::desired::{Desired, Machine};
use pvekube::model::ids::MachineId;
use pvekube::model::mark::MarkSubject;
use pvekube::pve::conf;
use pvekube::pve::property::Drive;
use pvekube::sandbox::guest::hypervisor;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::process::{Captured, Process};
use pvekube::sandbox::tools::{self, storage};
use pvekube::sandbox::world::World;

use crate::view::{self, marked, realms};
use crate::watch::Watch;

pub async fn unlock_backup(node: &SandboxNode, vmid: u32) {
    let config = node.read(&node.conf_path(vmid)).ok().and_then(|bytes| conf::parse(&bytes).ok());
    if config.is_some_and(|config| config.lock() == Some("backup")) {
        let (_, out) = Captured::new();
        tools::run(node, &Process::new(["qm", "unlock", &vmid.to_string()], out)).await;
    }
}

/// What the plan's note asks the operator for: a config that is nothing but its lock, which nobody can tell the owner of, and
/// its volumes.
pub async fn clear_leftovers(world: &Arc<World>) {
    for node in world.nodes() {
        for (vmid, owner, _) in node.guests() {
            let bytes = node.read(&node.conf_path(vmid)).unwrap_or_default();
            let is_only_lock = conf::parse(&bytes).is_ok_and(|config| config.only_lock().is_some());
            if owner != node.name() || !is_only_lock {
                continue;
            }
            let volumes = storage::all(&node).into_iter().flat_map(|storage| storage::list(&node, &storage));
            let of_vm = |id: &str| id.contains(&format!("vm-{vmid}-"));
            let volumes: Vec<String> = volumes.map(|(id, _)| id.to_string()).filter(|id| of_vm(id)).collect();
            let vmid = vmid.to_string();
            let first =
                [["qm", "unlock", &vmid], ["qm", "destroy", &vmid]].map(|words| words.map(str::to_owned).to_vec());
            let free = volumes.into_iter().map(|id| vec!["pvesm".to_owned(), "free".to_owned(), id]);
            for argv in first.into_iter().chain(free) {
                let (_, out) = Captured::new();
                tools::run(&node, &Process::new(argv, out)).await;
            }
        }
    }
}

pub fn complaints(world: &Arc<World>, desired: &Desired, watch: &Watch) -> Vec<String> {
    let mut found = Vec::new();
    let mut machines: BTreeMap<MachineId, Vec<(SandboxNode, u32)>> = BTreeMap::new();
    for view in realms(world) {
        for (vmid, owner, mark) in marked(&view) {
            if let (MarkSubject::Machine(id), Some(node)) = (mark.subject, world.node(&owner)) {
                machines.entry(id).or_default().push((node, vmid));
            }
        }
    }
    for wanted in &desired.machines {
        match machines.get(&wanted.id).map_or(&[][..], Vec::as_slice) {
            [(node, vmid)] => {
                found
                    .extend(unlike(wanted, node, *vmid).into_iter().map(|what| format!("P1: {}: {what}", wanted.name)));
            }
            other => found.push(format!("P1: {} exists {} times though the plan is empty", wanted.name, other.len())),
        }
    }
    // What an administrator broke half-way is his.
    if !watch.was_touched() {
        for node in world.nodes() {
            found.extend(litter(&node));
        }
    }
    found
}

/// What of a machine is not as the manifest asks, by its files.
fn unlike(wanted: &Machine, node: &SandboxNode, vmid: u32) -> Vec<String> {
    let config = view::config(node, vmid).unwrap_or_default();
    let number = |key: &str| config.next(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    let disk = config.get("scsi0").and_then(|text| Drive::parse(text).ok()?.size_bytes()).unwrap_or(0);
    let tags = config.next("tags").unwrap_or_default();
    let is = [
        ("its name", config.next("name") == Some(wanted.name.as_str())),
        ("its cores", number("cores") == u64::from(wanted.cores)),
        ("its memory", number("memory") == wanted.memory_mb),
        ("its disk", disk >= wanted.disk_gb << 30),
        ("onboot", (number("onboot") == 1) == wanted.onboot),
        ("its tags", wanted.tags.iter().all(|tag| tags.split(';').any(|has| has == tag))),
        ("its power", hypervisor::settle(node, vmid).is_some() == wanted.power),
    ];
    is.into_iter()
        .filter(|(_, right)| !right)
        .map(|(what, _)| format!("{what} is not as wanted: {:?}", config.keys))
        .collect()
}

/// Volumes that no config names, parts of images, snippets of bakes.
fn litter(node: &SandboxNode) -> Vec<String> {
    let mut found = Vec::new();
    let mut named = BTreeSet::new();
    for (vmid, owner, _) in node.guests() {
        let text = node.read_text(&format!("/etc/pve/nodes/{owner}/qemu-server/{vmid}.conf")).unwrap_or_default();
        named.extend(text.split([' ', ',', '\n']).filter(|word| word.contains(':')).map(str::to_owned));
        if text.contains("\nlock:") || text.starts_with("lock:") {
            found.push(format!("I3: VM {vmid} on {owner} is still locked"));
        }
    }
    for storage in storage::all(node).iter().filter(|storage| storage.name == "disks") {
        for (id, _) in storage::list(node, storage) {
            if !named.contains(&id.to_string()) {
                found.push(format!("I3: {id} on {} belongs to no VM", node.name()));
            }
        }
    }
    for image in node.list("/var/lib/pvekube/images").iter().filter(|name| name.ends_with(".part")) {
        found.push(format!("I3: {image} lies on {}", node.name()));
    }
    for snippet in node.list("/var/lib/vz/snippets").iter().filter(|name| name.starts_with("pvekube-")) {
        found.push(format!("I3: snippet {snippet} lies on {}", node.name()));
    }
    found
}
