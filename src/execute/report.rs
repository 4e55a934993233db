//! What came of an apply.

use std::collections::BTreeMap;

use super::drive::lock_failures;
use super::events::Events;
use super::interrupt::Interrupt;
use super::run::Run;
use crate::model::outcome::{Failure, MachineReport, Outcome, StepReport, StepResult};
use crate::model::plan::{ChangeAction, Plan, Step, StepId, Target};
use crate::remote::Remote;

pub(super) fn outcome<R: Remote>(plan: &Plan, run: &Run<R>, steps: BTreeMap<StepId, StepReport>) -> Outcome {
    Outcome {
        critical_path_s: critical_path_s(&plan.steps, &steps),
        machines: run.machine_reports().into_iter().filter(|report| !is_deleted(plan, report)).collect(),
        elapsed_s: run.events.now_s(),
        interrupted: run.interrupted() > Interrupt::None,
        failures: lock_failures(run),
        steps,
    }
}

/// A machine that the plan only takes away has no readiness to report.
fn is_deleted(plan: &Plan, report: &MachineReport) -> bool {
    plan.changes.iter().any(|change| {
        change.action == ChangeAction::Delete
            && change.vmid == report.vmid
            && matches!(&change.target, Target::Machine { name, .. } if *name == report.name)
    })
}

/// Nothing was begun.
pub(super) fn refused(plan: &Plan, failure: Failure, events: &Events) -> Outcome {
    Outcome { failures: vec![failure], ..nothing_begun(plan, events) }
}

pub(super) fn interrupted(plan: &Plan, events: &Events) -> Outcome {
    Outcome { interrupted: true, ..nothing_begun(plan, events) }
}

fn nothing_begun(plan: &Plan, events: &Events) -> Outcome {
    let report = |step: &Step| StepReport {
        started_s: None,
        ended_s: None,
        subject: step.subject.clone(),
        node: step.node.clone(),
        verb: step.action.verb().to_owned(),
        result: StepResult::NotStarted,
    };
    let steps = plan.steps.iter().map(|step| (step.id, report(step))).collect();
    Outcome { steps, elapsed_s: events.now_s(), ..Outcome::default() }
}

/// The longest chain of steps by the times they took; steps come in a topological order.
fn critical_path_s(steps: &[Step], reports: &BTreeMap<StepId, StepReport>) -> f64 {
    let mut until: BTreeMap<StepId, f64> = BTreeMap::new();
    for step in steps {
        let before = step.needs.iter().filter_map(|need| until.get(need)).copied().fold(0.0, f64::max);
        let took = reports.get(&step.id).and_then(|report| Some(report.ended_s? - report.started_s?)).unwrap_or(0.0);
        until.insert(step.id, before + took);
    }
    until.into_values().fold(0.0, f64::max)
}
