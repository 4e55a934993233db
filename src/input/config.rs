//! `config.yaml`: the operator's where and how. The original plan's keys, and newer ones that may all be left out.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::address::AddressRange;
use super::collection::{OneOrMany, Table};
use super::number::{Cpus, DiskGb, Int, MemoryMb, Parallel, Port, Ratio, Seconds, Vlan, VmidNumber};
use super::section::section;
use super::value::{Bios, KeyText, Mode, Subnet, Unavailable, VmidRange};
use super::walk::{At, Read, Walk};
use super::words::{
    Argument, Command, CpuType, Domain, FilePath, Host, Label, MachineType, NodeWord, Package, Url, User, VmName,
};
use super::yaml::{Kind, Node};
use crate::model::desired::{Download, KnownHosts, MaxUnavailable, SshCheck, Strategy};
use crate::model::ids::{BridgeName, ImageDigest, PoolName, StorageName};

section! {
    /// Where and how pvekube works: nodes, SSH, template, sizes, limits.
    pub struct Config {
        /// The Proxmox hosts: names, addresses, or maps with more about a host. A cluster and standalone nodes both work.
        required proxmox_nodes: Vec<At<NodeEntry>>;
        /// User on the nodes. Anyone but root needs `ssh.sudo: true`.
        default ssh_user: User = User::from("root");
        /// Private key for the nodes. Without it: what the SSH agent and ssh_config offer.
        optional ssh_private_key_path: FilePath;
        /// How connections to the nodes are made.
        section ssh: SshSection;
        /// The template that machines are cloned from, and the cloud image it is made of.
        required vm_template: TemplateSection;
        /// What cloud-init sets in every machine.
        required cloud_init: CloudInitSection;
        /// Named sizes for the manifest's pools.
        optional vm_sizes: Table<SizeSection>;
        /// Ids for machines, both ends included. Each new machine takes the lowest free one; template ids are never taken.
        default vmid_range: VmidRange = VmidRange { first: 100, last: 999 };
        /// PVE resource pool that machines and templates are put into. It must exist.
        optional pool: PoolName;
        /// How new machines are spread over the nodes.
        section placement: PlacementSection;
        /// How much is done at once, and how full nodes may become.
        section limits: LimitsSection;
        /// When a machine counts as ready.
        section readiness_check: ReadinessSection;
        /// Commands run on this machine around changes that stop a Kubernetes machine.
        section hooks: HooksSection;
    }
}

section! {
    /// One Proxmox host.
    pub struct NodeSection {
        /// Name, address, or `Host` alias of ssh_config.
        required host: Host;
        /// SSH port. Without it: ssh_config's, else 22.
        optional port: Port;
        /// Name shown and used in the manifest. Default: the first label of the host, or the whole address. Unique.
        optional name: NodeWord;
        /// Failure domain, such as a rack: masters are spread over zones first. Default: each node is its own.
        optional zone: Label;
        /// False: nothing new is placed here; what is there stays managed.
        default schedulable: bool = true;
    }
}

/// `pve1.lan`, or a map.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeEntry {
    Host(At<Host>),
    Section(Box<NodeSection>),
}

impl Read for NodeEntry {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        match node.kind {
            Kind::Scalar { .. } => {
                let span = walk.span(node);
                Host::read(node, walk).map(|host| Self::Host(At { value: host, span, key: span }))
            }
            Kind::List(_) | Kind::Map(_) => {
                NodeSection::read(node, walk).map(|section| Self::Section(Box::new(section)))
            }
        }
    }

    fn schema() -> Value {
        json!({"anyOf": [Host::schema(), NodeSection::schema()]})
    }

    fn example() -> &'static str {
        "pve1.lan"
    }
}

section! {
    /// Connections to the nodes.
    pub struct SshSection {
        /// OpenSSH client configuration to read: jump hosts, ports, aliases. Default: ssh's own, `~/.ssh/config`.
        optional config_file: FilePath;
        /// What to do with a host key that known_hosts does not have: `strict` refuses, `accept-new` adds it. A changed key is always refused.
        default known_hosts: KnownHosts = KnownHosts::Strict;
        /// Time for TCP connection and login.
        default connect_timeout_seconds: Int<1, 600> = Int(10);
        /// Run Proxmox's tools with `sudo -n`, for an `ssh_user` other than root.
        default sudo: bool = false;
    }
}

section! {
    /// The template that machines are cloned from.
    pub struct TemplateSection {
        /// Name of the template VM.
        required name: VmName;
        /// Template id on the first node; where storage is local to each node, further nodes take the next free ids.
        required id: VmidNumber;
        /// Cloud image (qcow2 or raw) that the template is made of.
        required image_url: Url;
        /// SHA256SUMS or SHA512SUMS file that lists the image. Needed unless `image_digest` is given.
        optional checksum_url: Url;
        /// Storage for the disks of template and machines.
        required storage_pool: StorageName;
        /// Bridge of the machines' network card, unless their pool names another.
        default network_bridge: BridgeName = BridgeName::new("vmbr0");
        /// Virtual CPUs of the template itself; machines get their size's.
        default base_cpus: Cpus = Int(1);
        /// Memory of the template itself.
        default base_memory_mb: MemoryMb = Int(2048);
        /// Disk of the template: the least that a machine's disk can have.
        default base_disk_gb: DiskGb = Int(16);
        /// Pins the image: `checksum_url` is then not asked, and a newer upstream image is never taken.
        optional image_digest: ImageDigest;
        /// Who downloads the image: each `node` itself (through the datacenter's `http_proxy`, if it has one), or the `controller` (where pvekube runs), which sends it to the nodes.
        default download: Download = Download::Node;
        /// Template ids by node name, instead of the next free ones.
        optional ids: Table<VmidNumber>;
        /// Storage with content type `snippets` on every node, for the bake's cloud-init document.
        default snippet_storage: StorageName = StorageName::new("local");
        /// CPU type. The default runs on every x86 server since about 2010 and lets machines migrate between unlike nodes.
        default cpu: CpuType = CpuType::from("x86-64-v2-AES");
        /// Machine type: `i440fx`, `q35`, or a version of one.
        default machine: MachineType = MachineType::from("i440fx");
        /// Firmware: `seabios` or `ovmf` (UEFI).
        default bios: Bios = Bios::Seabios;
        /// Keep downloaded images in `/var/lib/pvekube/images` after the template is made.
        default keep_images: bool = false;
        /// One boot of the template-to-be that installs the guest agent and what else is asked.
        section bake: BakeSection;
    }
}

section! {
    /// Preparing the template by one boot.
    pub struct BakeSection {
        /// False: the template is the image as it is; its guest agent must then be in the image.
        default enabled: bool = true;
        /// Network of that one boot; only needed where the image has to fetch packages.
        section network: BakeNetworkSection;
        /// Further packages to install, beside qemu-guest-agent.
        optional packages: Vec<At<Package>>;
        /// Shell commands to run in the template-to-be, in order; a failing one fails the bake.
        optional commands: Vec<At<Command>>;
        /// Longest time that the boot may take.
        default timeout_seconds: Seconds = Int(900);
    }
}

section! {
    /// Network of the bake's boot.
    pub struct BakeNetworkSection {
        /// `dhcp`, or `static` with `addresses`.
        optional mode: Mode;
        /// Addresses for bakes with `mode: static`, one a node in the order of `proxmox_nodes`. A single one serves all nodes, one bake after the other.
        optional addresses: OneOrMany<AddressRange>;
        /// Gateway for `mode: static`.
        optional gateway: IpAddr;
        /// Bridge of that boot. Default: `network_bridge`.
        optional bridge: BridgeName;
        /// VLAN tag of that boot.
        optional vlan: Vlan;
    }
}

section! {
    /// What cloud-init sets in every machine.
    pub struct CloudInitSection {
        /// A public key that may log in. At least one of the three key settings is needed.
        optional ssh_public_key: KeyText;
        /// Further public keys.
        optional ssh_public_keys: Vec<At<KeyText>>;
        /// File of public keys, one a line. Relative paths start at the config's folder.
        optional ssh_public_key_file: FilePath;
        /// User that is made, with sudo and these keys.
        default user: User = User::from("ubuntu");
        /// DNS servers. Default: the node's own, as they are when the machine is made. A pool's `network.dns` goes before.
        optional nameserver: OneOrMany<IpAddr>;
        /// DNS search domain. Default: the node's own, as it is when the machine is made.
        optional searchdomain: Domain;
        /// Upgrade all packages at the first boot. Off: machines boot faster, and all alike.
        default upgrade_packages: bool = false;
    }
}

section! {
    /// CPUs, memory and disk of a machine.
    pub struct SizeSection {
        /// Virtual CPUs.
        required cpus: Cpus;
        /// Memory; ballooning is off.
        required memory_mb: MemoryMb;
        /// Disk.
        required disk_gb: DiskGb;
    }
}

section! {
    /// Spreading machines over nodes.
    pub struct PlacementSection {
        /// `vm_count`: the node with the fewest VMs; `memory`: the one with the most memory free; `pack`: the fullest that still has room.
        default strategy: Strategy = Strategy::VmCount;
    }
}

section! {
    /// How much at once, and how full.
    pub struct LimitsSection {
        /// Changing operations on one node at once.
        default per_node: Parallel = Int(4);
        /// Clones and image imports on one storage of one node at once.
        default clones_per_storage: Parallel = Int(2);
        /// Memory that may be given out, as a factor of the node's own (2 GiB stay for the node itself).
        default memory_overcommit: Ratio = Ratio(1.0);
        /// Factor of a thin storage's size beyond which plans warn.
        default storage_overcommit: Ratio = Ratio(2.0);
        /// Workers of one pool that may be down at once during changes: a number, or a percentage.
        default max_unavailable: Unavailable = Unavailable(MaxUnavailable::Count(1));
    }
}

section! {
    /// When a machine counts as ready.
    pub struct ReadinessSection {
        /// Longest time from a machine's start until it is ready.
        default timeout_seconds: Seconds = Int(300);
        /// Time between SSH login attempts, once the guest agent is up.
        default ssh_check_interval_seconds: Int<1, 3600> = Int(10);
        /// How the login is tried: `direct` from here, `via_node` through the machine's node, `off` for none.
        default ssh: SshCheck = SshCheck::Direct;
        /// Private key for the machines. Default: the SSH agent's keys, then the top-level `ssh_private_key_path`; each only if its public half is put in.
        optional ssh_private_key_path: FilePath;
        /// SSH port of the machines.
        default ssh_port: Port = Int(22);
        /// Networks that are never a machine's own address, such as pod and service networks.
        optional exclude_networks: Vec<At<Subnet>>;
    }
}

section! {
    /// Commands run where pvekube runs. They get PVEKUBE_CLUSTER, PVEKUBE_MACHINE, PVEKUBE_ADDRESS and more in their environment.
    pub struct HooksSection {
        /// Run before a machine in service is stopped, rebooted or destroyed, such as a drain: program and arguments. Failing stops that machine's change.
        optional before_stop: Vec<At<Argument>>;
        /// Run when a machine has become ready.
        optional after_ready: Vec<At<Argument>>;
        /// Longest time for one hook.
        default timeout_seconds: Seconds = Int(600);
    }
}
