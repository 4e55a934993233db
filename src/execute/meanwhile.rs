//! Between the plan's look and our locks another run may have made machines. Each is marked for what it is, but may have got
//! another id than the plan gives it here: so before the first clone all nodes are looked at once more, under the locks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::failure::{StepError, failure};
use super::run::{Run, StepRun};
use crate::model::ids::{ClusterName, MachineId, PveName, Vmid};
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::{NodeState, Observed, OperationSeen, Upstream, Vm};
use crate::pve::report;
use crate::remote::{ObserveAsk, Remote};

/// Machines that came since the plan was made.
pub(super) type Made = BTreeMap<MachineId, (PveName, Vmid)>;

const NEXT: &str = "run apply again: it plans with what is there now";

impl<R: Remote> StepRun<R> {
    /// Refuses to make a machine a second time.
    pub(super) async fn not_made_meanwhile(&self, mark: &Mark) -> Result<(), StepError> {
        let MarkSubject::Machine(id) = &mark.subject else { return Ok(()) };
        let made = self.run.made_meanwhile.get_or_try_init(|| self.made_meanwhile()).await?;
        match made.get(id) {
            Some((node, vmid)) if *vmid != self.step.vmid => {
                let summary =
                    format!("{}: since the plan was made it came to be as VM {vmid} on {node}", self.subject());
                Err(failure("made-meanwhile", summary, NEXT).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Waits for clones that a run before us left behind and the plan does not know: only then their marks can be read.
    async fn made_meanwhile(&self) -> Result<Made, StepError> {
        let (cluster, planned) = (&self.run.cluster, &self.run.observed);
        let since = Instant::now();
        let mut attempt = 0;
        loop {
            let now = self.run.look_again().await?;
            let Some(vmid) = faceless(&now, cluster).difference(&faceless(planned, cluster)).next().copied() else {
                let known: BTreeSet<(MachineId, Vmid)> =
                    machines(planned, cluster).map(|(id, _, vmid)| (id, vmid)).collect();
                let came = machines(&now, cluster).filter(|(id, _, vmid)| !known.contains(&(id.clone(), *vmid)));
                return Ok(came.map(|(id, node, vmid)| (id, (node, vmid))).collect());
            };
            self.progress(format!("waits for VM {vmid}, which another run may be cloning"), None);
            if !self.pause(attempt, since).await {
                let summary =
                    format!("{}: VM {vmid} came since the plan was made, and may be this machine", self.subject());
                return Err(failure("made-meanwhile", summary, NEXT).into());
            }
            attempt += 1;
        }
    }
}

impl<R: Remote> Run<R> {
    /// What there is now, on the nodes that the plan knows.
    async fn look_again(&self) -> Result<Observed, StepError> {
        let ask =
            ObserveAsk { nonce: self.random.hex(16), cluster: Some(self.cluster.clone()), ..ObserveAsk::default() };
        let mut looks = JoinSet::new();
        for node in self.nodes.values() {
            let (node, ask) = (Arc::clone(node), ask.clone());
            looks.spawn(async move { (node.name().clone(), node.report(&ask).await) });
        }
        let mut answers = BTreeMap::new();
        while let Some(ended) = looks.join_next().await {
            let (name, report) =
                ended.map_err(|panic| failure("internal", panic.to_string(), "report this; run apply again"))?;
            answers.insert(name, Ok(report?));
        }
        let upstream = Upstream::Unknown { reason: String::new() };
        Ok(report::assemble(&self.desired.nodes, answers, upstream, self.observed.taken_at))
    }
}

fn machines<'a>(
    observed: &'a Observed,
    cluster: &'a ClusterName,
) -> impl Iterator<Item = (MachineId, PveName, Vmid)> + 'a {
    observed.managed(cluster).filter_map(|(_, _, vm, mark)| match mark.subject {
        MarkSubject::Machine(id) => Some((id, vm.node.clone(), vm.vmid)),
        MarkSubject::Template => None,
    })
}

/// Ids of which nobody can tell whose they are yet: what is there is only a clone's lock or can't be read, or a clone of ours
/// has just begun.
fn faceless(observed: &Observed, cluster: &ClusterName) -> BTreeSet<Vmid> {
    let is_faceless = |vm: &Vm| vm.config.as_ref().is_none_or(|config| config.only_lock() == Some("clone"));
    let vms = observed.vms().filter(|(_, _, vm)| is_faceless(vm)).map(|(_, _, vm)| vm.vmid);
    let clones =
        |operation: &&OperationSeen| operation.live && operation.verb == "clone" && operation.cluster == *cluster;
    let answered = observed.nodes.values().filter_map(|state| match state {
        NodeState::Answered(facts) => Some(facts),
        NodeState::Silent(_) => None,
    });
    vms.chain(answered.flat_map(|facts| facts.operations.iter().filter(clones).map(|operation| operation.vmid)))
        .collect()
}
