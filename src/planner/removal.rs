//! VMs of ours that the manifest does not ask for: deleted with `--prune`, else listed as left alone.

use std::collections::BTreeMap;

use crate::model::ids::{MachineId, MachineName, NodeName};

use super::report::Report;
use super::sources::Source;
use super::survey::{Found, Survey};
use super::{checks, templates, unknown};

/// VMs to delete, by machine. Deleted is only what mark, name and VMID agree on.
pub(crate) fn decide<'a>(survey: &Survey<'a>, report: &mut Report) -> BTreeMap<MachineId, Found<'a>> {
    let mut doomed = BTreeMap::new();
    let prune = survey.options.prune || survey.desired.prune || survey.options.destroy;
    for (id, found) in &survey.ours {
        let name = id.name(&survey.desired.cluster);
        if survey.wanted.contains_key(id) || !survey.in_scope(&name) {
            continue;
        }
        match found.as_slice() {
            [found] if prune => {
                if may_go(survey, &name, found, report) {
                    doomed.insert(id.clone(), found.clone());
                }
            }
            [_] => {
                let text = format!("{name} is not in the manifest; left alone (use --prune to delete it)");
                report.note("left-alone", Some(&name), text);
            }
            several => {
                let ids: Vec<String> = several.iter().map(|found| found.vmid().to_string()).collect();
                let text = format!("{name} exists {} times (VMs {}); left alone", several.len(), ids.join(", "));
                report.note("left-alone", Some(&name), text);
            }
        }
    }
    doomed
}

fn may_go(survey: &Survey<'_>, name: &MachineName, found: &Found<'_>, report: &mut Report) -> bool {
    let vmid = found.vmid();
    if found.vm.name() != Some(name.as_str()) && super::existing::half_made(found).is_none() {
        let is = found.vm.name().unwrap_or("nothing");
        let text =
            format!("VM {vmid} has the mark of {name} but is named {is}; left alone: name, mark and VMID must agree");
        report.note("left-alone", Some(name), text);
        return false;
    }
    let Some(node) = found.node else {
        let text = format!("{name} is on {}, which is not in proxmox_nodes; left alone", found.vm.node);
        report.note("unlisted-node", Some(name), text);
        return false;
    };
    if survey.site(node).is_none_or(|site| site.facts.is_none()) {
        unknown::hold_delete(name, node, report);
        return false;
    }
    if !found.realm.quorate {
        report.note("no-quorum", Some(name), format!("{name} is on {node}, whose cluster has no quorum; left alone"));
        return false;
    }
    if !survey.live_operations(node, vmid).is_empty() {
        let text = format!("an operation on {name} (VM {vmid} on {node}) still runs; it is deleted by the next run");
        report.note("operation-runs", Some(name), text);
        return false;
    }
    checks::destroyable(name, found, report);
    true
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
