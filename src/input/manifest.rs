//! `cluster.yaml`: the machines wanted.

use std::net::IpAddr;

use super::address::AddressRange;
use super::collection::{Numbered, OneOrMany, Table, choice};
use super::number::{Cpus, DiskGb, MachineNumber, MemoryMb, PoolCount, Vlan, VmidNumber};
use super::section::section;
use super::value::Mode;
use super::walk::At;
use super::words::{ClusterLabel, Label, NodeWord, Startup, Tag};
use crate::model::ids::{BridgeName, Cidr};

section! {
    /// The machines of one Kubernetes cluster.
    pub struct Manifest {
        /// Name of the cluster, and the first part of each machine's name: `k8s-master-1`.
        required cluster: ClusterLabel;
        /// Control plane machines: `k8s-master-1`, …
        optional masters: PoolSection;
        /// Worker machines: `k8s-worker-1`, …
        optional workers: PoolSection;
        /// Further worker pools by name: pool `gpu` makes `k8s-gpu-1`, …
        optional pools: Table<PoolSection>;
        /// Delete this cluster's machines that the manifest no longer lists. False: they are named and left alone, unless `--prune` is given.
        default prune: bool = false;
    }
}

section! {
    /// Machines alike, told apart by number.
    pub struct PoolSection {
        /// How many: numbers 1 to `count`. Either this or `numbers`.
        optional count: PoolCount;
        /// Which numbers. Taking one out of the middle changes no other machine.
        optional numbers: Vec<At<MachineNumber>>;
        /// A size of the config's `vm_sizes`. May be left out when `cpus`, `memory_mb` and `disk_gb` are all given.
        optional size: Label;
        /// Virtual CPUs, instead of the size's.
        optional cpus: Cpus;
        /// Memory, instead of the size's.
        optional memory_mb: MemoryMb;
        /// Disk, instead of the size's. It can grow, never shrink.
        optional disk_gb: DiskGb;
        /// Network card and addresses.
        section network: NetworkSection;
        /// Differences of single machines, by number.
        optional overrides: Numbered<OverrideSection>;
        /// Start with the node.
        default onboot: bool = true;
        /// Order and delays at the node's start and shutdown. Default: `order=1` for masters, `order=2` for workers.
        optional startup: Startup;
        /// PVE's protection against deleting the VM and its disks.
        default protection: bool = false;
        /// `on`: kept running. `off`: kept stopped.
        default power: Power = Power::On;
        /// Tags in PVE, beside `pvekube`, `pvekube-CLUSTER` and the role.
        optional tags: Vec<At<Tag>>;
    }
}

section! {
    /// Network card and addresses of a pool's machines.
    pub struct NetworkSection {
        /// `dhcp` or `static`. Default: `static` if `addresses` is given, else `dhcp`.
        optional mode: Mode;
        /// IPv4 addresses with prefix length, a list or ranges (`10.0.0.20-10.0.0.29/24`). Machine number n has the n-th.
        optional addresses: OneOrMany<AddressRange>;
        /// IPv4 gateway, in the subnet of the addresses.
        optional gateway: IpAddr;
        /// IPv6 addresses, as `addresses`. Without them the machines have no configured IPv6.
        optional addresses6: OneOrMany<AddressRange>;
        /// IPv6 gateway, in the subnet of the addresses or link-local.
        optional gateway6: IpAddr;
        /// DNS servers, instead of `cloud_init.nameserver`.
        optional dns: OneOrMany<IpAddr>;
        /// Bridge, instead of `vm_template.network_bridge`.
        optional bridge: BridgeName;
        /// VLAN tag. Default: none.
        optional vlan: Vlan;
    }
}

section! {
    /// What is different for one machine.
    pub struct OverrideSection {
        /// A size, instead of the pool's.
        optional size: Label;
        /// Virtual CPUs.
        optional cpus: Cpus;
        /// Memory.
        optional memory_mb: MemoryMb;
        /// Disk.
        optional disk_gb: DiskGb;
        /// Node that a new machine is made on. One that exists is never moved.
        optional node: NodeWord;
        /// Id of a new machine, inside `vmid_range` or not.
        optional vmid: VmidNumber;
        /// IPv4 address with prefix length, instead of the pool's. Short for `network.address`.
        optional address: Cidr;
        /// IPv6 address with prefix length, instead of the pool's. Short for `network.address6`.
        optional address6: Cidr;
        /// What is different in its network.
        section network: OverrideNetworkSection;
        /// PVE's protection against deleting.
        optional protection: bool;
        /// `on` or `off`.
        optional power: Power;
    }
}

section! {
    /// What is different in the network of one machine; what is left out is the pool's.
    pub struct OverrideNetworkSection {
        /// `dhcp` in a static pool, or `static` with `address` in a DHCP pool. Default: `static` if there is an `address`, else the pool's.
        optional mode: Mode;
        /// IPv4 address with prefix length.
        optional address: Cidr;
        /// IPv4 gateway.
        optional gateway: IpAddr;
        /// IPv6 address with prefix length.
        optional address6: Cidr;
        /// IPv6 gateway.
        optional gateway6: IpAddr;
        /// DNS servers.
        optional dns: OneOrMany<IpAddr>;
        /// Bridge.
        optional bridge: BridgeName;
        /// VLAN tag.
        optional vlan: Vlan;
    }
}

/// Whether a machine is kept running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    On,
    Off,
}

choice!(Power { "on" => Power::On, "off" => Power::Off });
