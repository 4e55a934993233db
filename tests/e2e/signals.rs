//! Ctrl-C, SIGTERM and SIGHUP: once means finish what runs, twice means leave now.

use super::gates::{Gate, When};
use super::interruptions::{Apply, Life};
use super::life::{MAKE, nothing_is_left};
use super::sshd::{eventually, processes, signal};

const APPLY: [&str; 4] = ["apply", "--auto-approve", "--lock-timeout", "30s"];

fn held_at(life: &mut Life, pattern: &str) -> (Apply, Gate) {
    let gate = Gate::arm(&life.lab.nodes["pve1"].root, When::Before, pattern);
    life.lab.write("cluster.yaml", &MAKE.manifest(0));
    let apply = life.spawn(&APPLY, &[]);
    gate.wait_until_held_by(&apply);
    (apply, gate)
}

/// It has left nothing on this computer, and holds no lock.
fn left_cleanly(life: &Life) {
    eventually("the SSH masters have ended", || processes("ssh").is_empty());
    assert_eq!(std::fs::read_dir(life.lab.path("runtime/pvekube")).unwrap().count(), 0, "control sockets");
    life.lab.pvekube(&["lock", "show"]).exits(0).says("free");
}

pub fn once_finishes_what_runs_and_twice_leaves() {
    let mut life = Life::new();
    for (name, pattern) in [("INT", "qm create *"), ("TERM", "qm disk resize 9000 *"), ("HUP", "qm clone *")] {
        let (mut apply, gate) = held_at(&mut life, pattern);
        signal(name, apply.child.id());
        apply.wait_until_said("Interrupt received: nothing new starts");
        gate.release();
        assert_eq!(apply.wait(), Some(130), "{name}: {}", apply.said());
        assert!(apply.said().contains("not started"), "{name}: {}", apply.said());
        assert_eq!(apply.said().to_lowercase().matches("nothing new starts").count(), 1, "{}", apply.said());
        left_cleanly(&life);
    }
    let (mut apply, gate) = held_at(&mut life, "qm set [!9]* --digest *");
    signal("INT", apply.child.id());
    apply.wait_until_said("Interrupt received");
    signal("INT", apply.child.id());
    assert_eq!(apply.wait(), Some(130), "{}", apply.said());
    assert!(
        apply.said().contains("still running: set of k8s-worker-1 on pve1; the next apply attaches to it"),
        "{}",
        apply.said()
    );
    assert!(!gate.is_released());
    left_cleanly(&life);
    let mut next = life.spawn(&APPLY, &[]);
    next.wait_until_said("set still running, attaching");
    gate.release();
    assert_eq!(next.wait(), Some(0), "{}", next.said());
    nothing_is_left(&life.lab, MAKE.vms);
}
