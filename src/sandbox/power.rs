//! A node's power: off is as when the plug is pulled, on starts the guests that are to run at boot.

use std::io;

use super::guest::hypervisor::{now_ms, put_away, record, started};
use super::node::SandboxNode;
use super::process::{Captured, Process};
use super::remote::{Cut, Links, Operations};
use super::tools;
use crate::pve::conf;
use crate::pve::property::boolean;

/// Everything that runs on the node ends; `/run` is empty afterwards; the others see it offline.
pub fn off(node: &SandboxNode, operations: &Operations, links: &Links) -> io::Result<()> {
    operations.kill(Some(node.name()));
    let now = now_ms(node);
    for boot in started(node).into_iter().filter_map(|vmid| record(node, vmid)) {
        put_away(node, &boot, now)?;
    }
    node.fs().remove_tree(&node.at("/run"))?;
    for folder in ["/run/qemu-server", "/run/lock/qemu-server"] {
        node.fs().mkdir_all(&node.at(folder))?;
    }
    links.cut(node.name(), Cut::Vanished);
    node.world.change_faults(|faults| {
        faults.offline.insert(node.name().to_owned());
    })
}

/// The node is back; guests with `onboot` start one after the other, as pve-guests.service does it.
pub async fn on(node: &SandboxNode) -> io::Result<()> {
    node.world.change_faults(|faults| {
        faults.offline.remove(node.name());
    })?;
    for (vmid, owner, kind) in node.guests() {
        let ours = owner == node.name() && kind == "qemu";
        let config = node.read(&node.conf_path(vmid)).ok().and_then(|bytes| conf::parse(&bytes).ok());
        let at_boot = |config: &crate::model::vm_config::VmConfig| {
            config.get("onboot").and_then(boolean).unwrap_or(false) && !config.is_template() && config.lock().is_none()
        };
        if ours && config.as_ref().is_some_and(at_boot) {
            let (_, out) = Captured::new();
            tools::run(node, &Process::new(["qm", "start", &vmid.to_string()], out)).await;
        }
    }
    Ok(())
}
