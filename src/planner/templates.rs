//! Template slots: for every node where machines may be cloned, which template it has or would get, with its VMID.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::{ImageDigest, NodeName, RealmId, Vmid};
use crate::model::observed::{NodeFacts, OperationSeen, Realm, Upstream, Vm};
use crate::model::vm_config::VmConfig;
use crate::pve::property::{self, Drive};
use crate::pve::storage_cfg::makes_bases;

use super::placement;
use super::recipe;
use super::settings;
use super::survey::{Found, Site, Survey};

/// The template that a node's machines are cloned from.
#[derive(Clone)]
pub(crate) struct Slot<'a> {
    /// Where it lives or will be made; with shared storage not always the machine's node.
    pub(crate) node: NodeName,
    pub(crate) realm_id: RealmId,
    pub(crate) shared: bool,
    pub(crate) vmid: Vmid,
    pub(crate) state: SlotState<'a>,
}

impl Slot<'_> {
    /// What is cloned from it needs it made first.
    pub(crate) fn must_be_made(&self) -> bool {
        match &self.state {
            SlotState::Absent | SlotState::HalfMade { .. } => true,
            SlotState::Ready(ready) => ready.superseded.is_some(),
            SlotState::Working { .. } | SlotState::Blocked { .. } => false,
        }
    }
}

#[derive(Clone)]
pub(crate) enum SlotState<'a> {
    Absent,
    Ready(Ready<'a>),
    /// Ours, but unfinished: destroyed and made again where it is needed.
    HalfMade {
        found: Found<'a>,
        why: String,
    },
    /// Being made by an operation that still lives.
    Working {
        operations: Vec<&'a OperationSeen>,
    },
    /// Its id belongs to something else.
    Blocked {
        why: String,
        hint: String,
    },
}

#[derive(Clone)]
pub(crate) struct Ready<'a> {
    pub(crate) image: Option<ImageDigest>,
    pub(crate) recipe: Option<String>,
    /// The disk that it boots from: `scsi0` in ours.
    pub(crate) disk: String,
    /// Its size; `None` when the config doesn't say.
    pub(crate) disk_bytes: Option<u64>,
    /// `None`: not ours, used read-only.
    pub(crate) found: Option<Found<'a>>,
    /// The config asks for another one (name, recipe, pinned digest): made anew before the next clone.
    pub(crate) superseded: Option<String>,
    /// A newer upstream image exists: information only.
    pub(crate) outdated: bool,
}

/// One slot a schedulable node of a known realm; nodes that share the storage share the slot.
pub(crate) fn slots<'a>(survey: &Survey<'a>) -> BTreeMap<NodeName, Slot<'a>> {
    let mut slots = BTreeMap::new();
    let realms: BTreeSet<&RealmId> = survey.sites.values().filter_map(|site| Some(site.realm?.0)).collect();
    let mut elsewhere = BTreeSet::new();
    for realm_id in realms {
        let in_realm = |site: &&Site<'a>| site.realm.is_some_and(|(id, _)| id == realm_id);
        let sites: Vec<&Site<'a>> = survey.sites.values().filter(in_realm).collect();
        if let Some((_, realm)) = sites.first().and_then(|site| site.realm) {
            let made = realm_slots(survey, realm_id, realm, &sites, &elsewhere);
            elsewhere.extend(made.values().map(|slot| slot.vmid));
            slots.extend(made);
        }
    }
    slots
}

fn realm_slots<'a>(
    survey: &Survey<'a>,
    realm_id: &'a RealmId,
    realm: &'a Realm,
    sites: &[&Site<'a>],
    elsewhere: &BTreeSet<Vmid>,
) -> BTreeMap<NodeName, Slot<'a>> {
    let shared = realm.storages.get(&survey.desired.template.storage).is_some_and(|storage| storage.shared);
    let mut ids = Ids::new(survey, realm, shared, elsewhere);
    let mut own: BTreeMap<NodeName, Slot<'a>> = BTreeMap::new();
    for site in sites {
        if let Some((vmid, state)) = existing(survey, realm_id, site) {
            let node = site.target.name.clone();
            ids.taken.insert(vmid);
            own.insert(node.clone(), Slot { node, realm_id: realm_id.clone(), shared, vmid, state });
        }
    }
    if shared {
        // One whose disks lie elsewhere can be cloned on its own node alone (contract §5).
        let (own, local): (BTreeMap<_, _>, BTreeMap<_, _>) =
            own.into_iter().partition(|(_, slot)| is_reachable_everywhere(realm, slot));
        // A node has one template at most: the shared one goes to another.
        let others: Vec<&Site<'a>> =
            sites.iter().filter(|site| !local.contains_key(&site.target.name)).copied().collect();
        let mut slots = shared_slots(survey, realm_id, &others, own, &mut ids);
        slots.extend(local.into_iter().map(|(node, slot)| (node, Slot { shared: false, ..slot })));
        return slots;
    }
    for site in sites.iter().filter(|site| site.target.schedulable) {
        let name = &site.target.name;
        if !own.contains_key(name) {
            let (vmid, state) = ids.assign(survey, realm, name);
            let slot = Slot { node: name.clone(), realm_id: realm_id.clone(), shared, vmid, state };
            own.insert(name.clone(), slot);
        }
    }
    own
}

/// What is whole lies where its config says, CD drives included; what is to be made will lie on the shared storage.
fn is_reachable_everywhere(realm: &Realm, slot: &Slot<'_>) -> bool {
    let config = realm.guests.get(&slot.vmid).and_then(|guest| guest.vm()).and_then(|vm| vm.config.as_ref());
    let (SlotState::Ready(_), Some(config)) = (&slot.state, config) else { return true };
    let drives = config.keys.iter().filter(|(key, _)| property::is_drive_key(key));
    let storages = drives.filter_map(|(_, value)| Some(Drive::parse(value).ok()?.storage()?.to_owned()));
    storages.into_iter().all(|name| realm.storages.get(&name.as_str().into()).is_some_and(|storage| storage.shared))
}

/// Whether a bake could start there: PVE looks for the bridge only then (contract §6).
pub(crate) fn can_bake(survey: &Survey<'_>, facts: &NodeFacts) -> bool {
    survey.desired.template.bake.as_ref().is_none_or(|bake| facts.bridges.contains(&bake.network.bridge))
}

/// One template for all: an existing one that is complete, else any, else on the first schedulable node that answered.
fn shared_slots<'a>(
    survey: &Survey<'a>,
    realm_id: &RealmId,
    sites: &[&Site<'a>],
    own: BTreeMap<NodeName, Slot<'a>>,
    ids: &mut Ids,
) -> BTreeMap<NodeName, Slot<'a>> {
    let rank = |slot: &Slot<'_>| match &slot.state {
        SlotState::Ready(ready) => (ready.superseded.is_some() as u8, slot.vmid),
        SlotState::Working { .. } => (2, slot.vmid),
        SlotState::HalfMade { .. } => (3, slot.vmid),
        SlotState::Absent | SlotState::Blocked { .. } => (4, slot.vmid),
    };
    // `qm clone` runs where the template's config lies: one on a silent node is of no use now.
    let answers = |slot: &Slot<'a>| survey.site(&slot.node).is_some_and(|site| site.facts.is_some());
    let chosen = own.into_values().filter(answers).min_by_key(rank).or_else(|| {
        let able = |site: &&&Site<'a>| {
            placement::unfit(survey, site).is_none() && site.facts.is_some_and(|facts| can_bake(survey, facts))
        };
        let first = sites.iter().find(able)?;
        let (_, realm) = first.realm?;
        let (vmid, state) = ids.assign(survey, realm, &first.target.name);
        Some(Slot { node: first.target.name.clone(), realm_id: realm_id.clone(), shared: true, vmid, state })
    });
    let Some(slot) = chosen else { return BTreeMap::new() };
    sites.iter().map(|site| (site.target.name.clone(), slot.clone())).collect()
}

/// What a node has already: ours by mark, else a foreign template with the wanted id and name.
fn existing<'a>(survey: &Survey<'a>, realm_id: &RealmId, site: &Site<'a>) -> Option<(Vmid, SlotState<'a>)> {
    let name = &site.target.name;
    let here = |found: &&Found<'a>| found.realm_id == realm_id && found.node == Some(name);
    let ours = survey.templates.iter().filter(here).map(|found| (found.vmid(), our_state(survey, name, found)));
    let rank = |(vmid, state): &(Vmid, SlotState<'_>)| match state {
        SlotState::Ready(ready) => (u8::from(ready.superseded.is_some()), *vmid),
        SlotState::Working { .. } => (2, *vmid),
        SlotState::HalfMade { .. } | SlotState::Absent | SlotState::Blocked { .. } => (3, *vmid),
    };
    if let Some(best) = ours.min_by_key(rank) {
        return Some(best);
    }
    let (_, realm) = site.realm?;
    let spec = &survey.desired.template;
    let wanted = spec.ids.get(name).copied().unwrap_or(spec.id);
    let vm = realm.guests.get(&wanted)?.vm().filter(|vm| Some(&vm.node) == site.pve_name)?;
    Some((wanted, read_only(survey, vm)?))
}

/// A finished template of somebody else with the configured name: cloned from, never set or destroyed. Without a disk or a
/// cloud-init drive its clones could never become machines.
fn read_only<'a>(survey: &Survey<'a>, vm: &'a Vm) -> Option<SlotState<'a>> {
    let config = vm.config.as_ref()?;
    if !config.is_template() || vm.name() != Some(&survey.desired.template.name) {
        return None;
    }
    // A backup ends by itself, and a clone waits for it.
    if let Some(lock) = config.lock().filter(|lock| *lock != "backup") {
        return Some(SlotState::Blocked {
            why: format!("template {} of {} is locked: {lock}", vm.vmid, vm.node),
            hint: format!("see what works on it; if nothing does: qm unlock {}", vm.vmid),
        });
    }
    let blocked = |lacks: &str, hint: String| SlotState::Blocked {
        why: format!("template {} of {} has no {lacks}", vm.vmid, vm.node),
        hint: format!("{hint}, or choose another `vm_template.id`: pvekube makes the template itself"),
    };
    let Some((disk, drive)) = property::first_boot_disk(&config.keys) else {
        return Some(blocked("disk", "give it one".to_owned()));
    };
    let is_cloudinit = |(key, value): (&String, &String)| {
        property::is_drive_key(key) && Drive::parse(value).is_ok_and(|drive| drive.is_cloudinit())
    };
    if !config.keys.iter().any(is_cloudinit) {
        let storage = drive.storage().unwrap_or("STORAGE");
        return Some(blocked("cloud-init drive", format!("qm set {} --ide2 {storage}:cloudinit", vm.vmid)));
    }
    let disk_bytes = drive.size_bytes();
    Some(SlotState::Ready(Ready {
        image: None,
        recipe: None,
        disk,
        disk_bytes,
        found: None,
        superseded: None,
        outdated: false,
    }))
}

fn our_state<'a>(survey: &Survey<'a>, node: &NodeName, found: &Found<'a>) -> SlotState<'a> {
    let operations = survey.live_operations(node, found.vmid());
    if !operations.is_empty() {
        return SlotState::Working { operations };
    }
    if let Some(why) = unfinished(found) {
        return SlotState::HalfMade { found: found.clone(), why };
    }
    let (disk, disk_bytes) = match property::first_boot_disk(&found.config.keys) {
        Some((disk, drive)) => (disk, drive.size_bytes()),
        None => (settings::BOOT_DISK.to_owned(), None),
    };
    SlotState::Ready(Ready {
        image: found.mark.image.clone(),
        recipe: found.mark.recipe.clone(),
        disk,
        disk_bytes,
        superseded: superseded(survey, found),
        outdated: outdated(survey, found.mark.image.as_ref()),
        found: Some(found.clone()),
    })
}

/// Why a template with our mark can't be cloned from.
pub(crate) fn unfinished(found: &Found<'_>) -> Option<String> {
    let config: &VmConfig = found.config;
    if let Some(lock @ ("clone" | "create")) = config.lock() {
        return Some(format!("it is locked ({lock}) and nobody works on it"));
    }
    if !config.is_template() {
        return Some("an earlier run did not finish it".to_owned());
    }
    let Some((key, drive)) = property::first_boot_disk(&config.keys) else {
        return Some("it has no disk".to_owned());
    };
    let kind = drive.storage().and_then(|name| found.realm.storages.get(&name.into())).map(|def| def.kind.as_str());
    if kind.is_none_or(makes_bases) && !drive.is_base() {
        return Some(format!("its conversion was interrupted ({key} is no base volume)"));
    }
    if config.get("cicustom").is_some() {
        return Some("it still carries its bake's cloud-init settings".to_owned());
    }
    None
}

/// What the config asks for and this template is not.
fn superseded(survey: &Survey<'_>, found: &Found<'_>) -> Option<String> {
    let spec = &survey.desired.template;
    if found.vm.name() != Some(spec.name.as_str()) {
        return Some(format!("it is named {}", found.vm.name().unwrap_or("nothing")));
    }
    let recipe = spec.bake.as_ref().map(recipe::digest);
    if found.mark.recipe != recipe {
        return Some("`vm_template.bake` has changed since it was made".to_owned());
    }
    match (&spec.image_digest, &found.mark.image) {
        (Some(pinned), Some(image)) if pinned != image => Some("`vm_template.image_digest` names another image".into()),
        (Some(_) | None, Some(_) | None) => None,
    }
}

/// Whether a disk came from another image than upstream has now. An unknown upstream outdates nothing.
pub(crate) fn outdated(survey: &Survey<'_>, image: Option<&ImageDigest>) -> bool {
    match (&survey.observed.upstream, image) {
        (Upstream::Known { digest, .. }, Some(image)) => digest != image,
        (Upstream::Known { .. } | Upstream::Unknown { .. }, _) => false,
    }
}

/// Hands out template ids within a realm, nodes in name order: `ids`, else `id`, then the lowest free above.
struct Ids {
    taken: BTreeSet<Vmid>,
    base_given: bool,
}

impl Ids {
    /// `elsewhere`: given in other realms, whose nodes may well have the same shared storage, and its volumes' names.
    fn new(survey: &Survey<'_>, realm: &Realm, shared: bool, elsewhere: &BTreeSet<Vmid>) -> Self {
        let spec = &survey.desired.template;
        let everywhere = survey.observed.realms.values().flat_map(|realm| realm.guests.keys());
        let foreign: BTreeSet<Vmid> = everywhere.chain(elsewhere).copied().filter(|_| shared).collect();
        let mut taken: BTreeSet<Vmid> = realm.guests.keys().copied().collect();
        taken.extend(&foreign);
        taken.extend(spec.ids.values());
        taken.extend(survey.desired.machines.iter().filter_map(|machine| machine.vmid));
        let ours = |vm: &Vm| vm.mark().is_some_and(|mark| mark.cluster == survey.desired.cluster);
        // An `id` that a template (ours or one used read-only) has already is given; anything else there is in the way.
        let base_given = realm
            .guests
            .get(&spec.id)
            .and_then(|guest| guest.vm())
            .is_some_and(|vm| ours(vm) || read_only(survey, vm).is_some())
            || foreign.contains(&spec.id) && !realm.guests.contains_key(&spec.id);
        Self { taken, base_given }
    }

    fn assign<'a>(&mut self, survey: &Survey<'a>, realm: &Realm, node: &NodeName) -> (Vmid, SlotState<'a>) {
        let spec = &survey.desired.template;
        let explicit = spec.ids.get(node).copied();
        if let Some(vmid) = explicit.or_else(|| (!self.base_given).then_some(spec.id)) {
            self.base_given |= vmid == spec.id;
            self.taken.insert(vmid);
            return match realm.guests.get(&vmid) {
                Some(_) if !is_being_created(survey, node, vmid) => (vmid, blocked(realm, vmid, node)),
                Some(_) | None => (vmid, absent(survey, node, vmid)),
            };
        }
        let fits = |id: &Vmid| !self.taken.contains(id) || is_being_created(survey, node, *id);
        let above = (spec.id.0.saturating_add(1)..=999_999_999).map(Vmid).find(fits);
        let vmid = above.unwrap_or(spec.id);
        self.taken.insert(vmid);
        (vmid, absent(survey, node, vmid))
    }
}

/// An earlier run's `qm create` works on it: until that is through, the config is nameless and without our mark.
fn is_being_created(survey: &Survey<'_>, node: &NodeName, vmid: Vmid) -> bool {
    survey.live_operations(node, vmid).iter().any(|operation| operation.verb == "create")
}

/// Not there; or not there yet, while an earlier run's image download or `qm create` goes on.
fn absent<'a>(survey: &Survey<'a>, node: &NodeName, vmid: Vmid) -> SlotState<'a> {
    let operations = survey.live_operations(node, vmid);
    if operations.is_empty() { SlotState::Absent } else { SlotState::Working { operations } }
}

fn blocked<'a>(realm: &Realm, vmid: Vmid, node: &NodeName) -> SlotState<'a> {
    let guest = realm.guests.get(&vmid);
    let what = match guest.and_then(|guest| guest.vm()) {
        Some(vm) => format!("VM \"{}\" on {}", vm.name().unwrap_or("without a name"), vm.node),
        None => "a container".to_owned(),
    };
    SlotState::Blocked {
        why: format!("template id {vmid} of {node} belongs to {what}"),
        hint: format!("choose a free `vm_template.id`, or `vm_template.ids: {{{node}: ID}}`"),
    }
}
