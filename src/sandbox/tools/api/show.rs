//! What reads show: configs, pending changes, lists, status (Qemu.pm `vm_config`, QemuServer.pm `vmstatus`).

use crate::sandbox::guest::Pause;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::super::node::SandboxNode;
use super::super::call::{Call, Run};
use super::super::conf::{Config, load_of, local_vmids};
use super::super::schema::{Type, schema};
use super::super::{cloudinit, drives, pending};
use super::snapshot::existing;

/// A config's options as `qm config` shows them: pending changes merged in unless `current`, the password masked.
pub fn config_values(config: &Config, current: bool, snapshot: Option<&str>) -> Run<BTreeMap<String, String>> {
    let section = match snapshot {
        Some(name) => existing(config, name)?,
        None => &config.file.main,
    };
    let mut values = section.keys.clone();
    if !section.description.is_empty() {
        values.insert("description".into(), section.description.clone());
    }
    if !current && snapshot.is_none() {
        for key in pending::deleted(config) {
            values.remove(key.trim_start_matches('!'));
        }
        for (key, value) in config.file.pending.keys.iter().filter(|(key, _)| *key != "delete") {
            values.insert(key.clone(), value.clone());
        }
    }
    if values.contains_key("cipassword") {
        values.insert("cipassword".into(), "**********".into());
    }
    Ok(values)
}

/// A value with the JSON type that its option has.
pub fn typed(key: &str, value: &str) -> Value {
    let number = match schema().get(key) {
        Some(Type::Boolean | Type::Integer { .. } | Type::Number { .. }) => value.parse::<serde_json::Number>().ok(),
        Some(Type::Enumeration(_) | Type::Text(_) | Type::Properties(_)) | None => None,
    };
    number.map_or_else(|| Value::from(value), Value::Number)
}

/// The config as JSON, with its digest.
pub fn config_json(config: &Config, current: bool, snapshot: Option<&str>) -> Run<Value> {
    let values = config_values(config, current, snapshot)?;
    let mut object: Map<String, Value> = values.iter().map(|(key, value)| (key.clone(), typed(key, value))).collect();
    object.insert("digest".into(), config.digest.clone().into());
    Ok(Value::Object(object))
}

/// One option with its value in effect and what will become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub value: Option<String>,
    pub pending: Option<String>,
    /// 1: deleted, 2: forced.
    pub delete: u8,
}

/// `qm pending`: every option, by name.
pub fn pending_changes(config: &Config) -> Vec<Change> {
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    let blank = |key: &str| Change { key: key.to_owned(), value: None, pending: None, delete: 0 };
    let current = config_values(config, true, None).unwrap_or_default();
    for (key, value) in current {
        changes.entry(key.clone()).or_insert_with(|| blank(&key)).value = Some(value);
    }
    for (key, value) in config.file.pending.keys.iter().filter(|(key, _)| *key != "delete") {
        changes.entry(key.clone()).or_insert_with(|| blank(key)).pending = Some(value.clone());
    }
    for entry in pending::deleted(config) {
        let key = entry.trim_start_matches('!').to_owned();
        changes.entry(key.clone()).or_insert_with(|| blank(&key)).delete = if entry.starts_with('!') { 2 } else { 1 };
    }
    changes.into_values().collect()
}

/// `qm cloudinit pending`: what the drive has against what it will have. `ipconfigN` is left out, as PVE does
/// (observed §7), and so is what is neither set nor noted.
pub fn cloudinit_changes(config: &Config) -> Vec<Change> {
    let noted = config.file.special.get("cloudinit").map(|section| section.keys.clone()).unwrap_or_default();
    let added: Vec<&str> = noted.get("added").map(|list| list.split(',').collect()).unwrap_or_default();
    let keys = cloudinit::KEYS.iter().filter(|key| !matches!(**key, "citype" | "ciupgrade" | "cicustom"));
    let mut changes = Vec::new();
    for key in keys {
        let now = config.get(key).map(|value| if *key == "cipassword" { "**********" } else { value });
        let old = noted.get(*key).map(String::as_str).or(if added.contains(key) { None } else { now });
        if now.is_none() && old.is_none() {
            continue;
        }
        changes.push(Change {
            key: (*key).to_owned(),
            value: old.map(str::to_owned),
            pending: now.filter(|now| Some(*now) != old).map(str::to_owned),
            delete: u8::from(now.is_none()),
        });
    }
    changes
}

pub fn change_json(change: &Change) -> Value {
    let mut object = Map::new();
    object.insert("key".into(), change.key.clone().into());
    if let Some(value) = &change.value {
        object.insert("value".into(), typed(&change.key, value));
    }
    if let Some(value) = &change.pending {
        object.insert("pending".into(), typed(&change.key, value));
    }
    if change.delete > 0 {
        object.insert("delete".into(), change.delete.into());
    }
    Value::Object(object)
}

/// How detailed an entry of a VM list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    List,
    Full,
}

/// One VM of `/nodes/N/qemu`: keys are absent when they say nothing (observed §2).
pub fn entry(node: &SandboxNode, config: &Config, detail: Detail) -> Value {
    let running = node.world.guests.running(node, config.vmid);
    let number = |key: &str| config.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(1);
    let memory = config.get("memory").and_then(crate::pve::property::memory_mb).unwrap_or(512) << 20;
    let used = if running.is_some() { memory / 5 * 4 } else { 0 };
    let uptime = running.map_or(0, |run| (node.world.clock.now() - run.started_at).max(0.0) as u64);
    let mut object = json!({
        "cpu": 0, "cpus": number("sockets") * number("cores"), "disk": 0,
        "maxdisk": drives::boot_disk(config).and_then(|drive| drive.size()).unwrap_or(0),
        "maxmem": memory, "mem": used, "memhost": used, "name": config.display_name(),
        "netin": 0, "netout": 0, "status": if running.is_some() { "running" } else { "stopped" },
        "uptime": uptime, "vmid": config.vmid,
    });
    if config.file.main.keys.keys().any(|key| key.starts_with("serial")) {
        object["serial"] = 1.into();
    }
    for key in ["lock", "tags"] {
        if let Some(value) = config.get(key) {
            object[key] = value.into();
        }
    }
    if config.is_template() {
        object["template"] = 1.into();
    }
    if let Some(run) = running {
        object["pid"] = run.pid.into();
        for pressure in ["cpufull", "cpusome", "iofull", "iosome", "memoryfull", "memorysome"] {
            object[format!("pressure{pressure}")] = 0.into();
        }
    }
    if detail == Detail::Full {
        object["qmpstatus"] = qmp_status(node, config.vmid).into();
        if running.is_some() {
            let nics = config.file.main.keys.keys().filter_map(|key| key.strip_prefix("net"));
            let nics = nics.filter(|n| n.parse::<u32>().is_ok());
            let taps: Map<String, Value> =
                nics.map(|n| (format!("tap{}i{n}", config.vmid), json!({"netin": 0, "netout": 0}))).collect();
            object["nics"] = Value::Object(taps);
        }
    }
    object
}

/// `running`, `stopped`, or why QEMU does not run the guest: `paused`, `io-error`, `internal-error`.
pub fn qmp_status(node: &SandboxNode, vmid: u32) -> &'static str {
    match node.world.guests.running(node, vmid) {
        Some(run) => run.paused.map_or("running", Pause::word),
        None => "stopped",
    }
}

/// Every VM of a node with its config, by VMID. One that vanishes while it is read fails the whole list, as in PVE.
pub fn local_configs(call: &Call<'_>, node: &SandboxNode) -> Run<Vec<Config>> {
    local_vmids(node).into_iter().map(|vmid| load_of(call, node, vmid)).collect()
}
