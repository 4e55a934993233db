//! What becomes of each wanted machine: made, made anew, kept with or without changes, waited for, or held back.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::Machine;
use crate::model::ids::{MachineId, NodeName, RealmId, Role, Vmid};
use crate::model::observed::{NodeFacts, OperationSeen, Power, Realm};
use crate::model::plan::HazardKind;
use crate::pve::property::has_disk;

use super::diff::{self, Diff};
use super::report::Report;
use super::survey::{Found, Survey};
use super::templates::Slot;
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
    /// Operations of an earlier run live: wait for them, then plan anew.
    Attach(Attach<'a>),
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

/// What an earlier run left running on a VM that may not be visible yet.
#[derive(Clone)]
pub(crate) struct Attach<'a> {
    pub(crate) node: &'a NodeName,
    pub(crate) realm_id: &'a RealmId,
    pub(crate) vmid: Vmid,
    pub(crate) operations: Vec<&'a OperationSeen>,
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
            Fate::Keep(_) | Fate::Attach(_) | Fate::Held => false,
        }
    }

    pub(crate) fn remade(&self) -> Option<&Found<'a>> {
        match self {
            Fate::Remake { found, .. } => Some(found),
            Fate::Create | Fate::Keep(_) | Fate::Attach(_) | Fate::Held => None,
        }
    }

    pub(crate) fn kept(&self) -> Option<&Keep<'a>> {
        match self {
            Fate::Keep(keep) => Some(keep),
            Fate::Create | Fate::Remake { .. } | Fate::Attach(_) | Fate::Held => None,
        }
    }

    /// Asked for by `--replace` or `--replace-outdated`.
    pub(crate) fn is_requested(&self) -> bool {
        match self {
            Fate::Remake { requested, .. } => *requested,
            Fate::Create | Fate::Keep(_) | Fate::Attach(_) | Fate::Held => false,
        }
    }

    /// Where a machine that is made anew was.
    pub(crate) fn home(&self) -> Option<&'a NodeName> {
        self.remade().and_then(|found| found.node)
    }
}

pub(crate) fn decide<'a>(
    survey: &Survey<'a>,
    slots: &BTreeMap<NodeName, Slot<'a>>,
    report: &mut Report,
) -> BTreeMap<MachineId, Fate<'a>> {
    let mut fates = BTreeMap::new();
    for (id, machine) in &survey.wanted {
        if survey.in_scope(&machine.name) {
            fates.insert((*id).clone(), fate(survey, machine, report));
        }
    }
    hold_for_unseen(survey, slots, &mut fates, report);
    fates
}

/// A clone of an earlier run that has only just begun has no VM to see yet, so nobody knows whose it is: the first
/// machine that is missing waits for it, and nothing else is created until then.
fn hold_for_unseen<'a>(
    survey: &Survey<'a>,
    slots: &BTreeMap<NodeName, Slot<'a>>,
    fates: &mut BTreeMap<MachineId, Fate<'a>>,
    report: &mut Report,
) {
    let mut unseen = unseen_work(survey, slots).into_iter().peekable();
    if unseen.peek().is_none() {
        return;
    }
    for (id, fate) in fates.iter_mut().filter(|(_, fate)| matches!(fate, Fate::Create)) {
        match unseen.next() {
            Some(attach) => *fate = Fate::Attach(attach),
            None => {
                let name = id.name(&survey.desired.cluster);
                let text = format!("{name} is planned when the operations of an earlier run have ended");
                report.note("operation-runs", Some(&name), text);
                *fate = Fate::Held;
            }
        }
    }
    for attach in unseen {
        let (vmid, node) = (attach.vmid, attach.node);
        let text =
            format!("an operation of an earlier run works on VM {vmid} of {node}, which can't be seen yet; plan again");
        report.note("operation-runs", None, text);
    }
}

/// Live operations of ours on VMIDs where nothing is to be seen yet, or a lock without a mark: a clone in its first moments.
fn unseen_work<'a>(survey: &Survey<'a>, slots: &BTreeMap<NodeName, Slot<'a>>) -> Vec<Attach<'a>> {
    let mut unseen = Vec::new();
    for (node, site) in &survey.sites {
        let (Some(facts), Some((realm_id, realm))) = (site.facts, site.realm) else { continue };
        let here: BTreeSet<Vmid> = facts
            .operations
            .iter()
            .filter(|op| op.live && op.cluster == survey.desired.cluster && !is_somebody(realm, op.vmid))
            .map(|op| op.vmid)
            .filter(|vmid| !slots.values().any(|slot| slot.node == **node && slot.vmid == *vmid))
            .collect();
        unseen.extend(here.into_iter().map(|vmid| Attach {
            node,
            realm_id,
            vmid,
            operations: survey.live_operations(node, vmid),
        }));
    }
    unseen
}

/// Whether a guest of this id is more than a lock.
fn is_somebody(realm: &Realm, vmid: Vmid) -> bool {
    let guest = realm.guests.get(&vmid);
    guest.is_some_and(|guest| {
        guest.vm().and_then(|vm| vm.config.as_ref()).is_none_or(|config| config.only_lock().is_none())
    })
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
        unknown::hold_without_quorum(&machine.name, found.realm_id, machine.place.as_ref(), report);
        return Fate::Held;
    }
    let operations = survey.live_operations(node, found.vmid());
    if !operations.is_empty() {
        return Fate::Attach(Attach { node, realm_id: found.realm_id, vmid: found.vmid(), operations });
    }
    let half_made = half_made(found).map(|why| (why, false));
    if let Some((why, requested)) = half_made.or_else(|| Some((replacement(survey, machine, found)?, true))) {
        // It gets a new id, which must be free where we can't see, too; unless the manifest gives it the one that it has.
        if !survey.blind.is_empty() && machine.vmid != Some(found.vmid()) {
            unknown::hold_remake(survey, machine, report);
            return Fate::Held;
        }
        if checks::name_is_taken(survey, machine, report) {
            return Fate::Held;
        }
        return Fate::Remake { found: found.clone(), why, requested };
    }
    checks::namesakes(survey, machine, report);
    keep(survey, machine, found, facts)
}

/// Why a VM of ours is an unfinished clone. Nobody works on it: a live operation was looked for before.
pub(crate) fn half_made(found: &Found<'_>) -> Option<String> {
    // A clone gets each disk when it is copied: without any it is unfinished, also when an interrupted removal had unlocked
    // it.
    let bare = !has_disk(&found.config.keys);
    match found.config.lock() {
        None if bare && found.vm.power == Power::Stopped => {
            Some(format!("half-made clone without a disk (VM {}), made again", found.vmid()))
        }
        Some("clone" | "create") if found.vm.power != Power::Running => {
            Some(format!("half-made clone (VM {}), made again", found.vmid()))
        }
        Some(_) | None => None,
    }
}

fn replacement(survey: &Survey<'_>, machine: &Machine, found: &Found<'_>) -> Option<String> {
    if survey.options.replace.contains(&machine.name) {
        return Some(format!("asked for by --replace (VM {} now)", found.vmid()));
    }
    let outdated = survey.options.replace_outdated && is_outdated(survey, found);
    outdated.then(|| format!("on an older image or recipe (VM {} now)", found.vmid()))
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
