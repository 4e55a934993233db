//! VMs of ours that the manifest does not ask for: deleted with `--prune`, else listed as left alone.

use std::collections::BTreeMap;

use crate::model::ids::{MachineId, MachineName, NodeName};

use super::existing::{Attach, Fate};
use super::report::Report;
use super::sources::Source;
use super::survey::{Found, Survey};
use super::{checks, templates, unknown};

#[derive(Default)]
pub(crate) struct Removals<'a> {
    /// To be deleted. Only what mark, name and VMID agree on.
    pub(crate) doomed: BTreeMap<MachineId, Found<'a>>,
    /// Left as they are, and why.
    pub(crate) left_alone: Vec<(MachineId, Found<'a>, String)>,
}

impl<'a> Removals<'a> {
    fn leave(&mut self, name: &MachineName, id: &MachineId, found: &Found<'a>, why: &str, report: &mut Report) {
        report.note("left-alone", Some(name), format!("{name} (VM {} on {}): {why}", found.vmid(), found.vm.node));
        self.left_alone.push((id.clone(), found.clone(), why.to_owned()));
    }
}

/// What becomes of every VM of ours that is not wanted. Those that an operation works on get a fate: waited for.
pub(crate) fn decide<'a>(
    survey: &Survey<'a>,
    fates: &mut BTreeMap<MachineId, Fate<'a>>,
    report: &mut Report,
) -> Removals<'a> {
    let mut removals = Removals::default();
    let prune = survey.options.prune || survey.desired.prune || survey.options.destroy;
    for (id, found) in survey.ours.iter().filter(|(id, _)| !survey.wanted.contains_key(*id)) {
        let name = id.name(&survey.desired.cluster);
        if !survey.in_scope(&name) {
            continue;
        }
        for vm in found {
            if !prune {
                let why = "not in the manifest; left alone (use --prune to delete it)";
                removals.leave(&name, id, vm, why, report);
            } else if found.len() > 1 {
                let why = format!("left alone: {} VMs have the mark of this machine", found.len());
                removals.leave(&name, id, vm, &why, report);
            } else {
                remove(survey, &name, id, vm, &mut removals, fates, report);
            }
        }
    }
    removals
}

fn remove<'a>(
    survey: &Survey<'a>,
    name: &MachineName,
    id: &MachineId,
    found: &Found<'a>,
    removals: &mut Removals<'a>,
    fates: &mut BTreeMap<MachineId, Fate<'a>>,
    report: &mut Report,
) {
    let vmid = found.vmid();
    if found.vm.name() != Some(name.as_str()) && super::existing::half_made(found).is_none() {
        let is = found.vm.name().unwrap_or("nothing");
        let why = format!("left alone: it is named {is}; name, mark and VMID must agree");
        return removals.leave(name, id, found, &why, report);
    }
    let Some(node) = found.node else {
        let text = format!("{name} is on {}, which is not in proxmox_nodes; left alone", found.vm.node);
        return report.note("unlisted-node", Some(name), text);
    };
    if survey.site(node).is_none_or(|site| site.facts.is_none()) {
        return unknown::hold_delete(name, node, report);
    }
    if !found.realm.quorate {
        return unknown::hold_without_quorum(name, found.realm_id, None, report);
    }
    let operations = survey.live_operations(node, vmid);
    if !operations.is_empty() {
        fates.insert(id.clone(), Fate::Attach(Attach { node, realm_id: found.realm_id, vmid, operations }));
        return;
    }
    checks::destroyable(name, found, report);
    removals.doomed.insert(id.clone(), found.clone());
}

/// Templates of ours that go: with `destroy --templates` all of them, else those that an earlier run left half-made and
/// that this plan does not make again.
pub(crate) fn templates<'a>(survey: &Survey<'a>, sources: &BTreeMap<NodeName, Source<'a>>) -> Vec<(Found<'a>, String)> {
    let mut doomed = Vec::new();
    for found in &survey.templates {
        let Some(node) = found.node else { continue };
        let answered = survey.site(node).is_some_and(|site| site.facts.is_some());
        let handled = sources.values().any(|source| source.slot.node == *node && source.vmid() == found.vmid());
        if !answered || !found.realm.quorate || handled || !survey.live_operations(node, found.vmid()).is_empty() {
            continue;
        }
        if survey.options.destroy && survey.options.templates {
            doomed.push((found.clone(), "destroy --templates was asked for".to_owned()));
        } else if let (Some(why), true) = (templates::unfinished(found), survey.options.only.is_empty()) {
            doomed.push((found.clone(), format!("half-made, {why}; not needed now")));
        }
    }
    doomed
}
