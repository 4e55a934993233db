//! The plan's JSON document as types; their doc comments are the schema's descriptions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A plan of pvekube. `resource_changes` has the shape of an OpenTofu plan, so that policies written for those work.
/// A reader ignores members that it does not know; a new major number in `format_version` may change known ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDocument {
    /// `1.0`: the minor number grows when members are added, the major when known ones change.
    pub format_version: String,
    /// The program that made the plan.
    pub pvekube_version: String,
    /// The Kubernetes cluster of the manifest.
    pub cluster: String,
    /// 64 hex digits: what `apply --expect` takes. The same digest means the same work.
    pub plan_digest: String,
    /// There is something to do and nothing forbids it: no failed check, every hazard accepted, made from the nodes' own
    /// answers and not from a saved observation.
    pub applyable: bool,
    /// Nothing is held back because it could not be told.
    pub complete: bool,
    /// A check failed: apply refuses.
    pub errored: bool,
    /// Made on simulated nodes (`--sandbox`).
    pub sandbox: bool,
    /// Seconds between the saved observation that it was made from and now; null when the nodes have just answered.
    pub observation_age_seconds: Option<f64>,
    pub summary: SummaryOut,
    /// Templates, then machines in the manifest's order, then machines that it does not list.
    pub resource_changes: Vec<ResourceChange>,
    /// Addresses of machines that are as the manifest asks.
    pub unchanged: Vec<String>,
    pub placement: Placement,
    /// Every preflight check, failed ones first.
    pub checks: Vec<CheckOut>,
    /// What needs consent by name.
    pub hazards: Vec<HazardOut>,
    /// Information that changes nothing.
    pub notes: Vec<NoteOut>,
    /// What apply runs, as a graph: each step waits for those that it `needs`, which come earlier in the list.
    pub steps: Vec<StepOut>,
}

/// Counts of machines; templates apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryOut {
    pub add: usize,
    pub change: usize,
    pub destroy: usize,
    pub templates: CountOut,
    /// The text plan's last line.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountOut {
    pub add: usize,
    pub change: usize,
    pub destroy: usize,
}

/// One template or machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceChange {
    /// `pvekube_machine.k8s-worker-3`, `pvekube_template.ubuntu["pve1"]`.
    pub address: String,
    /// Always `managed`.
    pub mode: String,
    /// `pvekube_machine` or `pvekube_template`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The machine's or template's name.
    pub name: String,
    /// A template's node; machines have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// Always `pvekube`.
    pub provider_name: String,
    pub change: ChangeOut,
    /// Why it is replaced or deleted, as OpenTofu codes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_reason: Option<String>,
    /// The same in words; empty when there is nothing to explain.
    pub reason: String,
    /// Where the manifest asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceOut>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeOut {
    pub actions: Vec<ActionOut>,
    /// Null for what does not exist yet.
    pub before: Option<Map<String, Value>>,
    /// Null for what will not exist any more.
    pub after: Option<Map<String, Value>>,
    /// Members of `after` that are known only after apply, as `true`.
    pub after_unknown: BTreeMap<String, bool>,
    /// Members of `before` that are not shown in full, as `true`.
    pub before_sensitive: BTreeMap<String, bool>,
    /// Members of `after` that are not shown in full, as `true`.
    pub after_sensitive: BTreeMap<String, bool>,
    /// Members whose change can only be had by making it again.
    pub replace_paths: Vec<Vec<String>>,
    /// When each changed member takes effect.
    pub effects: BTreeMap<String, EffectOut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionOut {
    NoOp,
    Create,
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EffectOut {
    /// At once.
    Live,
    /// Cloud-init reads it at the next boot.
    NextBoot,
    /// The machine has to be stopped and started.
    Reboot,
    /// The machine has to be made again.
    Recreate,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceOut {
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// Where machines go, and what that does to the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// `vm_count`, `memory` or `pack`.
    pub strategy: String,
    /// By node name.
    pub nodes: Vec<NodeOut>,
    /// Every machine and template of this plan, by address.
    pub resources: BTreeMap<String, PlacedOut>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlacedOut {
    pub node: String,
    pub vmid: u32,
    /// Why this node; null for what already was there.
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeOut {
    pub node: String,
    /// `false`: it did not answer, and the numbers are zero.
    pub known: bool,
    pub vms: BeforeAfter,
    pub memory_bytes: Use,
    pub storage: String,
    pub storage_bytes: Use,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BeforeAfter {
    pub before: usize,
    pub after: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Use {
    pub before: u64,
    pub after: u64,
    /// 0: unknown.
    pub total: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckOut {
    /// Listed in docs/troubleshooting.md.
    pub id: String,
    pub verdict: VerdictOut,
    /// The node, machine or template that it is about.
    pub about: String,
    pub message: String,
    /// What to do next.
    pub hint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceOut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictOut {
    Failed,
    Warning,
    /// Could not be told; what depends on it is held back.
    Unknown,
    Passed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HazardOut {
    /// As `--accept` takes it.
    pub kind: String,
    pub message: String,
    pub machines: Vec<String>,
    /// Consent was given by name.
    pub accepted: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoteOut {
    pub id: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepOut {
    pub id: u32,
    /// Ids of earlier steps.
    pub needs: Vec<u32>,
    pub node: String,
    /// The resource that it is for.
    pub address: String,
    pub vmid: u32,
    /// `clone`, `set`, `start`, …
    pub action: String,
    /// In words.
    pub text: String,
    /// A guess that only orders.
    pub estimate_seconds: u32,
    /// Takes a machine out of service; steps of one disruption share the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption: Option<u32>,
}
