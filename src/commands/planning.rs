//! The planning flags as the planner's options; their names are checked before any node is contacted.

use std::collections::BTreeSet;

use super::Stop;
use crate::cli::Planning;
use crate::error::Fault;
use crate::model::desired::Desired;
use crate::model::ids::{MachineName, NodeName};
use crate::planner::PlanOptions;

/// # Errors
/// Every name that neither file knows, at once.
pub fn options(planning: &Planning, desired: &Desired) -> Result<PlanOptions, Stop> {
    let mut faults = Vec::new();
    let mut names = |flag: &str, given: &[String]| -> BTreeSet<MachineName> {
        for name in given {
            // With --prune the name may be of a machine that the manifest no longer lists.
            let may_be_gone = flag == "--only" && planning.prune;
            if !may_be_gone && !desired.machines.iter().any(|machine| machine.name.as_str() == name) {
                faults.push(unknown_machine(flag, name, desired));
            }
        }
        given.iter().map(MachineName::new).collect()
    };
    let (only, replace) = (names("--only", &planning.only), names("--replace", &planning.replace));
    let without_node = planning.without_node.as_deref().map(NodeName::new);
    if let Some(node) = &without_node
        && !desired.nodes.iter().any(|target| target.name == *node)
    {
        let known = desired.nodes.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ");
        faults.push(Fault::new(
            "unknown-node",
            format!("--without-node: the config has no node `{node}`"),
            format!("name one of: {known}"),
        ));
    }
    if let Some(outside) = replace.iter().find(|name| !only.is_empty() && !only.contains(*name)) {
        faults.push(Fault::new(
            "plan-flags",
            format!("--replace names {outside}, which --only leaves out"),
            "name it in --only too, or leave --only away",
        ));
    }
    if !faults.is_empty() {
        return Err(Stop::Faults(faults));
    }
    Ok(PlanOptions {
        prune: planning.prune,
        only,
        replace,
        replace_outdated: planning.replace_outdated,
        without_node,
        accept: planning.accept.iter().copied().collect(),
        ..PlanOptions::default()
    })
}

/// A name on the command line that the manifest doesn't have.
pub fn unknown_machine(flag: &str, name: &str, desired: &Desired) -> Fault {
    let known: Vec<&str> = desired.machines.iter().map(|machine| machine.name.as_str()).collect();
    let next = match known.as_slice() {
        [] => "the manifest asks for no machine".to_owned(),
        [first, .., last] if known.len() > 8 => format!("the manifest has {} machines, {first} to {last}", known.len()),
        few => format!("name one of: {}", few.join(", ")),
    };
    Fault::new("unknown-machine", format!("{flag}: the manifest has no machine `{name}`"), next)
}
