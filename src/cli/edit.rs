//! Flags of the verbs that write files or marks: `init`, `create`, `scale`, `remove`, `adopt`, `disown`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Running;
use super::parse::{hazard, number, vmid};
use crate::model::plan::HazardKind;

#[derive(Args, Debug)]
pub struct Init {
    /// A Proxmox node: HOST, USER@HOST or USER@HOST:PORT; the others of its cluster are found
    #[arg(long, value_name = "HOST")]
    pub node: Option<String>,
    /// Private key for the nodes
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Public key to put into the machines
    #[arg(long, value_name = "FILE")]
    pub ssh_public_key: Option<PathBuf>,
    /// Accept the nodes' unknown host keys (ssh's accept-new)
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// Name of the Kubernetes cluster
    #[arg(long, value_name = "NAME", default_value = "k8s")]
    pub cluster: String,
    /// How many masters
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::<u32>)]
    pub masters: u32,
    /// How many workers
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = number::<u32>)]
    pub workers: u32,
    /// Storage for the machines' disks [default: local-lvm, else the first that holds disks]
    #[arg(long, value_name = "NAME")]
    pub storage: Option<String>,
    /// Bridge for the machines [default: vmbr0, else the first]
    #[arg(long, value_name = "NAME")]
    pub bridge: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    Master,
    Worker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkArg {
    Dhcp,
    Static,
}

#[derive(Args, Debug)]
pub struct Create {
    /// What they are for
    #[arg(long, value_enum)]
    pub role: RoleArg,
    /// A size of `vm_sizes` [default: the pool's]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// Cores, instead of the size's
    #[arg(long, value_name = "N", value_parser = number::<u32>)]
    pub cpus: Option<u32>,
    /// Memory, instead of the size's
    #[arg(long, value_name = "MB", value_parser = number::<u64>)]
    pub memory: Option<u64>,
    /// Disk, instead of the size's
    #[arg(long, value_name = "GB", value_parser = number::<u64>)]
    pub disk: Option<u64>,
    /// A network of its own [default: the pool's]
    #[arg(long, value_enum)]
    pub network: Option<NetworkArg>,
    /// Address with prefix length: 10.0.0.31/24
    #[arg(long, value_name = "CIDR")]
    pub ip: Option<String>,
    /// Gateway, with --network static
    #[arg(long, value_name = "IP")]
    pub gateway: Option<String>,
    /// Name servers, with --network
    #[arg(long, value_name = "IP", num_args = 1.., value_delimiter = ',')]
    pub dns: Vec<String>,
    /// Its VMID [default: the lowest free one]
    #[arg(long, value_name = "N", value_parser = vmid, allow_hyphen_values = true)]
    pub vmid: Option<u32>,
    /// Pin to a node
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::<u32>)]
    pub count: u32,
    #[command(flatten)]
    pub edit: Edit,
}

/// Verbs that edit the manifest and then apply.
#[derive(Args, Clone, Debug)]
pub struct Edit {
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Edit the manifest only; apply later
    #[arg(long)]
    pub no_apply: bool,
    /// Accept a hazard: delete-masters, break-quorum, many-deletes, reboot-masters, reboot-workers, replace
    #[arg(long, value_name = "HAZARD", num_args = 1.., value_delimiter = ',', value_parser = hazard)]
    pub accept: Vec<HazardKind>,
    #[command(flatten)]
    pub running: Running,
}

#[derive(Args, Debug)]
pub struct Scale {
    /// POOL=COUNT: masters=3, workers=5, or a pool of `pools:`
    #[arg(value_name = "POOL=COUNT", required = true)]
    pub pools: Vec<String>,
    #[command(flatten)]
    pub edit: Edit,
}

#[derive(Args, Debug)]
pub struct Remove {
    /// A machine of the manifest, by its full name
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    #[command(flatten)]
    pub edit: Edit,
}

#[derive(Args, Debug)]
pub struct Adopt {
    /// A machine of the manifest
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    /// The VM's id
    #[arg(long, value_name = "N", value_parser = vmid, allow_hyphen_values = true)]
    pub vmid: u32,
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
}

#[derive(Args, Debug)]
pub struct Disown {
    /// A machine, by its full name; the manifest need not list it any more
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
}
