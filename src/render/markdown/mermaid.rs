//! Pictures of where machines go, and in which order things happen.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::NodeName;
use crate::model::plan::{Change, ChangeAction, Plan, Step, Target};
use crate::render::steps::{same_resource, step_text, subject_text};

/// GitHub draws no more edges than this, and nobody reads more boxes.
const MOST_STEPS: usize = 40;
const MOST_BOXES: usize = 80;

/// A box for each node, with what comes, changes and goes.
pub(super) fn placement(plan: &Plan) -> Option<String> {
    let changes: Vec<&Change> = plan.changes.iter().filter(|change| change.action != ChangeAction::None).collect();
    if changes.is_empty() || changes.len() > MOST_BOXES {
        return None;
    }
    let mut by_node: BTreeMap<&NodeName, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        by_node.entry(&change.node).or_default().push(change);
    }
    let mut out = "flowchart TB\n".to_owned();
    let mut number = 0;
    for (index, (node, changes)) in by_node.iter().enumerate() {
        let vms = plan.nodes.iter().find(|used| used.node == **node).map(|used| used.vms);
        let title = vms.map_or_else(
            || node.to_string(),
            |(before, after)| match before == after {
                true => format!("{node}: {after} VMs"),
                false => format!("{node}: {before} → {after} VMs"),
            },
        );
        out.push_str(&format!("  subgraph n{index} [\"{}\"]\n", label(&title)));
        for change in changes {
            let text = format!("{} {} ({})", symbol(change.action), name(&change.target), change.vmid);
            out.push_str(&format!("    c{number}[\"{}\"]:::{}\n", label(&text), class(change.action)));
            number += 1;
        }
        out.push_str("  end\n");
    }
    out.push_str(CLASSES);
    Some(out)
}

const CLASSES: &str =
    "  classDef add stroke:#1a7f37\n  classDef change stroke:#9a6700\n  classDef destroy stroke:#cf222e\n";

/// Every step and what it needs; where those are many, every machine and template.
pub(super) fn steps(plan: &Plan) -> Option<String> {
    if plan.steps.is_empty() {
        return None;
    }
    if plan.steps.len() <= MOST_STEPS { Some(each_step(plan)) } else { each_resource(plan) }
}

fn each_step(plan: &Plan) -> String {
    let mut out = "flowchart LR\n".to_owned();
    for step in &plan.steps {
        let text = format!("{}: {}", subject_text(&step.subject, step.vmid), step_text(step));
        out.push_str(&format!("  s{}[\"{}\"]\n", step.id, label(&text)));
    }
    for step in &plan.steps {
        for need in &step.needs {
            out.push_str(&format!("  s{need} --> s{}\n", step.id));
        }
    }
    out
}

fn each_resource(plan: &Plan) -> Option<String> {
    let mut resources: Vec<&Step> = Vec::new();
    let mut of_step = BTreeMap::new();
    for step in &plan.steps {
        let own = (&step.subject, &step.node);
        let known = resources.iter().position(|first| same_resource(own, (&first.subject, &first.node)));
        let index = known.unwrap_or_else(|| {
            resources.push(step);
            resources.len() - 1
        });
        of_step.insert(step.id, index);
    }
    if resources.len() > MOST_BOXES {
        return None;
    }
    let mut edges = BTreeSet::new();
    for step in &plan.steps {
        for need in &step.needs {
            if let (Some(from), Some(to)) = (of_step.get(need), of_step.get(&step.id))
                && from != to
            {
                edges.insert((*from, *to));
            }
        }
    }
    let mut out = "flowchart LR\n".to_owned();
    for (index, step) in resources.iter().enumerate() {
        let text = format!("{} on {}", subject_text(&step.subject, step.vmid), step.node);
        out.push_str(&format!("  r{index}[\"{}\"]\n", label(&text)));
    }
    out.extend(edges.iter().map(|(from, to)| format!("  r{from} --> r{to}\n")));
    Some(out)
}

/// Letters, digits and harmless signs; everything else by its number, which Mermaid turns back.
fn label(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " .-_:,+~→()/".contains(c);
    text.chars().map(|c| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) }).collect()
}

fn name(target: &Target) -> &str {
    match target {
        Target::Template { name } => name,
        Target::Machine { name, .. } => name.as_str(),
    }
}

fn symbol(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Create => "+",
        ChangeAction::Update | ChangeAction::Resume | ChangeAction::None => "~",
        ChangeAction::Replace => "-/+",
        ChangeAction::Delete => "-",
    }
}

fn class(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Create => "add",
        ChangeAction::Update | ChangeAction::Resume | ChangeAction::None => "change",
        ChangeAction::Replace | ChangeAction::Delete => "destroy",
    }
}
