//! Plans for the fake: machines cloned on two nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::fake::Fake;
use crate::execute::{ApplyOptions, Interrupt, apply, lock};
use crate::model::desired::*;
use crate::model::ids::*;
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::*;
use crate::model::outcome::{Event, EventKind, Outcome, StepResult};
use crate::model::plan::*;

pub(super) const NODES: [&str; 2] = ["pve1", "pve2"];

pub(super) fn desired() -> Desired {
    serde_json::from_value(serde_json::json!({
        "cluster": "k8s", "nodes": [],
        "ssh": {"user": "root", "private_key": null, "config_file": null, "known_hosts": "strict", "connect_timeout_s": 10, "sudo": false},
        "template": {"name": "tmpl", "id": 9000, "ids": {}, "image_url": "http://x/x.img", "checksum_url": null, "image_digest": null,
            "storage": "local-lvm", "bridge": "vmbr0", "cores": 1, "memory_mb": 1024, "disk_gb": 3, "snippet_storage": "local",
            "cpu": "host", "machine": "pc", "bios": "seabios", "keep_images": false, "download": "node", "bake": null},
        "machines": [], "vmid_range": [100, 999], "pve_pool": null, "placement": "vm_count",
        "limits": {"per_node": 4, "clones_per_storage": 2, "memory_overcommit": 1.0, "storage_overcommit": 2.0, "max_unavailable": {"count": 1}},
        "readiness": {"timeout_s": 120, "ssh_interval_s": 5, "ssh": "direct", "private_key": null, "ssh_port": 22, "exclude": []},
        "prune": false
    }))
    .unwrap()
}

pub(super) fn observed() -> Observed {
    let facts = |name: &str| NodeFacts {
        realm: RealmId::new(format!("node:{name}")),
        pve_name: name.into(),
        version: PveVersion { major: 9, minor: 2, text: "9.2.11".into() },
        memory_bytes: 1 << 36,
        cpus: 8,
        running: BTreeSet::new(),
        bridges: BTreeSet::new(),
        storages: BTreeMap::new(),
        nameservers: vec![],
        searchdomain: None,
        images: BTreeMap::new(),
        image_parts: BTreeSet::new(),
        snippets: BTreeSet::new(),
        image_space_bytes: None,
        operations: vec![],
        missing_programs: BTreeSet::new(),
    };
    Observed {
        taken_at: 0,
        nodes: NODES.iter().map(|name| ((*name).into(), NodeState::Answered(Box::new(facts(name))))).collect(),
        realms: BTreeMap::new(),
        upstream: Upstream::Unknown { reason: "not asked".into() },
    }
}

pub(super) fn mark(vmid: u32) -> Mark {
    let id = MachineId { pool: Pool::Workers, number: vmid };
    Mark { cluster: "k8s".into(), subject: MarkSubject::Machine(id), vmid: Vmid(vmid), image: None, recipe: None }
}

/// Steps of one plan, added one after the other.
#[derive(Default)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl Steps {
    pub(super) fn add(&mut self, vmid: u32, needs: &[StepId], action: Action, estimate_s: u32) -> StepId {
        let id = StepId(self.0.len() as u32 + 1);
        let machine = MachineId { pool: Pool::Workers, number: vmid };
        let clones = matches!(action, Action::Clone { .. });
        self.0.push(Step {
            id,
            needs: needs.to_vec(),
            node: NODES[vmid as usize % 2].into(),
            subject: Target::Machine { name: machine.name(&"k8s".into()), id: machine, role: Role::Worker },
            vmid: Vmid(vmid),
            action,
            storage: clones.then(|| "local-lvm".into()),
            estimate_s,
            disruption: None,
        });
        id
    }

    /// Clone, set, resize, start, ready: the last step of each.
    pub(super) fn machine(&mut self, vmid: u32) -> [StepId; 5] {
        let clone = Action::Clone {
            template: Vmid(9000 + vmid % 2),
            target: None,
            name: format!("k8s-worker-{vmid}").as_str().into(),
            mark: mark(vmid),
            pool: None,
            storage: "local-lvm".into(),
        };
        let cloned = self.add(vmid, &[], clone, 30);
        let settings = Settings::from([
            ("cores".to_owned(), Setting::Text("2".into())),
            ("net0".to_owned(), Setting::Net { model: "virtio".into(), bridge: "vmbr0".into(), vlan: None }),
            ("sshkeys".to_owned(), Setting::SshKeys("ssh-ed25519 AAAA x\n".into())),
        ]);
        let set = Action::Set { mark: mark(vmid), set: settings, delete: BTreeSet::new(), revert: BTreeMap::new() };
        let configured = self.add(vmid, &[cloned], set, 2);
        let grow = Action::Resize { mark: mark(vmid), disk: "scsi0".into(), size_gb: 20 };
        let grown = self.add(vmid, &[configured], grow, 2);
        let started = self.add(vmid, &[grown], Action::Start { mark: mark(vmid) }, 3);
        let ready = self.add(vmid, &[started], Action::Ready(ready(vmid)), 45);
        [cloned, configured, grown, started, ready]
    }

    pub(super) fn plan(self) -> Plan {
        Plan {
            cluster: "k8s".into(),
            changes: vec![],
            checks: vec![],
            hazards: vec![],
            notes: vec![],
            steps: self.0,
            nodes: vec![],
            unchanged: vec![],
            strategy: Strategy::VmCount,
        }
    }
}

pub(super) fn ready(vmid: u32) -> ReadyStep {
    ReadyStep {
        mark: mark(vmid),
        name: format!("k8s-worker-{vmid}").as_str().into(),
        address: ExpectedAddress::Dhcp,
        user: "ubuntu".into(),
        ssh: SshCheck::Direct,
        ssh_port: 22,
        timeout_s: 120,
        ssh_interval_s: 5,
        exclude: vec![],
    }
}

pub(super) fn machines(vmids: impl IntoIterator<Item = u32>) -> Plan {
    let mut steps = Steps::default();
    for vmid in vmids {
        steps.machine(vmid);
    }
    steps.plan()
}

/// One apply, with everything that it told.
pub(super) struct Applied {
    pub(super) outcome: Outcome,
    pub(super) events: Vec<Event>,
}

impl Applied {
    pub(super) fn result(&self, step: StepId) -> &StepResult {
        &self.outcome.steps[&step].result
    }

    pub(super) fn failure(&self, step: StepId) -> &crate::model::outcome::Failure {
        match self.result(step) {
            StepResult::Failed(failure) => failure,
            other => panic!("step {step} did not fail: {other:?}"),
        }
    }

    pub(super) fn told(&self, text: &str) -> bool {
        self.events.iter().any(|event| match &event.what {
            EventKind::Notice { text: said }
            | EventKind::Found { text: said }
            | EventKind::Progress { text: said, .. } => said.contains(text),
            EventKind::Waiting { on } => on.contains(text),
            EventKind::Started | EventKind::Done | EventKind::Failed { .. } | EventKind::Skipped { .. } => false,
        })
    }
}

pub(super) async fn run(fake: &Fake, plan: &Plan) -> Applied {
    run_with(fake, plan, ApplyOptions::default(), watch::channel(Interrupt::None).1).await
}

pub(super) async fn run_with(
    fake: &Fake,
    plan: &Plan,
    options: ApplyOptions,
    interrupt: watch::Receiver<Interrupt>,
) -> Applied {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let outcome = match lock(plan, &observed(), fake, &options, sender, &interrupt).await {
        Ok(locks) => apply(plan, &desired(), &observed(), Arc::new(fake.clone()), options, locks, interrupt).await,
        Err(outcome) => outcome,
    };
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event);
    }
    Applied { outcome, events }
}
