//! `create`, `remove` and `scale` by the built program on the sandbox: whatever the layout, `plan` is empty after each, and the
//! file is its author's again when the machine is gone.

#![allow(clippy::unwrap_used, reason = "a test that can't run the program has failed")]

mod desk;
mod layouts;

use desk::Desk;

/// The nodes work fast; guests take the time they take.
const FAST: &str = r#"{"slow": {"pve1": 0.01, "pve2": 0.01, "pve3": 0.01}}"#;

/// All at once: each waits more than it works.
#[test]
fn after_any_edit_of_any_layout_plan_is_empty() {
    std::thread::scope(|threads| {
        for file in layouts::FILES {
            threads.spawn(|| live(file));
        }
    });
}

fn live(file: &str) {
    let desk = Desk::new(file);
    desk.run("plan --sandbox").exits(0);
    desk.write(".pvekube-sandbox/faults.json", FAST);
    desk.run("apply --sandbox --auto-approve").exits(0);
    for (there, back) in [
        ("create --role worker --size medium --vmid 250", "remove k8s-worker-3"),
        ("scale workers=3", "scale workers=2"),
        ("remove k8s-worker-1", "create --role worker"),
    ] {
        for verb in [there, back] {
            desk.run(&format!("{verb} --sandbox --auto-approve")).exits(0).says("is changed");
            desk.run("plan --sandbox --detailed-exitcode").exits(0).says("No changes.");
        }
        if !there.starts_with("remove") {
            assert_eq!(desk.read("cluster.yaml"), file, "after {there}, {back}");
        }
    }
}
