//! `Desired` + `Observed` → `Plan`. Pure and total: no IO, clock, randomness, environment, logging.
//!
//! ```text
//! survey ── existing, removal: a fate for each machine ── templates: a slot for each node
//!        └─ placement (capacity) ── vmid ── sources ── assemble: changes and steps ── checks, hazards, notes, table
//! ```
//! `docs/planning.md` lists the rules, each with its test.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::Desired;
use crate::model::ids::{MachineName, NodeName};
use crate::model::observed::Observed;
use crate::model::plan::{HazardKind, Plan};

mod addresses;
mod assemble;
mod capacity;
mod changes;
mod check_list;
mod checks;
mod diff;
mod existing;
pub mod explain;
mod fields;
mod hazards;
mod leftovers;
mod machine_steps;
mod notes;
mod packing;
mod placement;
mod readiness;
mod recipe;
mod removal;
mod report;
mod settings;
mod sound;
mod sources;
mod steps;
mod survey;
mod table;
mod template_steps;
mod templates;
mod unknown;
mod vmid;
mod without_node;

pub use check_list::{CHECKS, CheckInfo};
pub use checks::doctor;
pub use explain::{Explanation, Reason, explain};
pub use readiness::readiness;
pub use sound::unsound;
pub use without_node::{NodeLoss, node_loss};

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

/// Plans. Always gives a plan: what stands against it is in `Plan::checks`, and a failed check blocks apply.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, options: &PlanOptions) -> Plan {
    let survey = survey::Survey::new(desired, observed, options);
    let mut report = report::Report::default();
    checks::nodes(&survey, &mut report);

    let slots = templates::slots(&survey);
    let mut fates = existing::decide(&survey, &slots, &mut report);
    let removals = removal::decide(&survey, &mut fates, &mut report);
    let (choices, rooms, stores) = placement::place(&survey, &slots, &fates, &mut report);
    let vmids = vmid::assign(&survey, &slots, &fates, &choices, &mut report);
    let sources = sources::sources(&survey, &slots, &fates, &choices);
    let source_of = slots.iter().map(|(node, slot)| (node.clone(), slot.node.clone())).collect();
    let doomed_templates = removal::templates(&survey, &sources);
    let left_images = leftovers::images(&survey, &sources, &doomed_templates);

    checks::template_ids(&slots, &fates, &mut report);
    checks::plan(&survey, &slots, &fates, &removals.doomed, &sources, &choices, &mut report);
    notes::add(&survey, &fates, &mut report);
    leftovers::unclaimed(&survey, &sources, &mut report);
    if let Some(node) = &options.without_node {
        report.note("without-node", None, node_loss(desired, observed, node).sentence());
        checks::what_if(node, &mut report);
    }
    let hazards = hazards::hazards(&survey, &fates, &removals.doomed);
    let nodes = table::nodes(&survey, &rooms, &stores, &removals.doomed);
    let decisions =
        assemble::Decisions { fates, removals, sources, source_of, choices, vmids, doomed_templates, left_images };
    let (checks, notes) = report.finish();
    Plan {
        cluster: desired.cluster.clone(),
        changes: assemble::changes(&survey, &decisions),
        checks,
        hazards,
        notes,
        steps: assemble::steps(&survey, &decisions),
        nodes,
        unchanged: unchanged(&survey, &decisions.fates),
        strategy: desired.placement,
    }
}

fn unchanged(
    survey: &survey::Survey<'_>,
    fates: &BTreeMap<crate::model::ids::MachineId, existing::Fate<'_>>,
) -> Vec<MachineName> {
    let as_wanted = |fate: &existing::Fate<'_>| match fate {
        existing::Fate::Keep(keep) => !keep.does_something(),
        existing::Fate::Create | existing::Fate::Remake { .. } | existing::Fate::Attach(_) | existing::Fate::Held => {
            false
        }
    };
    let same = fates.iter().filter(|(_, fate)| as_wanted(fate));
    same.map(|(id, _)| id.name(&survey.desired.cluster)).collect()
}
