//! Unknown is not absent: where existence can't be told, and what that holds back. Each held machine is a check of its
//! own; the messages leave its name out, so that what is said of several can be shown as one.

use crate::model::desired::{Machine, Place};
use crate::model::ids::{MachineName, NodeName, RealmId};
use crate::model::observed::{Guest, Realm, Vm};

use super::report::Report;
use super::survey::Survey;

/// One reason why a machine that was not found may exist all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blind {
    /// Node, realm or VM that can't be seen.
    pub(crate) about: String,
    pub(crate) why: String,
    pub(crate) hint: String,
}

/// Every reason, in the order of names. `--without-node` takes its node's away.
pub(crate) fn blind(survey: &Survey<'_>) -> Vec<Blind> {
    let mut reasons = Vec::new();
    for (name, site) in &survey.sites {
        if site.realm.is_none() {
            reasons.push(Blind {
                about: name.to_string(),
                why: format!("{name} did not answer and belongs to no cluster that did, so its VMs are unknown"),
                hint: bring_back(name),
            });
        }
    }
    let excluded = survey.options.without_node.as_ref();
    for (id, realm) in &survey.observed.realms {
        if realm.members.values().any(|member| member.node.is_some() && member.node.as_ref() == excluded)
            && realm.members.len() == 1
        {
            continue;
        }
        if !realm.existence_known {
            let cluster = realm.cluster.as_deref().map_or_else(|| id.to_string(), |name| format!("cluster \"{name}\""));
            let why = if realm.quorate {
                format!("not every config of {cluster} could be read, so its VMs are unknown")
            } else {
                format!("{cluster} has no quorum, so its VMs may have changed unseen")
            };
            reasons.push(Blind { about: id.to_string(), why, hint: QUORUM_HINT.to_owned() });
        }
        reasons.extend(realm.guests.values().filter_map(Guest::vm).filter_map(|vm| faceless(survey, realm, vm)));
    }
    reasons
}

/// A VM of which nobody can tell whose it is.
fn faceless(survey: &Survey<'_>, realm: &Realm, vm: &Vm) -> Option<Blind> {
    let (vmid, node) = (vm.vmid, &vm.node);
    let about = format!("VM {vmid}");
    let Some(config) = &vm.config else {
        let why = format!("the config of VM {vmid} on {node} can't be read; it may be one of ours");
        let hint = format!("look at /etc/pve/nodes/{node}/qemu-server/{vmid}.conf, then plan again");
        return Some(Blind { about, why, hint });
    };
    // In its first moments a clone is only a lock. Whether we are at it, only its node's operations tell.
    let site = survey
        .sites
        .values()
        .find(|site| site.pve_name == Some(node) && site.realm.is_some_and(|(_, of)| of == realm))?;
    if config.only_lock() != Some("clone") || site.facts.is_some() {
        return None;
    }
    let why = format!("VM {vmid} is being cloned on {node}, which did not answer; it may be one of ours");
    Some(Blind { about, why, hint: bring_back(&site.target.name) })
}

pub(crate) fn bring_back(node: &NodeName) -> String {
    format!("bring {node} back, or see what a plan without it would do: pvekube plan --without-node {node}")
}

/// A wanted machine that was not found may exist where we are blind: not created.
pub(crate) fn hold_create(survey: &Survey<'_>, machine: &Machine, report: &mut Report) {
    hold(survey, machine, "may exist unseen, so not created", report);
}

/// A machine that is to be made anew gets a new VMID, which a guest may have where we are blind.
pub(crate) fn hold_remake(survey: &Survey<'_>, machine: &Machine, report: &mut Report) {
    hold(survey, machine, "not made anew, as its new VMID may be taken unseen", report);
}

fn hold(survey: &Survey<'_>, machine: &Machine, what: &str, report: &mut Report) {
    let why: Vec<&str> = survey.blind.iter().map(|blind| blind.why.as_str()).collect();
    let hint = survey.blind.first().map_or("", |blind| blind.hint.as_str());
    report.unknown(
        "existence-unknown",
        &machine.name,
        format!("{what}: {}", why.join("; ")),
        hint,
        machine.place.as_ref(),
    );
}

/// A machine on a silent node: its config is known, nothing can be done to it.
pub(crate) fn hold_existing(machine: &Machine, node: &NodeName, report: &mut Report) {
    let message = format!("on {node}, which did not answer; nothing is planned");
    report.unknown("node-silent", &machine.name, message, bring_back(node), machine.place.as_ref());
}

pub(crate) fn hold_delete(name: &MachineName, node: &NodeName, report: &mut Report) {
    let message = format!("on {node}, which did not answer; not deleted");
    report.unknown("node-silent", name, message, bring_back(node), None);
}

/// A machine of a cluster whose files can't be written: what is seen of it may be old, and nothing can be done to it.
pub(crate) fn hold_without_quorum(name: &MachineName, realm: &RealmId, place: Option<&Place>, report: &mut Report) {
    let message = format!("in {realm}, which has no quorum; nothing is planned");
    report.unknown("quorum", name, message, QUORUM_HINT, place);
}

pub(crate) const QUORUM_HINT: &str = "bring back enough of its nodes (see `pvecm status`), then plan again";
