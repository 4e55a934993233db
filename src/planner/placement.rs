//! Where new machines go: facts in, choice out, with every loser's reason. Nothing that exists is moved.

use std::collections::BTreeMap;

use crate::model::desired::{Machine, Strategy};
use crate::model::ids::{MachineId, NodeName, Role};
use crate::model::observed::Power;

use super::capacity::{self, GIB, MIB, Room, Store, StoreKey, gib};
use super::existing::Fate;
use super::packing;
use super::report::Report;
use super::survey::{Found, Site, Survey};
use super::templates::{self, Slot, SlotState};

/// Nodes and stores as they fill up while the plan is made.
#[derive(Clone)]
pub(crate) struct Board<'s, 'a> {
    survey: &'s Survey<'a>,
    slots: &'s BTreeMap<NodeName, Slot<'a>>,
    pub(crate) rooms: BTreeMap<NodeName, Room>,
    pub(crate) stores: BTreeMap<StoreKey, Store>,
    /// Masters by node, of VMs that stay and of machines placed here.
    masters: BTreeMap<NodeName, usize>,
    /// Why nothing new goes to a node, whatever it is.
    unfit: BTreeMap<NodeName, Option<String>>,
    /// Slots whose template's own disk is counted already.
    templates_taken: Vec<NodeName>,
    pub(super) strategy: Strategy,
}

/// A machine's node, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) node: NodeName,
    pub(crate) why: String,
}

/// Places every machine that is to be made: pinned ones and remakes that can stay first, so that nobody takes their
/// room; then the rest.
pub(crate) fn place<'a>(
    survey: &Survey<'a>,
    slots: &BTreeMap<NodeName, Slot<'a>>,
    fates: &BTreeMap<MachineId, Fate<'a>>,
    report: &mut Report,
) -> (BTreeMap<MachineId, Choice>, BTreeMap<NodeName, Room>, BTreeMap<StoreKey, Store>) {
    let mut board = Board::new(survey, slots, fates);
    let mut choices = BTreeMap::new();
    let mut later = Vec::new();
    for (id, fate) in fates.iter().filter(|(_, fate)| fate.is_made()) {
        let Some(machine) = survey.wanted.get(id) else { continue };
        let Some(node) = machine.node.as_ref().or(fate.home()) else {
            later.push(*machine);
            continue;
        };
        // Its own room is its own again. Nobody else's: a destroy may fail, or come late.
        let mut there = board.clone();
        fate.remade().filter(|found| found.node == Some(node)).iter().for_each(|found| there.vacate(found));
        match (there.refusal(machine, node), &machine.node) {
            (None, pin) => {
                board = there;
                let why = if pin.is_some() { "pinned to it in the manifest" } else { "stays where it was" };
                board.settle(machine, node, why.to_owned(), &mut choices);
            }
            (Some(_), None) => later.push(*machine),
            (Some(reason), Some(_)) => {
                let message = format!("{} is pinned to {node}, which can't take it: {reason}", machine.name);
                let hint = "pin it to another node, or make room there";
                report.fail("no-node-fits", &machine.name, message, hint, machine.place.as_ref());
            }
        }
    }
    let (mut board, chosen) = packing::pack(board, &later, report);
    choices.extend(chosen);
    board.overcommit(report);
    board.growth(fates, report);
    let moved = |(id, found): &(&MachineId, &Found<'_>)| {
        choices.get(*id).is_some_and(|choice| found.node.is_some_and(|home| *home != choice.node))
    };
    let remade = fates.iter().filter_map(|(id, fate)| Some((id, fate.remade()?)));
    remade.filter(moved).for_each(|(_, found)| board.vacate(found));
    (choices, board.rooms, board.stores)
}

impl<'s, 'a> Board<'s, 'a> {
    fn new(
        survey: &'s Survey<'a>,
        slots: &'s BTreeMap<NodeName, Slot<'a>>,
        fates: &BTreeMap<MachineId, Fate<'a>>,
    ) -> Self {
        let mut board = Board {
            survey,
            slots,
            rooms: BTreeMap::new(),
            stores: capacity::stores(survey),
            masters: BTreeMap::new(),
            unfit: survey.sites.iter().map(|(name, site)| ((*name).clone(), unfit(survey, site))).collect(),
            templates_taken: Vec::new(),
            strategy: survey.desired.placement,
        };
        for (name, site) in &survey.sites {
            if let Some(facts) = site.facts {
                board.rooms.insert((*name).clone(), capacity::room(survey.desired, site, facts));
            }
        }
        for found in survey.ours.values().flatten() {
            board.count_existing(found, fates);
        }
        board
    }

    /// Takes a VM that is to be made anew out of the count of its node.
    fn vacate(&mut self, found: &Found<'_>) {
        let Some(room) = found.node.and_then(|node| self.rooms.get_mut(node)) else { return };
        room.memory_used = room.memory_used.saturating_sub(capacity::vm_memory_bytes(found.config));
        room.vms = room.vms.saturating_sub(1);
        let Some(store) = room.store.as_ref().and_then(|key| self.stores.get_mut(key)) else { return };
        let sizes: u64 = capacity::disks_on(found.config, &self.survey.desired.template.storage).sum();
        store.used = if store.thin { store.used } else { store.used.saturating_sub(sizes) };
        store.provisioned = store.provisioned.saturating_sub(sizes);
    }

    /// VMs of ours that stay: masters for the spread, growth of memory and disks.
    fn count_existing(&mut self, found: &Found<'a>, fates: &BTreeMap<MachineId, Fate<'a>>) {
        let crate::model::mark::MarkSubject::Machine(id) = &found.mark.subject else { return };
        let Some(node) = found.node else { return };
        let fate = fates.get(id);
        if fate.is_some_and(Fate::is_made) {
            return;
        }
        let room = self.rooms.get_mut(node);
        let store = room.as_ref().and_then(|room| room.store.clone()).and_then(|key| self.stores.get_mut(&key));
        if id.pool.role() == Role::Master {
            *self.masters.entry(node.clone()).or_default() += 1;
        }
        let (Some(Fate::Keep(_) | Fate::Attach(_)), Some(machine)) = (fate, self.survey.wanted.get(id)) else { return };
        if let Some(room) = room {
            let (has, wants) = (capacity::vm_memory_bytes(found.config), machine.memory_mb.saturating_mul(MIB));
            // A running VM keeps what it has until it boots; a stopped one takes what is set at once.
            let will = if found.vm.power == Power::Running { has.max(wants) } else { wants };
            room.memory_used = room.memory_used.saturating_sub(has).saturating_add(will);
        }
        let Some(Fate::Keep(keep)) = fate else { return };
        if let (Some(store), Some(grow)) = (store, &keep.diff.grow) {
            let added = grow.to_bytes().saturating_sub(grow.from_bytes);
            store.planned = store.planned.saturating_add(if store.thin { 0 } else { added });
            store.provisioned = store.provisioned.saturating_add(added);
            store.added = store.added.saturating_add(added);
        }
    }

    /// Why a node can't take a machine now; `None`: it can.
    fn refusal(&self, machine: &Machine, node: &NodeName) -> Option<String> {
        let Some(site) = self.survey.sites.get(node) else { return Some("it is not in the config".to_owned()) };
        if let Some(Some(reason)) = self.unfit.get(node) {
            return Some(reason.clone());
        }
        if let Some(reason) = no_bridge(site, machine) {
            return Some(reason);
        }
        let Some(slot) = self.slots.get(node) else { return Some("no template can be there".to_owned()) };
        if let SlotState::Blocked { why, .. } = &slot.state {
            return Some(why.clone());
        }
        let bakes = |facts| templates::can_bake(self.survey, facts);
        if slot.must_be_made()
            && self.survey.site(&slot.node).and_then(|site| site.facts).is_some_and(|facts| !bakes(facts))
        {
            return Some(format!(
                "no template can be baked on {}, which has no bridge {}",
                slot.node,
                self.survey.desired.template.bake.as_ref().map_or("", |bake| bake.network.bridge.as_str())
            ));
        }
        if let Some(threads) = too_few_cpus(site, machine) {
            return Some(format!("needs {} CPUs, it has {threads}", machine.cores));
        }
        let room = self.rooms.get(node)?;
        let need = machine.memory_mb.saturating_mul(MIB);
        if need > room.memory_free() {
            return Some(format!(
                "needs {} of memory, {} of {} is free",
                gib(need),
                gib(room.memory_free()),
                gib(room.memory_limit)
            ));
        }
        self.no_space(machine, slot, room)
    }

    fn no_space(&self, machine: &Machine, slot: &Slot<'_>, room: &Room) -> Option<String> {
        let storage = &self.survey.desired.template.storage;
        let Some(store) = room.store.as_ref().and_then(|key| self.stores.get(key)) else {
            return Some(format!("the size of storage {storage} is unknown there"));
        };
        let mut after = store.clone();
        self.take_disks(machine, slot, &mut after);
        let need = after.planned - store.planned;
        if need <= store.free() {
            return None;
        }
        Some(format!("needs {} on {storage}, {} is free", gib(need), gib(store.free())))
    }

    /// The machine's disk, and its template's when that is still to be made.
    fn take_disks(&self, machine: &Machine, slot: &Slot<'_>, store: &mut Store) {
        let base = self.survey.desired.template.disk_gb.saturating_mul(GIB);
        let template = match &slot.state {
            SlotState::Ready(ready) if ready.superseded.is_none() => ready.disk_bytes.unwrap_or(base),
            SlotState::Ready(_)
            | SlotState::Absent
            | SlotState::HalfMade { .. }
            | SlotState::Working { .. }
            | SlotState::Blocked { .. } => {
                if !self.templates_taken.contains(&slot.node) {
                    store.take(base, base);
                }
                base
            }
        };
        store.take(machine.disk_gb.saturating_mul(GIB), template);
    }

    /// The best node by the strategy, or every node's reason.
    pub(super) fn choose(&self, machine: &Machine) -> Result<Choice, Vec<(NodeName, String)>> {
        let mut reasons = Vec::new();
        let mut able = Vec::new();
        for name in self.survey.sites.keys() {
            match self.refusal(machine, name) {
                Some(reason) => reasons.push(((*name).clone(), reason)),
                None => able.push((*name).clone()),
            }
        }
        let best = able.iter().min_by(|a, b| self.rank(machine, a).cmp(&self.rank(machine, b)).then(a.cmp(b)));
        match best {
            Some(node) => Ok(Choice { node: node.clone(), why: self.why(machine, node, &able) }),
            None => Err(reasons),
        }
    }

    /// Smaller is better; ties go to the name. Masters: fewest masters in the zone, then on the node, before the rest.
    fn rank(&self, machine: &Machine, node: &NodeName) -> (usize, usize, u64) {
        let (zone, here) = match machine.role {
            Role::Master => (self.masters_in_zone(node), self.masters_on(node)),
            Role::Worker => (0, 0),
        };
        let room = self.rooms.get(node);
        let load = match self.strategy {
            Strategy::VmCount => room.map_or(u64::MAX, |room| room.vms as u64),
            Strategy::Memory => u64::MAX - room.map_or(0, Room::memory_free),
            Strategy::Pack => room.map_or(u64::MAX, Room::memory_free),
        };
        (zone, here, load)
    }

    fn masters_on(&self, node: &NodeName) -> usize {
        self.masters.get(node).copied().unwrap_or(0)
    }

    fn masters_in_zone(&self, node: &NodeName) -> usize {
        let zone = self.survey.sites.get(node).map(|site| site.zone());
        let same = self.survey.sites.iter().filter(|(_, site)| Some(site.zone()) == zone);
        same.map(|(name, _)| self.masters_on(name)).sum()
    }

    fn why(&self, machine: &Machine, node: &NodeName, able: &[NodeName]) -> String {
        if able.len() == 1 && self.survey.sites.len() > 1 {
            return "only node that fits".to_owned();
        }
        let load = self.load_words(node);
        match machine.role {
            Role::Worker => load,
            Role::Master => self.master_words(node, able, &load),
        }
    }

    fn master_words(&self, node: &NodeName, able: &[NodeName], load: &str) -> String {
        let zoned = able.iter().any(|name| self.survey.sites.get(name).is_some_and(|site| site.target.zone.is_some()));
        let here = self.masters_on(node);
        if zoned && self.masters_in_zone(node) == 0 {
            let zone = self.survey.sites.get(node).map_or("", |site| site.zone());
            return format!("{load}, no master yet in {zone}");
        }
        if here == 0 {
            let alone = able.iter().filter(|name| self.masters_on(name) == 0).count() == 1 && able.len() > 1;
            return if alone { "only node without a master".to_owned() } else { format!("{load}, no master yet") };
        }
        format!("fewest masters ({here}), {load}")
    }

    fn load_words(&self, node: &NodeName) -> String {
        let Some(room) = self.rooms.get(node) else { return String::new() };
        match self.strategy {
            Strategy::VmCount => format!("fewest VMs ({})", room.vms),
            Strategy::Memory => format!("most free memory ({})", gib(room.memory_free())),
            Strategy::Pack => format!("fullest node that fits ({} free)", gib(room.memory_free())),
        }
    }

    pub(super) fn settle(
        &mut self,
        machine: &Machine,
        node: &NodeName,
        why: String,
        choices: &mut BTreeMap<MachineId, Choice>,
    ) {
        if let Some(slot) = self.slots.get(node) {
            let key = self.rooms.get(node).and_then(|room| room.store.clone());
            if let Some(mut store) = key.as_ref().and_then(|key| self.stores.get(key)).cloned() {
                self.take_disks(machine, slot, &mut store);
                if let Some(key) = key {
                    self.stores.insert(key, store);
                }
            }
            if !self.templates_taken.contains(&slot.node) {
                self.templates_taken.push(slot.node.clone());
            }
        }
        if let Some(room) = self.rooms.get_mut(node) {
            room.memory_used = room.memory_used.saturating_add(machine.memory_mb.saturating_mul(MIB));
            room.vms += 1;
        }
        if machine.role == Role::Master {
            *self.masters.entry(node.clone()).or_default() += 1;
        }
        choices.insert(machine.id.clone(), Choice { node: node.clone(), why });
    }

    /// Machines that stay and grow beyond what their node has: refused like new ones.
    fn growth(&self, fates: &BTreeMap<MachineId, Fate<'a>>, report: &mut Report) {
        for (id, fate) in fates {
            let (Some(keep), Some(machine)) = (fate.kept(), self.survey.wanted.get(id)) else { continue };
            let Some((node, room)) = keep.found.node.and_then(|node| Some((node, self.rooms.get(node)?))) else {
                continue;
            };
            let hint = "choose a smaller size, or make room on the node";
            let threads = self.survey.site(node).and_then(|site| too_few_cpus(site, machine));
            if let (Some(threads), true) = (threads, keep.diff.set.contains_key("cores")) {
                let message = format!("{} would have {} CPUs, and {node} has {threads}", machine.name, machine.cores);
                report.fail("cpus", &machine.name, message, "choose a smaller size", machine.place.as_ref());
            }
            let grows = machine.memory_mb.saturating_mul(MIB) > capacity::vm_memory_bytes(keep.found.config);
            if grows && room.memory_used > room.memory_limit {
                let (used, limit) = (gib(room.memory_used), gib(room.memory_limit));
                let message = format!("{} grows, and {node} would need {used} of memory of {limit}", machine.name);
                report.fail("memory", &machine.name, message, hint, machine.place.as_ref());
            }
            let store = room.store.as_ref().and_then(|key| self.stores.get(key));
            let over = |store: &&Store| store.planned > store.total.saturating_sub(store.used);
            if let (Some(_), Some(store)) = (&keep.diff.grow, store.filter(over)) {
                let storage = &self.survey.desired.template.storage;
                let (planned, free) = (gib(store.planned), gib(store.total.saturating_sub(store.used)));
                let message =
                    format!("{}'s disk grows; {storage} on {node} needs {planned}, {free} is free", machine.name);
                report.fail("space", &machine.name, message, hint, machine.place.as_ref());
            }
        }
    }

    /// Thin storage that promises more than `storage_overcommit` allows, where this plan adds to it: a warning.
    fn overcommit(&self, report: &mut Report) {
        let storage = &self.survey.desired.template.storage;
        let factor = self.survey.desired.limits.storage_overcommit;
        for ((realm, node), store) in self.stores.iter().filter(|(_, store)| store.thin && store.added > 0) {
            if store.provisioned as f64 <= store.total as f64 * factor {
                continue;
            }
            let about = node.as_ref().map_or_else(|| format!("{realm} {storage}"), |node| format!("{node} {storage}"));
            let message = format!(
                "its disks may grow to {}, more than {factor} times its {}",
                gib(store.provisioned),
                gib(store.total)
            );
            let hint = "add space before they fill it, or raise `limits.storage_overcommit` knowingly";
            report.warn("storage-overcommit", about, message, hint, None);
        }
    }
}

/// Why nothing new goes to a node, whatever it is.
pub(crate) fn unfit(survey: &Survey<'_>, site: &Site<'_>) -> Option<String> {
    if !site.target.schedulable {
        return Some("`schedulable: false`".to_owned());
    }
    let Some(facts) = site.facts else { return Some("it did not answer".to_owned()) };
    let findings = super::checks::node_findings(survey, site, facts);
    findings.into_iter().find(|finding| finding.wrong && finding.id != "bridge").map(|finding| finding.message)
}

/// The node's threads where a machine wants more: PVE would not start it (contract §6).
fn too_few_cpus(site: &Site<'_>, machine: &Machine) -> Option<u32> {
    let threads = site.facts?.cpus;
    (threads > 0 && machine.cores > threads).then_some(threads)
}

fn no_bridge(site: &Site<'_>, machine: &Machine) -> Option<String> {
    let bridge = &machine.network.bridge;
    let lacks = site.facts.is_some_and(|facts| !facts.bridges.contains(bridge));
    lacks.then(|| format!("it has no bridge {bridge}"))
}
