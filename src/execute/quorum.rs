//! Right before a master is taken out of service: the others must be able to do without it.
//!
//! The plan counts masters whose QEMU runs. Since then one may have failed; and when an earlier run was killed in the
//! middle of a rolling reboot, the master that it had just started is not in service yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::agent::{self, Ping};
use super::failure::{StepError, failure};
use super::run::StepRun;
use crate::model::ids::{NodeName, Role, Vmid};
use crate::model::mark::MarkSubject;
use crate::model::observed::Observed;
use crate::model::plan::Target;
use crate::remote::{AgentAsk, Remote};

/// Between looks at masters that are not up yet.
const LOOK: Duration = Duration::from_secs(5);

impl<R: Remote> StepRun<R> {
    /// Waits until enough other masters are in service; a time-out leaves this one alone.
    pub(super) async fn spare_this_master(&self) -> Result<(), StepError> {
        let is_master = matches!(&self.step.subject, Target::Machine { role: Role::Master, .. });
        let wanted = self.run.desired.machines.iter().filter(|machine| machine.role == Role::Master).count();
        let needed = wanted / 2 + 1;
        // One or two masters can't spare any: that needed consent before anything began.
        if !is_master || needed >= wanted || self.run.may_break_quorum {
            return Ok(());
        }
        let others = self.other_masters(&self.run.observed);
        let deadline = Instant::now() + Duration::from_secs(u64::from(self.run.desired.readiness.timeout_s));
        loop {
            let mut up = 0;
            for (node, vmid) in &others {
                up += usize::from(self.is_in_service(node, *vmid).await);
            }
            // One that is down already takes nothing away.
            if up >= needed || !self.is_in_service(&self.step.node, self.step.vmid).await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let summary =
                    format!("{}: only {up} of the other masters are in service, {needed} must be", self.subject());
                let next = "see to the other masters (pvekube status), then run apply again";
                return Err(failure("quorum-at-risk", summary, next).into());
            }
            self.progress("waits for the other masters", None);
            sleep(LOOK).await;
        }
    }

    /// Our cluster's other masters, each with the configured node that it is on.
    fn other_masters(&self, observed: &Observed) -> Vec<(NodeName, Vmid)> {
        let own = observed.facts(&self.step.node).map(|facts| &facts.realm);
        let mut others = Vec::new();
        for (realm_id, realm, vm, mark) in observed.managed(&self.run.cluster) {
            let MarkSubject::Machine(id) = mark.subject else { continue };
            let itself = Some(realm_id) == own && vm.vmid == self.step.vmid;
            let node = realm.members.get(&vm.node).and_then(|member| member.node.clone());
            if let (Role::Master, false, Some(node)) = (id.pool.role(), itself, node) {
                others.push((node, vm.vmid));
            }
        }
        others
    }

    /// Its agent answers; a guest without one counts as soon as QEMU runs, as nothing more can be told.
    async fn is_in_service(&self, node: &NodeName, vmid: Vmid) -> bool {
        let Some(node) = self.run.nodes.get(node) else { return false };
        match node.follower.agent(vmid, AgentAsk::Ping).await {
            Some(Ok(answer)) => matches!(agent::ping(&answer), Ping::Answers | Ping::NotConfigured),
            Some(Err(_)) | None => false,
        }
    }
}
