//! What becomes of each wanted machine: made, made anew, kept with or without changes, waited for, or held back.

use std::collections::BTreeMap;

use crate::model::desired::Machine;
use crate::model::ids::{MachineId, NodeName, Role};
use crate::model::observed::{NodeFacts, OperationSeen, Power};
use crate::model::plan::HazardKind;

use super::diff::{self, Diff};
use super::report::Report;
use super::survey::{Found, Survey};
use super::{checks, recipe, templates, unknown};

pub(crate) enum Fate<'a> {
    Create,
    /// Destroyed and made again.
    Remake {
        found: Found<'a>,
        why: String,
        requested: bool,
    },
    Keep(Box<Keep<'a>>),
    /// An operation of an earlier run lives: wait for it, then plan anew.
    Attach {
        found: Found<'a>,
        operations: Vec<&'a OperationSeen>,
    },
    /// Nothing is planned; a check or a note says why.
    Held,
}

pub(crate) struct Keep<'a> {
    pub(crate) found: Found<'a>,
    pub(crate) diff: Diff,
    /// Cloned by an earlier run and never configured.
    pub(crate) fresh: bool,
    pub(crate) start: bool,
    pub(crate) stop: bool,
    pub(crate) reboot: bool,
}

impl Keep<'_> {
    pub(crate) fn does_something(&self) -> bool {
        !self.diff.is_empty() || self.start || self.stop || self.reboot
    }
}

impl<'a> Fate<'a> {
    /// A VM is cloned for it.
    pub(crate) fn is_made(&self) -> bool {
        match self {
            Fate::Create | Fate::Remake { .. } => true,
            Fate::Keep(_) | Fate::Attach { .. } | Fate::Held => false,
        }
    }

    pub(crate) fn remade(&self) -> Option<&Found<'a>> {
        match self {
            Fate::Remake { found, .. } => Some(found),
            Fate::Create | Fate::Keep(_) | Fate::Attach { .. } | Fate::Held => None,
        }
    }

    /// Asked for by `--replace` or `--replace-outdated`.
    pub(crate) fn is_requested(&self) -> bool {
        match self {
            Fate::Remake { requested, .. } => *requested,
            Fate::Create | Fate::Keep(_) | Fate::Attach { .. } | Fate::Held => false,
        }
    }

    /// Where a machine that is made anew was.
    pub(crate) fn home(&self) -> Option<&'a NodeName> {
        self.remade().and_then(|found| found.node)
    }
}

pub(crate) fn decide<'a>(survey: &Survey<'a>, report: &mut Report) -> BTreeMap<MachineId, Fate<'a>> {
    let mut fates = BTreeMap::new();
    for (id, machine) in &survey.wanted {
        if survey.in_scope(&machine.name) {
            fates.insert((*id).clone(), fate(survey, machine, report));
        }
    }
    fates
}

fn fate<'a>(survey: &Survey<'a>, machine: &Machine, report: &mut Report) -> Fate<'a> {
    match survey.ours.get(&machine.id).map(Vec::as_slice) {
        None | Some([]) => absent(survey, machine, report),
        Some([found]) => present(survey, machine, found, report),
        Some(several) => {
            checks::duplicate(machine, several, report);
            Fate::Held
        }
    }
}

/// Not found: made, unless it may exist unseen, or its name is somebody else's.
fn absent<'a>(survey: &Survey<'a>, machine: &Machine, report: &mut Report) -> Fate<'a> {
    if !survey.blind.is_empty() {
        unknown::hold_create(survey, machine, report);
        return Fate::Held;
    }
    if checks::name_is_taken(survey, machine, report) {
        return Fate::Held;
    }
    Fate::Create
}

fn present<'a>(survey: &Survey<'a>, machine: &Machine, found: &Found<'a>, report: &mut Report) -> Fate<'a> {
    let Some(node) = found.node else {
        let (name, member) = (&machine.name, &found.vm.node);
        let text = format!("{name} is on {member}, which is not in proxmox_nodes; nothing is planned for it");
        report.note("unlisted-node", Some(name), text);
        return Fate::Held;
    };
    let Some(facts) = survey.site(node).and_then(|site| site.facts) else {
        unknown::hold_existing(machine, node, report);
        return Fate::Held;
    };
    if !found.realm.quorate {
        let text = format!("{} is on {node}, whose cluster has no quorum; nothing is planned for it", machine.name);
        report.note("no-quorum", Some(&machine.name), text);
        return Fate::Held;
    }
    let operations = survey.live_operations(node, found.vmid());
    if !operations.is_empty() {
        return Fate::Attach { found: found.clone(), operations };
    }
    let may_remake = survey.blind.is_empty();
    if let Some(why) = half_made(found) {
        if may_remake {
            return Fate::Remake { found: found.clone(), why, requested: false };
        }
        unknown::hold_create(survey, machine, report);
        return Fate::Held;
    }
    if let Some(why) = replacement(survey, machine, found) {
        if may_remake {
            return Fate::Remake { found: found.clone(), why, requested: true };
        }
        unknown::hold_create(survey, machine, report);
        return Fate::Held;
    }
    keep(survey, machine, found, facts)
}

/// Why a VM of ours is an unfinished clone. Nobody works on it: a live operation was looked for before.
pub(crate) fn half_made(found: &Found<'_>) -> Option<String> {
    match found.config.lock() {
        Some("clone" | "create") if found.vm.power != Power::Running => Some("half-made clone, made again".to_owned()),
        Some(_) | None => None,
    }
}

fn replacement(survey: &Survey<'_>, machine: &Machine, found: &Found<'_>) -> Option<String> {
    if survey.options.replace.contains(&machine.name) {
        return Some("asked for by --replace".to_owned());
    }
    let outdated = survey.options.replace_outdated && is_outdated(survey, found);
    outdated.then(|| "older image or recipe, --replace-outdated".to_owned())
}

/// Made from another image than upstream has now, or with another recipe than the config has.
pub(crate) fn is_outdated(survey: &Survey<'_>, found: &Found<'_>) -> bool {
    let recipe = survey.desired.template.bake.as_ref().map(recipe::digest);
    let known = found.mark.image.is_some();
    known && (templates::outdated(survey, found.mark.image.as_ref()) || found.mark.recipe != recipe)
}

fn keep<'a>(survey: &Survey<'a>, machine: &Machine, found: &Found<'a>, facts: &NodeFacts) -> Fate<'a> {
    let diff = diff::diff(machine, found, facts);
    let running = found.vm.power == Power::Running;
    let consent = match machine.role {
        Role::Master => HazardKind::RebootMasters,
        Role::Worker => HazardKind::RebootWorkers,
    };
    let reboot = running && machine.power && diff.wants_boot() && survey.options.accept.contains(&consent);
    Fate::Keep(Box::new(Keep {
        fresh: diff::is_fresh(found),
        start: !running && machine.power,
        stop: running && !machine.power,
        reboot,
        found: found.clone(),
        diff,
    }))
}
