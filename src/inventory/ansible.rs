//! An Ansible inventory in YAML, with the groups that Kubespray wants.
//!
//! Written by hand with every value quoted: Ansible reads YAML 1.1, where `no`, `on` and `12:30` are no strings
//! (crates.md B2).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ssh_config::path as config_path;
use super::{Host, Inventory, Jump, left_out};
use crate::model::ids::{Pool, Role};

/// Groups: `kube_control_plane`, `etcd` (the masters), `kube_node` (every worker), `k8s_cluster` over both, and one for
/// each named pool (`pool_gpu`). With no workers, the masters are `kube_node` too: Kubespray wants at least one.
pub fn ansible(inventory: &Inventory) -> String {
    let hosts: Vec<&Host> = inventory.reachable().map(|(host, _)| host).collect();
    let of_role = |role: Role| hosts.iter().copied().filter(move |host| host.role == role).collect::<Vec<_>>();
    let (masters, workers) = (of_role(Role::Master), of_role(Role::Worker));
    let mut out = format!("# Cluster {}: written by pvekube inventory --format ansible\n", inventory.cluster);
    out.push_str(&left_out(inventory));
    out.push_str("all:\n");
    all_hosts(&mut out, inventory);
    out.push_str("  children:\n");
    group(&mut out, "kube_control_plane", &masters);
    group(&mut out, "etcd", &masters);
    group(&mut out, "kube_node", if workers.is_empty() { &masters } else { &workers });
    out.push_str("    k8s_cluster:\n      children:\n        kube_control_plane: {}\n        kube_node: {}\n");
    for (pool, members) in pools(&hosts) {
        group(&mut out, &pool, &members);
    }
    out
}

fn all_hosts(out: &mut String, inventory: &Inventory) {
    if inventory.reachable().next().is_none() {
        out.push_str("  hosts: {}\n");
        return;
    }
    out.push_str("  hosts:\n");
    for (host, address) in inventory.reachable() {
        // Writing to a String can't fail; so everywhere below.
        let _ = writeln!(out, "    {}:", quoted(host.name.as_str()));
        let mut variable = |key: &str, value: &str| {
            let _ = writeln!(out, "      {key}: {}", quoted(value));
        };
        variable("ansible_host", &address.to_string());
        // Kubespray's own names: what its services bind to, and what others reach them at.
        let (ip, access_ip) = if address.is_ipv4() { ("ip", "access_ip") } else { ("ip6", "access_ip6") };
        variable(ip, &address.to_string());
        variable(access_ip, &address.to_string());
        variable("ansible_user", &host.user);
        if let Some(identity) = &host.identity {
            variable("ansible_ssh_private_key_file", &identity.to_string_lossy());
        }
        let arguments = ssh_arguments(inventory, host);
        if !arguments.is_empty() {
            variable("ansible_ssh_common_args", &arguments);
        }
        variable("pvekube_node", host.node.as_str());
        if host.role == Role::Master {
            // By number, not by place in the group: taking a master out renames no other etcd member.
            variable("etcd_member_name", &format!("etcd{}", host.id.number));
        }
        let _ = writeln!(out, "      pvekube_vmid: {}", host.vmid);
        if host.port != 22 {
            let _ = writeln!(out, "      ansible_port: {}", host.port);
        }
    }
}

fn group(out: &mut String, name: &str, members: &[&Host]) {
    if members.is_empty() {
        let _ = writeln!(out, "    {name}:\n      hosts: {{}}");
        return;
    }
    let _ = writeln!(out, "    {name}:\n      hosts:");
    for host in members {
        let _ = writeln!(out, "        {}: {{}}", quoted(host.name.as_str()));
    }
}

/// Named pools as groups. Ansible's group names hold letters, digits and `_` only.
fn pools<'a>(hosts: &[&'a Host]) -> BTreeMap<String, Vec<&'a Host>> {
    let mut pools: BTreeMap<String, Vec<&Host>> = BTreeMap::new();
    for host in hosts {
        if let Pool::Named(name) = &host.id.pool {
            let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            pools.entry(format!("pool_{}", name.chars().map(safe).collect::<String>())).or_default().push(host);
        }
    }
    pools
}

/// Options for ssh, split by Ansible as a shell would.
fn ssh_arguments(inventory: &Inventory, host: &Host) -> String {
    let mut options = Vec::new();
    if let Some(file) = &inventory.known_hosts {
        // Shell quoting around ssh's own: unquoted, a space would make it two files.
        options.push(format!("-o {}", shell(&format!("UserKnownHostsFile={}", config_path(file)))));
        options.push(format!("-o StrictHostKeyChecking={}", host.host_key_checking()));
    }
    if let Some(jump) = &host.via {
        options.push(format!("-o {}", shell(&format!("ProxyCommand={}", proxy(jump)))));
    }
    options.join(" ")
}

fn proxy(Jump { user, host, port, identity, .. }: &Jump) -> String {
    let mut words = vec!["ssh".to_owned(), "-W".to_owned(), "%h:%p".to_owned()];
    if let Some(port) = port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(identity) = identity {
        words.extend(["-i".to_owned(), shell(&identity.to_string_lossy())]);
    }
    words.push(shell(&format!("{user}@{host}")));
    words.join(" ")
}

/// One word for a shell.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%=+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A double-quoted YAML string: JSON's escapes are YAML's too. What looks like a Jinja template is not one.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    if ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) { format!("!unsafe {json}") } else { json }
}
