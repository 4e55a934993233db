//! What is wanted: config and manifest resolved, every default applied once. `input::resolve` makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ids::{
    BridgeName, Cidr, ClusterName, ImageDigest, MachineId, MachineName, NodeName, PoolName, Role, StorageName, Vmid,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    pub cluster: ClusterName,
    /// In the config's order; planning never depends on it.
    pub nodes: Vec<NodeTarget>,
    pub ssh: SshSettings,
    pub template: TemplateSpec,
    /// In plan order: masters, workers, named pools; by number.
    pub machines: Vec<Machine>,
    /// Ids for machines. Both ends included.
    pub vmid_range: (Vmid, Vmid),
    pub pve_pool: Option<PoolName>,
    pub placement: Strategy,
    pub limits: Limits,
    pub readiness: Readiness,
    /// Manifest's `prune`; the flag is in the planner's options.
    pub prune: bool,
    /// Local programs run around a machine's change (config `hooks:`); default: none.
    #[serde(default)]
    pub hooks: Hooks,
}

/// `hooks:` of the config: argv lists, run on the controller with `PVEKUBE_MACHINE`, `PVEKUBE_ADDRESS` and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before a machine is shut down or destroyed, such as `kubectl drain`.
    pub before_stop: Option<Hook>,
    /// After a machine became ready, such as `kubectl uncordon`.
    pub after_ready: Option<Hook>,
}

/// One program with its arguments; a failure or a time-out stops that machine's change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Never empty.
    pub command: Vec<String>,
    pub timeout_s: u32,
}

/// One entry of `proxmox_nodes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeTarget {
    pub name: NodeName,
    pub host: String,
    pub port: Option<u16>,
    /// Failure domain; default: the node itself.
    pub zone: Option<String>,
    /// False: nothing new is placed here; what is there stays managed.
    pub schedulable: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SshSettings {
    pub user: String,
    pub private_key: Option<PathBuf>,
    pub config_file: Option<PathBuf>,
    pub known_hosts: KnownHosts,
    pub connect_timeout_s: u32,
    /// Prefix remote programs with `sudo -n`.
    pub sudo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownHosts {
    Strict,
    AcceptNew,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateSpec {
    pub name: String,
    /// Where the search for template ids starts; also the id wanted on the first node.
    pub id: Vmid,
    /// Explicit ids by node.
    pub ids: BTreeMap<NodeName, Vmid>,
    pub image_url: String,
    pub checksum_url: Option<String>,
    /// Pinned digest: `checksum_url` is then not asked.
    pub image_digest: Option<ImageDigest>,
    pub storage: StorageName,
    pub bridge: BridgeName,
    pub cores: u32,
    pub memory_mb: u64,
    pub disk_gb: u64,
    pub snippet_storage: StorageName,
    pub cpu: String,
    pub machine: String,
    pub bios: String,
    pub keep_images: bool,
    pub download: Download,
    pub bake: Option<Bake>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Download {
    Node,
    Controller,
}

/// `vm_template.bake`; `None` in the spec when `enabled: false`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bake {
    pub network: Network,
    /// Static bakes: the address of each node's bake, as all nodes bake at once. Empty: `network.ipv4` holds for all.
    #[serde(default)]
    pub addresses: BTreeMap<NodeName, Address>,
    pub packages: Vec<String>,
    pub commands: Vec<String>,
    pub timeout_s: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub id: MachineId,
    pub name: MachineName,
    pub role: Role,
    /// Name of the size it was made from, for people.
    pub size: String,
    pub cores: u32,
    pub memory_mb: u64,
    pub disk_gb: u64,
    pub network: Network,
    pub cloud_init: CloudInit,
    /// Pinned to a node.
    pub node: Option<NodeName>,
    /// Explicit id.
    pub vmid: Option<Vmid>,
    pub onboot: bool,
    /// PVE's `startup` property string (`order=1`).
    pub startup: String,
    pub protection: bool,
    pub power: bool,
    /// Tags that must be there (ours and the user's), lower case; others stay.
    pub tags: BTreeSet<String>,
    /// Where in the manifest this machine comes from: `cluster.yaml:9`, for checks and annotations.
    pub place: Option<Place>,
}

/// A place in an input file. Lines and columns from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// net0 and ipconfig0 of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub bridge: BridgeName,
    pub vlan: Option<u16>,
    pub ipv4: Address,
    pub ipv6: Option<Address>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    Dhcp,
    Static { address: Cidr, gateway: Option<IpAddr> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudInit {
    pub user: String,
    /// One key a line, no blank lines, trailing newline.
    pub ssh_keys: String,
    /// Empty: not given; see design §4 on DNS.
    pub nameservers: Vec<String>,
    pub searchdomain: Option<String>,
    pub upgrade_packages: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    VmCount,
    Memory,
    Pack,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Mutating operations a node at once.
    pub per_node: u32,
    /// Clones and imports a (node, storage) at once.
    pub clones_per_storage: u32,
    pub memory_overcommit: f64,
    pub storage_overcommit: f64,
    pub max_unavailable: MaxUnavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaxUnavailable {
    Count(u32),
    /// Of the pool's machines, rounded down, at least one.
    Percent(u32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Readiness {
    pub timeout_s: u32,
    pub ssh_interval_s: u32,
    pub ssh: SshCheck,
    pub private_key: Option<PathBuf>,
    pub ssh_port: u16,
    /// Networks that are never a machine's address: pod and service ranges.
    pub exclude: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SshCheck {
    Direct,
    ViaNode,
    Off,
}
