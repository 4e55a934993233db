//! The two files that `init` writes: small, commented, valid.

use std::fmt::Write as _;

/// An entry of `proxmox_nodes`.
pub struct Node {
    /// Empty: what the config makes of the host.
    pub name: String,
    pub host: String,
    /// `None`: what ssh itself would use.
    pub port: Option<u16>,
}

/// What was found on the nodes, and what was asked for.
pub struct Facts {
    pub nodes: Vec<Node>,
    pub ssh_user: String,
    pub private_key: Option<String>,
    pub accept_new_host_keys: bool,
    pub public_key: String,
    pub storage: String,
    /// Other storages that hold VM disks, for the comment.
    pub other_storages: Vec<String>,
    pub bridge: String,
    pub other_bridges: Vec<String>,
    pub template_id: u32,
    pub vmid_range: (u32, u32),
    pub cluster: String,
    pub masters: u32,
    pub workers: u32,
}

const IMAGE: &str = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img";
const CHECKSUMS: &str = "https://cloud-images.ubuntu.com/noble/current/SHA256SUMS";

pub fn config(facts: &Facts) -> String {
    let mut text = String::from(
        "# Where and how: nodes, SSH, template, sizes. Every key: docs/config.md; schema: pvekube schema config\nproxmox_nodes:\n",
    );
    for Node { name, host, port } in &facts.nodes {
        let port = port.map_or(String::new(), |port| format!(", port: {port}"));
        let name = if name.is_empty() { String::new() } else { format!(", name: {}", quoted(name)) };
        let _ = writeln!(text, "  - {{host: {}{port}{name}}}", quoted(host));
    }
    let _ = writeln!(text, "ssh_user: {}", quoted(&facts.ssh_user));
    match &facts.private_key {
        Some(path) => {
            let _ = writeln!(text, "ssh_private_key_path: {}", quoted(path));
        }
        None => text.push_str(
            "# ssh_private_key_path: ~/.ssh/pve.key   # unset: what ssh itself would use (agent, ~/.ssh/config)\n",
        ),
    }
    if facts.accept_new_host_keys {
        text.push_str("ssh: {known_hosts: accept-new}   # strict: only hosts that known_hosts has\n");
    }
    let _ = write!(
        text,
        "
vm_template:                        # what machines are cloned from; made where it is needed
  name: ubuntu-2404-cloud-template
  id: {template_id}                          # free on your nodes when this was written
  image_url: {IMAGE}
  checksum_url: {CHECKSUMS}
  storage_pool: {storage}            # {others}
  network_bridge: {bridge}             # {bridges}
  base_cpus: 1
  base_memory_mb: 2048
  base_disk_gb: 16

cloud_init:
  user: ubuntu
  ssh_public_key: {public_key}

vm_sizes:
  small: {{cpus: 1, memory_mb: 2048, disk_gb: 20}}
  medium: {{cpus: 2, memory_mb: 4096, disk_gb: 40}}
  large: {{cpus: 4, memory_mb: 8192, disk_gb: 80}}

vmid_range: {low}-{high}                 # no guest had these ids when this was written

readiness_check:
  timeout_seconds: 300
  ssh_check_interval_seconds: 10
",
        template_id = facts.template_id,
        storage = quoted(&facts.storage),
        others = also(&facts.other_storages),
        bridge = quoted(&facts.bridge),
        bridges = also(&facts.other_bridges),
        public_key = quoted(&facts.public_key),
        low = facts.vmid_range.0,
        high = facts.vmid_range.1,
    );
    text
}

pub fn manifest(facts: &Facts) -> String {
    format!(
        "\
# What machines are wanted. Every key: docs/manifest.md; schema: pvekube schema cluster
cluster: {cluster}                        # machines are called {cluster}-master-1, {cluster}-worker-1, …

masters:
  count: {masters}
  size: medium
  network: {{mode: dhcp}}
  # Static addresses, which Kubernetes likes better for masters:
  # network: {{mode: static, addresses: [10.0.0.11-10.0.0.{last}/24], gateway: 10.0.0.1, dns: [10.0.0.1]}}

workers:
  count: {workers}
  size: medium
  network: {{mode: dhcp}}
",
        cluster = facts.cluster,
        masters = facts.masters,
        // Room for some more.
        last = 10 + facts.masters.clamp(9, 200),
        workers = facts.workers,
    )
}

fn also(others: &[String]) -> String {
    if others.is_empty() { "the only one there".to_owned() } else { format!("also there: {}", others.join(", ")) }
}

/// JSON's quoting is YAML's, for a scalar that is not plain for certain.
fn quoted(text: &str) -> String {
    let plain = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !["yes", "no", "on", "off", "true", "false", "null", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
