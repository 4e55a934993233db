//! The loop of an apply: starts what may start, takes in what ended, tells what waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::events::Events;
use super::failure::StepError;
use super::interrupt::{Interrupt, reached};
use super::lock::LockState;
use super::machine::no_such_node;
use super::run::{Run, StepRun};
use super::schedule::{Schedule, Wait};
use super::step::carry_out;
use crate::model::ids::{NodeName, PveName};
use crate::model::outcome::{EventKind, Failure, StepReport, StepResult};
use crate::model::plan::{Action, Plan, Step, StepId, Target};
use crate::remote::Remote;

type Ended = (StepId, Result<(), StepError>);

pub(super) struct Drive<'a, R> {
    plan: &'a Plan,
    run: Arc<Run<R>>,
    schedule: Schedule,
    /// Steps that run; dropping it aborts them (their operations go on on the nodes).
    running: JoinSet<Ended>,
    tasks: BTreeMap<tokio::task::Id, StepId>,
    reports: BTreeMap<StepId, StepReport>,
    /// What each waiting step was last said to wait for.
    told: BTreeMap<StepId, String>,
    changed: Arc<Notify>,
}

impl<'a, R: Remote> Drive<'a, R> {
    pub(super) fn new(plan: &'a Plan, run: Arc<Run<R>>, schedule: Schedule, changed: Arc<Notify>) -> Self {
        let reports = plan.steps.iter().map(|step| (step.id, not_started(step))).collect();
        Self {
            plan,
            run,
            schedule,
            running: JoinSet::new(),
            tasks: BTreeMap::new(),
            reports,
            told: BTreeMap::new(),
            changed,
        }
    }

    /// Until nothing runs and nothing can start any more; or until the second interrupt.
    pub(super) async fn until_over(mut self) -> BTreeMap<StepId, StepReport> {
        loop {
            if self.run.interrupted() == Interrupt::None && stolen(&self.run).is_none() {
                self.start_all();
            }
            if self.running.is_empty() && !self.may_go_on() {
                return self.reports;
            }
            let next_level = match self.run.interrupted() {
                Interrupt::None => Interrupt::Finish,
                Interrupt::Finish | Interrupt::Leave => Interrupt::Leave,
            };
            tokio::select! {
                biased;
                () = reached(&self.run.interrupt, next_level) => {
                    if next_level == Interrupt::Leave {
                        // The tasks here end, the operations go on on their nodes.
                        self.running.abort_all();
                        return self.reports;
                    }
                }
                Some(ended) = self.running.join_next() => match ended {
                    Ok(ended) => self.take_in(ended),
                    Err(panic) => self.take_in_panic(&panic),
                },
                () = self.changed.notified() => {}
            }
        }
    }

    fn events(&self) -> &Events {
        &self.run.events
    }

    fn start_all(&mut self) {
        while let Some(id) = self.schedule.start_next(|node| is_usable(&self.run, node)) {
            self.start(id);
        }
        let waiting: Vec<StepId> = self.schedule.unstarted().collect();
        for id in waiting {
            if let Some(on) = self.schedule.waits_for(id).and_then(|wait| self.describe(id, &wait))
                && self.told.get(&id) != Some(&on)
            {
                self.events().step(id, EventKind::Waiting { on: on.clone() });
                self.told.insert(id, on);
            }
        }
    }

    fn start(&mut self, id: StepId) {
        let Some(step) = self.step(id).cloned() else { return };
        let now_s = self.events().now_s();
        if let Some(report) = self.reports.get_mut(&id) {
            report.started_s = Some(now_s);
            report.result = StepResult::LeftRunning;
        }
        self.events().step(id, EventKind::Started);
        let run = self.run.clone();
        let task = self.running.spawn(async move {
            let Some(node) = run.nodes.get(&step.node).cloned() else { return (id, Err(no_such_node(&step.node))) };
            let home = home(&run, &step).and_then(|name| run.nodes.get(&name).cloned()).unwrap_or_else(|| node.clone());
            (id, carry_out(Arc::new(StepRun { run, step, node, home })).await)
        });
        self.tasks.insert(task.id(), id);
    }

    fn take_in(&mut self, (id, result): Ended) {
        let result = match result {
            Ok(()) => StepResult::Done,
            Err(StepError::Failed(failure)) => StepResult::Failed(*failure),
            Err(StepError::LeftRunning) => StepResult::LeftRunning,
            Err(StepError::NotStarted) => StepResult::NotStarted,
        };
        self.finish(id, result);
    }

    /// A bug of ours in one step: it fails, its dependents with it, and nothing else.
    fn take_in_panic(&mut self, panic: &tokio::task::JoinError) {
        let failure = super::failure::failure(
            "internal",
            format!("a step ended abnormally: {panic}"),
            "report this; run apply again",
        );
        if let Some(id) = self.tasks.get(&panic.id()) {
            self.finish(*id, StepResult::Failed(failure));
        }
    }

    fn finish(&mut self, id: StepId, result: StepResult) {
        let now_s = self.events().now_s();
        match &result {
            StepResult::Done => {
                self.schedule.done(id);
                self.events().step(id, EventKind::Done);
            }
            StepResult::Failed(failure) => {
                self.events().step(id, EventKind::Failed { summary: failure.summary.clone() });
                for skipped in self.schedule.failed(id) {
                    self.events().step(skipped, EventKind::Skipped { because: id });
                    if let Some(report) = self.reports.get_mut(&skipped) {
                        report.result = StepResult::Skipped { because: id };
                    }
                }
            }
            // Not its own fault: what needs it just does not start either.
            StepResult::LeftRunning | StepResult::NotStarted | StepResult::Skipped { .. } => {
                self.schedule.failed(id);
            }
        }
        if let Some(report) = self.reports.get_mut(&id) {
            report.ended_s = Some(now_s);
            report.result = result;
        }
    }

    /// A step may still start: there is one, no interrupt, and its node's lock is held or may be again.
    fn may_go_on(&self) -> bool {
        self.run.interrupted() == Interrupt::None
            && stolen(&self.run).is_none()
            && self.schedule.unstarted().any(|id| {
                let node = self.reports.get(&id).map(|report| &report.node);
                node.and_then(|node| self.run.nodes.get(node)).is_some_and(|node| match node.lock_state() {
                    LockState::Held | LockState::Regaining => true,
                    LockState::Lost(_) | LockState::Stolen(_) => false,
                }) && !self.behind_a_lost_node(id)
            })
    }

    /// Needs, directly or not, a step that can't start because its node's lock is gone.
    fn behind_a_lost_node(&self, id: StepId) -> bool {
        let Some(Wait::Steps(needs)) = self.schedule.waits_for(id) else { return false };
        needs.iter().any(|need| {
            let node = self.reports.get(need).and_then(|report| self.run.nodes.get(&report.node));
            let gone = node.is_some_and(|node| matches!(node.lock_state(), LockState::Lost(_) | LockState::Stolen(_)));
            gone || self.behind_a_lost_node(*need)
        })
    }

    fn step(&self, id: StepId) -> Option<&Step> {
        self.plan.steps.iter().find(|step| step.id == id)
    }

    /// What a step waits for; nothing to tell when it is an earlier step of its own machine.
    fn describe(&self, id: StepId, wait: &Wait) -> Option<String> {
        let own = &self.step(id)?.subject;
        let name = |step: &Step| match &step.subject {
            Target::Template { .. } => format!("waits for template {}", step.vmid),
            Target::Machine { name, .. } => format!("waits for {name} ({})", step.action.verb()),
        };
        match wait {
            Wait::Steps(needs) => {
                let others = needs.iter().filter_map(|need| self.step(*need)).find(|step| step.subject != *own);
                others.map(name)
            }
            Wait::Vm(other) => self.step(*other).filter(|step| step.subject != *own).map(name),
            Wait::Storage(node, storage) => Some(format!("waits for {node}:{storage}")),
            Wait::Node(node) => Some(format!("waits for a slot on {node}")),
        }
    }
}

/// Failures that belong to no step: locks that are gone.
pub(super) fn lock_failures<R: Remote>(run: &Run<R>) -> Vec<Failure> {
    let lost = run.nodes.values().filter_map(|node| match node.lock_state() {
        LockState::Lost(failure) | LockState::Stolen(failure) => Some(*failure),
        LockState::Held | LockState::Regaining => None,
    });
    lost.collect()
}

fn stolen<R: Remote>(run: &Run<R>) -> Option<Failure> {
    run.nodes.values().find_map(|node| match node.lock_state() {
        LockState::Stolen(failure) => Some(*failure),
        LockState::Held | LockState::Regaining | LockState::Lost(_) => None,
    })
}

fn is_usable<R: Remote>(run: &Run<R>, node: &NodeName) -> bool {
    // A step on a node that we don't know starts and fails with a sentence.
    run.nodes.get(node).is_none_or(|node| matches!(node.lock_state(), LockState::Held))
}

/// Where the step's VM lives afterwards: a clone may have a target.
fn home<R: Remote>(run: &Run<R>, step: &Step) -> Option<NodeName> {
    let Action::Clone { target: Some(target), .. } = &step.action else { return None };
    node_of(run, &step.node, target)
}

fn node_of<R: Remote>(run: &Run<R>, beside: &NodeName, name: &PveName) -> Option<NodeName> {
    run.observed.realm_of(beside)?.members.get(name)?.node.clone()
}

fn not_started(step: &Step) -> StepReport {
    StepReport {
        started_s: None,
        ended_s: None,
        subject: step.subject.clone(),
        node: step.node.clone(),
        verb: step.action.verb().to_owned(),
        result: StepResult::NotStarted,
    }
}
