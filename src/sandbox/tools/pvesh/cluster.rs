//! `/version`, `/nodes`, `/storage`, `/pools`, `/cluster/…`.

use serde_json::{Map, Value, json};

use super::super::super::node::SandboxNode;
use super::super::super::statd;
use super::super::api::{self, Values, pools};
use super::super::call::{Call, Die, Run};
use super::super::storage;
use crate::pve::cluster_cfg;
use crate::pve::conf;

pub fn run(call: &Call<'_>, name: &str, values: &Values) -> Run<Value> {
    match name {
        "version" => Ok(version(call.node)),
        "nodes" => Ok(Value::Array(call.node.members().iter().map(|node| node_entry(call, node, false)).collect())),
        "storages" => Ok(storages(call)),
        "pools" => Ok(pools::names(call).into_iter().map(|pool| json!({ "poolid": pool })).collect()),
        "pool" => pool(call, values),
        "pool-create" => {
            let of = |name: &str| values.get(name).cloned().unwrap_or_default();
            pools::create(call, &of("poolid"), &of("comment"))?;
            Ok(Value::Null)
        }
        "nextid" => next_id(call, values),
        "status" => Ok(status(call)),
        _ => Ok(resources(call, values.get("type").map(String::as_str))),
    }
}

pub fn version(node: &SandboxNode) -> Value {
    let version = &node.spec().version;
    let release: Vec<&str> = version.manager.split('.').take(2).collect();
    json!({"version": version.manager, "release": release.join("."), "repoid": version.repoid})
}

fn online(call: &Call<'_>, node: &SandboxNode) -> bool {
    !call.node.world.faults().offline.contains(node.name())
}

/// One node of `/nodes`, or of `/cluster/resources`.
fn node_entry(call: &Call<'_>, node: &SandboxNode, resource: bool) -> Value {
    let up = online(call, node);
    let spec = node.spec();
    let mut entry = json!({
        "id": format!("node/{}", node.name()), "level": "", "maxcpu": spec.cpus, "maxdisk": 107_374_182_400_u64,
        "maxmem": spec.memory_mib << 20, "node": node.name(), "status": if up { "online" } else { "offline" },
        "type": "node",
    });
    if resource {
        entry["cgroup-mode"] = 2.into();
    } else {
        entry["ssl_fingerprint"] = fingerprint(node).into();
    }
    if up {
        entry["cpu"] = 0.05.into();
        entry["disk"] = 10_737_418_240_u64.into();
        entry["mem"] = (1_u64 << 30).into();
        entry["uptime"] = 3600.into();
    }
    entry
}

/// Made from the name: the sandbox has no certificate.
fn fingerprint(node: &SandboxNode) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(node.name());
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn storages(call: &Call<'_>) -> Value {
    let digest = conf::digest(&call.node.read("/etc/pve/storage.cfg").unwrap_or_default());
    let entry = |place: storage::Storage| {
        let mut entry = Map::new();
        for (key, value) in &place.settings {
            entry.insert(key.clone(), value.clone().into());
        }
        entry.insert("content".into(), place.content.join(",").into());
        entry.insert("digest".into(), digest.clone().into());
        entry.insert("storage".into(), place.name.into());
        entry.insert("type".into(), place.kind.as_str().into());
        Value::Object(entry)
    };
    storage::all(call.node).into_iter().map(entry).collect()
}

fn pool(call: &Call<'_>, values: &Values) -> Run<Value> {
    let name = values.get("poolid").cloned().unwrap_or_default();
    if !pools::names(call).contains(&name) {
        return Err(Die::new(format!("pool '{name}' does not exist")));
    }
    let members: Vec<Value> =
        pools::members(call, &name).into_iter().map(|vmid| json!({"vmid": vmid, "type": "qemu"})).collect();
    Ok(json!({"members": members, "poolid": name}))
}

/// The lowest free id, as a string; nothing is reserved (contract §1.4).
fn next_id(call: &Call<'_>, values: &Values) -> Run<Value> {
    let taken: Vec<u32> = call.node.guests().into_iter().map(|guest| guest.0).collect();
    if let Some(wished) = api::number(values, "vmid") {
        if taken.contains(&(wished as u32)) {
            return Err(Die::parameter(2, "vmid", format!("VM {wished} already exists")));
        }
        return Ok(wished.to_string().into());
    }
    let datacenter = cluster_cfg::parse_datacenter(&call.node.read("/etc/pve/datacenter.cfg").unwrap_or_default());
    let (lower, upper) = datacenter.next_id.unwrap_or((100, 1_000_000));
    let free = (lower..upper).find(|id| !taken.contains(id));
    free.map(|id| id.to_string().into()).ok_or_else(|| Die::new("unable to get any free VMID in range"))
}

/// A standalone node has one entry and no cluster (contract §1.4).
fn status(call: &Call<'_>) -> Value {
    let mut entries = Vec::new();
    let realm = call.node.realm();
    if let Some(cluster) = &realm.cluster {
        entries.push(json!({
            "id": "cluster", "name": cluster, "nodes": realm.nodes.len(), "quorate": u8::from(call.node.quorate()),
            "type": "cluster", "version": realm.nodes.len(),
        }));
    }
    for (at, node) in call.node.members().iter().enumerate() {
        entries.push(json!({
            "id": format!("node/{}", node.name()), "ip": node.spec().address, "level": "",
            "local": u8::from(node.name() == call.node.name()), "name": node.name(),
            "nodeid": if realm.cluster.is_some() { at + 1 } else { 0 },
            "online": u8::from(online(call, node)), "type": "node",
        }));
    }
    Value::Array(entries)
}

/// From what pvestatd broadcast: up to 10 s old, 5 minutes for a dead node (contract §1.3).
fn resources(call: &Call<'_>, only: Option<&str>) -> Value {
    let mut entries = Vec::new();
    if only.is_none_or(|kind| kind == "vm") {
        let guests = call.node.guests();
        entries
            .extend(guests.into_iter().filter(|g| g.2 == "qemu").map(|(vmid, node, _)| vm_resource(call, vmid, &node)));
    }
    if only.is_none_or(|kind| kind == "node") {
        entries.extend(call.node.members().iter().map(|node| node_entry(call, node, true)));
    }
    if only.is_none_or(|kind| kind == "storage") {
        for node in call.node.members() {
            for place in storage::all(&node).into_iter().filter(|place| place.enabled_on(node.name())) {
                entries.push(storage_resource(&node, &place));
            }
        }
    }
    if only.is_none_or(|kind| kind == "sdn") {
        entries.extend(call.node.members().iter().map(|node| {
            json!({
                "id": format!("network/{}/zone/localnetwork", node.name()), "network": "localnetwork",
                "network-type": "zone", "node": node.name(), "status": "ok", "type": "network",
            })
        }));
    }
    Value::Array(entries)
}

fn vm_resource(call: &Call<'_>, vmid: u32, node: &str) -> Value {
    let path = format!("/etc/pve/nodes/{node}/qemu-server/{vmid}.conf");
    let config = call.node.read(&path).ok().and_then(|bytes| conf::parse(&bytes).ok()).unwrap_or_default();
    let mut entry =
        json!({"id": format!("qemu/{vmid}"), "node": node, "type": "qemu", "vmid": vmid, "status": "unknown"});
    for key in ["lock", "tags"] {
        if let Some(value) = config.get(key) {
            entry[key] = value.into();
        }
    }
    if let Some(pool) = pools::names(call).into_iter().find(|pool| pools::members(call, pool).contains(&vmid)) {
        entry["pool"] = pool.into();
    }
    if let Some(sample) = statd::vm_sample(call.node, vmid) {
        let more = json!({
            "cpu": if sample.status == "running" { json!(0.02) } else { json!(0) }, "disk": 0, "diskread": 0,
            "diskwrite": 0, "maxcpu": sample.cpus, "maxdisk": sample.disk, "maxmem": sample.memory,
            "mem": sample.used_memory, "memhost": sample.used_memory, "name": sample.name, "netin": 0, "netout": 0,
            "status": sample.status, "template": u8::from(sample.template), "uptime": sample.uptime,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
    }
    entry
}

fn storage_resource(node: &SandboxNode, place: &storage::Storage) -> Value {
    json!({
        "content": place.content.join(","), "disk": storage::used_bytes(node, place),
        "id": format!("storage/{}/{}", node.name(), place.name), "maxdisk": place.total_bytes, "node": node.name(),
        "plugintype": place.kind.as_str(), "shared": u8::from(place.shared()), "status": "available",
        "storage": place.name, "type": "storage",
    })
}
