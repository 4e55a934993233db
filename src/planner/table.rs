//! Nodes before and after the plan, for the table.

use std::collections::BTreeMap;

use crate::model::ids::{MachineId, NodeName};
use crate::model::plan::NodeUse;

use super::capacity::{self, Room, Store, StoreKey};
use super::survey::{Found, Survey};

pub(crate) fn nodes(
    survey: &Survey<'_>,
    rooms: &BTreeMap<NodeName, Room>,
    stores: &BTreeMap<StoreKey, Store>,
    doomed: &BTreeMap<MachineId, Found<'_>>,
) -> Vec<NodeUse> {
    let storage = &survey.desired.template.storage;
    let mut uses = Vec::new();
    for (name, site) in &survey.sites {
        let before = site.facts.map(|facts| capacity::room(survey.desired, site, facts));
        let after = rooms.get(*name);
        let store = after.and_then(|room| room.store.as_ref()).and_then(|key| stores.get(key));
        let sample = site.facts.and_then(|facts| facts.storages.get(storage));
        let leaving = |found: &&Found<'_>| found.node == Some(*name);
        let freed: u64 = doomed.values().filter(leaving).map(|found| capacity::vm_memory_bytes(found.config)).sum();
        let gone = doomed.values().filter(leaving).count();
        let used = sample.map_or(0, |sample| sample.used_bytes);
        uses.push(NodeUse {
            node: (*name).clone(),
            known: site.facts.is_some(),
            vms: (before.as_ref().map_or(0, |room| room.vms), after.map_or(0, |room| room.vms.saturating_sub(gone))),
            memory_bytes: (
                before.as_ref().map_or(0, |room| room.memory_used),
                after.map_or(0, |room| room.memory_used.saturating_sub(freed)),
            ),
            memory_total_bytes: site.facts.map_or(0, |facts| facts.memory_bytes),
            storage: storage.clone(),
            storage_bytes: (used, used.saturating_add(store.map_or(0, |store| store.added))),
            storage_total_bytes: sample.map_or(0, |sample| sample.total_bytes),
        });
    }
    uses
}
