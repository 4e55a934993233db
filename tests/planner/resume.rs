//! What an earlier run has left: half-made machines, operations that still run or are long dead.

use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::*;

use super::build::*;

#[test]
fn a_half_made_clone_is_destroyed_and_made_again_under_a_new_id() {
    let (desired, mut observed) = cluster();
    stop(&mut observed, "pve1", 104);
    let config = config_mut(&mut observed, 104);
    config.keys.retain(|key, _| key == "name");
    config.keys.insert("lock".into(), "clone".into());
    let plan = plan(&desired, &observed);
    assert_eq!(lines(&plan), ["replace k8s-worker-1 pve1 100"]);
    assert_eq!(verbs(&plan, "k8s-worker-1"), ["destroy", "clone", "set", "resize", "start", "ready"]);
    assert!(matches!(plan.steps[0].action, Action::Destroy { half_made: true, .. }));
    assert_eq!((plan.steps[0].vmid, plan.steps[1].vmid), (Vmid(104), Vmid(100)));
    assert!(plan.hazards.is_empty());
}

#[test]
fn a_clone_never_configured_goes_on_at_set() {
    let (desired, mut observed) = cluster();
    stop(&mut observed, "pve1", 104);
    let config = config_mut(&mut observed, 104);
    config.keys.retain(|key, _| ["name", "memory", "boot", "net0", "agent"].contains(&key.as_str()));
    config.keys.insert("scsi0".into(), "local-lvm:vm-104-disk-0,size=16G".into());
    let plan = plan(&desired, &observed);
    assert_eq!(change(&plan, "k8s-worker-1").action, ChangeAction::Resume);
    assert_eq!(verbs(&plan, "k8s-worker-1"), ["set", "resize", "start", "ready"]);
    let Action::Set { set, .. } = &plan.steps[0].action else { panic!("{:?}", plan.steps) };
    assert_eq!(set.get("nameserver"), Some(&Setting::Text("10.0.0.1".into())));
}

#[test]
fn a_live_operation_is_attached_to_and_nothing_else_is_planned_for_it() {
    let (desired, mut observed) = cluster();
    config_mut(&mut observed, 104).keys.insert("lock".into(), "clone".into());
    facts(&mut observed, "pve1").operations.push(operation(104, "clone"));
    let plan = plan(&desired, &observed);
    assert_eq!(lines(&plan), ["resume k8s-worker-1 pve1 104"]);
    assert_eq!(verbs(&plan, "k8s-worker-1"), ["attach"]);
}

/// What the other run makes it from is not this plan's to say.
#[test]
fn a_template_in_the_making_says_nothing_of_its_image() {
    let (desired, mut observed) = cluster();
    realm(&mut observed, "pve1").guests.remove(&Vmid(9000));
    realm(&mut observed, "pve1").guests.remove(&Vmid(104));
    facts(&mut observed, "pve1").operations.push(operation(9000, "fetch"));
    let plan = plan(&desired, &observed);
    let template = plan.changes.iter().find(|change| change.vmid == Vmid(9000)).unwrap();
    assert_eq!((template.action, &template.template), (ChangeAction::Resume, &None));
}

#[test]
fn a_clone_that_has_only_begun_holds_creations_back() {
    let (desired, mut observed) = cluster();
    realm(&mut observed, "pve1").guests.remove(&Vmid(104));
    realm(&mut observed, "pve2").guests.remove(&Vmid(105));
    facts(&mut observed, "pve1").operations.push(operation(300, "clone"));
    let plan = plan(&desired, &observed);
    assert_eq!(lines(&plan), ["resume k8s-worker-1 pve1 300"]);
    assert_eq!(notes(&plan, "operation-runs").len(), 1);
}

/// What `qm clone` writes first, until its first drive is copied: without our mark (Qemu.pm `clone_vm`).
fn clone_stub(observed: &mut Observed, vmid: u32) {
    let mut stub = config(&[("lock", "clone")]);
    stub.description = "qmclone temporary file".into();
    put(observed, "pve1", vmid, stub, false);
}

#[test]
fn a_clone_without_its_mark_yet_is_waited_for_and_not_made_twice() {
    let (desired, mut observed) = cluster();
    realm(&mut observed, "pve1").guests.remove(&Vmid(104));
    clone_stub(&mut observed, 300);
    facts(&mut observed, "pve1").operations.push(operation(300, "clone"));
    let plan = plan(&desired, &observed);
    assert_eq!(lines(&plan), ["resume k8s-worker-1 pve1 300"]);
    assert_eq!(notes(&plan, "leftover"), [""; 0]);
}

#[test]
fn what_a_killed_clone_left_without_a_mark_is_reported() {
    let (desired, mut observed) = cluster();
    clone_stub(&mut observed, 300);
    let notes = notes(&plan(&desired, &observed), "leftover").concat();
    assert!(notes.contains("a killed `qm clone`") && notes.contains("qm unlock 300 && qm destroy 300"), "{notes}");
}

#[test]
fn a_dead_operation_says_nothing() {
    let (desired, mut observed) = cluster();
    facts(&mut observed, "pve1").operations.push(OperationSeen {
        live: false,
        exit: Some(0),
        ..operation(104, "clone")
    });
    assert!(!plan(&desired, &observed).has_changes());
}
