//! Machines and templates that do not exist yet.

use super::build::*;

#[test]
fn creates_templates_and_machines_on_an_empty_cluster() {
    let plan = plan(&with_machines(desired(3), 3, 1), &observed(3));
    assert_eq!(failed(&plan), Vec::<&str>::new());
    assert_eq!(
        lines(&plan),
        [
            "create ubuntu-2204-cloud-template pve1 9000",
            "create ubuntu-2204-cloud-template pve2 9001",
            "create ubuntu-2204-cloud-template pve3 9002",
            "create k8s-master-1 pve1 100",
            "create k8s-master-2 pve2 101",
            "create k8s-master-3 pve3 102",
            "create k8s-worker-1 pve1 103",
        ]
    );
}

#[test]
fn steps_of_a_template_and_a_machine() {
    let plan = plan(&with_machines(desired(1), 0, 1), &observed(1));
    assert_eq!(
        step_lines(&plan),
        [
            "1 create template pve1 9000",
            "2 fetch template pve1 9000 after 1",
            "3 import template pve1 9000 after 1,2",
            "4 set template pve1 9000 after 3",
            "5 resize template pve1 9000 after 4",
            "6 template template pve1 9000 after 5",
            "7 remove-image template pve1 9000 after 6",
            "8 clone k8s-worker-1 pve1 100 after 6",
            "9 set k8s-worker-1 pve1 100 after 8",
            "10 resize k8s-worker-1 pve1 100 after 9",
            "11 start k8s-worker-1 pve1 100 after 10",
            "12 ready k8s-worker-1 pve1 100 after 11",
        ]
    );
}

#[test]
fn converged_is_empty() {
    let desired = with_machines(desired(3), 3, 4);
    let plan = plan(&desired, &settled(&desired, 3));
    assert_eq!(lines(&plan), Vec::<String>::new());
    assert!(plan.steps.is_empty() && plan.hazards.is_empty() && plan.notes.is_empty(), "{plan:#?}");
    assert!(!plan.has_changes());
    assert_eq!(plan.unchanged.len(), 7);
}

#[test]
fn fifty_nodes_and_five_hundred_machines_are_planned() {
    let plan = plan(&with_machines(desired(50), 5, 495), &observed(50));
    assert_eq!(failed(&plan), Vec::<&str>::new());
    assert_eq!(plan.summary().machines.add, 500);
    assert!(plan.nodes.iter().all(|node| node.vms == (0, 10)));
}
