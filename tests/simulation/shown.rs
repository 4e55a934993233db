//! A plan that is about to be carried out: what it must be (P3, P4, P6–P8, P11–P13), and what it then lets happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pvekube::model::desired::Desired;
use pvekube::model::ids::{MachineId, Role};
use pvekube::model::mark::MarkSubject;
use pvekube::model::observed::{NodeState, Observed};
use pvekube::model::outcome::{Event, EventKind};
use pvekube::model::plan::{Action, Change, ChangeAction, HazardKind, Plan, Step, StepId, Target};
use pvekube::planner;
use pvekube::sandbox::world::World;

use crate::placement::{self as checker};
use crate::pvekube::{Consent, Planning};

/// What a plan rests on and lets happen, as long as it is carried out.
#[derive(Debug)]
pub struct Shown {
    pub steps: Vec<Step>,
    pub may_break_quorum: bool,
    /// That existed when the plan was made: etcd's members.
    pub masters: usize,
    /// Realms of which no quorate member answered: what lives there is unknown.
    pub unknown: BTreeSet<String>,
    /// When the look began; then by VMID when it was last looked at (Unix seconds).
    pub looked: f64,
    pub looks: BTreeMap<u32, f64>,
    /// By VMID, when its guest was last asked whether it is up and answered.
    pub answered: BTreeMap<u32, f64>,
    done: BTreeSet<StepId>,
    /// When pvekube ended or was killed; an operation that it had just asked for may still begin.
    pub ended: Option<f64>,
}

impl Shown {
    pub fn new(plan: &Plan, world: &Arc<World>, sight: &Sight<'_>) -> Self {
        let consented = sight.consent.accept.contains(&HazardKind::BreakQuorum);
        let existing = machines(sight.observed, sight.desired);
        let told = plan.hazards.iter().any(|hazard| hazard.kind == HazardKind::BreakQuorum);
        Self {
            steps: plan.steps.clone(),
            may_break_quorum: consented && told,
            masters: existing.keys().filter(|id| id.pool.role() == Role::Master).count(),
            unknown: unknown_realms(world, sight.observed),
            looked: sight.looked,
            looks: BTreeMap::new(),
            answered: BTreeMap::new(),
            done: BTreeSet::new(),
            ended: None,
        }
    }

    /// P8: no step starts before what it needs is done.
    pub fn hear(&mut self, event: &Event) -> Option<String> {
        let step = self.steps.iter().find(|step| Some(step.id) == event.step)?;
        match event.what {
            EventKind::Started => {
                let early = step.needs.iter().find(|need| !self.done.contains(need))?;
                Some(format!("P8: step {} ({}) starts before step {early} is done", step.id, step.action.verb()))
            }
            EventKind::Done => {
                self.done.insert(step.id);
                None
            }
            EventKind::Progress { .. }
            | EventKind::Waiting { .. }
            | EventKind::Failed { .. }
            | EventKind::Skipped { .. }
            | EventKind::Found { .. }
            | EventKind::Notice { .. } => None,
        }
    }
}

/// What a plan was made from.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub consent: &'a Consent,
    pub looked: f64,
}

/// Realms of the world that the look does not know for certain.
fn unknown_realms(world: &Arc<World>, observed: &Observed) -> BTreeSet<String> {
    let mut realms: BTreeSet<String> = world.nodes().iter().map(|node| node.realm().name.clone()).collect();
    for (name, state) in &observed.nodes {
        let NodeState::Answered(facts) = state else { continue };
        if observed.realms.get(&facts.realm).is_some_and(|realm| realm.existence_known && realm.quorate)
            && let Some(node) = world.node(name.as_str())
        {
            realms.remove(&node.realm().name);
        }
    }
    realms
}

/// Our machines that the look saw, and whether each is whole.
fn machines(observed: &Observed, desired: &Desired) -> BTreeMap<MachineId, bool> {
    let mut found = BTreeMap::new();
    for (_, _, vm, mark) in observed.managed(&desired.cluster) {
        if let (MarkSubject::Machine(id), Some(config)) = (mark.subject, &vm.config) {
            let whole = config.lock().is_none() && config.keys.contains_key("scsi0");
            found.insert(id, whole);
        }
    }
    found
}

/// What is wrong with a plan that is about to be carried out, seen from what is really there and wished for.
pub fn faults(plan: &Plan, world: &Arc<World>, sight: &Sight<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if !plan.has_changes() && !plan.steps.is_empty() {
        found.push(format!("P3: a plan without changes has {} steps", plan.steps.len()));
    }
    found.extend(absent_is_not_unknown(plan, world, sight));
    let case = checker::Case { desired: sight.desired.clone(), observed: sight.observed.clone() };
    // The judge does not know of machines that wait for a template that an earlier run still makes, nor of the places that
    // are kept for them.
    let attaches =
        |step: &Step| matches!((&step.action, &step.subject), (Action::Attach { .. }, Target::Template { .. }));
    if !plan.steps.iter().any(attaches) {
        found.extend(checker::check(&case, plan).err().map(|fault| format!("P7: {fault}")));
    }
    found.extend(disorder(plan));
    found.extend(unconsented(plan, sight));
    found
}

/// What is wrong with the planner that made it from `sight`.
pub fn planner_faults(plan: &Plan, planning: &Planning, sight: &Sight<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let text = |plan: &Plan| serde_json::to_string(plan).unwrap_or_default();
    let first = text(plan);
    // P13: saved and read again it is the same.
    if serde_json::from_str::<Plan>(&first).ok().as_ref() != Some(plan) {
        found.push("P13: the saved plan is another one".to_owned());
    }
    found.extend(planner::unsound(plan, sight.desired, sight.observed).into_iter().map(|why| format!("P13: {why}")));
    if first != text(&planning.plan(sight.desired, sight.observed, sight.consent)) {
        found.push("P3: planned again it is another plan".to_owned());
    }
    let mut turned = sight.desired.clone();
    turned.nodes.reverse();
    turned.machines.reverse();
    if first != text(&planning.plan(&turned, sight.observed, sight.consent)) {
        found.push("P4: the plan depends on the order of nodes and machines".to_owned());
    }
    found.extend(side_effects(planning, sight));
    found
}

/// P6.
fn absent_is_not_unknown(plan: &Plan, world: &Arc<World>, sight: &Sight<'_>) -> Vec<String> {
    let unknown = unknown_realms(world, sight.observed);
    let made = plan
        .changes
        .iter()
        .filter(|change| change.action == ChangeAction::Create && matches!(change.target, Target::Machine { .. }));
    let mut found = Vec::new();
    if let Some(realm) = unknown.first() {
        found.extend(made.map(|change| format!("P6: {} is to be made though {realm} is unknown", name(change))));
    }
    for change in plan.changes.iter().filter(|change| change.action == ChangeAction::Delete) {
        let realm = world.node(change.node.as_str()).map(|node| node.realm().name.clone()).unwrap_or_default();
        if unknown.contains(&realm) {
            found.push(format!("P6: {} is to be deleted though {realm} is unknown", name(change)));
        }
    }
    found
}

/// P8.
fn disorder(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for step in &plan.steps {
        found.extend(
            step.needs
                .iter()
                .filter(|need| **need >= step.id)
                .map(|need| format!("P8: step {} needs step {need}, which comes later", step.id)),
        );
    }
    for change in plan.changes.iter().filter(|change| change.action != ChangeAction::None) {
        if !plan.steps.iter().any(|step| step.subject == change.target) {
            found.push(format!("P8: nothing is done for {}", name(change)));
        }
    }
    found
}

/// P11: with one machine fewer in the manifest, what is planned for the others that are whole stays the same.
fn side_effects(planning: &Planning, sight: &Sight<'_>) -> Vec<String> {
    let mut fewer = sight.desired.clone();
    if fewer.machines.is_empty() {
        return Vec::new();
    }
    let gone = fewer.machines.remove(sight.looked as usize % fewer.machines.len());
    let consent = Consent { prune: false, ..sight.consent.clone() };
    fewer.prune = false;
    let before = Desired { prune: false, ..sight.desired.clone() };
    let first = planning.plan(&before, sight.observed, &consent);
    let other = planning.plan(&fewer, sight.observed, &consent);
    let existing = machines(sight.observed, sight.desired);
    let of = |plan: &Plan, id: &MachineId| {
        let change =
            plan.changes.iter().find(|change| matches!(&change.target, Target::Machine { id: of, .. } if of == id));
        change.map(|change| (change.action, change.vmid, change.node.clone(), change.fields.clone()))
    };
    // Half-made ones are made again, and so placed anew.
    let whole = existing.into_iter().filter(|(_, whole)| *whole).map(|(id, _)| id);
    let others = whole.filter(|id| fewer.machines.iter().any(|machine| machine.id == *id));
    let changed = others.filter(|id| of(&first, id) != of(&other, id));
    changed
        .map(|id| {
            let (with, without) = (of(&first, &id), of(&other, &id));
            format!("P11: without {} something else is planned for {id}: {with:?}, {without:?}", gone.id)
        })
        .collect()
}

/// P12: by the rules of docs/safety.md, not by the plan's own list of hazards.
fn unconsented(plan: &Plan, sight: &Sight<'_>) -> Vec<String> {
    let consent = sight.consent;
    let existing = machines(sight.observed, sight.desired);
    let mut needed: BTreeMap<HazardKind, String> = BTreeMap::new();
    let mut found = Vec::new();
    let (mut deleted, mut remade) = (BTreeSet::new(), BTreeSet::new());
    for change in &plan.changes {
        let Target::Machine { id, role, .. } = &change.target else { continue };
        if change.action == ChangeAction::Delete {
            deleted.insert(id.clone());
            if !consent.prune && !sight.desired.prune {
                found.push(format!("P12: {} is deleted without --prune", name(change)));
            }
            if *role == Role::Master {
                needed.insert(HazardKind::DeleteMasters, name(change));
            }
        }
        if change.action == ChangeAction::Replace {
            remade.insert(id.clone());
            if existing.get(id) == Some(&true) {
                needed.insert(HazardKind::Replace, name(change));
            }
        }
    }
    if deleted.len() > (existing.len() * 30 / 100).max(1) {
        needed.insert(HazardKind::ManyDeletes, format!("{} machines", deleted.len()));
    }
    for step in &plan.steps {
        let (Target::Machine { id, role, .. }, Action::Shutdown { .. }) = (&step.subject, &step.action) else {
            continue;
        };
        if !deleted.contains(id) && !remade.contains(id) {
            let kind = if *role == Role::Master { HazardKind::RebootMasters } else { HazardKind::RebootWorkers };
            needed.insert(kind, id.to_string());
        }
    }
    let missing = needed.iter().filter(|(kind, _)| !consent.accept.contains(kind));
    found.extend(missing.map(|(kind, what)| format!("P12: {what}: nobody agreed to {kind}")));
    found
}

fn name(change: &Change) -> String {
    match &change.target {
        Target::Template { name } => name.clone(),
        Target::Machine { name, .. } => name.to_string(),
    }
}
