//! What a test reads in a plan: lines, names, verbs.

use pvekube::model::plan::*;

/// One line a change: `create k8s-worker-1 pve1 101`.
pub fn lines(plan: &Plan) -> Vec<String> {
    let line = |change: &Change| {
        let name = match &change.target {
            Target::Template { name } => name.clone(),
            Target::Machine { name, .. } => name.to_string(),
        };
        format!("{:?} {name} {} {}", change.action, change.node, change.vmid).to_lowercase()
    };
    plan.changes.iter().map(line).collect()
}

/// `4 clone k8s-worker-1 pve1 101 after 3`, one line a step.
pub fn step_lines(plan: &Plan) -> Vec<String> {
    let line = |step: &Step| {
        let name = match &step.subject {
            Target::Template { .. } => "template".to_owned(),
            Target::Machine { name, .. } => name.to_string(),
        };
        let needs: Vec<String> = step.needs.iter().map(ToString::to_string).collect();
        let after = if needs.is_empty() { String::new() } else { format!(" after {}", needs.join(",")) };
        format!("{} {} {name} {} {}{after}", step.id, step.action.verb(), step.node, step.vmid)
    };
    plan.steps.iter().map(line).collect()
}

pub fn failed(plan: &Plan) -> Vec<&str> {
    plan.refusals().map(|check| check.id.as_str()).collect()
}

pub fn notes<'p>(plan: &'p Plan, id: &str) -> Vec<&'p str> {
    plan.notes.iter().filter(|note| note.id == id).map(|note| note.text.as_str()).collect()
}

pub fn change<'p>(plan: &'p Plan, machine: &str) -> &'p Change {
    let is = |change: &&Change| matches!(&change.target, Target::Machine { name, .. } if name.as_str() == machine);
    plan.changes.iter().find(is).unwrap_or_else(|| panic!("no change of {machine}: {:?}", lines(plan)))
}

pub fn steps_of<'p>(plan: &'p Plan, machine: &str) -> Vec<&'p Step> {
    let is = |step: &&Step| matches!(&step.subject, Target::Machine { name, .. } if name.as_str() == machine);
    plan.steps.iter().filter(is).collect()
}

pub fn verbs(plan: &Plan, machine: &str) -> Vec<&'static str> {
    steps_of(plan, machine).iter().map(|step| step.action.verb()).collect()
}
