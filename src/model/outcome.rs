//! What an apply tells while it runs (`Event`) and what came of it (`Outcome`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ids::{MachineName, NodeName, Vmid};
use super::plan::{StepId, Target};

/// Sent by the executor; drawn by `ui`. Times are seconds since apply began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at_s: f64,
    pub step: Option<StepId>,
    pub what: EventKind,
}

/// What a readiness step says last where nobody waits (`--no-wait`): it is done, and the machine is not ready.
pub const NOT_WAITED: &str = "started; not waited for";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Started,
    /// A step's own words: `cloning, 1.6 of 3.0 GiB`, `booting: agent not up yet`. Percent beside them where it has one (0–100).
    Progress {
        text: String,
        percent: Option<f32>,
    },
    /// Not started yet, and why: `waits for template 9001`, `waits for pve1:local-lvm`.
    Waiting {
        on: String,
    },
    Done,
    Failed {
        summary: String,
    },
    Skipped {
        because: StepId,
    },
    /// Something of an earlier run was found: `clone still running, attaching`.
    Found {
        text: String,
    },
    /// About the whole run: lock waited for, connection lost and regained, interrupt received.
    Notice {
        text: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub steps: BTreeMap<StepId, StepReport>,
    pub machines: Vec<MachineReport>,
    pub elapsed_s: f64,
    /// The longest chain of steps as it ran.
    pub critical_path_s: f64,
    pub interrupted: bool,
    /// Failures that belong to no step: lock lost, node gone.
    pub failures: Vec<Failure>,
}

impl Outcome {
    pub fn is_success(&self) -> bool {
        !self.interrupted && self.failures.is_empty() && self.steps.values().all(|step| step.result == StepResult::Done)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    pub started_s: Option<f64>,
    pub ended_s: Option<f64>,
    pub subject: Target,
    pub node: NodeName,
    pub verb: String,
    pub result: StepResult,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    Done,
    Failed(Failure),
    Skipped {
        because: StepId,
    },
    /// Interrupt or lost lock before it began.
    NotStarted,
    /// Left running on the node (second interrupt): the next run attaches.
    LeftRunning,
}

/// What, where, why, what next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable: `not-ready`, `clone-failed`, `lock-lost`, …
    pub id: String,
    pub summary: String,
    /// Evidence lines: last lines of the command's output, what the state said.
    pub evidence: Vec<String>,
    pub cause: Option<String>,
    pub next: String,
    pub node: Option<NodeName>,
    /// The command line on the node, redacted.
    pub command: Option<String>,
}

/// A machine at the end of an apply, or in `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineReport {
    pub name: MachineName,
    pub node: NodeName,
    pub vmid: Vmid,
    pub address: Option<IpAddr>,
    /// Further addresses of net0.
    pub addresses: Vec<IpAddr>,
    pub ready: bool,
    pub stage: Stage,
    /// Seconds from apply's begin until each stage was reached.
    pub stages_s: BTreeMap<Stage, f64>,
    /// Host public keys as read through the guest agent; empty when they could not be.
    pub host_keys: Vec<String>,
}

/// Readiness, in order; each implies the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nobody could tell: its node did not answer, or it may exist unseen. In `status` only.
    Unknown,
    Absent,
    Stopped,
    Running,
    Agent,
    Address,
    CloudInit,
    Port,
    Login,
}
