//! Plans as the planner would make them, one for each situation that a reviewer meets.

use std::collections::{BTreeMap, BTreeSet};

use pvekube::model::desired::{Address, Network, Place, SshCheck, Strategy};
use pvekube::model::ids::{ClusterName, ImageDigest, MachineId, NodeName, RealmId, Vmid};
use pvekube::model::mark::{Mark, MarkSubject};
use pvekube::model::plan::*;

pub const GIB: u64 = 1 << 30;
pub const KEY_OLD: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1kSHPdGGpS4Lk0gd8nGx1mKFSrRhkT3OYr9u0wxH2J alice@laptop\n";
pub const KEY_NEW: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0n3pTqcTSbSWEwSVUR4PbGvNVJ3S8JTfcPpfTlfTXm ci@runner\n";

pub fn digest() -> ImageDigest {
    format!("sha256-5a3c{}e91f", "0".repeat(56)).parse().unwrap()
}

pub fn machine(id: &str) -> Target {
    let id: MachineId = id.parse().unwrap();
    Target::Machine { name: id.name(&ClusterName::new("k8s")), role: id.pool.role(), id }
}

pub fn template() -> Target {
    Target::Template { name: "ubuntu-2204-cloud-template".to_owned() }
}

pub fn mark(target: &Target, vmid: u32) -> Mark {
    let subject = match target {
        Target::Template { .. } => MarkSubject::Template,
        Target::Machine { id, .. } => MarkSubject::Machine(id.clone()),
    };
    Mark { cluster: "k8s".into(), subject, vmid: Vmid(vmid), image: Some(digest()), recipe: None }
}

pub fn change(target: Target, action: ChangeAction, node: &str, vmid: u32) -> Change {
    Change {
        target,
        action,
        reason: String::new(),
        node: node.into(),
        realm: RealmId::new("cluster:home"),
        vmid: Vmid(vmid),
        why_node: None,
        fields: Vec::new(),
        unchanged_fields: 0,
        spec: None,
        template: None,
        place: None,
    }
}

pub fn spec(size: &str, cores: u32, memory_mb: u64, disk_gb: u64, address: &str) -> MachineSpec {
    let ipv4 = match address {
        "dhcp" => Address::Dhcp,
        cidr => Address::Static { address: cidr.parse().unwrap(), gateway: "10.0.0.1".parse().ok() },
    };
    let network = Network { bridge: "vmbr0".into(), vlan: None, ipv4, ipv6: None };
    MachineSpec { size: size.to_owned(), cores, memory_mb, disk_gb, network }
}

pub fn field(name: &str, old: Option<&str>, new: Option<&str>, effect: Effect) -> FieldChange {
    FieldChange {
        field: name.to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
        effect,
        comment: None,
        sensitive: false,
    }
}

/// A machine to be made, with its fields and place.
pub fn create(id: &str, node: &str, vmid: u32, spec: MachineSpec, why: &str) -> Change {
    let fields = vec![
        field("name", None, Some(&format!("k8s-{id}")), Effect::Recreate),
        field("cpus", None, Some(&spec.cores.to_string()), Effect::Reboot),
        field("memory_mb", None, Some(&spec.memory_mb.to_string()), Effect::Reboot),
        field("disk_gb", None, Some(&spec.disk_gb.to_string()), Effect::Live),
        FieldChange { sensitive: true, ..field("sshkeys", None, Some(KEY_OLD), Effect::NextBoot) },
    ];
    Change {
        reason: "wanted by the manifest and not there".to_owned(),
        why_node: Some(why.to_owned()),
        fields,
        spec: Some(spec),
        place: Some(Place { file: "cluster.yaml".to_owned(), line: 3, column: 3 }),
        ..change(machine(id), ChangeAction::Create, node, vmid)
    }
}

pub fn template_note() -> TemplateNote {
    TemplateNote {
        storage: "local-lvm".into(),
        storage_local: true,
        image_url: "https://cloud-images.ubuntu.com/jammy/current/jammy-server-cloudimg-amd64.img".to_owned(),
        digest: Some(digest()),
        digest_source: "SHA256SUMS".to_owned(),
        image_way: "downloaded on each node".to_owned(),
        bake: Some("qemu-guest-agent, by cloud-init over DHCP".to_owned()),
    }
}

pub fn template_create(node: &str, vmid: u32) -> Change {
    Change {
        reason: "machines are to be cloned here".to_owned(),
        template: Some(template_note()),
        ..change(template(), ChangeAction::Create, node, vmid)
    }
}

pub fn node(name: &str, vms: (usize, usize), memory_gib: (u64, u64), storage_gib: (u64, u64)) -> NodeUse {
    NodeUse {
        node: name.into(),
        known: true,
        vms,
        memory_bytes: (memory_gib.0 * GIB, memory_gib.1 * GIB),
        memory_total_bytes: 64 * GIB,
        storage: "local-lvm".into(),
        storage_bytes: (storage_gib.0 * GIB, storage_gib.1 * GIB),
        storage_total_bytes: 800 * GIB,
    }
}

pub fn plan(changes: Vec<Change>) -> Plan {
    Plan {
        cluster: "k8s".into(),
        changes,
        checks: Vec::new(),
        hazards: Vec::new(),
        notes: Vec::new(),
        steps: Vec::new(),
        nodes: Vec::new(),
        unchanged: Vec::new(),
        strategy: Strategy::VmCount,
    }
}

pub fn check(id: &str, verdict: Verdict, about: &str, message: &str, hint: &str) -> Check {
    let (message, hint) = (message.to_owned(), hint.to_owned());
    Check { id: id.to_owned(), verdict, about: about.to_owned(), message, hint, place: None }
}

pub fn hazard(kind: HazardKind, message: &str, machines: &[&str]) -> Hazard {
    let machines = machines.iter().map(|name| (*name).into()).collect();
    Hazard { kind, message: message.to_owned(), machines, accepted: false }
}

pub fn note(id: &str, text: &str, machine: Option<&str>) -> Note {
    Note { id: id.to_owned(), text: text.to_owned(), machine: machine.map(Into::into) }
}

fn step(id: u32, needs: &[u32], node: &str, subject: Target, vmid: u32, action: Action, estimate_s: u32) -> Step {
    let storage = matches!(action, Action::Clone { .. } | Action::ImportDisk { .. }).then(|| "local-lvm".into());
    let needs = needs.iter().copied().map(StepId).collect();
    let node: NodeName = node.into();
    Step { id: StepId(id), needs, node, subject, vmid: Vmid(vmid), action, storage, estimate_s, disruption: None }
}

/// The steps that make a machine, from a template of the same node.
pub fn machine_steps(steps: &mut Vec<Step>, id: &str, node: &str, vmid: u32, template: u32, needs: &[u32]) {
    let subject = machine(id);
    let mark = mark(&subject, vmid);
    let Target::Machine { name, .. } = subject.clone() else { unreachable!() };
    let first = steps.len() as u32;
    let clone = Action::Clone {
        template: Vmid(template),
        name: name.clone(),
        mark: mark.clone(),
        pool: None,
        storage: "local-lvm".into(),
        target: None,
    };
    let mut set = Settings::new();
    set.insert("cores".to_owned(), Setting::Text("2".to_owned()));
    set.insert("sshkeys".to_owned(), Setting::SshKeys(KEY_OLD.to_owned()));
    let ready = ReadyStep {
        mark: mark.clone(),
        name,
        address: ExpectedAddress::Dhcp,
        user: "ubuntu".to_owned(),
        ssh: SshCheck::Direct,
        ssh_port: 22,
        timeout_s: 300,
        ssh_interval_s: 5,
        exclude: Vec::new(),
    };
    let actions = [
        (clone, 40),
        (Action::Set { mark: mark.clone(), set, delete: BTreeSet::new(), revert: BTreeMap::new() }, 2),
        (Action::Resize { mark: mark.clone(), disk: "scsi0".to_owned(), size_gb: 40 }, 2),
        (Action::Start { mark }, 3),
        (Action::Ready(ready), 60),
    ];
    for (offset, (action, estimate)) in actions.into_iter().enumerate() {
        let number = first + offset as u32;
        let before = if offset == 0 { needs.to_vec() } else { vec![number - 1] };
        steps.push(step(number, &before, node, subject.clone(), vmid, action, estimate));
    }
}

/// The steps that make a template; returns the last one's id.
pub fn template_steps(steps: &mut Vec<Step>, node: &str, vmid: u32) -> u32 {
    let mark = mark(&template(), vmid);
    let path = format!("/var/lib/pvekube/images/{}.img", digest());
    let url = template_note().image_url;
    let actions = [
        (Action::FetchImage { url, digest: digest(), path: path.clone(), from_controller: false }, 30),
        (Action::CreateTemplate { mark: mark.clone(), set: Settings::new() }, 2),
        (
            Action::ImportDisk {
                mark: mark.clone(),
                disk: "scsi0".to_owned(),
                storage: "local-lvm".into(),
                image_path: path,
                options: "discard=on,iothread=1,ssd=1".to_owned(),
            },
            20,
        ),
        (
            Action::Bake(BakeStep {
                mark: mark.clone(),
                snippet_volume: "local:snippets/pvekube-bake-1f2e3d4c.yaml".to_owned(),
                snippet_path: "/var/lib/vz/snippets/pvekube-bake-1f2e3d4c.yaml".to_owned(),
                document: "#cloud-config\n{}".to_owned(),
                network: BTreeMap::new(),
                timeout_s: 900,
            }),
            90,
        ),
        (Action::ConvertTemplate { mark }, 3),
    ];
    let first = steps.len() as u32;
    for (offset, (action, estimate)) in actions.into_iter().enumerate() {
        let number = first + offset as u32;
        let needs = if offset == 0 { vec![] } else { vec![number - 1] };
        steps.push(step(number, &needs, node, template(), vmid, action, estimate));
    }
    steps.len() as u32 - 1
}

/// Stops, sets and starts a machine.
pub fn reboot_steps(steps: &mut Vec<Step>, id: &str, node: &str, vmid: u32, disruption: u32) {
    let subject = machine(id);
    let mark = mark(&subject, vmid);
    let mut set = Settings::new();
    set.insert("memory".to_owned(), Setting::Text("16384".to_owned()));
    let actions = [
        Action::Set { mark: mark.clone(), set, delete: BTreeSet::new(), revert: BTreeMap::new() },
        Action::Shutdown { mark: mark.clone(), timeout_s: 180 },
        Action::Start { mark },
    ];
    let first = steps.len() as u32;
    for (offset, action) in actions.into_iter().enumerate() {
        let number = first + offset as u32;
        let needs = if offset == 0 { vec![] } else { vec![number - 1] };
        let made = step(number, &needs, node, subject.clone(), vmid, action, 10);
        steps.push(Step { disruption: Some(disruption), ..made });
    }
}
