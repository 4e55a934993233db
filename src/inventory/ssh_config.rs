//! Blocks for ~/.ssh/config, or for `ssh -F`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::{Inventory, Jump, left_out};
use crate::model::ids::NodeName;

pub fn ssh_config(inventory: &Inventory) -> String {
    let mut out = format!("# Cluster {}: written by pvekube inventory --format ssh-config\n", inventory.cluster);
    out.push_str(&left_out(inventory));
    for (host, address) in inventory.reachable() {
        // Writing to a String can't fail; so everywhere below.
        let _ = writeln!(out, "\nHost {}\n  HostName {address}\n  User {}", host.name, quoted(&host.user));
        if host.port != 22 {
            let _ = writeln!(out, "  Port {}", host.port);
        }
        if let Some(identity) = &host.identity {
            let _ = writeln!(out, "  IdentityFile {}", path(identity));
        }
        if let Some(file) = &inventory.known_hosts {
            let checking = host.host_key_checking();
            let _ = writeln!(out, "  UserKnownHostsFile {}\n  StrictHostKeyChecking {checking}", path(file));
        }
        if let Some(jump) = &host.via {
            let _ = writeln!(out, "  ProxyJump {}", jump_name(inventory, &jump.node));
        }
    }
    let jumps: BTreeMap<&NodeName, &Jump> =
        inventory.hosts.iter().filter_map(|host| host.via.as_ref()).map(|jump| (&jump.node, jump)).collect();
    for jump in jumps.values() {
        let name = jump_name(inventory, &jump.node);
        let _ = writeln!(out, "\nHost {name}\n  HostName {}\n  User {}", quoted(&jump.host), quoted(&jump.user));
        if let Some(port) = jump.port {
            let _ = writeln!(out, "  Port {port}");
        }
        if let Some(identity) = &jump.identity {
            let _ = writeln!(out, "  IdentityFile {}", path(identity));
        }
    }
    out
}

/// A name of its own, so that it never shadows the operator's own block for the node.
fn jump_name(inventory: &Inventory, node: &NodeName) -> String {
    format!("pvekube-{}-{node}", inventory.cluster)
}

/// ssh expands `%` in file names.
pub(super) fn path(file: &Path) -> String {
    quoted(&file.to_string_lossy().replace('%', "%%"))
}

/// ssh_config's quoting: backslash and quote are escaped inside double quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+~,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}
