//! Machines that leave: prune, destroy, what is left alone, hazards.

use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::*;

use super::build::*;

/// Six workers exist, three are wanted; VM 104… are workers 4 to 6.
fn shrunk() -> (pvekube::model::desired::Desired, Observed) {
    let all = with_machines(desired(3), 0, 6);
    let observed = settled(&all, 3);
    (with_machines(desired(3), 0, 3), observed)
}

#[test]
fn without_prune_extra_machines_are_left_alone() {
    let (desired, observed) = shrunk();
    let plan = plan(&desired, &observed);
    assert!(!plan.has_changes() && plan.steps.is_empty());
    assert_eq!(notes(&plan, "left-alone").len(), 3);
    assert_eq!(change(&plan, "k8s-worker-5").action, ChangeAction::None);
}

#[test]
fn prune_deletes_and_many_deletes_need_consent() {
    let (desired, observed) = shrunk();
    let plan = plan_with(&desired, &observed, |o| o.prune = true);
    assert_eq!(
        lines(&plan),
        ["delete k8s-worker-4 pve1 104", "delete k8s-worker-5 pve2 105", "delete k8s-worker-6 pve3 106",]
    );
    assert_eq!(verbs(&plan, "k8s-worker-4"), ["shutdown", "destroy"]);
    assert_eq!(plan.unaccepted().map(|hazard| hazard.kind).collect::<Vec<_>>(), [HazardKind::ManyDeletes]);
    assert!(plan.hazards[0].message.contains("3 of 6"), "{}", plan.hazards[0].message);
}

#[test]
fn one_delete_of_a_few_is_no_hazard() {
    let all = with_machines(desired(3), 0, 6);
    let wanted = with_machines(desired(3), 0, 5);
    let plan = plan_with(&wanted, &settled(&all, 3), |o| o.prune = true);
    assert!(plan.hazards.is_empty());
    assert_eq!(plan.summary().machines.destroy, 1);
}

#[test]
fn the_manifest_can_ask_for_prune() {
    let (mut desired, observed) = shrunk();
    desired.prune = true;
    assert_eq!(plan(&desired, &observed).summary().machines.destroy, 3);
}

#[test]
fn deleting_masters_is_a_hazard_of_its_own_and_goes_one_at_a_time() {
    let all = with_machines(desired(3), 5, 0);
    let wanted = with_machines(desired(3), 3, 0);
    let plan = plan_with(&wanted, &settled(&all, 3), |o| o.prune = true);
    let kinds: Vec<HazardKind> = plan.hazards.iter().map(|hazard| hazard.kind).collect();
    assert_eq!(kinds, [HazardKind::DeleteMasters, HazardKind::ManyDeletes]);
    let last = steps_of(&plan, "k8s-master-4").last().unwrap().id;
    assert_eq!(steps_of(&plan, "k8s-master-5")[0].needs, [last]);
}

#[test]
fn deleting_most_masters_breaks_quorum() {
    let all = with_machines(desired(3), 3, 0);
    let wanted = with_machines(desired(3), 1, 0);
    let plan = plan_with(&wanted, &settled(&all, 3), |o| o.prune = true);
    assert!(plan.hazards.iter().any(|hazard| hazard.kind == HazardKind::BreakQuorum));
}

/// etcd has five members until somebody takes some out: three must stay in service, whatever the manifest wants.
#[test]
fn every_master_that_exists_is_a_member_until_etcd_is_told() {
    let all = with_machines(desired(3), 5, 0);
    let plan = |wanted: u32, stopped: &[u32]| {
        let mut observed = settled(&all, 3);
        for vmid in stopped {
            let home = observed.vms().find(|(_, _, vm)| vm.vmid == Vmid(*vmid)).unwrap().2.node.to_string();
            stop(&mut observed, &home, *vmid);
        }
        plan_with(&with_machines(desired(3), wanted, 0), &observed, |o| o.prune = true)
    };
    let broken = |plan: &Plan| plan.hazards.iter().any(|hazard| hazard.kind == HazardKind::BreakQuorum);
    let to_three = plan(3, &[]);
    assert!(!broken(&to_three));
    assert!(to_three.hazards[0].message.contains("deletes 2 of 5 masters: k8s-master-4, k8s-master-5; take each out"));
    assert!(to_three.hazards[0].message.contains("etcdctl member remove"), "{}", to_three.hazards[0].message);
    // Three of five are in service; each one more that goes is one too many, though the manifest wants but three.
    assert!(broken(&plan(3, &[101])));
    assert!(!broken(&plan(3, &[104])) && !broken(&plan(3, &[104, 105])));
    assert!(broken(&plan(2, &[])));
}

#[test]
fn a_master_made_again_is_no_member_until_something_lets_it_join() {
    let mut desired = with_machines(desired(3), 3, 0);
    let observed = settled(&desired, 3);
    let plan = |desired: &pvekube::model::desired::Desired, masters: &[&str]| {
        plan_with(desired, &observed, |o| o.replace = masters.iter().map(|name| MachineName::new(*name)).collect())
    };
    let kinds = |plan: Plan| plan.hazards.iter().map(|hazard| hazard.kind).collect::<Vec<_>>();
    assert_eq!(kinds(plan(&desired, &["k8s-master-1"])), [HazardKind::Replace]);
    let two = plan(&desired, &["k8s-master-1", "k8s-master-2"]);
    assert!(two.hazards[0].message.contains("leaves 1 in service at its lowest"), "{:?}", two.hazards);
    assert!(two.hazards[1].message.contains("take the old one out, and let the new one join"), "{:?}", two.hazards);
    assert_eq!(kinds(two), [HazardKind::BreakQuorum, HazardKind::Replace]);
    let command = vec!["./join.sh".to_owned()];
    desired.hooks.after_ready = Some(pvekube::model::desired::Hook { command, timeout_s: 600 });
    assert_eq!(kinds(plan(&desired, &["k8s-master-1", "k8s-master-2"])), [HazardKind::Replace]);
}

#[test]
fn what_replaces_comes_before_what_leaves() {
    let all = with_machines(desired(3), 3, 0);
    let mut wanted = all.clone();
    wanted.machines[2] = machine("master-4");
    let plan = plan_with(&wanted, &settled(&all, 3), |o| o.prune = true);
    let ready = steps_of(&plan, "k8s-master-4").last().unwrap().id;
    assert_eq!(steps_of(&plan, "k8s-master-3")[0].needs, [ready]);
}

#[test]
fn an_id_freed_by_this_plan_is_not_used_by_it() {
    let all = with_machines(desired(1), 0, 2);
    let mut wanted = all.clone();
    wanted.machines[1] = machine("worker-3");
    wanted.vmid_range = (Vmid(101), Vmid(110));
    let plan = plan_with(&wanted, &settled(&all, 1), |o| o.prune = true);
    assert_eq!(lines(&plan), ["create k8s-worker-3 pve1 103", "delete k8s-worker-2 pve1 102"]);
}

#[test]
fn a_renamed_vm_is_not_deleted() {
    let (desired, mut observed) = shrunk();
    config_mut(&mut observed, 104).keys.insert("name".into(), "precious".into());
    let plan = plan_with(&desired, &observed, |o| o.prune = true);
    assert_eq!(plan.summary().machines.destroy, 2);
    assert!(notes(&plan, "left-alone")[0].contains("name, mark and VMID must agree"));
}

#[test]
fn foreign_vms_and_other_clusters_are_never_touched() {
    let (desired, mut observed) = shrunk();
    foreign(&mut observed, "pve1", 200, "k8s-worker-9");
    let mut other = config_of(&machine("worker-8"), 201);
    other.description = other.description.replace("cluster=k8s", "cluster=other");
    put(&mut observed, "pve1", 201, other, true);
    let plan = plan_with(&desired, &observed, |o| o.prune = true);
    assert!(plan.steps.iter().all(|step| step.vmid != Vmid(200) && step.vmid != Vmid(201)));
}

#[test]
fn protection_and_ha_are_seen_at_plan_time() {
    let (desired, mut observed) = shrunk();
    config_mut(&mut observed, 104).keys.insert("protection".into(), "1".into());
    realm(&mut observed, "pve1").ha.insert(Vmid(105), "started".into());
    let plan = plan_with(&desired, &observed, |o| o.prune = true);
    assert_eq!(failed(&plan), ["ha-managed", "protected"]);
    assert!(plan.checks[0].hint.contains("ha-manager remove vm:105"));
}

#[test]
fn destroy_takes_all_machines_and_templates_only_when_asked() {
    let desired = with_machines(desired(2), 1, 1);
    let observed = settled(&desired, 2);
    let machines = plan_with(&desired, &observed, |o| o.destroy = true);
    assert_eq!(lines(&machines), ["delete k8s-master-1 pve1 101", "delete k8s-worker-1 pve2 102"]);
    assert!(machines.steps.iter().all(|step| step.disruption.is_none()));
    let all = plan_with(&desired, &observed, |o| {
        o.destroy = true;
        o.templates = true;
    });
    assert_eq!(
        lines(&all)[2..],
        ["delete ubuntu-2204-cloud-template pve1 9000", "delete ubuntu-2204-cloud-template pve2 9001",]
    );
}

#[test]
fn a_machine_that_an_operation_works_on_is_waited_for_before_it_is_deleted() {
    let (desired, mut observed) = shrunk();
    facts(&mut observed, "pve1").operations.push(operation(104, "set"));
    let plan = plan_with(&desired, &observed, |o| o.prune = true);
    assert_eq!(verbs(&plan, "k8s-worker-4"), ["attach"]);
}
