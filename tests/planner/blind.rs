//! Unknown is not absent: what is held back is exactly what must be.

use pvekube::model::desired::Desired;
use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::*;
use pvekube::model::vm_config::VmConfig;
use pvekube::planner::{explain, node_loss};

use super::build::*;

fn unknowns<'p>(plan: &'p Plan, id: &str) -> Vec<&'p str> {
    let of = plan.checks.iter().filter(|check| check.id == id && check.verdict == Verdict::Unknown);
    of.map(|check| check.about.as_str()).collect()
}

/// A member of the cluster went silent: its VMs are still in the others' `/etc/pve`.
fn member_down(observed: &mut Observed, node: &str) {
    observed.nodes.insert(node.into(), silent());
    let realm = realm(observed, node);
    realm.members.get_mut(&node.into()).unwrap().online = false;
    for guest in realm.guests.values_mut() {
        if let Guest::Vm(vm) = guest
            && vm.node == node.into()
        {
            vm.power = Power::Unknown;
        }
    }
}

#[test]
fn scaling_a_cluster_with_one_member_down_works() {
    let mut observed = settled(&with_machines(desired(3), 3, 3), 3);
    member_down(&mut observed, "pve3");
    let plan = plan(&with_machines(desired(3), 3, 5), &observed);
    assert_eq!(failed(&plan), Vec::<&str>::new());
    assert_eq!(lines(&plan), ["create k8s-worker-4 pve1 100", "create k8s-worker-5 pve2 107"]);
    assert_eq!(unknowns(&plan, "node-silent"), ["k8s-master-3", "k8s-worker-3", "pve3"]);
    assert_eq!(unknowns(&plan, "existence-unknown"), Vec::<&str>::new());
}

#[test]
fn nothing_is_planned_for_machines_on_a_silent_member() {
    let mut desired = with_machines(desired(3), 3, 3);
    let mut observed = settled(&desired, 3);
    member_down(&mut observed, "pve3");
    desired.machines.iter_mut().for_each(|machine| machine.onboot = false);
    let plan = plan(&desired, &observed);
    assert!(plan.steps.iter().all(|step| step.node != "pve3".into()));
    assert_eq!(plan.summary().machines.change, 4);
}

#[test]
fn a_silent_standalone_node_holds_creations_back_by_name() {
    let desired = with_machines(desired(2), 1, 2);
    let mut observed = standalone(2);
    put_template(&mut observed, "pve1", 9000);
    put_machine(&mut observed, "pve1", 101, &desired.machines[1]);
    let gone = realm(&mut observed, "pve2").members.keys().next().unwrap().clone();
    observed.realms.retain(|_, realm| !realm.members.contains_key(&gone));
    observed.nodes.insert("pve2".into(), silent());
    let plan = plan(&desired, &observed);
    assert!(plan.steps.is_empty());
    assert_eq!(unknowns(&plan, "existence-unknown"), ["k8s-master-1", "k8s-worker-2"]);
    let hint = &plan.checks.iter().find(|check| check.id == "existence-unknown").unwrap().hint;
    assert!(hint.contains("pvekube plan --without-node pve2"), "{hint}");

    let what_if = plan_with(&desired, &observed, |o| o.without_node = Some("pve2".into()));
    assert_eq!(lines(&what_if), ["create k8s-master-1 pve1 100", "create k8s-worker-2 pve1 102"]);
}

#[test]
fn changes_of_what_is_seen_go_on_beside_a_silent_standalone_node() {
    let mut desired = with_machines(desired(2), 0, 1);
    let mut observed = standalone(2);
    put_machine(&mut observed, "pve1", 101, &desired.machines[0]);
    observed.realms.retain(|_, realm| realm.members.contains_key(&"pve1".into()));
    observed.nodes.insert("pve2".into(), silent());
    desired.machines[0].onboot = false;
    assert_eq!(verbs(&plan(&desired, &observed), "k8s-worker-1"), ["set"]);
    // The silent node may have a VM of the id that it would get; its own id is no question.
    let replaced = |desired: &Desired| plan_with(desired, &observed, |o| o.replace = ["k8s-worker-1".into()].into());
    let held = replaced(&desired);
    assert_eq!(unknowns(&held, "existence-unknown"), ["k8s-worker-1"]);
    assert!(held.steps.is_empty(), "{:?}", step_lines(&held));
    desired.machines[0].vmid = Some(Vmid(101));
    assert_eq!(verbs(&replaced(&desired), "k8s-worker-1")[..3], ["shutdown", "destroy", "clone"]);
}

/// In its first moments a clone is a config that is nothing but a lock. (58864: one on a node that did not answer was taken for
/// anybody's, and the machine was made a second time.)
#[test]
fn a_clone_that_has_just_begun_on_a_silent_member_may_be_ours() {
    let desired = with_machines(desired(2), 0, 2);
    let mut observed = settled(&with_machines(super::build::desired(2), 0, 1), 2);
    let lock = VmConfig { keys: [("lock".to_owned(), "clone".to_owned())].into(), ..VmConfig::default() };
    let vm = Vm { vmid: Vmid(105), node: "pve2".into(), config: Some(lock), power: Power::Stopped };
    realm(&mut observed, "pve2").guests.insert(Vmid(105), Guest::Vm(Box::new(vm)));
    assert_eq!(
        lines(&plan(&desired, &observed)),
        ["create k8s-worker-2 pve1 100"],
        "its node says that it is not ours"
    );
    observed.nodes.insert("pve2".into(), silent());
    let held = plan(&desired, &observed);
    assert!(held.steps.is_empty(), "{:?}", step_lines(&held));
    assert_eq!(unknowns(&held, "existence-unknown"), ["k8s-worker-2"]);
    let check = held.checks.iter().find(|check| check.id == "existence-unknown").unwrap();
    assert!(check.message.contains("VM 105 is being cloned on pve2, which did not answer"), "{}", check.message);
}

#[test]
fn a_whole_silent_cluster_holds_everything_back() {
    let desired = with_machines(desired(2), 1, 1);
    let mut observed = observed(2);
    observed.realms.clear();
    for state in observed.nodes.values_mut() {
        *state = silent();
    }
    let plan = plan(&desired, &observed);
    assert!(plan.steps.is_empty() && plan.changes.is_empty());
    assert_eq!(unknowns(&plan, "existence-unknown").len(), 2);
}

#[test]
fn no_quorum_holds_everything_back() {
    let mut desired = with_machines(desired(3), 3, 2);
    let mut observed = settled(&with_machines(super::build::desired(3), 3, 1), 3);
    let realm = realm(&mut observed, "pve1");
    realm.quorate = false;
    realm.existence_known = false;
    desired.machines[0].onboot = false;
    let plan = plan_with(&desired, &observed, |o| o.prune = true);
    assert!(plan.steps.is_empty(), "{:?}", step_lines(&plan));
    let there = ["k8s-master-1", "k8s-master-2", "k8s-master-3", "k8s-worker-1", "pve1", "pve2", "pve3"];
    assert_eq!(unknowns(&plan, "quorum"), there);
    assert_eq!(unknowns(&plan, "existence-unknown"), ["k8s-worker-2"]);
    assert_eq!(plan.held_back().count(), 8, "so `plan` and `apply` exit with 1");
}

/// What can be wrong with a realm, as far as existence is concerned.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Silent,
    NoQuorum,
    /// The config of somebody's VM, perhaps ours, can't be read.
    Unreadable,
}

/// A drifted machine on each of three realms, and one that is missing: what is seen and writable is changed, what may
/// exist unseen is not made, and every machine that is held back is named.
#[test]
fn every_combination_of_what_is_not_known_holds_back_exactly_what_must_be() {
    use Trouble::{NoQuorum, None, Silent, Unreadable};
    let all = [None, Silent, NoQuorum, Unreadable];
    let mut combinations = Vec::new();
    for first in all {
        combinations.extend(all.iter().flat_map(|second| all.map(|third| [first, *second, third])));
    }
    for troubles in combinations {
        let mut desired = with_machines(desired(3), 0, 4);
        let mut observed = standalone(3);
        for (at, trouble) in troubles.into_iter().enumerate() {
            let (node, vmid) = (format!("pve{}", at + 1), 101 + u32::try_from(at).unwrap());
            put_template(&mut observed, &node, 9000);
            put_machine(&mut observed, &node, vmid, &desired.machines[at]);
            foreign(&mut observed, &node, 500, "somebodys");
            let known = realm(&mut observed, &node);
            match (trouble, known.guests.get_mut(&Vmid(500))) {
                (NoQuorum, _) => (known.quorate, known.existence_known) = (false, false),
                (Unreadable, Some(Guest::Vm(vm))) => {
                    vm.config = Option::None;
                    known.existence_known = false;
                }
                (None | Silent | Unreadable, _) => {}
            }
            if trouble == Silent {
                let gone = observed.facts(&node.as_str().into()).unwrap().realm.clone();
                observed.realms.remove(&gone);
                observed.nodes.insert(node.as_str().into(), silent());
            }
            desired.machines[at].onboot = false;
        }
        let plan = plan(&desired, &observed);
        let blind = troubles.iter().any(|trouble| *trouble != None);
        let mut unseen = Vec::new();
        for (at, trouble) in troubles.into_iter().enumerate() {
            let name = format!("k8s-worker-{}", at + 1);
            let changes = matches!(trouble, None | Unreadable);
            assert_eq!(!verbs(&plan, &name).is_empty(), changes, "{name} of {:?}", step_lines(&plan));
            assert_eq!(unknowns(&plan, "quorum").contains(&name.as_str()), trouble == NoQuorum, "{name}");
            if trouble == Silent {
                unseen.push(name);
            }
        }
        assert_eq!(verbs(&plan, "k8s-worker-4").is_empty(), blind);
        unseen.extend(blind.then(|| "k8s-worker-4".to_owned()));
        assert_eq!(unknowns(&plan, "existence-unknown"), unseen);
        assert_eq!(failed(&plan), Vec::<&str>::new(), "nothing that can be done waits for what can't");
    }
}

#[test]
fn an_unreadable_config_may_be_the_missing_machine() {
    let desired = with_machines(desired(1), 0, 2);
    let mut observed = settled(&desired, 1);
    match realm(&mut observed, "pve1").guests.get_mut(&Vmid(102)).unwrap() {
        Guest::Vm(vm) => vm.config = None,
        Guest::Container(_) => unreachable!(),
    }
    let plan = plan(&desired, &observed);
    assert!(plan.steps.is_empty());
    let check = plan.checks.iter().find(|check| check.id == "existence-unknown").unwrap();
    assert!(check.message.contains("VM 102 on pve1 can't be read"), "{}", check.message);
}

#[test]
fn machines_on_members_outside_the_config_are_left() {
    let desired = with_machines(desired(2), 0, 2);
    let mut observed = settled(&desired, 2);
    observed.nodes.remove(&"pve2".into());
    realm(&mut observed, "pve1").members.get_mut(&"pve2".into()).unwrap().node = None;
    let mut desired = desired;
    desired.nodes.truncate(1);
    let plan = plan(&desired, &observed);
    assert!(plan.steps.is_empty());
    assert_eq!(notes(&plan, "unlisted-node").len(), 1);
}

#[test]
fn without_a_node_its_machines_are_made_elsewhere_and_quorum_is_told() {
    let desired = with_machines(desired(3), 3, 3);
    let observed = settled(&desired, 3);
    let plan = plan_with(&desired, &observed, |o| o.without_node = Some("pve2".into()));
    assert_eq!(lines(&plan), ["create k8s-master-2 pve1 100", "create k8s-worker-2 pve3 107"]);
    assert_eq!(
        notes(&plan, "without-node"),
        ["pve2 takes 2 machines with it: k8s-master-2, k8s-worker-2; 2 of 3 masters run on, so quorum (2) is kept"]
    );
    assert!(node_loss(&desired, &observed, &"pve2".into()).quorum_kept());
    assert!(plan.nodes.iter().all(|node| node.node != "pve2".into()));
    // Applied, it would make machines a second time.
    assert_eq!(failed(&plan), ["what-if"]);
}

#[test]
fn a_master_that_may_exist_unseen_counts_for_quorum() {
    let mut desired = with_machines(desired(2), 3, 0);
    let mut observed = standalone(2);
    for (vmid, n) in [(101, 0), (102, 1)] {
        put_machine(&mut observed, "pve1", vmid, &desired.machines[n]);
    }
    observed.realms.retain(|_, realm| realm.members.contains_key(&"pve1".into()));
    observed.nodes.insert("pve2".into(), silent());
    desired.machines[0].cores = 4;
    let plan = plan_with(&desired, &observed, |o| o.accept = [HazardKind::RebootMasters].into());
    assert!(plan.unaccepted().any(|hazard| hazard.kind == HazardKind::BreakQuorum));
}

#[test]
fn explain_says_why() {
    let desired = with_machines(desired(2), 0, 2);
    let mut observed = observed(2);
    put_template(&mut observed, "pve1", 9000);
    put_machine(&mut observed, "pve1", 101, &desired.machines[0]);
    let plan = plan(&desired, &observed);
    let says = |name: &str| -> Vec<String> {
        let explanation = explain(&desired, &observed, &plan, &name.into()).unwrap();
        explanation.reasons.iter().map(|reason| format!("{}: {}", reason.topic, reason.text)).collect()
    };
    assert_eq!(
        says("k8s-worker-1"),
        [
            "state: is as the manifest wants it",
            "node: pve1: it is there, and a machine that exists is never moved",
            "vmid: 101: its mark and its VMID agree, and an id never changes",
            "address: by DHCP on vmbr0",
            "template: from image sha256 aaaa…aaaa, the newest",
        ]
    );
    assert_eq!(
        says("k8s-worker-2"),
        [
            "state: will be created: in the manifest, does not exist",
            "node: pve2: fewest VMs (0); pve1: 1 VMs, 1 with this plan",
            "vmid: 100: the lowest of 100-8999 that no guest of any realm has",
            "address: by DHCP on vmbr0",
            "template: template 9001 on pve2, made by this plan",
        ]
    );
    assert_eq!(explain(&desired, &observed, &plan, &"k8s-worker-3".into()), None);
}
