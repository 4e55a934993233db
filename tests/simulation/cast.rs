//! Who plays: a random installation of nodes, and a random wish. Small alphabets, so that names and ids collide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::fs::Fs;
use pvekube::sandbox::guest::hypervisor::Hypervisor;
use pvekube::sandbox::image_server;
use pvekube::sandbox::world::{NodeSpec, PveVersion, RealmSpec, StorageKind, StorageSpec, Topology, World};

use crate::random::Random;

/// 2026-11-22T12:00:00Z.
pub const START: i64 = 1_795_348_800;
pub const CLUSTER: &str = "k8s";
pub const KEY_PATH: &str = "/keys/id_ed25519";
pub const PUBLIC_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8hTws/zw+9Od2vOwbKc0y/iWVPVbsz31PUidkEvA+5 sim";
const IMAGE_URL: &str = "https://images.test/sim.img";

/// One to four nodes: a cluster, standalone ones, or both.
pub fn topology(random: &mut Random) -> Topology {
    let count = random.between(1, 4) as usize;
    let clustered = if random.percent(60) { count } else { random.below(count + 1) };
    let version = if random.percent(75) { PveVersion::pve9() } else { PveVersion::pve8() };
    let kind = *random.pick(&[StorageKind::Lvmthin, StorageKind::Lvmthin, StorageKind::Dir, StorageKind::Zfspool]);
    let shared = random.percent(15);
    let node = |number: usize| NodeSpec {
        name: format!("pve{number}"),
        address: format!("10.0.0.{}", number + 1),
        cpus: 8,
        memory_mib: 32 << 10,
        version: version.clone(),
        bridges: vec!["vmbr0".into()],
        resolv_conf: "nameserver 10.0.0.1\n".into(),
    };
    let storages = || {
        let spec = |name: &str, kind, place: &str, content: &[&str], shared| StorageSpec {
            name: name.into(),
            kind,
            content: content.iter().map(|text| (*text).to_owned()).collect(),
            size_mib: 200 << 10,
            place: place.into(),
            shared,
            sparse: true,
            nodes: None,
        };
        let local = spec("local", StorageKind::Dir, "/var/lib/vz", &["iso", "snippets"], false);
        let disks = if shared {
            spec("disks", StorageKind::Nfs, "/srv/disks", &["images"], true)
        } else {
            let place = if kind == StorageKind::Dir { "/mnt/disks" } else { "vg/data" };
            spec("disks", kind, place, &["images"], false)
        };
        vec![local, disks]
    };
    let mut realms = Vec::new();
    if clustered > 1 {
        let nodes = (1..=clustered).map(node).collect();
        realms.push(RealmSpec { name: "lab".into(), cluster: Some("lab".into()), nodes, storages: storages() });
    }
    let first_alone = if clustered > 1 { clustered + 1 } else { 1 };
    for number in first_alone..=count {
        let name = format!("alone{number}");
        realms.push(RealmSpec { name, cluster: None, nodes: vec![node(number)], storages: storages() });
    }
    Topology { seed: random.next(), realms }
}

pub fn world(topology: Topology) -> Arc<World> {
    World::create(Fs::memory(), topology, Clock::simulated(START), Arc::new(Hypervisor::default()))
        .expect("memory takes all files")
}

/// What the manifest asks for. `nodes`: the world's.
pub fn desired(random: &mut Random, world: &Arc<World>) -> Desired {
    let names: Vec<String> = world.nodes().iter().map(|node| node.name().to_owned()).collect();
    let nodes = names.iter().map(|name| NodeTarget {
        name: name.as_str().into(),
        host: format!("{name}.test"),
        port: None,
        zone: None,
        schedulable: true,
    });
    let mut desired = Desired {
        cluster: CLUSTER.into(),
        nodes: nodes.collect(),
        ssh: SshSettings {
            user: "root".into(),
            private_key: None,
            config_file: None,
            known_hosts: KnownHosts::Strict,
            connect_timeout_s: 10,
            sudo: false,
        },
        template: template(random),
        machines: Vec::new(),
        vmid_range: (Vmid(100), Vmid(119)),
        pve_pool: None,
        placement: *random.pick(&[Strategy::VmCount, Strategy::Memory, Strategy::Pack]),
        limits: Limits {
            per_node: random.between(1, 4) as u32,
            clones_per_storage: random.between(1, 2) as u32,
            memory_overcommit: 1.0,
            storage_overcommit: 4.0,
            max_unavailable: MaxUnavailable::Count(1),
        },
        readiness: Readiness {
            timeout_s: 300,
            ssh_interval_s: 5,
            ssh: SshCheck::Direct,
            private_key: Some(KEY_PATH.into()),
            ssh_port: 22,
            exclude: Vec::new(),
        },
        prune: random.percent(50),
        hooks: Hooks::default(),
    };
    let masters = *random.pick(&[0, 1, 3]);
    let workers = random.between(if masters == 0 { 1 } else { 0 }, 3) as u32;
    for number in 1..=masters {
        desired.machines.push(machine(random, Pool::Masters, number));
    }
    for number in 1..=workers {
        desired.machines.push(machine(random, Pool::Workers, number));
    }
    desired
}

fn template(random: &mut Random) -> TemplateSpec {
    let network = Network { bridge: "vmbr0".into(), vlan: None, ipv4: Address::Dhcp, ipv6: None };
    let bake = Bake { network, addresses: BTreeMap::new(), packages: vec![], commands: vec![], timeout_s: 900 };
    TemplateSpec {
        name: "tmpl".into(),
        id: Vmid(9000),
        ids: BTreeMap::new(),
        image_url: IMAGE_URL.into(),
        checksum_url: None,
        image_digest: Some(image_server::digest("sim.img")),
        storage: "disks".into(),
        bridge: "vmbr0".into(),
        cores: 1,
        memory_mb: 1024,
        disk_gb: 3,
        snippet_storage: "local".into(),
        cpu: "x86-64-v2-AES".into(),
        machine: "i440fx".into(),
        bios: "seabios".into(),
        keep_images: random.percent(30),
        download: Download::Node,
        bake: Some(bake),
    }
}

/// A machine of the pool; its spec is a throw of the dice.
pub fn machine(random: &mut Random, pool: Pool, number: u32) -> Machine {
    let id = MachineId { pool, number };
    let role = id.pool.role();
    let host = match role {
        Role::Master => 10 + number,
        Role::Worker => 20 + number,
    };
    let ipv4 = if random.percent(50) {
        let address = format!("10.0.0.{host}/24").parse().expect("an address");
        Address::Static { address, gateway: Some("10.0.0.1".parse().expect("an address")) }
    } else {
        Address::Dhcp
    };
    Machine {
        name: id.name(&CLUSTER.into()),
        role,
        size: "small".into(),
        cores: random.between(1, 2) as u32,
        memory_mb: *random.pick(&[1024, 2048]),
        disk_gb: random.between(4, 5),
        network: Network { bridge: "vmbr0".into(), vlan: None, ipv4, ipv6: None },
        cloud_init: CloudInit {
            user: "ubuntu".into(),
            ssh_keys: format!("{PUBLIC_KEY}\n"),
            nameservers: if random.percent(50) { vec!["10.0.0.1".into()] } else { vec![] },
            searchdomain: None,
            upgrade_packages: false,
        },
        node: None,
        vmid: None,
        onboot: random.percent(70),
        startup: "order=2".into(),
        protection: false,
        power: true,
        tags: BTreeSet::from(["pvekube".into(), CLUSTER.into()]),
        place: None,
        id,
    }
}
