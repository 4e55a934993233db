//! A plan as JSON, in OpenTofu's shape, so that policies and tools for its plans read ours.

mod document;
mod resource;

pub use document::*;

use super::digest::plan_digest;
use super::line::printable_json;
use super::steps::{address, step_text};
use super::text::{PlanView, summary_line};
use crate::model::desired::{Place, Strategy};
use crate::model::plan::{Check, Hazard, NodeUse, Note, Plan, Step, Verdict};

/// Version of the document's shape.
pub const FORMAT_VERSION: &str = "1.0";

/// Pretty-printed, ending in a newline.
pub fn plan_json(view: &PlanView<'_>) -> String {
    pretty(&document(view))
}

/// The JSON Schema of [`PlanDocument`] (draft 2020-12), as `docs/plan.schema.json` has it.
pub fn plan_schema() -> String {
    pretty(&schemars::schema_for!(PlanDocument))
}

pub(crate) fn pretty(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("maps with text keys and finite numbers always serialize");
    printable_json(&text) + "\n"
}

pub fn document(view: &PlanView<'_>) -> PlanDocument {
    let plan = view.plan;
    let errored = plan.refusals().next().is_some();
    PlanDocument {
        format_version: FORMAT_VERSION.to_owned(),
        pvekube_version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: plan.cluster.to_string(),
        plan_digest: plan_digest(plan),
        applyable: plan.has_changes()
            && !errored
            && plan.unaccepted().next().is_none()
            && view.observation_age_s.is_none(),
        complete: plan.checks.iter().all(|check| check.verdict != Verdict::Unknown),
        errored,
        sandbox: view.sandbox,
        observation_age_seconds: view.observation_age_s,
        summary: summary(plan),
        resource_changes: plan.changes.iter().map(|change| resource::resource(plan, change)).collect(),
        unchanged: plan.unchanged.iter().map(|name| format!("pvekube_machine.{name}")).collect(),
        placement: placement(plan),
        checks: plan.checks.iter().map(check_out).collect(),
        hazards: plan.hazards.iter().map(hazard).collect(),
        notes: plan.notes.iter().map(note).collect(),
        steps: plan.steps.iter().map(step).collect(),
    }
}

fn summary(plan: &Plan) -> SummaryOut {
    let counts = plan.summary();
    SummaryOut {
        add: counts.machines.add,
        change: counts.machines.change,
        destroy: counts.machines.destroy,
        templates: CountOut {
            add: counts.templates.add,
            change: counts.templates.change,
            destroy: counts.templates.destroy,
        },
        text: summary_line(plan),
    }
}

fn placement(plan: &Plan) -> Placement {
    let strategy = match plan.strategy {
        Strategy::VmCount => "vm_count",
        Strategy::Memory => "memory",
        Strategy::Pack => "pack",
    };
    let resources = plan.changes.iter().map(|change| {
        let placed = PlacedOut { node: change.node.to_string(), vmid: change.vmid.0, why: change.why_node.clone() };
        (address(&change.target, change.node.as_str()), placed)
    });
    Placement {
        strategy: strategy.to_owned(),
        nodes: plan.nodes.iter().map(node).collect(),
        resources: resources.collect(),
    }
}

fn node(node: &NodeUse) -> NodeOut {
    let used = |(before, after): (u64, u64), total| Use { before, after, total };
    NodeOut {
        node: node.node.to_string(),
        known: node.known,
        vms: BeforeAfter { before: node.vms.0, after: node.vms.1 },
        memory_bytes: used(node.memory_bytes, node.memory_total_bytes),
        storage: node.storage.to_string(),
        storage_bytes: used(node.storage_bytes, node.storage_total_bytes),
    }
}

fn place(place: &Place) -> PlaceOut {
    PlaceOut { file: place.file.clone(), line: place.line, column: place.column }
}

pub(crate) fn check_out(check: &Check) -> CheckOut {
    CheckOut {
        id: check.id.clone(),
        verdict: match check.verdict {
            Verdict::Failed => VerdictOut::Failed,
            Verdict::Warning => VerdictOut::Warning,
            Verdict::Unknown => VerdictOut::Unknown,
            Verdict::Passed => VerdictOut::Passed,
        },
        about: check.about.clone(),
        message: check.message.clone(),
        hint: check.hint.clone(),
        place: check.place.as_ref().map(place),
    }
}

fn hazard(hazard: &Hazard) -> HazardOut {
    HazardOut {
        kind: hazard.kind.flag().to_owned(),
        message: hazard.message.clone(),
        machines: hazard.machines.iter().map(ToString::to_string).collect(),
        accepted: hazard.accepted,
    }
}

fn note(note: &Note) -> NoteOut {
    NoteOut { id: note.id.clone(), text: note.text.clone(), machine: note.machine.as_ref().map(ToString::to_string) }
}

fn step(step: &Step) -> StepOut {
    StepOut {
        id: step.id.0,
        needs: step.needs.iter().map(|id| id.0).collect(),
        node: step.node.to_string(),
        address: address(&step.subject, step.node.as_str()),
        vmid: step.vmid.0,
        action: step.action.verb().to_owned(),
        text: step_text(step),
        estimate_seconds: step.estimate_s,
        disruption: step.disruption,
    }
}
