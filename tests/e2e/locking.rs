//! One apply at a time: who waits, who is told, and what a vanished network or a thief changes.

use std::io::Write as _;

use super::gates::{Gate, When};
use super::interruptions::Life;
use super::life::{MAKE, nothing_is_left};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];

fn gate(life: &Life, pattern: &str) -> Gate {
    Gate::arm(&life.lab.nodes["pve1"].root, When::Before, pattern)
}

/// A second apply says who holds the lock, from where and since when; one that waits plans anew from what the first did.
pub fn second_apply_waits_or_says_who() {
    let mut life = Life::new();
    let held = gate(&life, "qm create *");
    let mut first = life.apply(&MAKE);
    held.wait_until_held_by(&first);
    let who = format!("pid {} since ", first.child.id());
    let refused = life.lab.pvekube(&APPLY).exits(1).says("another apply of cluster \"k8s\" runs: ").says(&who);
    refused.says("@").says("--lock-timeout 10m");
    life.lab.pvekube(&["lock", "show"]).exits(0).says("held by ").says(&who);
    life.lab.pvekube(&["plan"]).exits(0);

    let mut second = life.spawn(&["apply", "--auto-approve", "--lock-timeout", "2m"], &[]);
    second.wait_until_said("waiting for the lock on pve1, held by ");
    held.release();
    assert_eq!(first.wait(), Some(0), "{}", first.said());
    assert_eq!(second.wait(), Some(0), "{}", second.said());
    assert!(second.said().contains("Planning again: "), "{}", second.said());
    assert!(second.said().contains("VMID 9000: free -> VM "), "{}", second.said());
    assert!(second.said().contains("No changes."), "{}", second.said());
    nothing_is_left(&life.lab, MAKE.vms);
}

/// Whoever answers late is shown what has become of it meanwhile; a saved plan that had to wait is refused.
pub fn nothing_runs_that_is_older_than_its_lock() {
    let mut life = Life::new();
    life.lab.write("cluster.yaml", &MAKE.manifest(0));
    life.lab.pvekube(&["plan", "--out", "plan.json"]).exits(0);
    let (mut asked, mut answer) = life.spawn_on_a_terminal("apply");
    asked.wait_until_said("Enter a value");
    let held = gate(&life, "qm create *");
    let mut first = life.apply(&MAKE);
    held.wait_until_held_by(&first);
    let mut saved = life.spawn(&["apply", "plan.json", "--lock-timeout", "2m"], &[]);
    saved.wait_until_said("waiting for the lock on pve1, held by ");
    held.release();
    assert_eq!(first.wait(), Some(0), "{}", first.said());
    assert_eq!(saved.wait(), Some(1), "{}", saved.said());
    assert!(saved.said().contains("error[saved-plan-stale]"), "{}", saved.said());
    assert!(saved.said().contains("VMID 9000: free -> VM "), "{}", saved.said());

    answer.write_all(b"yes\n").unwrap();
    assert_eq!(asked.wait(), Some(0), "{}", asked.said());
    assert!(asked.said().contains("Planning again: "), "{}", asked.said());
    assert!(asked.said().contains("No changes."), "{}", asked.said());
    nothing_is_left(&life.lab, MAKE.vms);
}

/// A killed holder's lock is free at once: nobody has to wait for it.
pub fn killed_holder_frees_at_once() {
    let mut life = Life::new();
    let held = gate(&life, "qm create *");
    let mut first = life.apply(&MAKE);
    held.wait_until_held_by(&first);
    first.kill();
    let mut second = life.spawn(&APPLY, &[]);
    second.wait_until_said("create still running, attaching");
    held.release();
    assert_eq!(second.wait(), Some(0), "{}", second.said());
    assert!(!second.said().contains("waiting for the lock"), "{}", second.said());
    nothing_is_left(&life.lab, MAKE.vms);
}

/// The network to the holder vanishes (its connection neither answers nor ends): within 45 s another apply gets the lock.
/// When the first one is back it sees that, and starts nothing any more.
pub fn vanished_holder_is_replaced_and_stops() {
    let mut life = Life::new();
    life.lab.notice_dead_connections_soon();
    let held = gate(&life, "qm create *");
    let cut = life.lab.path("cut");
    let mut first = life.apply_with(&MAKE, &[("CUT", cut.to_str().unwrap())]);
    held.wait_until_held_by(&first);
    let vanished = life.lab.nodes["pve1"].sessions();
    std::fs::write(&cut, "").unwrap();
    life.lab.nodes["pve1"].freeze_sessions(true);

    let next = gate(&life, "qm set *import-from=*");
    let mut second = life.spawn(&["apply", "--auto-approve", "--lock-timeout", "2m"], &[]);
    second.wait_until_said("waiting for the lock on pve1, held by ");
    eventually_within("the other gets the lock", 60, || second.said().contains("create still running, attaching"));
    held.release();
    next.wait_until_held_by(&second);
    std::fs::remove_file(&cut).unwrap();
    eventually_within("the first one ends", 60, || first.child.try_wait().unwrap().is_some());
    assert_eq!(first.wait(), Some(1), "{}", first.said());
    assert!(first.said().contains("error[lock-stolen]"), "{}", first.said());
    next.release();
    assert_eq!(second.wait(), Some(0), "{}", second.said());
    for pid in vanished {
        super::sshd::signal("KILL", pid);
    }
    nothing_is_left(&life.lab, MAKE.vms);
}

fn eventually_within(what: &str, seconds: u64, mut is_true: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_true() {
        assert!(begun.elapsed().as_secs() < seconds, "never happened: {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
