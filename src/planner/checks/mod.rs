//! Preflight: what must hold before anything is touched, all at once, each with an id, a subject and a remedy.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::Download;
use crate::model::ids::{MachineId, NodeName};
use crate::model::observed::NodeFacts;

use super::addresses;
use super::existing::Fate;
use super::placement::Choice;
use super::report::Report;
use super::sources::{Source, Work};
use super::survey::{Found, Survey};
use super::templates::{Ready, Slot, SlotState};

mod machines;
mod nodes;

pub(crate) use machines::{destroyable, duplicate, name_is_taken, namesakes};
pub use nodes::doctor;
pub(crate) use nodes::{node_findings, nodes};

/// What depends on the decisions made.
pub(crate) fn plan(
    survey: &Survey<'_>,
    slots: &BTreeMap<NodeName, Slot<'_>>,
    fates: &BTreeMap<MachineId, Fate<'_>>,
    doomed: &BTreeMap<MachineId, Found<'_>>,
    sources: &BTreeMap<NodeName, Source<'_>>,
    choices: &BTreeMap<MachineId, Choice>,
    report: &mut Report,
) {
    templates(survey, sources.values(), report);
    addresses::check(survey, fates, sources, report);
    machines::unknown_names(survey, report);
    let used: BTreeSet<&NodeName> = choices.values().map(|choice| &choice.node).collect();
    pool(survey, used.into_iter(), report);
    for source in sources.values() {
        if let SlotState::Ready(Ready { found: Some(found), .. }) = &source.slot.state {
            machines::lock(&survey.desired.template.name, found, report);
        }
    }
    for (id, choice) in choices {
        machines::dns(survey, id, choice, report);
        let source = slots.get(&choice.node).and_then(|slot| sources.get(&slot.node));
        if let (Some(machine), Some(source)) = (survey.wanted.get(id), source) {
            machines::disk_below_template(machine, source, report);
        }
    }
    for (id, fate) in fates {
        let Some(machine) = survey.wanted.get(id) else { continue };
        match fate {
            Fate::Remake { found, requested, .. } => {
                destroyable(&machine.name, found, report);
                if *requested {
                    machines::lock(machine.name.as_str(), found, report);
                }
            }
            Fate::Keep(keep) if keep.does_something() => {
                machines::lock(machine.name.as_str(), &keep.found, report);
                machines::power(&machine.name, keep, report);
            }
            Fate::Keep(_) | Fate::Create | Fate::Attach(_) | Fate::Held => {}
        }
        if let Fate::Keep(keep) = fate {
            machines::disk(machine, keep, report);
        }
    }
    for (id, found) in doomed {
        machines::lock(id.name(&survey.desired.cluster).as_str(), found, report);
    }
}

/// What making templates needs: a digest, programs, space for the image.
pub(crate) fn templates<'s, 'a: 's>(
    survey: &Survey<'a>,
    sources: impl Iterator<Item = &'s Source<'a>>,
    report: &mut Report,
) {
    let mut undigested: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources.filter(|source| source.is_made()) {
        let node = &source.slot.node;
        if let Work::NoDigest { reason } = &source.work {
            undigested.entry(reason).or_default().push(node.as_str());
        }
        let Some(facts) = survey.site(node).and_then(|site| site.facts) else { continue };
        let fetched = source.image.as_ref().is_some_and(|digest| !facts.images.contains_key(digest));
        programs(survey, source, facts, fetched, report);
        let too_small = facts.image_space_bytes.is_some_and(|free| free < nodes::IMAGE_SPACE_BYTES);
        if fetched && too_small {
            let free = super::capacity::gib(facts.image_space_bytes.unwrap_or(0));
            let message = format!("{free} are free for the image under /var/lib/pvekube, 2.0 GiB are wanted");
            report.fail("image-space", node, message, "make room on the node's root file system", None);
        }
    }
    // It is one image, however many nodes need it.
    for (reason, nodes) in undigested {
        let nodes = nodes.join(", ");
        let message = format!("a template is needed on {nodes}, but the image's digest is unknown: {reason}");
        let hint = "make `checksum_url` reachable, or pin `vm_template.image_digest`";
        report.fail("digest-unknown", "image", message, hint, None);
    }
}

fn programs(survey: &Survey<'_>, source: &Source<'_>, facts: &NodeFacts, fetched: bool, report: &mut Report) {
    let spec = &survey.desired.template;
    let wget = fetched && spec.download == Download::Node;
    for (program, needed) in [("wget", wget), ("socat", spec.bake.is_some())] {
        if needed && facts.missing_programs.contains(program) {
            let message = format!("{program} is missing, which making the template needs");
            report.fail("program-missing", &source.slot.node, message, format!("apt install {program}"), None);
        }
    }
}

/// Template ids that belong to something else, where machines are to be made.
pub(crate) fn template_ids(
    slots: &BTreeMap<NodeName, Slot<'_>>,
    fates: &BTreeMap<MachineId, Fate<'_>>,
    report: &mut Report,
) {
    if !fates.values().any(Fate::is_made) {
        return;
    }
    for (node, slot) in slots {
        if let SlotState::Blocked { why, hint } = &slot.state {
            report.fail("template-id", node, why, hint, None);
        }
    }
}

/// A plan that leaves a node out takes the machines there for absent: an answer, never something to apply.
pub(crate) fn what_if(node: &NodeName, report: &mut Report) {
    let message = format!("this is what would be planned if {node} were gone; it can't be applied");
    let hint = format!("bring {node} back; if it is gone for good, take it out of proxmox_nodes and its PVE cluster");
    report.fail("what-if", node, message, hint, None);
}

/// The resource pool that clones are put into.
pub(crate) fn pool<'s>(survey: &Survey<'_>, nodes: impl Iterator<Item = &'s NodeName>, report: &mut Report) {
    let Some(pool) = &survey.desired.pve_pool else { return };
    for node in nodes {
        let known =
            survey.site(node).and_then(|site| site.realm).is_some_and(|(_, realm)| realm.pools.contains_key(pool));
        if known {
            report.pass("pool", node, format!("resource pool {pool} is there"));
        } else {
            let message = format!("there is no resource pool {pool}");
            report.fail("pool", node, message, format!("on the node: pvesh create /pools --poolid {pool}"), None);
        }
    }
}
