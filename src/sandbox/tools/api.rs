//! What the API does, behind both `qm` and `pvesh`. Parameters are checked against their schema before.

pub mod agent;
pub mod clone;
pub mod create;
pub mod destroy;
pub mod import;
pub mod migrate;
pub mod pools;
pub mod power;
pub mod resize;
pub mod set;
pub mod show;
pub mod snapshot;
pub mod template;

use std::collections::BTreeMap;

use super::super::node::SandboxNode;

/// Checked parameters by name.
pub type Values = BTreeMap<String, String>;

/// The guest that the call is about.
pub fn vmid_of(values: &Values) -> u32 {
    number(values, "vmid").unwrap_or(0) as u32
}

/// A whole number that the schema has checked.
pub fn number(values: &Values, name: &str) -> Option<u64> {
    values.get(name)?.parse().ok()
}

pub fn flag(values: &Values, name: &str) -> bool {
    values.get(name).is_some_and(|value| value == "1")
}

/// Whether the HA manager keeps this VM: starts and stops are then only requested (contract §7).
pub fn ha_managed(node: &SandboxNode, vmid: u32) -> bool {
    let text = node.read_text("/etc/pve/ha/resources.cfg").unwrap_or_default();
    let mut inside = false;
    let mut managed = false;
    for line in text.lines() {
        if !line.starts_with(['\t', ' ']) {
            inside = line.trim() == format!("vm: {vmid}");
            managed |= inside;
        } else if inside && line.trim() == "state ignored" {
            return false;
        }
    }
    managed
}
