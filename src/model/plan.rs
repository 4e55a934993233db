//! The plan: changes (what people read) and steps (what runs), with every choice already made.

mod step;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::desired::{Network, Place, Strategy};
use super::ids::{ClusterName, ImageDigest, MachineId, MachineName, NodeName, RealmId, Role, StorageName, Vmid};

pub use step::{Action, BakeStep, ExpectedAddress, ReadyStep, Setting, Settings, Step, StepId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub cluster: ClusterName,
    /// Sorted: templates, then machines in manifest order, then machines that are not in the manifest.
    pub changes: Vec<Change>,
    /// Preflight results, failed ones first; a failed one blocks apply.
    pub checks: Vec<Check>,
    pub hazards: Vec<Hazard>,
    /// Information that changes nothing: pending reboots, older images, machines left alone.
    pub notes: Vec<Note>,
    /// In a topological order: `needs` point to earlier ids only.
    pub steps: Vec<Step>,
    /// Sorted by node name.
    pub nodes: Vec<NodeUse>,
    /// Machines that are as wanted.
    pub unchanged: Vec<MachineName>,
    pub strategy: Strategy,
}

impl Plan {
    /// Something to do (notes and pending reboots are nothing).
    pub fn has_changes(&self) -> bool {
        self.changes.iter().any(|change| change.action != ChangeAction::None)
    }

    /// Machines that may exist unseen and are therefore not made, and clusters without quorum: the plan is not the whole
    /// answer.
    pub fn held_back(&self) -> impl Iterator<Item = &Check> {
        let held = |id: &str| matches!(id, "existence-unknown" | "quorum");
        self.checks.iter().filter(move |check| check.verdict == Verdict::Unknown && held(&check.id))
    }

    /// Failed checks: they block apply.
    pub fn refusals(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Failed)
    }

    /// Hazards that nobody has accepted.
    pub fn unaccepted(&self) -> impl Iterator<Item = &Hazard> {
        self.hazards.iter().filter(|hazard| !hazard.accepted)
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for change in &self.changes {
            let count = match &change.target {
                Target::Template { .. } => &mut summary.templates,
                Target::Machine { .. } => &mut summary.machines,
            };
            match change.action {
                ChangeAction::Create => count.add += 1,
                ChangeAction::Update | ChangeAction::Resume => count.change += 1,
                ChangeAction::Replace => {
                    count.add += 1;
                    count.destroy += 1;
                }
                ChangeAction::Delete => count.destroy += 1,
                ChangeAction::None => {}
            }
        }
        summary
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub machines: Count,
    pub templates: Count,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub add: usize,
    pub change: usize,
    pub destroy: usize,
}

/// The difference of one resource, for people and policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub target: Target,
    pub action: ChangeAction,
    /// Why this action: one sentence (`not in the manifest`, `half-made clone, made again`).
    pub reason: String,
    pub node: NodeName,
    pub realm: RealmId,
    pub vmid: Vmid,
    /// Why this node; creates only.
    pub why_node: Option<String>,
    /// Field by field; for a create: every field with `old: None`.
    pub fields: Vec<FieldChange>,
    /// Number of managed fields that are as wanted.
    pub unchanged_fields: usize,
    /// The machine's spec for people: size, cores, memory, disk, address; absent for templates and deletes.
    pub spec: Option<MachineSpec>,
    /// What a template change says beyond its fields.
    pub template: Option<TemplateNote>,
    /// Where the manifest asks for it.
    pub place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    Template {
        name: String,
    },
    /// `id` is absent for a VM whose mark names a machine we can't parse from the manifest (never in practice).
    Machine {
        name: MachineName,
        id: MachineId,
        role: Role,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeAction {
    Create,
    Update,
    /// Delete and create again: half-made, or asked for by `--replace`.
    Replace,
    Delete,
    /// Work of an earlier run goes on, or a made machine only has to be started or waited for.
    Resume,
    /// Not in the manifest and left alone, or only waiting for its next reboot.
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    pub field: String,
    pub old: Option<String>,
    pub new: Option<String>,
    pub effect: Effect,
    /// Said beside the field (`the guest grows it at its next boot`).
    pub comment: Option<String>,
    /// Keys and such: shown as a digest or comment, never in full.
    pub sensitive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    Live,
    /// Cloud-init reads it at the next boot.
    NextBoot,
    /// Needs QEMU to be started anew.
    Reboot,
    Recreate,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineSpec {
    pub size: String,
    pub cores: u32,
    pub memory_mb: u64,
    pub disk_gb: u64,
    pub network: Network,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateNote {
    pub storage: StorageName,
    pub storage_local: bool,
    pub image_url: String,
    pub digest: Option<ImageDigest>,
    pub digest_source: String,
    /// `downloaded on each node`, `already on the node`, `streamed from here`.
    pub image_way: String,
    /// What the bake installs and how it gets a network; `None`: no bake.
    pub bake: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Stable: `older-image`, `pending-reboot`, `left-alone`, …
    pub id: String,
    pub text: String,
    pub machine: Option<MachineName>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Stable, kebab-case: `storage-missing`, `quorum`, `memory`, …
    pub id: String,
    pub verdict: Verdict,
    /// Node, machine or template it is about, for people.
    pub about: String,
    /// What is so, with numbers.
    pub message: String,
    /// What to do next; empty when passed.
    pub hint: String,
    pub place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Failed,
    Warning,
    /// Could not be told; what depends on it is held back.
    Unknown,
    Passed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hazard {
    pub kind: HazardKind,
    /// With numbers: `k8s-worker-4 reboots (rolling, 1 at a time)`.
    pub message: String,
    pub machines: Vec<MachineName>,
    pub accepted: bool,
}

/// Names as `--accept` takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HazardKind {
    DeleteMasters,
    BreakQuorum,
    ManyDeletes,
    RebootMasters,
    RebootWorkers,
    Replace,
}

impl HazardKind {
    pub const ALL: [HazardKind; 6] = [
        HazardKind::DeleteMasters,
        HazardKind::BreakQuorum,
        HazardKind::ManyDeletes,
        HazardKind::RebootMasters,
        HazardKind::RebootWorkers,
        HazardKind::Replace,
    ];

    pub fn flag(self) -> &'static str {
        match self {
            HazardKind::DeleteMasters => "delete-masters",
            HazardKind::BreakQuorum => "break-quorum",
            HazardKind::ManyDeletes => "many-deletes",
            HazardKind::RebootMasters => "reboot-masters",
            HazardKind::RebootWorkers => "reboot-workers",
            HazardKind::Replace => "replace",
        }
    }
}

impl fmt::Display for HazardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.flag())
    }
}

/// A node before and after the plan, for the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeUse {
    pub node: NodeName,
    /// `false`: silent; the numbers are then zero.
    pub known: bool,
    pub vms: (usize, usize),
    pub memory_bytes: (u64, u64),
    pub memory_total_bytes: u64,
    pub storage: StorageName,
    pub storage_bytes: (u64, u64),
    /// 0 when unknown.
    pub storage_total_bytes: u64,
}
