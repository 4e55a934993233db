//! Sees every request and every program on every node: decides the weather, and holds the invariants of design §9 and the
//! properties of docs/testing.md at each command, not at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use pvekube::model::mark::Mark;
use pvekube::model::outcome::Event;
use pvekube::model::vm_config::VmConfig;
use pvekube::pve::property::Net;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::remote::{Conditions, Moment, Weather};
use pvekube::sandbox::world::World;
use tokio::sync::Notify;

use crate::argv::{self, subject};
use crate::random::Random;
use crate::shown::Shown;
use crate::view;

/// An operation that a pvekube asked for right before it was killed may begin so many seconds later.
const LAST_WORD_S: f64 = 1.0;

/// Before it stops a master, pvekube must have asked the others not longer ago than this: a request is given up after two
/// minutes.
const RECENTLY_S: f64 = 150.0;

/// What may happen to requests in a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Climate {
    pub kinds: Vec<Weather>,
    /// Answers are cut short, too.
    pub tears: bool,
    /// Requests in a thousand.
    pub per_mille: u64,
}

#[derive(Debug)]
pub struct Watch {
    state: Mutex<State>,
    /// The program has come at which pvekube is to be killed.
    pub kill: Notify,
}

#[derive(Debug)]
struct State {
    random: Random,
    climate: Climate,
    violations: Vec<String>,
    /// Plans that are being carried out, by run.
    plans: BTreeMap<u64, Shown>,
    /// Programs of ours that run, by realm and VMID.
    running: BTreeMap<(String, u32), u32>,
    /// When a program of ours last began to stop a VM, by realm and VMID.
    stopped: BTreeMap<(String, u32), f64>,
    /// When the administrator last touched a VM (Unix seconds).
    touched: BTreeMap<u32, f64>,
    /// MACs by SMBIOS UUID: a VM keeps its own.
    macs: BTreeMap<String, String>,
    /// VMs that were masters at some time: one whose Notes are gone still serves.
    known_masters: BTreeSet<(String, u32)>,
    log: Vec<String>,
    programs: u64,
    kill_at: Option<u64>,
}

impl Watch {
    pub fn new(random: Random, climate: Climate) -> Arc<Self> {
        let state = State {
            random,
            climate,
            violations: Vec::new(),
            plans: BTreeMap::new(),
            running: BTreeMap::new(),
            stopped: BTreeMap::new(),
            touched: BTreeMap::new(),
            macs: BTreeMap::new(),
            known_masters: BTreeSet::new(),
            log: Vec::new(),
            programs: 0,
            kill_at: None,
        };
        Arc::new(Self { state: Mutex::new(state), kill: Notify::new() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn clear_up(&self) {
        self.state().climate = Climate::default();
    }

    /// How many bytes of an answer of this length arrive.
    pub fn arrives(&self, length: usize) -> usize {
        let state = &mut *self.state();
        if !state.climate.tears || state.random.next() % 1000 >= state.climate.per_mille {
            return length;
        }
        state.random.below(length + 1)
    }

    /// `kill` is told at the `after`-th program from now on.
    pub fn kill_after(&self, after: u64) {
        let state = &mut *self.state();
        state.kill_at = Some(state.programs + after);
    }

    /// A plan that is about to be carried out, with what is wrong with it.
    pub fn show(&self, run: u64, shown: Shown, faults: Vec<String>) {
        let state = &mut *self.state();
        state.violations.extend(faults);
        state.plans.insert(run, shown);
    }

    pub fn hear(&self, run: u64, event: &Event) {
        let state = &mut *self.state();
        let fault = state.plans.get_mut(&run).and_then(|shown| shown.hear(event));
        state.violations.extend(fault);
    }

    /// This run asked at `began` how a VM is, and was answered.
    pub fn looked(&self, run: u64, vmid: u32, began: f64) {
        if let Some(shown) = self.state().plans.get_mut(&run) {
            shown.looks.insert(vmid, began);
        }
    }

    /// This run's question of `asked`, whether a guest is up, was answered by it, or by the node that it is silent.
    pub fn answered(&self, run: u64, vmid: u32, asked: f64, is_up: bool) {
        if let Some(shown) = self.state().plans.get_mut(&run) {
            shown.answered.remove(&vmid);
            shown.answered.extend(is_up.then_some((vmid, asked)));
        }
    }

    /// A run is over, or was killed.
    pub fn end(&self, run: u64, now: f64) {
        if let Some(shown) = self.state().plans.get_mut(&run) {
            shown.ended = Some(now);
        }
    }

    /// The administrator begins to work on a VM: until he is done nobody can tell what becomes of it.
    pub fn admin_begins(&self, vmid: u32, world: &Arc<World>, what: &str) {
        let mut state = self.state();
        state.known_masters.extend(view::marked_masters(world));
        state.touched.insert(vmid, f64::INFINITY);
        state.log.push(format!("{:.0} administrator: {what}", world.clock.now()));
    }

    pub fn admin_is_done(&self, vmid: u32, world: &Arc<World>) {
        let now = world.clock.now();
        let mut state = self.state();
        state.touched.insert(vmid, now);
        state.log.push(format!("{now:.0} administrator: done with {vmid}"));
    }

    /// Whoever is a master now.
    pub fn learn_masters(&self, world: &Arc<World>) {
        self.state().known_masters.extend(view::marked_masters(world));
    }

    pub fn note(&self, now: f64, what: &str) {
        self.state().log.push(format!("{now:.0} {what}"));
    }

    /// A node went down: nothing of ours runs there any more.
    pub fn node_down(&self, realm: &str) {
        self.state().running.retain(|(of, _), _| of != realm);
    }

    pub fn was_touched(&self) -> bool {
        !self.state().touched.is_empty()
    }

    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    pub fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    pub fn programs(&self) -> u64 {
        self.state().programs
    }
}

impl Conditions for Watch {
    fn weather(&self, _: &str, _: &'static str) -> Weather {
        let state = &mut *self.state();
        if state.climate.kinds.is_empty() || state.random.next() % 1000 >= state.climate.per_mille {
            return Weather::Fair;
        }
        let at = state.random.below(state.climate.kinds.len());
        state.climate.kinds[at]
    }

    fn program(&self, node: &SandboxNode, argv: &[String], moment: Moment) {
        let Some((verb, vmid)) = subject(argv) else { return };
        let now = node.world.clock.now();
        let mut found = Vec::new();
        let state = &mut *self.state();
        let key = (node.realm().name.clone(), vmid);
        let config = view::config(node, vmid);
        match moment {
            Moment::Before => {
                state.programs += 1;
                if state.kill_at == Some(state.programs) {
                    self.kill.notify_one();
                }
                state.log.push(format!("{now:.0} {}: {}", node.name(), argv.join(" ")));
                *state.running.entry(key.clone()).or_default() += 1;
                if state.running[&key] > 1 {
                    found.push(format!("I8: two programs work on VM {vmid} at once"));
                }
                state.known_masters.extend(view::marked_masters(&node.world));
                keep_mac(state, config.as_ref(), vmid, &mut found);
                let deed = Deed { node, argv, verb, vmid, config: config.as_ref(), now };
                deed.before(state, &mut found);
                if matches!(verb, "stop" | "shutdown" | "destroy" | "reboot") {
                    state.stopped.insert(key, now);
                }
            }
            Moment::After { exit } => {
                state.log.push(format!("{now:.0} {}: {verb} {vmid} exit {exit}", node.name()));
                if let Some(count) = state.running.get_mut(&key) {
                    *count = count.saturating_sub(1);
                }
                keep_mac(state, config.as_ref(), vmid, &mut found);
                // I3, P10: no machine exists twice, and each has its own name, VMID, MAC and address.
                found.extend(view::shared_identities(&node.world));
            }
        }
        for text in found {
            state.log.push(format!("{now:.0} VIOLATION {text}"));
            state.violations.push(format!("{text} (at {}: {})", node.name(), argv.join(" ")));
        }
    }
}

/// A program that is about to run.
struct Deed<'a> {
    node: &'a SandboxNode,
    argv: &'a [String],
    verb: &'a str,
    vmid: u32,
    config: Option<&'a VmConfig>,
    now: f64,
}

impl Deed<'_> {
    fn before(&self, state: &State, found: &mut Vec<String>) {
        let Deed { vmid, verb, .. } = self;
        let live: Vec<&Shown> =
            state.plans.values().filter(|plan| plan.ended.is_none_or(|at| self.now - at < LAST_WORD_S)).collect();
        let raced = self.raced(state, &live);
        let allowing = self.allowing(&live, raced);
        if allowing.is_empty() {
            found.push(format!("P13: no shown plan lets this happen to VM {vmid}"));
        }
        // I1, P5: a foreign VM is never changed.
        let mark = self.config.and_then(|config| view::own_mark(config, *vmid));
        let makes = matches!(*verb, "clone" | "create" | "free");
        if self.config.is_some() && !makes && mark.is_none() && !raced {
            found.push(format!("I1: VM {vmid} is foreign"));
        }
        if matches!(*verb, "clone" | "create") {
            self.makes(raced, found);
        }
        self.where_it_is_unknown(&allowing, found);
        // I4: sizes are absolute.
        if *verb == "resize" && self.argv.get(5).is_some_and(|size| size.starts_with('+')) {
            found.push(format!("I4: relative resize of VM {vmid}"));
        }
        if *verb == "set" && argv::option(self.argv, "--digest").is_none() {
            found.push(format!("digest: VM {vmid} is set whatever was changed meanwhile"));
        }
        let lock = self.config.and_then(VmConfig::lock).filter(|lock| !matches!(*lock, "clone" | "create"));
        if let Some(lock) = lock.filter(|_| !raced && *verb != "free") {
            found.push(format!("I8: VM {vmid} is worked on while it is locked for a {lock}"));
        }
        self.keeps_quorum(state, &allowing, found);
    }

    /// The administrator was there after pvekube had looked for the last time: only PVE itself can tell then.
    fn raced(&self, state: &State, live: &[&Shown]) -> bool {
        let Some(touched) = state.touched.get(&self.vmid) else { return false };
        live.iter().any(|plan| plan.looks.get(&self.vmid).unwrap_or(&plan.looked) <= touched)
    }

    /// P13: the live plans of which a step implies this command, word by word.
    fn allowing<'p>(&self, live: &[&'p Shown], raced: bool) -> Vec<&'p Shown> {
        let implies = |plan: &&&Shown| {
            let here =
                |step: &&pvekube::model::plan::Step| step.vmid.0 == self.vmid && step.node.as_str() == self.node.name();
            plan.steps
                .iter()
                .filter(here)
                .any(|step| argv::is_of(step, self.argv, self.config) || raced && argv::is_like(step, self.argv))
        };
        live.iter().filter(implies).copied().collect()
    }

    fn makes(&self, raced: bool, found: &mut Vec<String>) {
        // P14: whatever is created gets its mark in the very command that creates it.
        let told = argv::option(self.argv, "--description").and_then(Mark::find);
        if told.is_none_or(|mark| mark.vmid.0 != self.vmid) {
            found.push(format!("P14: VM {} is created without its mark", self.vmid));
        }
        let guests = self.node.guests();
        let there = guests.iter().find(|(vmid, ..)| *vmid == self.vmid);
        if let Some((_, owner, _)) = there.filter(|_| !raced) {
            found.push(format!("P10: VM {} is created though there is one on {owner}", self.vmid));
        }
    }

    /// I7: nothing is made or destroyed where existence is unknown. A machine may exist anywhere, and its VMID, too.
    fn where_it_is_unknown(&self, allowing: &[&Shown], found: &mut Vec<String>) {
        let realm = &self.node.realm().name;
        let blind = |plan: &&&Shown| match self.verb {
            "clone" => !plan.unknown.is_empty(),
            "create" | "destroy" => plan.unknown.contains(realm),
            _ => false,
        };
        if !allowing.is_empty() && allowing.iter().all(|plan| blind(&plan)) {
            let unknown: Vec<&String> = allowing.iter().flat_map(|plan| &plan.unknown).collect();
            found.push(format!("I7: `{}` of VM {} though {unknown:?} is unknown", self.verb, self.vmid));
        }
    }

    /// I5, P9: masters in service never fall below quorum without consent.
    fn keeps_quorum(&self, state: &State, allowing: &[&Shown], found: &mut Vec<String>) {
        let masters = allowing.iter().map(|plan| plan.masters).max().unwrap_or(0);
        let consent = allowing.iter().any(|plan| plan.may_break_quorum);
        if !matches!(self.verb, "stop" | "shutdown" | "destroy" | "reboot") || consent || masters == 0 {
            return;
        }
        let up = view::in_service(&self.node.world, &state.known_masters);
        let key = (self.node.realm().name.clone(), self.vmid);
        // One that answered when it was last asked, just now, and that we did not stop since then went down by somebody
        // else's doing.
        let lost_since = |master: &&(String, u32)| {
            let answers = allowing.iter().filter_map(|plan| plan.answered.get(&master.1));
            let stopped = state.stopped.get(*master).copied().unwrap_or(0.0);
            !up.contains(*master) && answers.copied().any(|at| at > stopped && self.now - at < RECENTLY_S)
        };
        let count = (up.len() + state.known_masters.iter().filter(lost_since).count()).saturating_sub(1);
        if up.contains(&key) && count < masters / 2 + 1 {
            found.push(format!("I5: `{}` of a master leaves {count} of {masters} in service", self.verb));
        }
    }
}

/// I4: no MAC ever changes.
fn keep_mac(state: &mut State, config: Option<&VmConfig>, vmid: u32, found: &mut Vec<String>) {
    let uuid = config.and_then(|config| config.get("smbios1")).map(str::to_owned);
    let mac = config.and_then(|config| Net::parse(config.get("net0")?).ok()?.mac_lower());
    if let (Some(uuid), Some(mac)) = (uuid, mac) {
        let known = state.macs.entry(uuid).or_insert_with(|| mac.clone());
        if *known != mac {
            found.push(format!("I4: the MAC of VM {vmid} changed from {known} to {mac}"));
        }
    }
}
