//! Right before a master is taken out of service: the others must be able to do without it.
//!
//! The plan counts masters whose QEMU runs. Since then one may have failed; and when an earlier run was killed in the
//! middle of a rolling reboot, the master that it had just started is not in service yet.
//!
//! Every master that existed when the plan was made is a member of etcd, also one that the manifest no longer lists: only
//! `etcdctl member remove` makes fewer of them, and that is not ours to run. One that this run adds is none yet.

use std::collections::BTreeMap;
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
        let members = self.masters();
        let needed = members.len() / 2 + 1;
        // One or two masters can't spare any: that needed consent before anything began.
        if !is_master || needed >= members.len() || self.run.may_break_quorum {
            return Ok(Spared::AtOnce);
        }
        let deadline = Instant::now() + Duration::from_secs(u64::from(self.run.desired.readiness.timeout_s));
        let mut spared = Spared::AtOnce;
        loop {
            let mut up = 0;
            // Where this run has made one anew it is somewhere else by now.
            for (name, (node, vmid)) in self.masters() {
                up += usize::from(name.as_str() != self.name() && self.is_in_service(&node, vmid).await);
            }
            if up >= needed {
                return Ok(spared);
            }
            if Instant::now() >= deadline {
                // One that is down takes nothing away; but one that is silent may be booting, and was given the time for it.
                if !self.is_in_service(&self.step.node, self.step.vmid).await {
                    return Ok(Spared::AtOnce);
                }
                let (all, subject) = (members.len(), self.subject());
                let summary =
                    format!("{subject}: only {up} of the other masters are in service, {needed} of the {all} must be");
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

    /// Our cluster's masters as the plan saw them, each where it was then, or where this run has made it anew since.
    fn masters(&self) -> BTreeMap<MachineName, (NodeName, Vmid)> {
        let mut masters = BTreeMap::new();
        for (_, realm, vm, mark) in self.run.observed.managed(&self.run.cluster) {
            let MarkSubject::Machine(id) = mark.subject else { continue };
            let node = realm.members.get(&vm.node).and_then(|member| member.node.clone());
            if let (Role::Master, Some(node)) = (id.pool.role(), node) {
                masters.insert(id.name(&self.run.cluster), (node, vm.vmid));
            }
        }
        for made in self.run.machine_reports() {
            if let Some(place) = masters.get_mut(&made.name) {
                *place = (made.node, made.vmid);
            }
        }
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
