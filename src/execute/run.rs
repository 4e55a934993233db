//! What all steps of one apply share, and what one step of it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, watch};

use super::events::Events;
use super::interrupt::Interrupt;
use super::meanwhile::Made;
use super::node::Node;
use super::options::ApplyOptions;
use super::random::Random;
use crate::model::desired::Desired;
use crate::model::ids::{ClusterName, MachineName, NodeName, Role};
use crate::model::mark::MarkSubject;
use crate::model::observed::Observed;
use crate::model::outcome::{EventKind, MachineReport, Stage};
use crate::model::plan::{Action, ChangeAction, Hazard, HazardKind, Plan, Step, Target};
use crate::remote::Remote;

pub(super) struct Run<R> {
    pub(super) remote: Arc<R>,
    pub(super) cluster: ClusterName,
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) options: ApplyOptions,
    pub(super) events: Events,
    pub(super) nodes: BTreeMap<NodeName, Arc<Node<R>>>,
    pub(super) random: Random,
    pub(super) interrupt: watch::Receiver<Interrupt>,
    /// The image on the controller, fetched once for all nodes.
    pub(super) local_image: OnceCell<Result<std::path::PathBuf, String>>,
    /// Looked for once, before the first clone.
    pub(super) made_meanwhile: OnceCell<Made>,
    /// The plan breaks the masters' quorum and somebody agreed to that, or no cluster is left whose quorum could break.
    pub(super) may_break_quorum: bool,
    /// Machines that the plan waits for; only they are reported.
    awaited: BTreeSet<MachineName>,
    /// Machines that the plan clones.
    cloned: BTreeSet<MachineName>,
    machines: Mutex<BTreeMap<MachineName, MachineReport>>,
}

impl<R: Remote> Run<R> {
    #[expect(clippy::too_many_arguments, reason = "called once; a struct of the same fields would be this one")]
    pub(super) fn new(
        remote: Arc<R>,
        plan: &Plan,
        desired: Desired,
        observed: Observed,
        options: ApplyOptions,
        events: Events,
        nodes: BTreeMap<NodeName, Arc<Node<R>>>,
        interrupt: watch::Receiver<Interrupt>,
    ) -> Self {
        let awaited = plan.steps.iter().filter_map(|step| {
            let Action::Ready(ready) = &step.action else { return None };
            Some(ready.name.clone())
        });
        let cloned = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Clone { name, .. } => Some(name.clone()),
            _ => None,
        });
        let random = Random::new(options.seed);
        let accepted = |hazard: &Hazard| hazard.kind == HazardKind::BreakQuorum && hazard.accepted;
        let may_break_quorum = plan.hazards.iter().any(accepted) || deletes_all_masters(plan, &observed);
        Self {
            remote,
            cluster: plan.cluster.clone(),
            desired,
            observed,
            options,
            events,
            nodes,
            random,
            interrupt,
            local_image: OnceCell::new(),
            made_meanwhile: OnceCell::new(),
            may_break_quorum,
            awaited: awaited.collect(),
            cloned: cloned.collect(),
            machines: Mutex::default(),
        }
    }

    pub(super) fn interrupted(&self) -> Interrupt {
        *self.interrupt.borrow()
    }

    /// Folders of operations of earlier runs that are over: evidence for the report, then removed.
    pub(super) async fn forget_finished(&self) {
        for (name, node) in &self.nodes {
            let operations = self.observed.facts(name).map(|facts| facts.operations.as_slice()).unwrap_or_default();
            for operation in operations.iter().filter(|operation| !operation.live && operation.cluster == self.cluster)
            {
                if operation.exit != Some(0) {
                    let how =
                        operation.exit.map_or_else(|| "without an exit code".to_owned(), |exit| format!("with {exit}"));
                    let last =
                        operation.tail.iter().rev().find(|line| !line.trim().is_empty()).cloned().unwrap_or_default();
                    let (verb, vmid) = (&operation.verb, operation.vmid);
                    self.events.notice(format!("{name}: {verb} of VM {vmid} of an earlier run ended {how}: {last}"));
                }
                // A folder that stays is found again by the next run.
                let _ = node.forget(&operation.name).await;
            }
        }
    }

    /// This run makes the machine.
    pub(super) fn is_cloned(&self, name: &MachineName) -> bool {
        self.cloned.contains(name)
    }

    /// What is known of the machines so far, in the manifest's order.
    pub(super) fn machine_reports(&self) -> Vec<MachineReport> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |name: &MachineName| self.desired.machines.iter().position(|machine| machine.name == *name);
        let mut reports: Vec<MachineReport> = machines.values().cloned().collect();
        reports.sort_by_key(|report| place(&report.name).unwrap_or(usize::MAX));
        reports
    }

    /// Changes what is known of a machine; made on first use.
    fn note_machine(&self, name: &MachineName, step: &Step, change: impl FnOnce(&mut MachineReport)) {
        if !self.awaited.contains(name) {
            return;
        }
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let report = machines.entry(name.clone()).or_insert_with(|| MachineReport {
            name: name.clone(),
            node: step.node.clone(),
            vmid: step.vmid,
            address: None,
            addresses: Vec::new(),
            ready: false,
            stage: Stage::Absent,
            stages_s: BTreeMap::new(),
            host_keys: Vec::new(),
        });
        change(report);
    }
}

/// One step being carried out.
pub(super) struct StepRun<R> {
    pub(super) run: Arc<Run<R>>,
    pub(super) step: Step,
    /// Where its commands run.
    pub(super) node: Arc<Node<R>>,
    /// Where its VM is read back: the same node, but for a clone with a target.
    pub(super) home: Arc<Node<R>>,
}

impl<R: Remote> StepRun<R> {
    pub(super) fn progress(&self, text: impl Into<String>, percent: Option<f32>) {
        self.run.events.step(self.step.id, EventKind::Progress { text: text.into(), percent });
    }

    pub(super) fn found(&self, text: impl Into<String>) {
        self.run.events.step(self.step.id, EventKind::Found { text: text.into() });
    }

    /// `k8s-worker-2 (VM 104 on pve2)`.
    pub(super) fn subject(&self) -> String {
        format!("{} (VM {} on {})", self.name(), self.step.vmid, self.step.node)
    }

    pub(super) fn name(&self) -> &str {
        match &self.step.subject {
            Target::Template { name } => name,
            Target::Machine { name, .. } => name.as_str(),
        }
    }

    /// The machine has come this far (or fell back to it).
    pub(super) fn reached(&self, stage: Stage) {
        let Target::Machine { name, .. } = &self.step.subject else { return };
        let now_s = self.run.events.now_s();
        self.run.note_machine(name, &self.step, |report| {
            if stage == Stage::Stopped {
                // A machine that is made anew, or rebooted, begins anew.
                report.stages_s.clear();
            }
            report.node = self.step.node.clone();
            report.vmid = self.step.vmid;
            report.stage = stage;
            report.stages_s.entry(stage).or_insert(now_s);
        });
    }

    pub(super) fn addresses(&self, address: IpAddr, all: Vec<IpAddr>) {
        let Target::Machine { name, .. } = &self.step.subject else { return };
        self.run.note_machine(name, &self.step, |report| {
            report.address = Some(address);
            report.addresses = all.into_iter().filter(|other| *other != address).collect();
        });
    }

    pub(super) fn host_keys(&self, keys: &[String]) {
        let Target::Machine { name, .. } = &self.step.subject else { return };
        self.run.note_machine(name, &self.step, |report| report.host_keys = keys.to_vec());
    }

    pub(super) fn ready(&self) {
        let Target::Machine { name, .. } = &self.step.subject else { return };
        self.run.note_machine(name, &self.step, |report| report.ready = true);
    }
}

/// Every master that exists goes for good; `delete-masters` was accepted for that.
fn deletes_all_masters(plan: &Plan, observed: &Observed) -> bool {
    let is_master =
        |subject: &MarkSubject| matches!(subject, MarkSubject::Machine(id) if id.pool.role() == Role::Master);
    let there = observed.managed(&plan.cluster).filter(|(_, _, _, mark)| is_master(&mark.subject)).count();
    let gone = plan.changes.iter().filter(|change| {
        change.action == ChangeAction::Delete && matches!(change.target, Target::Machine { role: Role::Master, .. })
    });
    there > 0 && gone.count() == there
}
