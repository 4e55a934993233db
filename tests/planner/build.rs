//! Clusters to plan over: a desired state and an observation, from a few words.

use std::collections::{BTreeMap, BTreeSet};

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::mark::{Mark, MarkSubject};
use pvekube::model::observed::*;
use pvekube::model::plan::*;
use pvekube::model::vm_config::VmConfig;
use pvekube::planner::{self, PlanOptions};

#[path = "read.rs"]
mod read;
pub use read::*;

pub const GIB: u64 = 1 << 30;
pub const KEYS: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOKPWfS9cPy0FkaJlfevkJJCJ9IJ9jknTNAvjI8wksT9 user@laptop\n";

pub fn digest(letter: char) -> ImageDigest {
    format!("sha256-{}", letter.to_string().repeat(64)).parse().unwrap()
}

/// A desired state over nodes `pve1`… with the original plan's sizes.
pub fn desired(nodes: usize) -> Desired {
    Desired {
        cluster: "k8s".into(),
        nodes: (1..=nodes).map(|n| node_target(&format!("pve{n}"))).collect(),
        ssh: SshSettings {
            user: "root".into(),
            private_key: None,
            config_file: None,
            known_hosts: KnownHosts::Strict,
            connect_timeout_s: 10,
            sudo: false,
        },
        template: template_spec(),
        machines: Vec::new(),
        vmid_range: (Vmid(100), Vmid(8999)),
        pve_pool: None,
        placement: Strategy::VmCount,
        limits: Limits {
            per_node: 4,
            clones_per_storage: 2,
            memory_overcommit: 1.0,
            storage_overcommit: 2.0,
            max_unavailable: MaxUnavailable::Count(1),
        },
        readiness: Readiness {
            timeout_s: 300,
            ssh_interval_s: 10,
            ssh: SshCheck::Direct,
            private_key: None,
            ssh_port: 22,
            exclude: Vec::new(),
        },
        prune: false,
        hooks: Hooks::default(),
    }
}

pub fn node_target(name: &str) -> NodeTarget {
    NodeTarget { name: name.into(), host: format!("{name}.lan"), port: None, zone: None, schedulable: true }
}

fn template_spec() -> TemplateSpec {
    TemplateSpec {
        name: "ubuntu-2204-cloud-template".into(),
        id: Vmid(9000),
        ids: BTreeMap::new(),
        image_url: "https://images.test/jammy.img".into(),
        checksum_url: Some("https://images.test/SHA256SUMS".into()),
        image_digest: None,
        storage: "local-lvm".into(),
        bridge: "vmbr0".into(),
        cores: 1,
        memory_mb: 2048,
        disk_gb: 16,
        snippet_storage: "local".into(),
        cpu: "x86-64-v2-AES".into(),
        machine: "i440fx".into(),
        bios: "seabios".into(),
        keep_images: false,
        download: Download::Node,
        bake: None,
    }
}

pub fn machine(id: &str) -> Machine {
    let id: MachineId = id.parse().unwrap();
    let role = id.pool.role();
    Machine {
        name: id.name(&"k8s".into()),
        role,
        size: "medium".into(),
        cores: 2,
        memory_mb: 4096,
        disk_gb: 40,
        network: Network { bridge: "vmbr0".into(), vlan: None, ipv4: Address::Dhcp, ipv6: None },
        cloud_init: CloudInit {
            user: "ubuntu".into(),
            ssh_keys: KEYS.into(),
            nameservers: Vec::new(),
            searchdomain: None,
            upgrade_packages: false,
        },
        node: None,
        vmid: None,
        onboot: true,
        startup: if role == Role::Master { "order=1".into() } else { "order=2".into() },
        protection: false,
        power: true,
        tags: BTreeSet::from(["pvekube".into(), "k8s".into()]),
        place: None,
        id,
    }
}

/// `masters` masters and `workers` workers.
pub fn with_machines(mut desired: Desired, masters: u32, workers: u32) -> Desired {
    desired.machines = (1..=masters).map(|n| machine(&format!("master-{n}"))).collect();
    desired.machines.extend((1..=workers).map(|n| machine(&format!("worker-{n}"))));
    desired
}

pub fn fixed(machine: &mut Machine, address: &str, gateway: &str) {
    machine.network.ipv4 =
        Address::Static { address: address.parse().unwrap(), gateway: Some(gateway.parse().unwrap()) };
}

/// One PVE cluster `home` of empty nodes `pve1`… with 64 GiB and an 800 GiB `local-lvm` each.
pub fn observed(nodes: usize) -> Observed {
    let names: Vec<String> = (1..=nodes).map(|n| format!("pve{n}")).collect();
    let realm = RealmId::new("cluster:home");
    let members = names
        .iter()
        .map(|name| (name.as_str().into(), Member { online: true, address: None, node: Some(name.as_str().into()) }));
    Observed {
        taken_at: 1_795_000_000,
        nodes: names.iter().map(|name| (name.as_str().into(), answered(name, &realm))).collect(),
        realms: BTreeMap::from([(
            realm.clone(),
            Realm { cluster: Some("home".into()), members: members.collect(), ..empty_realm() },
        )]),
        upstream: Upstream::Known { digest: digest('a'), source: "SHA256SUMS".into() },
    }
}

/// Every node a realm of its own.
pub fn standalone(nodes: usize) -> Observed {
    let mut all = observed(0);
    all.realms.clear();
    for n in 1..=nodes {
        let name = format!("pve{n}");
        let id = RealmId::new(format!("node:{name}@{name}.lan"));
        let member = Member { online: true, address: None, node: Some(name.as_str().into()) };
        all.nodes.insert(name.as_str().into(), answered(&name, &id));
        all.realms.insert(id, Realm { members: BTreeMap::from([(name.as_str().into(), member)]), ..empty_realm() });
    }
    all
}

fn empty_realm() -> Realm {
    let storage = |kind: &str, content: &[&str], path: Option<&str>, thin: bool| StorageDef {
        kind: kind.into(),
        content: content.iter().map(|c| (*c).to_owned()).collect(),
        shared: false,
        enabled: true,
        nodes: None,
        path: path.map(str::to_owned),
        thin,
    };
    Realm {
        cluster: None,
        quorate: true,
        members: BTreeMap::new(),
        guests: BTreeMap::new(),
        existence_known: true,
        storages: BTreeMap::from([
            ("local".into(), storage("dir", &["iso", "vztmpl", "snippets"], Some("/var/lib/vz"), false)),
            ("local-lvm".into(), storage("lvmthin", &["images", "rootdir"], None, true)),
        ]),
        pools: BTreeMap::new(),
        ha: BTreeMap::new(),
        next_id: None,
    }
}

pub fn answered(name: &str, realm: &RealmId) -> NodeState {
    NodeState::Answered(Box::new(NodeFacts {
        realm: realm.clone(),
        pve_name: name.into(),
        version: PveVersion { major: 9, minor: 2, text: "9.2.11".into() },
        memory_bytes: 64 * GIB,
        cpus: 16,
        running: BTreeSet::new(),
        bridges: BTreeSet::from(["vmbr0".into()]),
        storages: BTreeMap::from([("local-lvm".into(), StorageUse { total_bytes: 800 * GIB, used_bytes: 96 * GIB })]),
        nameservers: vec!["10.0.0.1".into()],
        searchdomain: Some("lan".into()),
        images: BTreeMap::new(),
        image_parts: BTreeSet::new(),
        snippets: BTreeSet::new(),
        image_space_bytes: Some(50 * GIB),
        operations: Vec::new(),
        missing_programs: BTreeSet::new(),
    }))
}

pub fn silent() -> NodeState {
    NodeState::Silent(Silence { reason: "no route to host".into(), hint: String::new(), detail: String::new() })
}

pub fn facts<'o>(observed: &'o mut Observed, node: &str) -> &'o mut NodeFacts {
    match observed.nodes.get_mut(&node.into()).unwrap() {
        NodeState::Answered(facts) => facts,
        NodeState::Silent(_) => panic!("{node} is silent"),
    }
}

/// The realm of a node, also of a silent member.
pub fn realm<'o>(observed: &'o mut Observed, node: &str) -> &'o mut Realm {
    let listed = |realm: &&mut Realm| realm.members.values().any(|m| m.node == Some(node.into()));
    observed.realms.values_mut().find(listed).unwrap()
}

/// Puts a VM with this config onto a node.
pub fn put(observed: &mut Observed, node: &str, vmid: u32, config: VmConfig, running: bool) {
    let power = if running { Power::Running } else { Power::Stopped };
    if let Some(NodeState::Answered(facts)) = observed.nodes.get_mut(&node.into())
        && running
    {
        facts.running.insert(Vmid(vmid));
    }
    let vm = Vm { vmid: Vmid(vmid), node: node.into(), config: Some(config), power };
    realm(observed, node).guests.insert(Vmid(vmid), Guest::Vm(Box::new(vm)));
}

/// Somebody's VM.
pub fn foreign(observed: &mut Observed, node: &str, vmid: u32, name: &str) {
    let keys = [("name", name), ("memory", "2048"), ("onboot", "1")];
    put(observed, node, vmid, config(&keys), true);
}

pub fn config(keys: &[(&str, &str)]) -> VmConfig {
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    VmConfig { keys: keys.collect(), digest: "0".repeat(40), ..VmConfig::default() }
}

pub fn mark(subject: MarkSubject, vmid: u32) -> Mark {
    Mark { cluster: "k8s".into(), subject, vmid: Vmid(vmid), image: Some(digest('a')), recipe: None }
}

/// A finished template of ours.
pub fn put_template(observed: &mut Observed, node: &str, vmid: u32) {
    let mut config = config(&[
        ("name", "ubuntu-2204-cloud-template"),
        ("template", "1"),
        ("boot", "order=scsi0"),
        ("scsi0", &format!("local-lvm:base-{vmid}-disk-0,discard=on,iothread=1,size=16G,ssd=1")),
        ("ide2", &format!("local-lvm:vm-{vmid}-cloudinit,media=cdrom")),
        ("memory", "2048"),
    ]);
    config.description = mark(MarkSubject::Template, vmid).to_string();
    put(observed, node, vmid, config, false);
}

/// The config that applying the plan of a fresh machine leads to, in PVE's spelling.
pub fn config_of(machine: &Machine, vmid: u32) -> VmConfig {
    let ip = match &machine.network.ipv4 {
        Address::Dhcp => "ip=dhcp".to_owned(),
        Address::Static { address, gateway } => {
            gateway.map_or_else(|| format!("ip={address}"), |gw| format!("gw={gw},ip={address}"))
        }
    };
    let tag = machine.network.vlan.map_or_else(String::new, |tag| format!(",tag={tag}"));
    let mut config = config(&[
        ("agent", "enabled=1,fstrim_cloned_disks=1"),
        ("balloon", "0"),
        ("boot", "order=scsi0"),
        ("ciupgrade", "0"),
        ("ciuser", &machine.cloud_init.user),
        ("cores", &machine.cores.to_string()),
        ("ide2", &format!("local-lvm:vm-{vmid}-cloudinit,media=cdrom,size=4M")),
        ("ipconfig0", &ip),
        ("memory", &machine.memory_mb.to_string()),
        ("name", machine.name.as_str()),
        ("nameserver", "10.0.0.1"),
        ("net0", &format!("virtio=BC:24:11:00:00:{:02X},bridge={}{tag}", vmid % 256, machine.network.bridge)),
        ("onboot", if machine.onboot { "1" } else { "0" }),
        ("protection", if machine.protection { "1" } else { "0" }),
        ("scsi0", &format!("local-lvm:vm-{vmid}-disk-0,discard=on,iothread=1,size={}G,ssd=1", machine.disk_gb)),
        ("searchdomain", "lan"),
        ("sshkeys", &pvekube::pve::sshkeys::encode(&machine.cloud_init.ssh_keys)),
        ("startup", &machine.startup),
        ("tags", "k8s;pvekube"),
    ]);
    config.description = mark(MarkSubject::Machine(machine.id.clone()), vmid).to_string();
    config
}

/// A machine as wanted, running on a node.
pub fn put_machine(observed: &mut Observed, node: &str, vmid: u32, machine: &Machine) {
    put(observed, node, vmid, config_of(machine, vmid), machine.power);
}

/// Every machine of the desired state made and running, spread over the nodes by turns, ids from 101, templates too.
pub fn settled(desired: &Desired, nodes: usize) -> Observed {
    let mut observed = observed(nodes);
    for n in 1..=nodes {
        put_template(&mut observed, &format!("pve{n}"), 8999 + n as u32);
    }
    for (i, machine) in desired.machines.iter().enumerate() {
        put_machine(&mut observed, &format!("pve{}", i % nodes + 1), 101 + i as u32, machine);
    }
    observed
}

/// The config of a VM, to change it.
/// Three masters and four workers as wanted; master-1 is VM 101 on pve1, worker-1 is VM 104 on pve1.
pub fn cluster() -> (Desired, Observed) {
    let desired = with_machines(desired(3), 3, 4);
    let observed = settled(&desired, 3);
    (desired, observed)
}

pub fn config_mut(observed: &mut Observed, vmid: u32) -> &mut VmConfig {
    let guests = observed.realms.values_mut().flat_map(|realm| realm.guests.iter_mut());
    let guest = guests.into_iter().find(|(id, _)| id.0 == vmid).unwrap().1;
    match guest {
        Guest::Vm(vm) => vm.config.as_mut().unwrap(),
        Guest::Container(_) => panic!("{vmid} is a container"),
    }
}

pub fn stop(observed: &mut Observed, node: &str, vmid: u32) {
    facts(observed, node).running.remove(&Vmid(vmid));
    match realm(observed, node).guests.get_mut(&Vmid(vmid)).unwrap() {
        Guest::Vm(vm) => vm.power = Power::Stopped,
        Guest::Container(_) => panic!("{vmid} is a container"),
    }
}

pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    planner::plan(desired, observed, &PlanOptions::default())
}

pub fn plan_with(desired: &Desired, observed: &Observed, change: impl FnOnce(&mut PlanOptions)) -> Plan {
    let mut options = PlanOptions::default();
    change(&mut options);
    planner::plan(desired, observed, &options)
}

/// A live operation of ours.
pub fn operation(vmid: u32, verb: &str) -> OperationSeen {
    OperationSeen {
        name: OperationName::new(format!("k8s-{vmid}-{verb}-0123456789abcdef")),
        cluster: "k8s".into(),
        vmid: Vmid(vmid),
        verb: verb.into(),
        live: true,
        exit: None,
        tail: Vec::new(),
    }
}
