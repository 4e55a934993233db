//! Commands that fail, lie, vanish; connections that break.

use tokio::sync::watch;

use super::fake::{Fake, Trouble, Vm, config};
use super::setup::*;
use crate::execute::{ApplyOptions, Interrupt};
use crate::model::outcome::StepResult;
use crate::model::plan::{Action, StepId};

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_of_a_start_is_tried_again_under_the_same_name_and_runs_once() {
    for runs in [true, false] {
        let fake = Fake::new();
        fake.trouble("clone", 101, Trouble::StartUnknown { runs });
        let applied = run(&fake, &machines([101])).await;
        assert!(applied.outcome.is_success(), "{runs}: {:#?}", applied.outcome);
        assert_eq!(fake.begun().iter().filter(|what| what.contains("clone")).count(), 1);
        assert!(applied.told("connection lost; trying again"));
    }
}

#[tokio::test(start_paused = true)]
async fn followers_that_break_again_and_again_lose_nothing() {
    let fake = Fake::new();
    fake.with(|state| state.followers_last_s = Some(7));
    let applied = run(&fake, &machines([101, 102, 103])).await;
    assert!(applied.outcome.is_success(), "{:#?}", applied.outcome);
}

#[tokio::test(start_paused = true)]
async fn an_exit_code_of_zero_is_not_believed() {
    for (verb, step, id) in [("set", 2, "set-failed"), ("resize", 3, "resize-failed"), ("start", 4, "start-failed")] {
        let fake = Fake::new();
        let said = "lvextend: insufficient free space";
        fake.trouble(verb, 101, Trouble::Pretends(said));
        let applied = run(&fake, &machines([101])).await;
        let failure = applied.failure(StepId(step));
        assert_eq!(failure.id, id);
        assert_eq!(failure.evidence[0], said, "its words are read all the same");
        assert_eq!(failure.cause.as_deref(), Some("the storage is full"));
        assert!(failure.evidence.iter().any(|line| line.starts_with("afterwards: ")), "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lock_time_outs_before_the_work_began_are_tried_again() {
    let text = "trying to acquire lock...\ncan't lock file '/var/lock/qemu-server/lock-9001.conf' - got timeout";
    let fake = Fake::new();
    for verb in ["clone", "clone", "set", "start"] {
        fake.trouble(verb, 101, Trouble::Fails(text));
    }
    // `qm disk resize` exits 0 on it (contract §0.1).
    fake.trouble("resize", 101, Trouble::Pretends(text));
    let storage = "clone failed: cfs-lock 'storage-ceph' error: got lock request timeout";
    fake.trouble("clone", 102, Trouble::Fails(storage));
    let applied = run(&fake, &machines([101, 102])).await;
    assert!(applied.outcome.is_success(), "{:#?}", applied.outcome);
    assert_eq!(fake.begun().iter().filter(|what| what.ends_with("clone 101")).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_being_backed_up_is_waited_for() {
    let patient = || ApplyOptions { lock_timeout_s: 600, ..ApplyOptions::default() };
    for (tries, waits) in [(3, true), (100, false)] {
        let fake = Fake::new();
        for _ in 0..tries {
            fake.trouble("clone", 101, Trouble::Fails("VM is locked (backup)"));
        }
        let applied = run_with(&fake, &machines([101]), patient(), watch::channel(Interrupt::None).1).await;
        assert_eq!(applied.outcome.is_success(), waits, "{:#?}", applied.outcome);
        if !waits {
            let failure = applied.failure(StepId(1));
            assert_eq!(failure.cause.as_deref(), Some("the VM is locked (backup)"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_that_moves_between_read_and_set_is_read_again() {
    let fake = Fake::new();
    fake.trouble("set", 101, Trouble::ConfigMoves);
    let applied = run(&fake, &machines([101])).await;
    assert!(applied.outcome.is_success(), "{:#?}", applied.outcome);
    assert_eq!(fake.config_of(101).unwrap().get("hookscript"), Some("local:snippets/x"));
}

#[tokio::test(start_paused = true)]
async fn a_clone_for_another_node_may_arrive_there_late() {
    let fake = Fake::new();
    fake.with(|state| state.arrives_late.insert(101, 3));
    let mut plan = machines([101]);
    let Action::Clone { target, .. } = &mut plan.steps[0].action else { panic!() };
    *target = Some("pve2".into());
    let applied = run(&fake, &plan).await;
    assert!(applied.outcome.is_success(), "{:#?}", applied.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_was_killed_leaves_nothing_behind() {
    let fake = Fake::new();
    fake.trouble("clone", 101, Trouble::Lost);
    let applied = run(&fake, &machines([101])).await;
    let failure = applied.failure(StepId(1));
    assert_eq!(failure.id, "clone-failed");
    assert!(failure.cause.as_ref().unwrap().contains("process on the node is gone"));
    assert_eq!(fake.config_of(101), None);
    assert!(fake.with(|state| state.volumes.values().all(|volumes| volumes.is_empty())));
    assert!(run(&fake, &machines([101])).await.outcome.is_success());
}

#[tokio::test(start_paused = true)]
async fn a_foreign_vm_on_the_id_is_never_touched() {
    let fake = Fake::new();
    let text = "#a neighbour's\nname: db\nscsi0: local-lvm:vm-101-disk-0,size=9G\nboot: order=scsi0\n";
    fake.with(|state| state.vms.insert(101, Vm { config: config(text), started: None }));
    let applied = run(&fake, &machines([101])).await;
    let failure = applied.failure(StepId(1));
    assert_eq!(failure.id, "vmid-taken");
    assert!(failure.evidence[0].contains("db, without a mark"));
    assert!(fake.begun().is_empty());

    let mut steps = Steps::default();
    let destroy = steps.add(101, &[], Action::Destroy { mark: mark(101), half_made: true }, 2);
    let start = steps.add(101, &[], Action::Start { mark: mark(101) }, 2);
    let applied = run(&fake, &steps.plan()).await;
    assert_eq!(applied.failure(destroy).id, "not-ours");
    assert_eq!(applied.failure(start).id, "not-ours");
    assert!(fake.begun().is_empty());
}

#[tokio::test(start_paused = true)]
async fn volumes_that_are_already_there_are_not_ours() {
    let fake = Fake::new();
    fake.with(|state| state.volumes.entry(101).or_default().insert("local-lvm:vm-101-disk-7".into()));
    let applied = run(&fake, &machines([101])).await;
    assert_eq!(applied.failure(StepId(1)).id, "stray-volumes");
    assert!(fake.begun().is_empty());
}

#[tokio::test(start_paused = true)]
async fn destroying_stops_first_and_leaves_volumes_alone_that_the_config_does_not_name() {
    let fake = Fake::new();
    assert!(run(&fake, &machines([101])).await.outcome.is_success());
    fake.with(|state| state.volumes.entry(101).or_default().insert("local-lvm:vm-101-disk-7".into()));
    let mut steps = Steps::default();
    let destroy = steps.add(101, &[], Action::Destroy { mark: mark(101), half_made: false }, 2);
    let applied = run(&fake, &steps.plan()).await;
    assert_eq!(*applied.result(destroy), StepResult::Done);
    assert_eq!(fake.config_of(101), None);
    assert_eq!(fake.begun().split_off(4), ["pve2 shutdown 101", "pve2 destroy 101"]);
    assert!(applied.told("volume local-lvm:vm-101-disk-7 was not in its config; left alone"));
    assert_eq!(fake.with(|state| state.volumes[&101].len()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_half_made_clone_goes_with_all_its_volumes() {
    let fake = Fake::new();
    let text = format!("#{}\nname: k8s-worker-101\nlock: clone\n", mark(101));
    fake.with(|state| {
        state.vms.insert(101, Vm { config: config(&text), started: None });
        state.volumes.entry(101).or_default().insert("local-lvm:vm-101-disk-0".into());
    });
    let mut steps = Steps::default();
    let destroy = steps.add(101, &[], Action::Destroy { mark: mark(101), half_made: true }, 2);
    let applied = run(&fake, &steps.plan()).await;
    assert_eq!(*applied.result(destroy), StepResult::Done);
    assert_eq!(fake.begun(), ["pve2 free 101", "pve2 unlock 101", "pve2 destroy 101"]);
    assert!(fake.with(|state| state.volumes[&101].is_empty()));
}

/// Another run finished what the plan had seen half-made.
#[tokio::test(start_paused = true)]
async fn what_is_whole_by_now_is_not_removed_as_half_made() {
    let fake = Fake::new();
    assert!(run(&fake, &machines([101])).await.outcome.is_success());
    let before = fake.begun();
    let mut steps = Steps::default();
    let destroy = steps.add(101, &[], Action::Destroy { mark: mark(101), half_made: true }, 2);
    let applied = run(&fake, &steps.plan()).await;
    assert_eq!(applied.failure(destroy).id, "made-meanwhile");
    assert_eq!(fake.begun(), before);
}

#[tokio::test(start_paused = true)]
async fn a_locked_vm_is_not_forced() {
    let fake = Fake::new();
    let text = format!("#{}\nname: k8s-worker-101\nlock: migrate\n", mark(101));
    fake.with(|state| state.vms.insert(101, Vm { config: config(&text), started: None }));
    let mut steps = Steps::default();
    let start = steps.add(101, &[], Action::Start { mark: mark(101) }, 2);
    let applied = run(&fake, &steps.plan()).await;
    assert_eq!(applied.failure(start).id, "vm-locked");
    assert!(fake.begun().is_empty());
}
