//! `Desired` + `Observed` → `Plan`. Pure and total: no IO, clock, randomness, environment, logging.

use std::collections::BTreeSet;

use crate::model::ids::{MachineName, NodeName};
use crate::model::plan::HazardKind;

/// What the flags ask of planning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// `--prune` (or the manifest's `prune: true`, see `Desired`).
    pub prune: bool,
    /// `--only NAME…`; empty: all.
    pub only: BTreeSet<MachineName>,
    /// `--replace NAME…`.
    pub replace: BTreeSet<MachineName>,
    pub replace_outdated: bool,
    /// `--without-node NAME`: as if it had not answered and had no machines.
    pub without_node: Option<NodeName>,
    /// The `destroy` verb: nothing is desired.
    pub destroy: bool,
    /// `destroy --templates`.
    pub templates: bool,
    /// `--accept KIND…`.
    pub accept: BTreeSet<HazardKind>,
}
