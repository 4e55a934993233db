//! Which VMIDs new machines get: explicit ones, else the lowest free in the range; unique over every realm, and never
//! one that this plan frees.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::{MachineId, NodeName, Vmid};

use super::existing::Fate;
use super::placement::Choice;
use super::report::Report;
use super::survey::Survey;
use super::templates::Slot;

/// An id for every machine that has a node.
pub(crate) fn assign(
    survey: &Survey<'_>,
    slots: &BTreeMap<NodeName, Slot<'_>>,
    fates: &BTreeMap<MachineId, Fate<'_>>,
    choices: &BTreeMap<MachineId, Choice>,
    report: &mut Report,
) -> BTreeMap<MachineId, Vmid> {
    let seen = survey.taken_vmids();
    let mut taken = seen.clone();
    taken.extend(slots.values().map(|slot| slot.vmid));
    taken.extend([survey.desired.template.id]);
    taken.extend(survey.desired.template.ids.values());
    taken.extend(survey.desired.machines.iter().filter_map(|machine| machine.vmid));
    let mut ids = BTreeMap::new();
    for (id, choice) in choices {
        let Some(machine) = survey.wanted.get(id) else { continue };
        let found = match machine.vmid {
            Some(explicit) => explicit_id(survey, fates.get(id), &seen, explicit, id, report),
            None => lowest(survey, choice, &taken),
        };
        match found {
            Some(vmid) => {
                taken.insert(vmid);
                ids.insert(id.clone(), vmid);
            }
            None if machine.vmid.is_none() => {
                let (first, last) = survey.desired.vmid_range;
                let message = format!("every id of {first}-{last} is taken, none is left for {}", machine.name);
                report.fail("vmid-range-full", &machine.name, message, "widen `vmid_range`", machine.place.as_ref());
            }
            None => {}
        }
    }
    ids
}

/// The lowest free id that the node's datacenter offers itself (`next-id`), else the lowest free of the range.
fn lowest(survey: &Survey<'_>, choice: &Choice, taken: &BTreeSet<Vmid>) -> Option<Vmid> {
    let (first, last) = survey.desired.vmid_range;
    let free = |low: u32, high: u32| (low..=high).map(Vmid).find(|id| !taken.contains(id));
    let realm = survey.sites.get(&choice.node).and_then(|site| site.realm);
    let offered = realm.and_then(|(_, realm)| realm.next_id).and_then(|(lower, upper)| {
        let high = last.0.min(upper.saturating_sub(1));
        free(first.0.max(lower), high)
    });
    offered.or_else(|| free(first.0, last.0))
}

/// An id given in the manifest: free, or this very machine's own that is being made anew.
fn explicit_id(
    survey: &Survey<'_>,
    fate: Option<&Fate<'_>>,
    seen: &BTreeSet<Vmid>,
    explicit: Vmid,
    id: &MachineId,
    report: &mut Report,
) -> Option<Vmid> {
    let own = fate.and_then(Fate::remade).is_some_and(|found| found.vmid() == explicit);
    if own || !seen.contains(&explicit) {
        return Some(explicit);
    }
    let machine = survey.wanted.get(id)?;
    let message = format!("VMID {explicit} of {} is taken by {}", machine.name, holder(survey, explicit));
    report.fail("vmid-taken", &machine.name, message, "choose another `vmid`, or leave it out", machine.place.as_ref());
    None
}

fn holder(survey: &Survey<'_>, vmid: Vmid) -> String {
    for realm in survey.observed.realms.values() {
        let Some(guest) = realm.guests.get(&vmid) else { continue };
        return match guest.vm() {
            Some(vm) => format!("VM \"{}\" on {}", vm.name().unwrap_or("without a name"), vm.node),
            None => format!("a container on {}", guest.node()),
        };
    }
    "an operation that runs".to_owned()
}
