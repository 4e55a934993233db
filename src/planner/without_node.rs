//! `plan --without-node NAME`: what would go where if a node were gone, and whether the control plane keeps quorum.

use serde::Serialize;

use crate::model::desired::Desired;
use crate::model::ids::{MachineName, NodeName, Role};
use crate::model::observed::{Observed, Power};

use super::hazards::list;

/// What a node's loss takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeLoss {
    pub node: NodeName,
    /// Machines of the manifest that are on it, as far as is known.
    pub machines: Vec<MachineName>,
    /// Masters that exist on all nodes, of them those that run elsewhere, and what quorum of them is.
    pub masters: usize,
    pub masters_left: usize,
    pub quorum: usize,
}

impl NodeLoss {
    pub fn quorum_kept(&self) -> bool {
        self.masters == 0 || self.masters_left >= self.quorum
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        let Self { node, machines, masters, masters_left, quorum } = self;
        let lost = match machines.as_slice() {
            [] => format!("{node} has no machines that are known"),
            [one] => format!("{node} takes {one} with it"),
            several => format!("{node} takes {} machines with it: {}", several.len(), list(several)),
        };
        if *masters == 0 {
            return lost;
        }
        let verdict = if self.quorum_kept() { "is kept" } else { "is lost" };
        format!("{lost}; {masters_left} of {masters} masters run on, so quorum ({quorum}) {verdict}")
    }
}

/// What the loss of a node means for what exists now. The plan without it comes from `PlanOptions::without_node`.
#[must_use]
pub fn node_loss(desired: &Desired, observed: &Observed, node: &NodeName) -> NodeLoss {
    let mut loss = NodeLoss { node: node.clone(), machines: Vec::new(), masters: 0, masters_left: 0, quorum: 0 };
    let wanted = |id: &crate::model::ids::MachineId| desired.machines.iter().find(|machine| machine.id == *id);
    for (_, realm, vm, mark) in observed.managed(&desired.cluster) {
        let crate::model::mark::MarkSubject::Machine(id) = mark.subject else { continue };
        let there = realm.members.get(&vm.node).and_then(|member| member.node.as_ref()) == Some(node);
        if there && let Some(machine) = wanted(&id) {
            loss.machines.push(machine.name.clone());
        }
        if id.pool.role() == Role::Master {
            loss.masters += 1;
            loss.masters_left += usize::from(!there && vm.power == Power::Running);
        }
    }
    loss.machines.sort();
    loss.quorum = loss.masters / 2 + 1;
    loss
}
