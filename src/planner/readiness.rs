//! A plan that only waits: for machines that are as the manifest asks and not ready yet, as an apply that timed out leaves them.

use std::collections::BTreeSet;

use super::PlanOptions;
use super::machine_steps::{ready, target};
use super::steps::{Graph, Lane, estimate};
use super::survey::Survey;
use crate::model::desired::Desired;
use crate::model::ids::MachineName;
use crate::model::observed::Observed;
use crate::model::plan::{Action, Plan};

/// A readiness step for each of these machines that exists; no change.
#[must_use]
pub fn readiness(desired: &Desired, observed: &Observed, names: &BTreeSet<MachineName>) -> Plan {
    let options = PlanOptions::default();
    let survey = Survey::new(desired, observed, &options);
    let mut graph = Graph::default();
    for (id, machine) in survey.wanted.iter().filter(|(_, machine)| names.contains(&machine.name)) {
        let Some([found]) = survey.ours.get(id).map(Vec::as_slice) else { continue };
        let Some(node) = found.node else { continue };
        let lane = Lane { node: node.clone(), subject: target(&survey, id), vmid: found.vmid(), disruption: None };
        graph.add(&lane, Action::Ready(ready(&survey, machine, &found.mark)), &[], estimate::READY);
    }
    Plan {
        cluster: desired.cluster.clone(),
        changes: Vec::new(),
        checks: Vec::new(),
        hazards: Vec::new(),
        notes: Vec::new(),
        steps: graph.finish(),
        nodes: Vec::new(),
        unchanged: names.iter().cloned().collect(),
        strategy: desired.placement,
    }
}
