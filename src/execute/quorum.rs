//! Right before a master is taken out of service: the others must be able to do without it.
//!
//! The plan counts masters whose QEMU runs. Since then one may have failed; and when an earlier run was killed in the
//! middle of a rolling reboot, the master that it had just started is not in service yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::agent::{self, Ping};
use super::failure::{StepError, failure};
use super::interrupt::{Interrupt, reached};
use super::run::StepRun;
use crate::model::ids::{MachineName, NodeName, Role, Vmid};
use crate::model::mark::MarkSubject;
use crate::model::plan::Target;
use crate::remote::{AgentAsk, Remote};

/// Between looks at masters that are not up yet.
const LOOK: Duration = Duration::from_secs(5);

/// The other masters can do without this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spared {
    AtOnce,
    /// What was read of the VM before may have changed since.
    AfterWaiting,
}

impl<R: Remote> StepRun<R> {
    /// Waits until enough other masters are in service; a time-out leaves this one alone.
    pub(super) async fn spare_this_master(&self) -> Result<Spared, StepError> {
        let is_master = matches!(&self.step.subject, Target::Machine { role: Role::Master, .. });
        let wanted = self.run.desired.machines.iter().filter(|machine| machine.role == Role::Master).count();
        let needed = wanted / 2 + 1;
        // One or two masters can't spare any: that needed consent before anything began.
        if !is_master || needed >= wanted || self.run.may_break_quorum {
            return Ok(Spared::AtOnce);
        }
        let deadline = Instant::now() + Duration::from_secs(u64::from(self.run.desired.readiness.timeout_s));
        let mut spared = Spared::AtOnce;
        loop {
            let mut up = 0;
            for (node, vmid) in self.other_masters().values() {
                up += usize::from(self.is_in_service(node, *vmid).await);
            }
            if up >= needed {
                return Ok(spared);
            }
            if Instant::now() >= deadline {
                // One that is down takes nothing away; but one that is silent may be booting, and was given the time for it.
                if !self.is_in_service(&self.step.node, self.step.vmid).await {
                    return Ok(Spared::AtOnce);
                }
                let summary =
                    format!("{}: only {up} of the other masters are in service, {needed} must be", self.subject());
                let next = "see to the other masters (pvekube status), then run apply again";
                return Err(failure("quorum-at-risk", summary, next).into());
            }
            self.progress("waits for the other masters", None);
            tokio::select! {
                biased;
                () = sleep(LOOK) => {}
                () = reached(&self.run.interrupt, Interrupt::Finish) => return Err(StepError::NotStarted),
            }
            spared = Spared::AfterWaiting;
        }
    }

    /// Our cluster's other masters, each where it was when the plan was made, or where this run has made it (anew) since.
    fn other_masters(&self) -> BTreeMap<MachineName, (NodeName, Vmid)> {
        let mut masters = BTreeMap::new();
        for (_, realm, vm, mark) in self.run.observed.managed(&self.run.cluster) {
            let MarkSubject::Machine(id) = mark.subject else { continue };
            let node = realm.members.get(&vm.node).and_then(|member| member.node.clone());
            if let (Role::Master, Some(node)) = (id.pool.role(), node) {
                masters.insert(id.name(&self.run.cluster), (node, vm.vmid));
            }
        }
        let wanted = self.run.desired.machines.iter().filter(|machine| machine.role == Role::Master);
        let wanted: BTreeSet<&MachineName> = wanted.map(|machine| &machine.name).collect();
        for made in self.run.machine_reports().into_iter().filter(|report| wanted.contains(&report.name)) {
            masters.insert(made.name, (made.node, made.vmid));
        }
        masters.retain(|name, _| name.as_str() != self.name());
        masters
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
