//! How close the executor's schedule comes to the best possible one: makespan ÷ lower bound over generated clusters, beside
//! one step after the other and a flat parallelism of ten. In simulated time; `cargo bench --bench scheduler`.
//!
//! A case is a plan as the planner makes it: templates where they are missing (create, fetch, import, drives, bake, convert),
//! machines (clone, set, resize, start, wait until ready), a few deleted, a few rebooted in rolling order. The scheduler sees
//! the planner's estimates; the steps really take up to a quarter more or less. Limits are PVE's: one step a VM, two clones
//! a (node, storage), four steps a node.
//!
//! The lower bound is the largest of the critical path and, for each limit and each set of its steps that can't begin
//! earlier, the least way to them + their work ÷ width + the least way behind them. (`plain` is without those two ways: where
//! templates must be made first, no schedule at all can reach it.)

use std::collections::BTreeMap;

use pvekube::execute::schedule::{Schedule, Task, Widths};
use pvekube::model::ids::{NodeName, StorageName, Vmid};
use pvekube::model::plan::StepId;

pub const WIDTHS: Widths = Widths { per_node: 4, clones_per_storage: 2 };
pub const CASES: u64 = 64;

/// SplitMix64: the cases are the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.between(1, 100) <= percent
    }
}

/// One plan, with what each step will really take.
pub struct Case {
    pub nodes: u32,
    pub machines: u32,
    pub tasks: Vec<Task>,
    pub seconds: Vec<f64>,
}

enum Kind {
    Work,
    /// A clone or an import: counts against its storage.
    Copy,
    /// For a guest: no work for the node.
    Wait,
}

struct Builder {
    random: Random,
    tasks: Vec<Task>,
    seconds: Vec<f64>,
}

impl Builder {
    fn add(&mut self, node: u32, vmid: u32, kind: &Kind, estimate_s: u32, needs: &[StepId]) -> StepId {
        let id = StepId(self.tasks.len() as u32);
        self.tasks.push(Task {
            id,
            needs: needs.to_vec(),
            node: NodeName::new(format!("pve{node}")),
            vmid: Vmid(vmid),
            storage: matches!(kind, Kind::Copy).then(|| StorageName::from("local-lvm")),
            works: !matches!(kind, Kind::Wait),
            estimate_s,
        });
        let off = f64::from(self.random.between(75, 125)) / 100.0;
        self.seconds.push(f64::from(estimate_s) * off);
        id
    }

    fn template(&mut self, node: u32) -> StepId {
        let vmid = 9000 + node;
        let create = self.add(node, vmid, &Kind::Work, 2, &[]);
        let fetch = self.add(node, vmid, &Kind::Work, 40, &[create]);
        let import = self.add(node, vmid, &Kind::Copy, 25, &[fetch]);
        let drives = self.add(node, vmid, &Kind::Work, 2, &[import]);
        let bake = self.add(node, vmid, &Kind::Work, 90, &[drives]);
        self.add(node, vmid, &Kind::Work, 2, &[bake])
    }

    fn machine(&mut self, node: u32, vmid: u32, disk_gb: u32, template: Option<StepId>) {
        let needs: Vec<StepId> = template.into_iter().collect();
        let clone = self.add(node, vmid, &Kind::Copy, 5 + disk_gb, &needs);
        let set = self.add(node, vmid, &Kind::Work, 2, &[clone]);
        let resize = self.add(node, vmid, &Kind::Work, 2, &[set]);
        let start = self.add(node, vmid, &Kind::Work, 3, &[resize]);
        self.add(node, vmid, &Kind::Wait, 45, &[start]);
    }

    /// Each machine ready before the next goes down.
    fn reboot(&mut self, node: u32, vmid: u32, before: Option<StepId>) -> StepId {
        let set = self.add(node, vmid, &Kind::Work, 2, &[]);
        let needs: Vec<StepId> = before.into_iter().chain([set]).collect();
        let down = self.add(node, vmid, &Kind::Work, 20, &needs);
        let start = self.add(node, vmid, &Kind::Work, 3, &[down]);
        self.add(node, vmid, &Kind::Wait, 40, &[start])
    }
}

pub fn case(seed: u64) -> Case {
    let mut random = Random(seed);
    let nodes = random.between(3, 50);
    let machines = random.between(10.max(nodes), 500);
    let (fresh, skewed, disk_gb) = (random.between(0, 100), random.chance(30), random.between(3, 80));
    let mut b = Builder { random, tasks: Vec::new(), seconds: Vec::new() };
    let templates: Vec<Option<StepId>> =
        (0..nodes).map(|node| b.random.chance(fresh).then(|| b.template(node))).collect();
    let mut rolling = None;
    for index in 0..machines {
        let node = if skewed && b.random.chance(30) { 0 } else { index % nodes };
        if rolling_share(&mut b.random) {
            rolling = Some(b.reboot(node, 100 + index, rolling));
        } else if b.random.chance(5) {
            b.add(node, 100 + index, &Kind::Work, 4, &[]);
        } else {
            b.machine(node, 100 + index, disk_gb, templates[node as usize]);
        }
    }
    Case { nodes, machines, tasks: b.tasks, seconds: b.seconds }
}

/// One machine in fifty is rebooted: a longer chain would be the critical path of every case and hide the rest.
fn rolling_share(random: &mut Random) -> bool {
    random.chance(2)
}

/// Our scheduler.
pub fn makespan(case: &Case) -> f64 {
    let mut schedule = Schedule::new(case.tasks.clone(), WIDTHS);
    let mut running: Vec<(f64, StepId)> = Vec::new();
    let mut now = 0.0;
    loop {
        while let Some(id) = schedule.start_next(|_| true) {
            running.push((now + case.seconds[id.0 as usize], id));
        }
        let Some(next) = earliest(&running) else { return now };
        let (end, id) = running.swap_remove(next);
        now = end;
        schedule.done(id);
    }
}

fn earliest(running: &[(f64, StepId)]) -> Option<usize> {
    (0..running.len()).min_by(|a, b| running[*a].0.total_cmp(&running[*b].0).then(running[*a].1.cmp(&running[*b].1)))
}

/// So many workers that take whatever comes next in the plan's order. PVE's locks hold for them, too: a worker whose step
/// must wait for one waits with it.
pub fn flat(case: &Case, workers: usize) -> f64 {
    let mut waiting: Vec<usize> = (0..case.tasks.len()).collect();
    let mut done = vec![false; case.tasks.len()];
    let (mut held, mut running): (Vec<usize>, Vec<(f64, StepId)>) = (Vec::new(), Vec::new());
    let mut now = 0.0;
    loop {
        waiting.retain(|at| {
            let open = case.tasks[*at].needs.iter().all(|need| done[need.0 as usize]);
            let taken = open && held.len() + running.len() < workers;
            if taken {
                held.push(*at);
            }
            !taken
        });
        held.retain(|at| {
            let free = has_room(case, &running, &case.tasks[*at]);
            if free {
                running.push((now + case.seconds[*at], case.tasks[*at].id));
            }
            !free
        });
        let Some(next) = earliest(&running) else { return now };
        let (end, id) = running.swap_remove(next);
        now = end;
        done[id.0 as usize] = true;
    }
}

fn has_room(case: &Case, running: &[(f64, StepId)], task: &Task) -> bool {
    let mates: Vec<&Task> =
        running.iter().map(|(_, id)| &case.tasks[id.0 as usize]).filter(|other| other.node == task.node).collect();
    let copies = mates.iter().filter(|other| other.storage.is_some()).count() as u32;
    mates.iter().all(|other| other.vmid != task.vmid)
        && (task.storage.is_none() || copies < WIDTHS.clones_per_storage)
        && (!task.works || (mates.iter().filter(|other| other.works).count() as u32) < WIDTHS.per_node)
}

pub fn one_by_one(case: &Case) -> f64 {
    case.seconds.iter().sum()
}

/// The lower bound; and the plain one, without the ways to and behind each limit's work.
pub fn bounds(case: &Case) -> (f64, f64) {
    let count = case.tasks.len();
    let (mut head, mut tail) = (vec![0.0f64; count], vec![0.0f64; count]);
    for (at, task) in case.tasks.iter().enumerate() {
        let ways = task.needs.iter().map(|need| head[need.0 as usize] + case.seconds[need.0 as usize]);
        head[at] = ways.fold(0.0, f64::max);
    }
    for (at, task) in case.tasks.iter().enumerate().rev() {
        for need in &task.needs {
            let way = tail[at] + case.seconds[at];
            tail[need.0 as usize] = tail[need.0 as usize].max(way);
        }
    }
    let critical = (0..count).map(|at| head[at] + case.seconds[at] + tail[at]).fold(0.0, f64::max);
    let (mut bound, mut plain) = (critical, critical);
    for (mut users, width) in limits(case) {
        users.sort_by(|a, b| head[*b].total_cmp(&head[*a]));
        let (mut work, mut least_tail) = (0.0, f64::INFINITY);
        for at in users {
            work += case.seconds[at];
            least_tail = least_tail.min(tail[at]);
            bound = bound.max(head[at] + work / f64::from(width) + least_tail);
        }
        plain = plain.max(work / f64::from(width));
    }
    (bound, plain)
}

/// For each limit the steps that count against it, and its width.
fn limits(case: &Case) -> Vec<(Vec<usize>, u32)> {
    let mut nodes: BTreeMap<&NodeName, Vec<usize>> = BTreeMap::new();
    let mut storages: BTreeMap<&NodeName, Vec<usize>> = BTreeMap::new();
    for (at, task) in case.tasks.iter().enumerate() {
        if task.works {
            nodes.entry(&task.node).or_default().push(at);
        }
        if task.storage.is_some() {
            storages.entry(&task.node).or_default().push(at);
        }
    }
    let nodes = nodes.into_values().map(|users| (users, WIDTHS.per_node));
    nodes.chain(storages.into_values().map(|users| (users, WIDTHS.clones_per_storage))).collect()
}

/// The ratios to the plain bound where the two bounds differ by 2 % at most: elsewhere no schedule at all comes nearer.
pub fn within_reach(to_bound: &[f64], to_plain: &[f64]) -> Vec<f64> {
    to_bound.iter().zip(to_plain).filter(|(bound, plain)| **plain <= **bound * 1.02).map(|(_, plain)| *plain).collect()
}

/// The middle one and the worst.
pub fn summary(mut ratios: Vec<f64>) -> (f64, f64) {
    ratios.sort_by(f64::total_cmp);
    (ratios[ratios.len() / 2], ratios.last().copied().unwrap_or(f64::NAN))
}

#[cfg_attr(test, allow(dead_code, reason = "the test has its own main"))]
#[allow(clippy::print_stdout, reason = "a benchmark prints its table")]
fn main() {
    println!("case nodes machines steps  bound s  scheduler    plain  flat 10  one by one");
    let mut columns: [Vec<f64>; 4] = Default::default();
    for seed in 0..CASES {
        let case = case(seed);
        let (bound, plain) = bounds(&case);
        let ours = makespan(&case);
        let ratios = [ours / bound, ours / plain, flat(&case, 10) / bound, one_by_one(&case) / bound];
        let Case { nodes, machines, .. } = case;
        println!(
            "{seed:>4} {nodes:>5} {machines:>8} {:>5} {bound:>8.0} {:>10.3} {:>8.3} {:>8.2} {:>11.1}",
            case.tasks.len(),
            ratios[0],
            ratios[1],
            ratios[2],
            ratios[3],
        );
        for (column, ratio) in columns.iter_mut().zip(ratios) {
            column.push(ratio);
        }
    }
    let reached = within_reach(&columns[0], &columns[1]);
    for (label, column) in ["scheduler", "plain", "flat 10", "one by one"].iter().zip(columns) {
        let (median, worst) = summary(column);
        println!("{label:>10}: median {median:.3}, worst {worst:.3}");
    }
    let count = reached.len();
    let (median, worst) = summary(reached);
    println!(
        "     plain: median {median:.3}, worst {worst:.3} in the {count} cases where a schedule can come near it at all"
    );
}
