//! The machines as JSON, for programs.

use serde_json::json;

use super::Inventory;

/// Indented, ending in a newline. Machines without a known address have `null` there.
pub fn json(inventory: &Inventory) -> String {
    let machines: Vec<serde_json::Value> = inventory
        .hosts
        .iter()
        .map(|host| {
            let via = host
                .via
                .as_ref()
                .map(|jump| json!({ "node": jump.node, "user": jump.user, "host": jump.host, "port": jump.port }));
            json!({
                "name": host.name, "role": host.role, "pool": host.id.pool.stem(), "number": host.id.number,
                "node": host.node, "vmid": host.vmid, "address": host.address, "stage": host.stage,
                "ready": host.ready, "user": host.user, "port": host.port,
                "private_key": host.identity, "via": via,
            })
        })
        .collect();
    let document = json!({
        "format_version": "1.0", "cluster": inventory.cluster, "known_hosts": inventory.known_hosts,
        "machines": machines,
    });
    format!("{document:#}\n")
}
