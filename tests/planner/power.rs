//! Machines that start, stop and reboot: consent, order, quorum, HA.

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::plan::*;

use super::build::*;

#[test]
fn a_stopped_machine_is_started_unless_power_is_off() {
    let (mut desired, mut observed) = cluster();
    stop(&mut observed, "pve1", 104);
    let started = plan(&desired, &observed);
    assert_eq!(verbs(&started, "k8s-worker-1"), ["start", "ready"]);
    assert_eq!(change(&started, "k8s-worker-1").action, ChangeAction::Resume);
    desired.machines[3].power = false;
    assert!(!plan(&desired, &observed).has_changes());
}

#[test]
fn power_off_shuts_a_running_machine_down_with_consent() {
    let (mut desired, observed) = cluster();
    desired.machines[3].power = false;
    let plan = plan(&desired, &observed);
    assert_eq!(verbs(&plan, "k8s-worker-1"), ["shutdown"]);
    assert_eq!(plan.unaccepted().map(|hazard| hazard.kind).collect::<Vec<_>>(), [HazardKind::RebootWorkers]);
}

#[test]
fn masters_reboot_one_at_a_time_and_workers_within_max_unavailable() {
    let (mut desired, observed) = cluster();
    desired.limits.max_unavailable = MaxUnavailable::Percent(50);
    for machine in &mut desired.machines {
        machine.memory_mb = 8192;
    }
    let plan = plan_with(&desired, &observed, |o| o.accept = HazardKind::ALL.into());
    let needs = |name: &str, verb: &str| {
        let step = *steps_of(&plan, name).iter().find(|step| step.action.verb() == verb).unwrap();
        let subject = |id: &StepId| {
            let step = plan.steps.iter().find(|step| step.id == *id).unwrap();
            match &step.subject {
                Target::Machine { name, .. } => format!("{name} {}", step.action.verb()),
                Target::Template { name } => name.clone(),
            }
        };
        step.needs.iter().map(subject).collect::<Vec<_>>()
    };
    assert_eq!(needs("k8s-master-1", "shutdown"), ["k8s-master-1 set"]);
    assert_eq!(needs("k8s-master-2", "shutdown"), ["k8s-master-1 ready", "k8s-master-2 set"]);
    assert_eq!(needs("k8s-master-3", "shutdown"), ["k8s-master-2 ready", "k8s-master-3 set"]);
    assert_eq!(needs("k8s-worker-2", "shutdown"), ["k8s-worker-2 set"]);
    assert_eq!(needs("k8s-worker-3", "shutdown"), ["k8s-worker-1 ready", "k8s-worker-3 set"]);
    assert_eq!(needs("k8s-worker-4", "shutdown"), ["k8s-worker-2 ready", "k8s-worker-4 set"]);
    let kinds: Vec<HazardKind> = plan.hazards.iter().map(|hazard| hazard.kind).collect();
    assert_eq!(kinds, [HazardKind::RebootMasters, HazardKind::RebootWorkers]);
}

#[test]
fn rebooting_the_only_master_breaks_quorum() {
    let mut desired = with_machines(desired(1), 1, 0);
    let observed = settled(&desired, 1);
    desired.machines[0].cores = 4;
    let plan = plan_with(&desired, &observed, |o| o.accept = [HazardKind::RebootMasters].into());
    assert_eq!(plan.unaccepted().map(|hazard| hazard.kind).collect::<Vec<_>>(), [HazardKind::BreakQuorum]);
    assert!(plan.hazards[0].message.contains("1 of 1 masters run"), "{}", plan.hazards[0].message);
}

#[test]
fn quorum_counts_masters_that_really_run() {
    let (mut desired, mut observed) = cluster();
    stop(&mut observed, "pve2", 102);
    desired.machines[0].cores = 4;
    desired.machines[1].power = false;
    let plan = plan_with(&desired, &observed, |o| o.accept = [HazardKind::RebootMasters].into());
    assert_eq!(plan.unaccepted().map(|hazard| hazard.kind).collect::<Vec<_>>(), [HazardKind::BreakQuorum]);
}

#[test]
fn ha_managed_machines_are_not_stopped_or_started() {
    let (mut desired, mut observed) = cluster();
    realm(&mut observed, "pve1").ha.insert(Vmid(104), "started".into());
    assert_eq!(failed(&plan(&desired, &observed)), Vec::<&str>::new());
    desired.machines[3].memory_mb = 8192;
    assert_eq!(failed(&plan(&desired, &observed)), Vec::<&str>::new());
    let reboot = plan_with(&desired, &observed, |o| o.accept = [HazardKind::RebootWorkers].into());
    assert_eq!(failed(&reboot), ["ha-managed"]);
    assert!(reboot.checks[0].hint.contains("ha-manager set vm:104 --state ignored"));
    realm(&mut observed, "pve1").ha.insert(Vmid(104), "ignored".into());
    let reboot = plan_with(&desired, &observed, |o| o.accept = [HazardKind::RebootWorkers].into());
    assert_eq!(failed(&reboot), Vec::<&str>::new());
}
