//! Decisions made, the plan is put together: changes in their order, steps in theirs.

use std::collections::BTreeMap;

use crate::model::ids::{MachineId, NodeName, Vmid};
use crate::model::plan::{Action, Change, StepId};

use super::existing::Fate;
use super::machine_steps::{self, Making, Rolling};
use super::placement::Choice;
use super::removal::Removals;
use super::sources::{Source, Work};
use super::steps::{Graph, Lane, estimate};
use super::survey::{Found, Survey};
use super::templates::SlotState;
use super::{changes, leftovers, template_steps};

pub(crate) struct Decisions<'a> {
    pub(crate) fates: BTreeMap<MachineId, Fate<'a>>,
    pub(crate) removals: Removals<'a>,
    pub(crate) sources: BTreeMap<NodeName, Source<'a>>,
    /// The source's node for each node.
    pub(crate) source_of: BTreeMap<NodeName, NodeName>,
    pub(crate) choices: BTreeMap<MachineId, Choice>,
    pub(crate) vmids: BTreeMap<MachineId, Vmid>,
    /// Templates of ours that go, and why.
    pub(crate) doomed_templates: Vec<(Found<'a>, String)>,
    /// Templates of ours that stay, with an image file that goes.
    pub(crate) left_images: Vec<Found<'a>>,
}

impl<'a> Decisions<'a> {
    pub(crate) fn source(&self, node: &NodeName) -> Option<&Source<'a>> {
        self.sources.get(self.source_of.get(node)?)
    }

    /// A machine whose clone waits for a template that an earlier run still makes.
    fn waits(&self, id: &MachineId) -> Option<&Source<'a>> {
        let source = self.source(&self.choices.get(id)?.node)?;
        matches!(source.work, Work::Wait).then_some(source)
    }
}

/// Templates, then machines in plan order, then machines that are not in the manifest.
pub(crate) fn changes(survey: &Survey<'_>, decisions: &Decisions<'_>) -> Vec<Change> {
    let mut all: Vec<Change> =
        decisions.sources.values().filter_map(|source| changes::template(survey, source)).collect();
    all.extend(decisions.left_images.iter().filter_map(|found| changes::image_left(survey, found)));
    for (id, fate) in &decisions.fates {
        all.extend(machine_change(survey, decisions, id, fate));
    }
    let leaving = decisions.removals.doomed.iter();
    all.extend(leaving.filter_map(|(id, found)| changes::deleted(survey, id, found)));
    let staying = decisions.removals.left_alone.iter();
    all.extend(staying.filter_map(|(id, found, why)| changes::left_alone(survey, id, found, why)));
    let gone = decisions.doomed_templates.iter();
    all.extend(gone.filter_map(|(found, why)| changes::template_deleted(survey, found, why)));
    all
}

fn machine_change(survey: &Survey<'_>, decisions: &Decisions<'_>, id: &MachineId, fate: &Fate<'_>) -> Option<Change> {
    if let Fate::Attach(attach) = fate {
        return Some(changes::attached(survey, id, attach));
    }
    let machine = survey.wanted.get(id)?;
    match fate {
        Fate::Create | Fate::Remake { .. } => {
            if decisions.waits(id).is_some() {
                return None;
            }
            let choice = decisions.choices.get(id)?;
            let vmid = *decisions.vmids.get(id)?;
            let why = match fate {
                Fate::Remake { why, .. } => Some(why.as_str()),
                Fate::Create | Fate::Keep(_) | Fate::Attach(_) | Fate::Held => None,
            };
            changes::made(survey, machine, &choice.node, vmid, &choice.why, why)
        }
        Fate::Keep(keep) if keep.does_something() || !keep.diff.waiting.is_empty() => {
            changes::kept(survey, machine, keep)
        }
        Fate::Keep(_) | Fate::Attach(_) | Fate::Held => None,
    }
}

pub(crate) fn steps(survey: &Survey<'_>, decisions: &Decisions<'_>) -> Vec<crate::model::plan::Step> {
    let mut graph = Graph::default();
    attach(survey, decisions, &mut graph);
    let templates = template_steps::add(survey, &decisions.sources, &mut graph);
    let mut order = Order { survey, decisions, templates, rolling: Rolling::default(), graph, made: Vec::new() };
    // What is added comes first, what goes out of service after it.
    for (id, fate) in &decisions.fates {
        if matches!(fate, Fate::Create) {
            order.make(id, None);
        }
    }
    let mut last_replaced = None;
    for (id, fate) in &decisions.fates {
        order.change(id, fate, &mut last_replaced);
    }
    order.remove();
    for (found, _) in &decisions.doomed_templates {
        // The VM goes last: as long as it stands, the next run knows by its mark whose the file is.
        let removed = leftovers::remove(survey, found, &mut order.graph);
        template_steps::destroy_template(found, survey, removed.as_slice(), &mut order.graph);
    }
    for found in &decisions.left_images {
        leftovers::remove(survey, found, &mut order.graph);
    }
    order.graph.finish()
}

fn attach(survey: &Survey<'_>, decisions: &Decisions<'_>, graph: &mut Graph) {
    for source in decisions.sources.values() {
        let SlotState::Working { operations } = &source.slot.state else { continue };
        let lane = Lane {
            node: source.slot.node.clone(),
            subject: template_steps::target(survey),
            vmid: source.vmid(),
            disruption: None,
        };
        for operation in operations {
            graph.add(&lane, Action::Attach { operation: operation.name.clone() }, &[], estimate::ATTACH);
        }
    }
    for (id, fate) in &decisions.fates {
        let Fate::Attach(attach) = fate else { continue };
        let subject = machine_steps::target(survey, id);
        let lane = Lane { node: attach.node.clone(), subject, vmid: attach.vmid, disruption: None };
        for operation in &attach.operations {
            graph.add(&lane, Action::Attach { operation: operation.name.clone() }, &[], estimate::ATTACH);
        }
    }
}

struct Order<'o, 'a> {
    survey: &'o Survey<'a>,
    decisions: &'o Decisions<'a>,
    templates: BTreeMap<NodeName, StepId>,
    rolling: Rolling,
    graph: Graph,
    /// Last steps of new machines: what is removed waits for them.
    made: Vec<(MachineId, StepId)>,
}

impl Order<'_, '_> {
    fn make(&mut self, id: &MachineId, old: Option<(StepId, Option<u32>)>) -> Option<StepId> {
        let machine = self.survey.wanted.get(id)?;
        let node = &self.decisions.choices.get(id)?.node;
        let vmid = *self.decisions.vmids.get(id)?;
        let source = self.decisions.source(node)?;
        if matches!(source.work, Work::Wait | Work::NoDigest { .. }) {
            return None;
        }
        let template_done = self.templates.get(&source.slot.node).copied();
        let making = Making { machine, node, vmid, source, template_done };
        let needs: Vec<StepId> = old.iter().map(|(step, _)| *step).collect();
        let disruption = old.and_then(|(_, number)| number);
        let end = machine_steps::make(self.survey, &making, &needs, disruption, &mut self.graph)?;
        self.made.push((id.clone(), end));
        Some(end)
    }

    fn change(&mut self, id: &MachineId, fate: &Fate<'_>, last_replaced: &mut Option<StepId>) {
        let Some(machine) = self.survey.wanted.get(id) else { return };
        match fate {
            Fate::Keep(keep) if keep.does_something() => {
                machine_steps::keep(self.survey, machine, keep, &mut self.rolling, &mut self.graph);
            }
            Fate::Remake { found, requested, .. } => self.remake(id, found, *requested, last_replaced),
            Fate::Keep(_) | Fate::Create | Fate::Attach(_) | Fate::Held => {}
        }
    }

    /// Destroyed, then cloned. A machine in service goes when the template stands and its turn has come.
    fn remake(&mut self, id: &MachineId, found: &Found<'_>, requested: bool, last_replaced: &mut Option<StepId>) {
        let Some(choice) = self.decisions.choices.get(id).filter(|_| self.decisions.vmids.contains_key(id)) else {
            return;
        };
        let Some(source) = self.decisions.source(&choice.node) else { return };
        if matches!(source.work, Work::Wait | Work::NoDigest { .. }) {
            return;
        }
        let mut needs = Vec::new();
        let mut disruption = None;
        if requested {
            needs.extend(self.templates.get(&source.slot.node));
            needs.extend(*last_replaced);
            needs.extend(self.rolling.before(self.survey, id));
            disruption = Some(self.rolling.number());
        }
        let gone = machine_steps::remove(self.survey, id, found, &needs, disruption, &mut self.graph);
        let end = gone.and_then(|gone| self.make(id, Some((gone, disruption))));
        if let Some(end) = end.filter(|_| requested) {
            *last_replaced = Some(end);
            self.rolling.after(id, end);
        }
    }

    /// Machines leave after those of their role that are new stand: what replaces them comes first.
    fn remove(&mut self) {
        for (id, found) in &self.decisions.removals.doomed {
            if self.survey.options.destroy {
                machine_steps::remove(self.survey, id, found, &[], None, &mut self.graph);
                continue;
            }
            let role = id.pool.role();
            let mut needs: Vec<StepId> =
                self.made.iter().filter(|(made, _)| made.pool.role() == role).map(|(_, step)| *step).collect();
            needs.extend(self.rolling.before(self.survey, id));
            let number = Some(self.rolling.number());
            if let Some(end) = machine_steps::remove(self.survey, id, found, &needs, number, &mut self.graph) {
                self.rolling.after(id, end);
            }
        }
    }
}
