//! P3–P11 over generated clusters. `PROPTEST_CASES` sets how many.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use pvekube::model::desired::{Desired, MaxUnavailable};
use pvekube::model::ids::*;
use pvekube::model::mark::MarkSubject;
use pvekube::model::observed::*;
use pvekube::model::plan::*;
use pvekube::planner;

use super::build::*;
use super::checker;
use super::generate::{Case, Dice, Shape, case};
use super::model;

fn shapes(trouble: usize) -> impl Strategy<Value = Shape> {
    (any::<u64>(), 1usize..=20, 0usize..=300, 0u32..=5, 0u32..=25).prop_map(
        move |(seed, nodes, guests, masters, workers)| Shape { seed, nodes, guests, masters, workers, trouble },
    )
}

fn plan_of(case: &Case) -> Plan {
    planner::plan(&case.desired, &case.observed, &case.options)
}

fn text(plan: &Plan) -> String {
    serde_json::to_string(plan).unwrap()
}

fn runnable(plan: &Plan) -> bool {
    plan.refusals().count() == 0 && !plan.steps.iter().any(|step| matches!(step.action, Action::Attach { .. }))
}

/// As many cases as `PROPTEST_CASES` says, else a number that keeps the whole file below ten seconds.
fn config() -> ProptestConfig {
    let given = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { given.cases } else { 32 };
    ProptestConfig { cases, max_shrink_iters: 200, max_global_rejects: 10 * cases, failure_persistence: None, ..given }
}

fn silent_node(case: &Case, vm: &Vm) -> bool {
    case.observed.facts(&vm.node.as_str().into()).is_none()
}

/// Whether a machine of this name still is one of these VMs.
fn has_one_of(observed: &Observed, vms: &BTreeSet<Vmid>, name: &MachineName) -> bool {
    let k8s = ClusterName::from("k8s");
    let mut ours = observed.managed(&k8s).map(|(_, _, vm, _)| vm);
    ours.any(|vm| vms.contains(&vm.vmid) && vm.name() == Some(name.as_str()))
}

proptest! {
    #![proptest_config(config())]

    /// P3, P4: the same input gives the same plan, whatever the order of nodes and machines in it.
    #[test]
    fn plans_do_not_depend_on_order(shape in shapes(15)) {
        let case = case(&shape);
        let first = text(&plan_of(&case));
        prop_assert_eq!(&first, &text(&plan_of(&case)));
        let mut dice = Dice(shape.seed ^ 1);
        let mut shuffled = case.desired.clone();
        for i in (1..shuffled.nodes.len()).rev() {
            shuffled.nodes.swap(i, dice.below(i + 1));
        }
        for i in (1..shuffled.machines.len()).rev() {
            shuffled.machines.swap(i, dice.below(i + 1));
        }
        prop_assert_eq!(&first, &text(&planner::plan(&shuffled, &case.observed, &case.options)));
        let saved: Plan = serde_json::from_str(&first).unwrap();
        prop_assert_eq!(&first, &text(&saved));
    }

    /// P5: no step touches what is not ours, and every existing VM is touched on the node where it is.
    #[test]
    fn foreign_vms_are_never_touched(shape in shapes(30)) {
        let case = case(&shape);
        let plan = plan_of(&case);
        let mut made: BTreeSet<(RealmId, Vmid)> = BTreeSet::new();
        for step in &plan.steps {
            let realm_of = |node: &NodeName| case.observed.facts(node).map(|facts| facts.realm.clone());
            let realm = realm_of(&step.node).expect("a step on a silent node");
            if matches!(step.action, Action::CreateTemplate { .. } | Action::Clone { .. }) {
                made.insert((realm.clone(), step.vmid));
                continue;
            }
            let exists = case.observed.realms[&realm].guests.get(&step.vmid);
            match exists {
                Some(Guest::Vm(vm)) => {
                    prop_assert!(vm.mark().is_some_and(|mark| mark.cluster == "k8s".into()), "step {}", step.id);
                    prop_assert_eq!(vm.node.as_str(), step.node.as_str());
                }
                Some(Guest::Container(_)) => prop_assert!(false, "step {} touches a container", step.id),
                None => prop_assert!(
                    made.contains(&(realm, step.vmid)) || matches!(step.action, Action::FetchImage { .. }),
                    "step {} touches VM {} before it is made", step.id, step.vmid
                ),
            }
        }
    }

    /// A saved plan is held against its inputs before it runs: whatever is planned passes.
    #[test]
    fn every_plan_is_sound(shape in shapes(30)) {
        let case = case(&shape);
        prop_assert_eq!(planner::unsound(&plan_of(&case), &case.desired, &case.observed), Vec::<String>::new());
    }

    /// P6: where existence is unknown, nothing that may live there is made.
    #[test]
    fn absence_is_not_evidence(shape in shapes(60)) {
        let case = case(&shape);
        let plan = plan_of(&case);
        let member = |name: &NodeName| {
            case.observed.realms.values().any(|realm| realm.members.values().any(|m| m.node.as_ref() == Some(name)))
        };
        let unread = |realm: &Realm| realm.guests.values().filter_map(Guest::vm).any(|vm| vm.config.is_none());
        let blind = case.desired.nodes.iter().any(|node| case.observed.facts(&node.name).is_none() && !member(&node.name))
            || case.observed.realms.values().any(|realm| !realm.existence_known || unread(realm));
        let held = plan.checks.iter().any(|check| check.id == "existence-unknown");
        prop_assert!(blind || !held, "held back without a reason");
        let makes = plan.changes.iter().any(|change| {
            change.action == ChangeAction::Create && matches!(change.target, Target::Machine { .. })
        });
        prop_assert!(!(blind && makes), "{:?}", lines(&plan));
        let wanted: BTreeSet<&MachineName> = case.desired.machines.iter().map(|machine| &machine.name).collect();
        let told: BTreeSet<&str> = plan.checks.iter().filter(|check| check.verdict == Verdict::Unknown || check.verdict == Verdict::Failed).map(|check| check.about.as_str()).collect();
        // Nobody is forgotten: a wanted machine is as wanted, changed, or said why not.
        for name in wanted {
            let changed = plan.changes.iter().any(|change| matches!(&change.target, Target::Machine { name: of, .. } if of == name));
            let noted = plan.notes.iter().any(|note| note.machine.as_ref() == Some(name));
            prop_assert!(changed || noted || plan.unchanged.contains(name) || told.contains(name.as_str()), "{} is forgotten", name);
        }
    }

    /// P7: capacity holds, and no strictly better node was left out.
    #[test]
    fn placement_holds_against_an_independent_checker(shape in shapes(10)) {
        let case = case(&shape);
        let plan = plan_of(&case);
        prop_assume!(plan.refusals().count() == 0);
        if let Err(fault) = checker::check(&case, &plan) {
            prop_assert!(false, "{}", fault);
        }
    }

    /// P7: on equal nodes every role is spread evenly.
    #[test]
    fn equal_nodes_get_equal_shares(nodes in 1usize..=12, masters in 0u32..=7, workers in 0u32..=40) {
        let mut wanted = with_machines(desired(nodes), masters, workers);
        wanted.machines.iter_mut().for_each(|machine| machine.memory_mb = 256);
        let plan = plan(&wanted, &observed(nodes));
        for wanted_role in [Role::Master, Role::Worker] {
            let mut count: BTreeMap<String, usize> = (1..=nodes).map(|n| (format!("pve{n}"), 0)).collect();
            for change in &plan.changes {
                if matches!(&change.target, Target::Machine { role, .. } if *role == wanted_role) {
                    *count.get_mut(change.node.as_str()).unwrap() += 1;
                }
            }
            let (least, most) = (count.values().min().unwrap(), count.values().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}: {:?}", wanted_role, count);
        }
    }

    /// P8: `needs` point backwards, every change has a step, and every order of the steps leads to the same state.
    #[test]
    fn steps_form_a_dag_with_one_outcome(shape in shapes(15)) {
        let case = case(&shape);
        let plan = plan_of(&case);
        for (i, step) in plan.steps.iter().enumerate() {
            prop_assert_eq!(step.id, StepId(i as u32 + 1));
            prop_assert!(step.needs.iter().all(|need| *need < step.id));
        }
        prop_assume!(runnable(&plan));
        for change in plan.changes.iter().filter(|change| change.action != ChangeAction::None) {
            prop_assert!(plan.steps.iter().any(|step| step.subject == change.target), "no step for {:?}", change.target);
        }
        let mut ends = Vec::new();
        for seed in 0..3 {
            let mut dice = Dice(seed);
            let mut observed = case.observed.clone();
            let steps = model::order(&plan, |n| if seed == 0 { 0 } else { dice.below(n) });
            model::apply(&mut observed, &steps);
            ends.push(observed);
        }
        prop_assert!(ends.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// P3: applied, the plan is empty.
    #[test]
    fn applied_and_planned_again_is_empty(shape in shapes(15)) {
        let mut case = case(&shape);
        let plan = plan_of(&case);
        prop_assume!(runnable(&plan));
        let mut dice = Dice(shape.seed);
        let steps = model::order(&plan, |n| dice.below(n));
        model::apply(&mut case.observed, &steps);
        // Those that are held back are so again.
        case.options.replace.retain(|name| plan.held_back().any(|check| check.about == name.as_str()));
        let again = plan_of(&case);
        prop_assert!(!again.has_changes() && again.steps.is_empty(), "{:?}\n{:?}", lines(&again), step_lines(&again));
    }

    /// Crash safety on plain data: stopped after any step, the next run brings it to the same end, with nothing twice.
    #[test]
    fn a_run_that_stopped_anywhere_is_finished_by_the_next(shape in shapes(15), cut in 0.0f64..1.0) {
        let mut case = case(&shape);
        let plan = plan_of(&case);
        prop_assume!(runnable(&plan));
        let mut dice = Dice(shape.seed);
        let steps = model::order(&plan, |n| dice.below(n));
        let done = (steps.len() as f64 * cut) as usize;
        let before: BTreeSet<Vmid> = case.observed.vms().map(|(_, _, vm)| vm.vmid).collect();
        model::apply(&mut case.observed, &steps[..done]);
        for _ in 0..2 {
            // Who ran it with --replace runs it again with it, for those that still are what they were.
            let left = case.options.replace.iter().filter(|name| has_one_of(&case.observed, &before, name));
            case.options.replace = left.cloned().collect();
            let next = plan_of(&case);
            prop_assert_eq!(failed(&next), Vec::<&str>::new(), "{:#?}", next.refusals().collect::<Vec<_>>());
            let steps = model::order(&next, |n| dice.below(n));
            model::apply(&mut case.observed, &steps);
        }
        case.options.replace.retain(|name| has_one_of(&case.observed, &before, name));
        let end = plan_of(&case);
        prop_assert!(end.steps.is_empty(), "{:?}", step_lines(&end));
        let mut seen = BTreeSet::new();
        for (_, realm, vm, mark) in case.observed.managed(&"k8s".into()) {
            if let MarkSubject::Machine(id) = mark.subject {
                prop_assert!(seen.insert(id.clone()), "{} twice", id);
                let name = id.name(&"k8s".into());
                let wanted = case.desired.machines.iter().any(|machine| machine.id == id);
                let held = end.held_back().any(|check| check.about == name.as_str());
                let named = vm.name() == Some(name.as_str());
                prop_assert!(!wanted || !realm.quorate || silent_node(&case, vm) || held || named, "{:?}: {:#?}", name, vm);
            } else {
                let whole = vm.config.as_ref().unwrap().is_template();
                prop_assert!(whole || !realm.quorate || silent_node(&case, vm), "half-made template {}", vm.vmid);
            }
        }
    }

    /// P9: at every step enough masters run, unless breaking quorum is named as a hazard; workers go within the limit.
    #[test]
    fn quorum_and_max_unavailable_hold_at_every_step(shape in shapes(10)) {
        let mut case = case(&shape);
        case.options.accept = HazardKind::ALL.into();
        let plan = plan_of(&case);
        prop_assume!(runnable(&plan));
        let masters = |observed: &Observed| -> (usize, usize) {
            let cluster = ClusterName::from("k8s");
            let all = observed.managed(&cluster).filter(|(_, _, _, mark)| matches!(&mark.subject, MarkSubject::Machine(id) if id.pool == Pool::Masters));
            all.fold((0, 0), |(n, up), (_, _, vm, _)| (n + 1, up + usize::from(vm.power == Power::Running)))
        };
        let (members, up) = masters(&case.observed);
        let quorum = members / 2 + 1;
        let named = plan.hazards.iter().any(|hazard| hazard.kind == HazardKind::BreakQuorum);
        let ends = plan.hazards.iter().any(|hazard| hazard.kind == HazardKind::DeleteMasters && hazard.machines.len() == members);
        let mut dice = Dice(shape.seed);
        let mut out: BTreeMap<Pool, BTreeSet<MachineName>> = BTreeMap::new();
        for step in model::order(&plan, |n| dice.below(n)) {
            model::act(&mut case.observed, step);
            if up >= quorum && !named && !ends {
                prop_assert!(masters(&case.observed).1 >= quorum, "after step {}", step.id);
            }
            let Target::Machine { name, id, .. } = &step.subject else { continue };
            let pool = out.entry(id.pool.clone()).or_default();
            let last = plan.steps.iter().rfind(|other| other.subject == step.subject).unwrap().id == step.id;
            match step.action {
                Action::Shutdown { .. } if !last => drop(pool.insert(name.clone())),
                _ if last => drop(pool.remove(name)),
                _ => {}
            }
            prop_assert!(pool.len() <= width(&case.desired, &id.pool), "{:?} are out of service", pool);
        }
    }

    /// P10: ids, names and addresses of what is made are nobody else's.
    #[test]
    fn what_is_made_collides_with_nothing(shape in shapes(30)) {
        let case = case(&shape);
        let plan = plan_of(&case);
        let guests: BTreeSet<Vmid> = case.observed.realms.values().flat_map(|realm| realm.guests.keys().copied()).collect();
        let mut ids = BTreeSet::new();
        for step in &plan.steps {
            let Action::Clone { name, .. } = &step.action else { continue };
            let explicit = case.desired.machines.iter().any(|machine| machine.name == *name && machine.vmid == Some(step.vmid));
            prop_assert!(explicit || !guests.contains(&step.vmid), "VMID {} of {} is taken", step.vmid, name);
            prop_assert!(ids.insert(step.vmid), "VMID {} twice", step.vmid);
            let clash = case.observed.vms().any(|(_, _, vm)| vm.name() == Some(name.as_str()) && vm.mark().is_none());
            prop_assert!(!clash, "{} is somebody's", name);
        }
    }

    /// P11: one edited field changes one machine; one machine more or less changes no other.
    #[test]
    fn edits_are_minimal(nodes in 1usize..=8, masters in 0u32..=3, workers in 1u32..=20, pick in any::<u64>()) {
        let mut wanted = with_machines(desired(nodes), masters, workers);
        wanted.machines.iter_mut().for_each(|machine| machine.memory_mb = 512);
        let observed = settled(&wanted, nodes);
        let at = Dice(pick).below(wanted.machines.len());
        let name = wanted.machines[at].name.clone();

        let mut edited = wanted.clone();
        match pick % 5 {
            0 => edited.machines[at].cores += 1,
            1 => edited.machines[at].memory_mb += 512,
            2 => edited.machines[at].disk_gb += 10,
            3 => edited.machines[at].onboot = false,
            _ => edited.machines[at].network.vlan = Some(7),
        }
        let one = plan(&edited, &observed);
        prop_assert_eq!(one.changes.len(), 1);
        prop_assert_eq!(change(&one, name.as_str()).fields.len(), 1);

        let mut fewer = wanted.clone();
        fewer.machines.remove(at);
        prop_assert!(!plan(&fewer, &observed).has_changes());
        let pruned = plan_with(&fewer, &observed, |options| options.prune = true);
        prop_assert_eq!(pruned.changes.len(), 1);
        prop_assert_eq!(change(&pruned, name.as_str()).action, ChangeAction::Delete);
    }
}

/// The cases above are worth their time only when most of them can run.
#[test]
fn most_generated_cases_can_run_and_do_something() {
    let mut counts = BTreeMap::new();
    for seed in 0..60 {
        let shape = Shape { seed, nodes: 1 + seed as usize % 20, guests: 100, masters: 3, workers: 12, trouble: 15 };
        let plan = plan_of(&case(&shape));
        for change in plan.changes.iter().filter(|_| runnable(&plan)) {
            *counts.entry(change.action).or_insert(0) += 1;
        }
        *counts.entry(ChangeAction::None).or_insert(0) += usize::from(runnable(&plan));
    }
    for action in
        [ChangeAction::Create, ChangeAction::Update, ChangeAction::Replace, ChangeAction::Delete, ChangeAction::Resume]
    {
        assert!(counts.get(&action).is_some_and(|count| *count >= 10), "{action:?}: {counts:?}");
    }
    assert!(counts[&ChangeAction::None] >= 20, "{counts:?}");
}

fn width(desired: &Desired, pool: &Pool) -> usize {
    if *pool == Pool::Masters {
        return 1;
    }
    let of_pool = desired.machines.iter().filter(|machine| machine.id.pool == *pool).count();
    match desired.limits.max_unavailable {
        MaxUnavailable::Count(n) => (n as usize).max(1),
        MaxUnavailable::Percent(percent) => (of_pool * percent as usize / 100).max(1),
    }
}
