//! Which step starts next: longest path first, within the limits. Pure; the executor and the benchmark both drive it.
//!
//! A step starts as soon as its needs are done and every limit it counts against has room: one step a VM, `clones_per_storage`
//! steps a (node, storage), `per_node` steps a node. Among those that may start, the one with the longest way to the end
//! of the plan goes first, which keeps the makespan close to its lower bound (`benches/scheduler.rs`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::{NodeName, StorageName, Vmid};
use crate::model::plan::{Action, Step, StepId};

/// What scheduling needs to know of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: StepId,
    pub needs: Vec<StepId>,
    pub node: NodeName,
    pub vmid: Vmid,
    /// Takes a slot of this (node, storage).
    pub storage: Option<StorageName>,
    /// Takes a slot of its node. Waiting for a guest takes none: it is no work for the node.
    pub works: bool,
    /// Seconds; only orders.
    pub estimate_s: u32,
}

impl From<&Step> for Task {
    fn from(step: &Step) -> Self {
        Task {
            id: step.id,
            needs: step.needs.clone(),
            node: step.node.clone(),
            vmid: step.vmid,
            storage: step.storage.clone(),
            works: !matches!(step.action, Action::Ready(_) | Action::Attach { .. }),
            estimate_s: step.estimate_s,
        }
    }
}

/// How many steps may run at once. Zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    pub per_node: u32,
    pub clones_per_storage: u32,
}

/// Why a step has not started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// These steps are not done yet.
    Steps(Vec<StepId>),
    /// Another step works on the same VM.
    Vm(StepId),
    Storage(NodeName, StorageName),
    Node(NodeName),
}

/// The state of a run: what waits, what may start, what runs.
#[derive(Clone, Debug)]
pub struct Schedule {
    tasks: BTreeMap<StepId, Task>,
    widths: Widths,
    dependents: BTreeMap<StepId, Vec<StepId>>,
    /// Seconds from a step's start to the end of everything behind it.
    path_s: BTreeMap<StepId, u64>,
    /// Needs that are not done, of steps that have not started.
    open: BTreeMap<StepId, BTreeSet<StepId>>,
    /// Longest path first; the id makes it a total order.
    ready: BTreeSet<(Reverse<u64>, StepId)>,
    running: BTreeSet<StepId>,
    vms: BTreeMap<(NodeName, Vmid), StepId>,
    storages: BTreeMap<(NodeName, StorageName), u32>,
    nodes: BTreeMap<NodeName, u32>,
}

impl Schedule {
    /// `tasks` in a topological order, as a plan's steps are. A need that is not among them counts as done.
    pub fn new(tasks: impl IntoIterator<Item = Task>, widths: Widths) -> Self {
        let tasks: BTreeMap<StepId, Task> = tasks.into_iter().map(|task| (task.id, task)).collect();
        let mut dependents: BTreeMap<StepId, Vec<StepId>> = BTreeMap::new();
        let mut open: BTreeMap<StepId, BTreeSet<StepId>> = BTreeMap::new();
        for task in tasks.values() {
            let needs: BTreeSet<StepId> = task.needs.iter().copied().filter(|need| tasks.contains_key(need)).collect();
            for need in &needs {
                dependents.entry(*need).or_default().push(task.id);
            }
            open.insert(task.id, needs);
        }
        let mut path_s: BTreeMap<StepId, u64> = BTreeMap::new();
        for task in tasks.values().rev() {
            let behind = dependents.get(&task.id).into_iter().flatten();
            let longest = behind.filter_map(|id| path_s.get(id)).max().copied().unwrap_or(0);
            path_s.insert(task.id, longest + u64::from(task.estimate_s));
        }
        let ready =
            open.iter().filter(|(_, needs)| needs.is_empty()).map(|(id, _)| (Reverse(path_s[id]), *id)).collect();
        Self {
            tasks,
            widths,
            dependents,
            path_s,
            open,
            ready,
            running: BTreeSet::new(),
            vms: BTreeMap::new(),
            storages: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Takes the next step that may start now on a node that is `usable`, and counts it as running.
    pub fn start_next(&mut self, usable: impl Fn(&NodeName) -> bool) -> Option<StepId> {
        let (key, task) = self.ready.iter().find_map(|key| {
            let task = &self.tasks[&key.1];
            (usable(&task.node) && self.limit_in_the_way(task).is_none()).then(|| (*key, task.clone()))
        })?;
        self.ready.remove(&key);
        self.open.remove(&task.id);
        self.running.insert(task.id);
        if task.works {
            *self.nodes.entry(task.node.clone()).or_default() += 1;
        }
        if let Some(storage) = task.storage {
            *self.storages.entry((task.node.clone(), storage)).or_default() += 1;
        }
        self.vms.insert((task.node, task.vmid), task.id);
        Some(task.id)
    }

    /// A running step is done: its dependents may start.
    pub fn done(&mut self, id: StepId) {
        self.release(id);
        for dependent in self.dependents.get(&id).cloned().unwrap_or_default() {
            if let Some(needs) = self.open.get_mut(&dependent) {
                needs.remove(&id);
                if needs.is_empty() {
                    self.ready.insert((Reverse(self.path_s[&dependent]), dependent));
                }
            }
        }
    }

    /// A running step failed: everything behind it will never start. Returns those steps, in order.
    pub fn failed(&mut self, id: StepId) -> Vec<StepId> {
        self.release(id);
        self.drop_behind(id)
    }

    /// Steps that have neither started nor been given up.
    pub fn unstarted(&self) -> impl Iterator<Item = StepId> + '_ {
        self.open.keys().copied()
    }

    /// Why a step that has not started waits; `None`: it may start, or has.
    pub fn waits_for(&self, id: StepId) -> Option<Wait> {
        let needs = self.open.get(&id)?;
        if needs.is_empty() {
            self.limit_in_the_way(&self.tasks[&id])
        } else {
            Some(Wait::Steps(needs.iter().copied().collect()))
        }
    }

    /// Seconds from this step's start to the end of everything behind it, by the estimates.
    pub fn path_s(&self, id: StepId) -> u64 {
        self.path_s.get(&id).copied().unwrap_or(0)
    }

    fn limit_in_the_way(&self, task: &Task) -> Option<Wait> {
        if let Some(other) = self.vms.get(&(task.node.clone(), task.vmid)) {
            return Some(Wait::Vm(*other));
        }
        if let Some(storage) = &task.storage {
            let key = (task.node.clone(), storage.clone());
            if self.storages.get(&key).copied().unwrap_or(0) >= self.widths.clones_per_storage.max(1) {
                return Some(Wait::Storage(key.0, key.1));
            }
        }
        let busy = self.nodes.get(&task.node).copied().unwrap_or(0);
        (task.works && busy >= self.widths.per_node.max(1)).then(|| Wait::Node(task.node.clone()))
    }

    fn release(&mut self, id: StepId) {
        if !self.running.remove(&id) {
            return;
        }
        let task = &self.tasks[&id];
        self.vms.remove(&(task.node.clone(), task.vmid));
        if let Some(storage) = &task.storage
            && let Some(count) = self.storages.get_mut(&(task.node.clone(), storage.clone()))
        {
            *count = count.saturating_sub(1);
        }
        if task.works
            && let Some(count) = self.nodes.get_mut(&task.node)
        {
            *count = count.saturating_sub(1);
        }
    }

    fn drop_behind(&mut self, id: StepId) -> Vec<StepId> {
        let mut dropped = BTreeSet::new();
        let mut queue = vec![id];
        while let Some(at) = queue.pop() {
            for dependent in self.dependents.get(&at).cloned().unwrap_or_default() {
                if self.open.remove(&dependent).is_some() {
                    self.ready.remove(&(Reverse(self.path_s[&dependent]), dependent));
                    dropped.insert(dependent);
                    queue.push(dependent);
                }
            }
        }
        dropped.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
