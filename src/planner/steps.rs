//! The graph of steps that apply executes: a growing list in which `needs` point backwards only.

use crate::model::ids::{NodeName, StorageName, Vmid};
use crate::model::plan::{Action, Step, StepId, Target};

/// Seconds a step takes, for ordering by the longest path; measured on slow two-core nodes (observed §9, §11), rounded.
/// `qm` alone is 0.8–1.2 s of Perl.
pub(crate) mod estimate {
    /// 600 MB of cloud image at some 10 MB/s, and its checksum.
    pub(crate) const FETCH: u32 = 60;
    pub(crate) const CREATE: u32 = 2;
    /// 1.5 GiB took 2.9 s; real images unpack to 2–4 GiB.
    pub(crate) const IMPORT: u32 = 8;
    pub(crate) const SET: u32 = 2;
    pub(crate) const RESIZE: u32 = 2;
    /// A boot with packages from the network; under KVM one to two minutes.
    pub(crate) const BAKE: u32 = 100;
    pub(crate) const CONVERT: u32 = 2;
    pub(crate) const REMOVE: u32 = 1;
    /// A full clone reads the whole disk: 1.5 GiB took 2.5 s.
    pub(crate) const CLONE: u32 = 2;
    pub(crate) const CLONE_PER_GIB: u32 = 2;
    pub(crate) const START: u32 = 3;
    /// Boot, first run of cloud-init, login.
    pub(crate) const READY: u32 = 45;
    pub(crate) const SHUTDOWN: u32 = 10;
    pub(crate) const DESTROY: u32 = 2;
    /// What an earlier run's operation still needs; nobody knows.
    pub(crate) const ATTACH: u32 = 30;
}

/// How long a guest may take to shut down before it is switched off: PVE's own default for a guest (observed §3).
pub(crate) const SHUTDOWN_TIMEOUT_S: u32 = 180;

#[derive(Debug, Default)]
pub(crate) struct Graph {
    steps: Vec<Step>,
}

/// Where and for whom a chain of steps runs.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) node: NodeName,
    pub(crate) subject: Target,
    pub(crate) vmid: Vmid,
    pub(crate) disruption: Option<u32>,
}

impl Graph {
    pub(crate) fn add(&mut self, lane: &Lane, action: Action, needs: &[StepId], estimate_s: u32) -> StepId {
        let id = StepId(u32::try_from(self.steps.len()).unwrap_or(u32::MAX).saturating_add(1));
        let mut needs = needs.to_vec();
        needs.sort_unstable();
        needs.dedup();
        let storage = takes_storage(&action).cloned();
        let step = Step {
            id,
            needs,
            node: lane.node.clone(),
            subject: lane.subject.clone(),
            vmid: lane.vmid,
            action,
            storage,
            estimate_s,
            disruption: lane.disruption,
        };
        self.steps.push(step);
        id
    }

    pub(crate) fn finish(self) -> Vec<Step> {
        self.steps
    }
}

/// Copies whole disks: takes a slot of its (node, storage) limit.
fn takes_storage(action: &Action) -> Option<&StorageName> {
    match action {
        Action::ImportDisk { storage, .. } | Action::Clone { storage, .. } => Some(storage),
        Action::FetchImage { .. }
        | Action::CreateTemplate { .. }
        | Action::Set { .. }
        | Action::Resize { .. }
        | Action::Bake(_)
        | Action::ConvertTemplate { .. }
        | Action::RemoveImage { .. }
        | Action::Start { .. }
        | Action::Shutdown { .. }
        | Action::Destroy { .. }
        | Action::Ready(_)
        | Action::Attach { .. } => None,
    }
}
