use proptest::prelude::*;

use super::*;

fn task(id: u32, needs: &[u32], node: &str, vmid: u32, storage: bool, estimate_s: u32) -> Task {
    Task {
        id: StepId(id),
        needs: needs.iter().map(|need| StepId(*need)).collect(),
        node: node.into(),
        vmid: Vmid(vmid),
        storage: storage.then(|| "local-lvm".into()),
        works: true,
        estimate_s,
    }
}

const WIDTHS: Widths = Widths { per_node: 4, clones_per_storage: 2 };

fn start_all(schedule: &mut Schedule) -> Vec<u32> {
    std::iter::from_fn(|| schedule.start_next(|_| true)).map(|id| id.0).collect()
}

#[test]
fn the_longest_path_goes_first_and_ties_go_by_id() {
    let tasks = [
        task(0, &[], "a", 100, true, 10),
        task(1, &[], "a", 101, true, 10),
        task(2, &[], "a", 102, true, 10),
        task(3, &[2], "a", 102, false, 50),
    ];
    let mut schedule = Schedule::new(tasks, WIDTHS);
    assert_eq!(start_all(&mut schedule), [2, 0]);
    assert_eq!(schedule.waits_for(StepId(1)), Some(Wait::Storage("a".into(), "local-lvm".into())));
    schedule.done(StepId(0));
    assert_eq!(start_all(&mut schedule), [1]);
}

#[test]
fn one_step_a_vm_and_no_more_than_the_nodes_width() {
    let mut tasks: Vec<Task> = (0..6).map(|i| task(i, &[], "a", 100 + i, false, 1)).collect();
    tasks.push(task(6, &[], "b", 100, false, 9));
    tasks.push(task(7, &[], "b", 100, false, 1));
    let mut schedule = Schedule::new(tasks, WIDTHS);
    assert_eq!(start_all(&mut schedule), [6, 0, 1, 2, 3]);
    assert_eq!(schedule.waits_for(StepId(4)), Some(Wait::Node("a".into())));
    assert_eq!(schedule.waits_for(StepId(7)), Some(Wait::Vm(StepId(6))));
}

#[test]
fn waiting_for_guests_takes_no_slot_of_the_node() {
    let mut tasks: Vec<Task> =
        (0..12).map(|i| Task { works: false, ..task(i, &[], "a", 100 + i, false, 60) }).collect();
    tasks.push(task(12, &[], "a", 200, true, 5));
    let mut schedule = Schedule::new(tasks, WIDTHS);
    assert!(start_all(&mut schedule).contains(&12));
}

#[test]
fn a_failure_takes_its_dependents_and_nothing_else() {
    let tasks = [
        task(0, &[], "a", 100, false, 1),
        task(1, &[0], "a", 100, false, 1),
        task(2, &[1], "a", 100, false, 1),
        task(3, &[], "a", 103, false, 1),
        task(4, &[3], "a", 103, false, 1),
    ];
    let mut schedule = Schedule::new(tasks, WIDTHS);
    assert_eq!(start_all(&mut schedule), [0, 3]);
    assert_eq!(schedule.failed(StepId(0)), [StepId(1), StepId(2)]);
    schedule.done(StepId(3));
    assert_eq!(start_all(&mut schedule), [4]);
}

#[test]
fn a_node_that_is_not_usable_starts_nothing() {
    let mut schedule = Schedule::new([task(0, &[], "a", 100, false, 1), task(1, &[], "b", 101, false, 1)], WIDTHS);
    assert_eq!(schedule.start_next(|node| node.as_str() == "b"), Some(StepId(1)));
    assert_eq!(schedule.start_next(|node| node.as_str() == "b"), None);
    assert_eq!(schedule.unstarted().collect::<Vec<_>>(), [StepId(0)]);
}

proptest! {
    /// Whatever ends in whatever order, well or badly: no limit is ever exceeded, no step starts before its needs are
    /// done, and every step is started or given up in the end.
    #[test]
    fn limits_and_needs_hold_in_every_history(
        shape in prop::collection::vec((0u32..3, 0u32..4, any::<bool>(), 1u32..20, prop::collection::vec(0u32..30, 0..3)), 1..30),
        choices in prop::collection::vec((any::<prop::sample::Index>(), 0u32..10), 60),
    ) {
        let tasks: Vec<Task> = shape.iter().enumerate().map(|(i, (node, vmid, storage, estimate, needs))| {
            let i = i as u32;
            let needs: Vec<u32> = needs.iter().copied().filter(|need| *need < i).collect();
            task(i, &needs, &format!("n{node}"), 100 + vmid, *storage, *estimate)
        }).collect();
        let mut schedule = Schedule::new(tasks.clone(), WIDTHS);
        let (mut done, mut running, mut given_up) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
        for (index, outcome) in choices {
            while let Some(id) = schedule.start_next(|_| true) {
                let task = &tasks[id.0 as usize];
                prop_assert!(task.needs.iter().all(|need| done.contains(need)));
                running.push(id);
                let mates = || running.iter().map(|id| &tasks[id.0 as usize]).filter(|other| other.node == task.node);
                prop_assert_eq!(mates().filter(|other| other.vmid == task.vmid).count(), 1);
                prop_assert!(mates().count() <= 4);
                prop_assert!(mates().filter(|other| other.storage.is_some()).count() <= 2);
            }
            if running.is_empty() {
                break;
            }
            let id = running.remove(index.index(running.len()));
            if outcome == 0 {
                given_up.insert(id);
                given_up.extend(schedule.failed(id));
            } else {
                schedule.done(id);
                done.insert(id);
            }
        }
        prop_assert_eq!(done.len() + given_up.len() + running.len(), tasks.len());
        prop_assert_eq!(schedule.unstarted().count(), 0);
    }
}
