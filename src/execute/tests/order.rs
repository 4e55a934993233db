//! What starts when, what a failure takes with it, interrupts, locks.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::fake::{Fake, Trouble};
use super::setup::*;
use crate::execute::{ApplyOptions, Interrupt};
use crate::model::outcome::{EventKind, Stage, StepResult};
use crate::model::plan::StepId;

#[tokio::test(start_paused = true)]
async fn machines_are_made_in_parallel_within_the_limits_and_are_ready_at_the_end() {
    let fake = Fake::new();
    let applied = run(&fake, &machines(101..=108)).await;
    assert!(applied.outcome.is_success(), "{:#?}", applied.outcome);
    assert_eq!(applied.outcome.machines.len(), 8);
    for machine in &applied.outcome.machines {
        assert!(machine.ready && machine.stage == Stage::Port, "{machine:?}");
        assert_eq!(machine.address.unwrap().to_string(), format!("10.0.0.{}", machine.vmid));
        assert!(!machine.host_keys.is_empty());
    }
    // Four clones of 30 s a node, two at a time; then the last machine's own way.
    let elapsed = applied.outcome.elapsed_s;
    assert!((60.0..110.0).contains(&elapsed), "{elapsed}");
    assert!(applied.outcome.critical_path_s <= elapsed);
    fake.with(|state| {
        let at_start = state.begun.iter().filter(|(at, what)| *at == 0 && what.contains("clone")).count();
        assert_eq!(at_start, 4, "two clones a node: {:?}", state.begun);
        assert!(state.most_at_once <= 4);
    });
    assert!(applied.told("waits for pve1:local-lvm"));
    assert!(!applied.told("(clone)"), "a step that waits for its own machine tells nothing");
}

#[tokio::test(start_paused = true)]
async fn twelve_machines_waiting_for_their_agents_do_not_hold_up_a_clone() {
    let fake = Fake::new();
    let mut steps = Steps::default();
    for vmid in (102..=124).step_by(2) {
        fake.with(|state| {
            let config = super::fake::config(&format!("#{}\nname: x\nagent: enabled=1\n", mark(vmid)));
            state.vms.insert(vmid, super::fake::Vm { config, started: Some(tokio::time::Instant::now()) });
            state.silent_agents.insert(vmid);
        });
        steps.add(vmid, &[], crate::model::plan::Action::Ready(ready(vmid)), 45);
    }
    steps.machine(150);
    let applied = run(&fake, &steps.plan()).await;
    fake.with(|state| assert_eq!(state.begun[0], (0, "pve1 clone 150".to_owned())));
    assert!(applied.outcome.machines.iter().any(|machine| machine.vmid.0 == 150 && machine.ready));
}

#[tokio::test(start_paused = true)]
async fn a_failure_fails_its_dependents_and_nothing_else() {
    let fake = Fake::new();
    fake.trouble("set", 101, Trouble::Fails("400 Parameter verification failed.\ncores: bad"));
    let applied = run(&fake, &machines([101, 102])).await;
    let failure = applied.failure(StepId(2));
    assert_eq!((failure.id.as_str(), failure.node.as_ref().unwrap().as_str()), ("set-failed", "pve2"));
    assert_eq!(failure.evidence[..2], ["400 Parameter verification failed.", "cores: bad"]);
    assert!(failure.command.as_ref().unwrap().starts_with("qm set 101 "));
    assert_eq!(*applied.result(StepId(4)), StepResult::Skipped { because: StepId(2) });
    assert!((6..=10).all(|id| *applied.result(StepId(id)) == StepResult::Done));
    assert!(!applied.outcome.is_success());
}

#[tokio::test(start_paused = true)]
async fn the_first_interrupt_lets_operations_end_and_starts_nothing_new() {
    let fake = Fake::new();
    let (interrupt, receiver) = watch::channel(Interrupt::None);
    let plan = machines([101, 102]);
    let applied = tokio::join!(run_with(&fake, &plan, ApplyOptions::default(), receiver), async {
        sleep(Duration::from_secs(10)).await;
        interrupt.send_replace(Interrupt::Finish);
        sleep(Duration::from_secs(600)).await;
    })
    .0;
    assert!(applied.outcome.interrupted);
    assert_eq!(*applied.result(StepId(1)), StepResult::Done);
    assert_eq!(*applied.result(StepId(2)), StepResult::NotStarted);
    assert_eq!(fake.begun(), ["pve2 clone 101", "pve1 clone 102"]);
    assert!((29.0..35.0).contains(&applied.outcome.elapsed_s));
}

#[tokio::test(start_paused = true)]
async fn the_second_interrupt_leaves_at_once_and_the_operation_goes_on() {
    let fake = Fake::new();
    let (interrupt, receiver) = watch::channel(Interrupt::None);
    let plan = machines([101]);
    let applied = tokio::join!(run_with(&fake, &plan, ApplyOptions::default(), receiver), async {
        sleep(Duration::from_secs(5)).await;
        interrupt.send_replace(Interrupt::Finish);
        sleep(Duration::from_secs(5)).await;
        interrupt.send_replace(Interrupt::Leave);
    })
    .0;
    assert_eq!(*applied.result(StepId(1)), StepResult::LeftRunning);
    assert!(applied.outcome.elapsed_s < 11.0);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(fake.config_of(101).unwrap().lock(), None);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_does_not_wait_for_readiness() {
    let fake = Fake::new();
    fake.with(|state| state.silent_agents.insert(101));
    let (interrupt, receiver) = watch::channel(Interrupt::None);
    let plan = machines([101]);
    let applied = tokio::join!(run_with(&fake, &plan, ApplyOptions::default(), receiver), async {
        sleep(Duration::from_secs(60)).await;
        interrupt.send_replace(Interrupt::Finish);
    })
    .0;
    assert_eq!(*applied.result(StepId(5)), StepResult::LeftRunning);
    assert!(applied.outcome.elapsed_s < 61.0);
}

#[tokio::test(start_paused = true)]
async fn a_busy_lock_refuses_the_apply_and_says_who_holds_it() {
    let fake = Fake::new();
    fake.with(|state| state.next_lock = Some("busy"));
    let applied = run(&fake, &machines([101])).await;
    let failure = &applied.outcome.failures[0];
    assert_eq!(failure.id, "locked");
    assert!(failure.summary.contains("ci@runner-7 pid 4121"));
    assert!(fake.begun().is_empty());
    let options = ApplyOptions { lock_timeout_s: 60, ..ApplyOptions::default() };
    let waited = run_with(&fake, &machines([101]), options, watch::channel(Interrupt::None).1).await;
    assert!(waited.told("waiting for the lock on pve1, held by ci@runner-7"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_taken_again_by_us_only_delays() {
    let fake = Fake::new();
    let plan = machines([101]);
    let applied = tokio::join!(run(&fake, &plan), async {
        sleep(Duration::from_secs(10)).await;
        fake.locks.send_replace(false);
    })
    .0;
    assert!(applied.outcome.is_success(), "{:#?}", applied.outcome);
    assert!(applied.told("the apply lock is held again"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_apply_held_in_between_stops_everything_before_its_next_step() {
    let fake = Fake::new();
    fake.with(|state| state.next_lock = Some("stolen"));
    let plan = machines([101, 102]);
    let applied = tokio::join!(run(&fake, &plan), async {
        sleep(Duration::from_secs(10)).await;
        fake.locks.send_replace(false);
    })
    .0;
    assert_eq!(applied.outcome.failures[0].id, "lock-stolen");
    assert_eq!(fake.begun(), ["pve2 clone 101", "pve1 clone 102"]);
    assert_eq!(*applied.result(StepId(2)), StepResult::NotStarted);
    // What ran was still awaited.
    assert_eq!(*applied.result(StepId(1)), StepResult::Done);
}

#[tokio::test(start_paused = true)]
async fn each_step_is_told_from_start_to_end_in_order_of_time() {
    let fake = Fake::new();
    let applied = run(&fake, &machines([101])).await;
    let told: Vec<(u32, &str)> = applied
        .events
        .iter()
        .filter_map(|event| match (event.step, &event.what) {
            (Some(step), EventKind::Started) => Some((step.0, "started")),
            (Some(step), EventKind::Done) => Some((step.0, "done")),
            _ => None,
        })
        .collect();
    let expected: Vec<(u32, &str)> = (1..=5).flat_map(|id| [(id, "started"), (id, "done")]).collect();
    assert_eq!(told, expected);
    assert!(applied.events.is_sorted_by(|a, b| a.at_s <= b.at_s));
}
