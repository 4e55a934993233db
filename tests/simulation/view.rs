//! The world as it is, read from the nodes' files: what no pvekube is asked about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pvekube::model::ids::Role;
use pvekube::model::mark::{Mark, MarkSubject};
use pvekube::model::vm_config::VmConfig;
use pvekube::pve::conf;
use pvekube::pve::property::{Net, Properties};
use pvekube::sandbox::guest::agent::Reply;
use pvekube::sandbox::guest::hypervisor;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::world::World;

use crate::cast::CLUSTER;

/// The config of a VM of this node; `None` where there is none, or it can't be read.
pub fn config(node: &SandboxNode, vmid: u32) -> Option<VmConfig> {
    conf::parse(&node.read(&node.conf_path(vmid)).ok()?).ok()
}

/// Ours: marked for our cluster, with its own VMID in the mark.
pub fn own_mark(config: &VmConfig, vmid: u32) -> Option<Mark> {
    Mark::find(&config.description).filter(|mark| mark.vmid.0 == vmid && mark.cluster.as_str() == CLUSTER)
}

/// Every VM of a realm that is ours: VMID, node, and its mark.
pub fn marked(node: &SandboxNode) -> Vec<(u32, String, Mark)> {
    let mut all = Vec::new();
    for (vmid, owner, _) in node.guests().into_iter().filter(|guest| guest.2 == "qemu") {
        let path = format!("/etc/pve/nodes/{owner}/qemu-server/{vmid}.conf");
        let text = node.read_text(&path).unwrap_or_default();
        // The description's lines; a mark has no character that PVE encodes.
        let notes: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).collect();
        let mark = Mark::find(&notes.join("\n"));
        if let Some(mark) = mark.filter(|mark| mark.vmid.0 == vmid && mark.cluster.as_str() == CLUSTER) {
            all.push((vmid, owner, mark));
        }
    }
    all
}

/// One view on each realm, from a member that is up.
pub fn realms(world: &Arc<World>) -> Vec<SandboxNode> {
    let offline = world.faults().offline;
    let mut seen = BTreeSet::new();
    let up = world.nodes().into_iter().filter(|node| !offline.contains(node.name()));
    up.filter(|node| seen.insert(node.realm().name.clone())).collect()
}

/// Masters as their marks tell, by realm and VMID.
pub fn marked_masters(world: &Arc<World>) -> BTreeSet<(String, u32)> {
    let mut found = BTreeSet::new();
    for view in realms(world) {
        for (vmid, _, mark) in marked(&view) {
            if matches!(&mark.subject, MarkSubject::Machine(id) if id.pool.role() == Role::Master) {
                found.insert((view.realm().name.clone(), vmid));
            }
        }
    }
    found
}

/// Those of them whose guests answer.
pub fn in_service(world: &Arc<World>, masters: &BTreeSet<(String, u32)>) -> BTreeSet<(String, u32)> {
    let offline = world.faults().offline;
    let now = (world.clock.now() * 1000.0) as u64;
    let mut found = BTreeSet::new();
    for node in world.nodes().into_iter().filter(|node| !offline.contains(node.name())) {
        for (realm, vmid) in masters.iter().filter(|(realm, _)| *realm == node.realm().name) {
            if hypervisor::settle(&node, *vmid).is_some_and(|boot| boot.ping(now) != Reply::Silent) {
                found.insert((realm.clone(), *vmid));
            }
        }
    }
    found
}

/// What two machines of ours have in common that each must have alone (P10).
pub fn shared_identities(world: &Arc<World>) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for view in realms(world) {
        for (vmid, owner, mark) in marked(&view) {
            let MarkSubject::Machine(id) = mark.subject else { continue };
            let path = format!("/etc/pve/nodes/{owner}/qemu-server/{vmid}.conf");
            let config = view.read(&path).ok().and_then(|bytes| conf::parse(&bytes).ok()).unwrap_or_default();
            let mac = config.get("net0").and_then(|net| Net::parse(net).ok()?.mac_lower());
            let address = config.next("ipconfig0").and_then(|text| {
                let ip = Properties::parse(text, None).ok()?.get("ip")?.to_owned();
                (ip != "dhcp").then_some(ip)
            });
            // While it is being cloned its config is the template's.
            let settled = config.lock().is_none();
            let name = config.get("name").map(str::to_owned);
            let traits = [
                Some(format!("machine {id}")),
                Some(format!("VMID {vmid}")),
                name.filter(|_| settled).map(|name| format!("name {name}")),
                mac.filter(|_| settled).map(|mac| format!("MAC {mac}")),
                address.filter(|_| settled).map(|ip| format!("address {ip}")),
            ];
            for what in traits.into_iter().flatten() {
                let here = format!("VM {vmid} on {owner}");
                if let Some(other) = seen.insert(what.clone(), here.clone()) {
                    found.push(format!("P10: {what} is {other} and {here}"));
                }
            }
        }
    }
    found
}
