//! Sees every request and every program on every node: decides the weather, and holds the invariants of design §9 and the
//! properties of docs/testing.md at each command, not at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use pvekube::model::desired::Desired;
use pvekube::model::ids::Role;
use pvekube::model::mark::{Mark, MarkSubject};
use pvekube::model::plan::{Action, HazardKind, Plan, Target};
use pvekube::pve::conf;
use pvekube::pve::property::Net;
use pvekube::sandbox::guest::agent::Reply;
use pvekube::sandbox::guest::hypervisor;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::remote::{Conditions, Moment, Weather};
use pvekube::sandbox::world::World;

use crate::cast::CLUSTER;
use crate::random::Random;

/// An administrator's act and pvekube's own look at the mark can't be told apart in time within so many seconds.
const RACE_S: f64 = 5.0;

/// What may happen to requests in a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Climate {
    pub kinds: Vec<Weather>,
    /// Requests in a thousand.
    pub per_mille: u64,
}

#[derive(Debug)]
pub struct Watch(Mutex<State>);

#[derive(Debug)]
struct State {
    random: Random,
    climate: Climate,
    violations: Vec<String>,
    /// Plans that are being carried out.
    plans: BTreeMap<u64, Shown>,
    /// Programs of ours that run, by realm and VMID.
    running: BTreeMap<(String, u32), u32>,
    /// When the administrator last touched a VM (Unix seconds).
    touched: BTreeMap<u32, f64>,
    /// MACs by SMBIOS UUID: a VM keeps its own.
    macs: BTreeMap<String, String>,
    masters: usize,
    /// VMs that were masters at some time: one whose Notes are gone still serves.
    known_masters: BTreeSet<(String, u32)>,
    log: Vec<String>,
    pub programs: u64,
}

/// What a plan lets happen.
#[derive(Debug)]
struct Shown {
    /// VMID and what may be done to it.
    allowed: BTreeSet<(u32, &'static str)>,
    accepted: BTreeSet<HazardKind>,
}

/// The programs that a step may run, by `qm`'s verb.
fn verbs(action: &Action) -> &'static [&'static str] {
    match action {
        Action::CreateTemplate { .. } => &["create"],
        // An import that fails takes its own volume away.
        Action::ImportDisk { .. } => &["set", "free"],
        Action::Set { .. } => &["set"],
        Action::Resize { .. } => &["resize"],
        // A bake that goes wrong is stopped.
        Action::Bake(_) => &["set", "start", "stop"],
        Action::ConvertTemplate { .. } => &["template", "set"],
        // One that fails half-way is tidied up.
        Action::Clone { .. } => &["clone", "unlock", "destroy", "free"],
        Action::Start { .. } => &["start"],
        Action::Shutdown { .. } => &["shutdown", "stop"],
        Action::Destroy { .. } => &["shutdown", "stop", "unlock", "set", "destroy", "free"],
        Action::FetchImage { .. } | Action::RemoveImage { .. } | Action::Ready(_) | Action::Attach { .. } => &[],
    }
}

impl Watch {
    pub fn new(random: Random, climate: Climate) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            random,
            climate,
            violations: Vec::new(),
            plans: BTreeMap::new(),
            running: BTreeMap::new(),
            touched: BTreeMap::new(),
            macs: BTreeMap::new(),
            masters: 0,
            known_masters: BTreeSet::new(),
            log: Vec::new(),
            programs: 0,
        })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn clear_up(&self) {
        self.state().climate = Climate::default();
    }

    /// A plan that is about to be carried out, and what the operator consented to.
    pub fn show(&self, run: u64, plan: &Plan, accepted: &[HazardKind], desired: &Desired) {
        let pairs = plan.steps.iter().flat_map(|step| verbs(&step.action).iter().map(|verb| (step.vmid.0, *verb)));
        let shown = Shown { allowed: pairs.collect(), accepted: accepted.iter().copied().collect() };
        let mut state = self.state();
        state.plans.insert(run, shown);
        state.masters = desired.machines.iter().filter(|machine| machine.role == Role::Master).count();
        // A plan without changes has no steps, and so lets nothing happen.
        if !plan.has_changes() && !plan.steps.is_empty() {
            let text = format!("P3: a plan without changes has {} steps", plan.steps.len());
            state.violations.push(text);
        }
    }

    pub fn admin(&self, vmid: u32, now: f64, what: &str) {
        let mut state = self.state();
        state.touched.insert(vmid, now);
        state.log.push(format!("{now:.0} administrator: {what}"));
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

/// `qm`'s verb (or `free`) and the VM that it works on.
fn subject(argv: &[String]) -> Option<(&str, u32)> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["qm", "clone", _, new, ..] => Some(("clone", new.parse().ok()?)),
        ["qm", "disk", "resize", vmid, ..] => Some(("resize", vmid.parse().ok()?)),
        ["qm", "status" | "config" | "pending" | "agent" | "list", ..] => None,
        ["qm", verb, vmid, ..] => Some((verb, vmid.parse().ok()?)),
        ["pvesm", "free", volume] => {
            let rest = volume.rsplit(['/', ':']).next()?;
            Some(("free", rest.strip_prefix("vm-").or(rest.strip_prefix("base-"))?.split('-').next()?.parse().ok()?))
        }
        _ => None,
    }
}

fn option<'a>(argv: &'a [String], name: &str) -> Option<&'a str> {
    argv.iter().position(|word| word == name).and_then(|at| argv.get(at + 1)).map(String::as_str)
}

/// Every VM of a realm that is ours: VMID, node, and its mark.
pub fn marked(node: &SandboxNode) -> Vec<(u32, String, Mark)> {
    let mut all = Vec::new();
    for (vmid, owner, _) in node.guests().into_iter().filter(|guest| guest.2 == "qemu") {
        let path = format!("/etc/pve/nodes/{owner}/qemu-server/{vmid}.conf");
        let text = node.read_text(&path).unwrap_or_default();
        // The description's lines; a mark has no character that PVE encodes.
        let notes: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).collect();
        let mark = Mark::find(&notes.join("\n"));
        if let Some(mark) = mark.filter(|mark| mark.vmid.0 == vmid && mark.cluster.as_str() == CLUSTER) {
            all.push((vmid, owner, mark));
        }
    }
    all
}

/// One view on each realm, from a member that is up.
pub fn realms(world: &Arc<World>) -> Vec<SandboxNode> {
    let offline = world.faults().offline;
    let mut seen = BTreeSet::new();
    let up = world.nodes().into_iter().filter(|node| !offline.contains(node.name()));
    up.filter(|node| seen.insert(node.realm().name.clone())).collect()
}

/// Masters as their marks tell, by realm and VMID.
fn marked_masters(world: &Arc<World>) -> BTreeSet<(String, u32)> {
    let mut found = BTreeSet::new();
    for view in realms(world) {
        for (vmid, _, mark) in marked(&view) {
            if matches!(&mark.subject, MarkSubject::Machine(id) if id.pool.role() == Role::Master) {
                found.insert((view.realm().name.clone(), vmid));
            }
        }
    }
    found
}

/// Those of them whose guests answer.
fn in_service(world: &Arc<World>, masters: &BTreeSet<(String, u32)>) -> BTreeSet<(String, u32)> {
    let offline = world.faults().offline;
    let now = (world.clock.now() * 1000.0) as u64;
    let mut found = BTreeSet::new();
    for node in world.nodes().into_iter().filter(|node| !offline.contains(node.name())) {
        for (realm, vmid) in masters.iter().filter(|(realm, _)| *realm == node.realm().name) {
            if hypervisor::settle(&node, *vmid).is_some_and(|boot| boot.ping(now) != Reply::Silent) {
                found.insert((realm.clone(), *vmid));
            }
        }
    }
    found
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
        let config = node.read(&node.conf_path(vmid)).ok().and_then(|bytes| conf::parse(&bytes).ok());
        match moment {
            Moment::Before => {
                state.programs += 1;
                state.log.push(format!("{now:.0} {}: {}", node.name(), argv.join(" ")));
                *state.running.entry(key.clone()).or_default() += 1;
                if state.running[&key] > 1 {
                    found.push(format!("I8: two programs work on VM {vmid} at once"));
                }
                state.known_masters.extend(marked_masters(&node.world));
                keep_mac(state, config.as_ref(), vmid, &mut found);
                let raced = state.touched.get(&vmid).is_some_and(|at| now - at < RACE_S);
                before(state, node, argv, (verb, vmid), config.as_ref(), raced, &mut found);
            }
            Moment::After { exit } => {
                state.log.push(format!("{now:.0} {}: {verb} {vmid} exit {exit}", node.name()));
                if let Some(count) = state.running.get_mut(&key) {
                    *count = count.saturating_sub(1);
                }
                after(state, node, config.as_ref(), vmid, &mut found);
            }
        }
        for text in found {
            state.log.push(format!("{now:.0} VIOLATION {text}"));
            state.violations.push(format!("{text} (at {}: {})", node.name(), argv.join(" ")));
        }
    }
}

fn before(
    state: &State,
    node: &SandboxNode,
    argv: &[String],
    (verb, vmid): (&str, u32),
    config: Option<&pvekube::model::vm_config::VmConfig>,
    raced: bool,
    found: &mut Vec<String>,
) {
    // P13: what was shown is what runs.
    if !state.plans.values().any(|plan| plan.allowed.iter().any(|(id, name)| *id == vmid && *name == verb)) {
        found.push(format!("P13: no shown plan lets `{verb}` happen to VM {vmid}"));
    }
    // I1, P5: a foreign VM is never changed.
    let makes = matches!(verb, "clone" | "create" | "free");
    let mark = config.and_then(|config| Mark::find(&config.description));
    let ours = mark.as_ref().is_some_and(|mark| mark.vmid.0 == vmid && mark.cluster.as_str() == CLUSTER);
    if config.is_some() && !makes && !ours && !raced {
        found.push(format!("I1: VM {vmid} is foreign"));
    }
    // P14: whatever is created gets its mark in the very command that creates it.
    if matches!(verb, "clone" | "create") {
        let told = option(argv, "--description").and_then(Mark::find);
        if told.is_none_or(|mark| mark.vmid.0 != vmid) {
            found.push(format!("P14: VM {vmid} is created without its mark"));
        }
    }
    // I4: sizes are absolute.
    if verb == "resize" && argv.get(5).is_some_and(|size| size.starts_with('+')) {
        found.push(format!("I4: relative resize of VM {vmid}"));
    }
    // Compare-and-set: every change of values is guarded.
    if verb == "set" && option(argv, "--digest").is_none() && ours {
        found.push(format!("I6: VM {vmid} is set without a digest"));
    }
    // I5, P9: masters in service never fall below quorum without consent.
    let consent = state.plans.values().any(|plan| plan.accepted.contains(&HazardKind::BreakQuorum));
    if matches!(verb, "stop" | "shutdown" | "destroy" | "reboot") && !consent && state.masters > 0 {
        let up = in_service(&node.world, &state.known_masters);
        let key = (node.realm().name.clone(), vmid);
        if up.contains(&key) && up.len() - 1 < state.masters / 2 + 1 {
            let count = up.len() - 1;
            found.push(format!("I5: `{verb}` of a master leaves {count} of {} in service", state.masters));
        }
    }
}

fn after(
    state: &mut State,
    node: &SandboxNode,
    config: Option<&pvekube::model::vm_config::VmConfig>,
    vmid: u32,
    found: &mut Vec<String>,
) {
    keep_mac(state, config, vmid, found);
    // I3, P10: no machine exists twice.
    let mut seen = BTreeMap::new();
    for view in realms(&node.world) {
        for (vmid, owner, mark) in marked(&view) {
            if let MarkSubject::Machine(id) = mark.subject
                && let Some((other, elsewhere)) = seen.insert(id.clone(), (vmid, owner.clone()))
            {
                found.push(format!("P10: {id} exists as VM {other} on {elsewhere} and as VM {vmid} on {owner}"));
            }
        }
    }
}

/// I4: no MAC ever changes.
fn keep_mac(
    state: &mut State,
    config: Option<&pvekube::model::vm_config::VmConfig>,
    vmid: u32,
    found: &mut Vec<String>,
) {
    let uuid = config.and_then(|config| config.get("smbios1")).map(str::to_owned);
    let mac = config.and_then(|config| Net::parse(config.get("net0")?).ok()?.mac_lower());
    if let (Some(uuid), Some(mac)) = (uuid, mac) {
        let known = state.macs.entry(uuid).or_insert_with(|| mac.clone());
        if *known != mac {
            found.push(format!("I4: the MAC of VM {vmid} changed from {known} to {mac}"));
        }
    }
}

/// Names of the machines that a plan is about, for the log.
pub fn about(plan: &Plan) -> String {
    let name = |target: &Target| match target {
        Target::Template { name } => name.clone(),
        Target::Machine { name, .. } => name.to_string(),
    };
    let text: Vec<String> = plan
        .changes
        .iter()
        .map(|change| format!("{:?} {} {}", change.action, name(&change.target), change.vmid))
        .collect();
    text.join(", ")
}
