//! One seeded history: a cluster as an earlier apply left it (or bare nodes), a changed wish, troubles while pvekube works
//! and is killed, then quiet; in the end everything is as wished, or the same refusals come every time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use pvekube::model::desired::Desired;
use pvekube::model::ids::{NodeName, Pool, Role};
use pvekube::model::plan::{HazardKind, Plan, Target};
use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::remote::{Operations, SandboxRemote};
use pvekube::sandbox::world::World;
use tokio::sync::oneshot;

use crate::cast;
use crate::ending;
use crate::faults::{Fault, Rules};
use crate::mutants::{Memory, Nodes};
use crate::pvekube::{Consent, Planning, carry_out, is_allowed, observe};
use crate::random::Random;
use crate::shown::{self, Shown, Sight};
use crate::troubles::{Stage, go_on};
use crate::view;
use crate::watch::{Climate, Watch};

/// Clusters that histories begin from. Making one costs more than a history.
const BASES: u64 = 24;
/// Fault-free applies until the end must be reached (P2).
const ROUNDS: usize = 6;

#[derive(Debug)]
pub struct Failed {
    pub what: Vec<String>,
    pub log: Vec<String>,
}

struct Base {
    world: Arc<World>,
    /// When it was done, by the clock of the runtime that made it: another runtime's reads otherwise.
    done_s: i64,
    desired: Desired,
}

/// A world where everything is as wished, made once a number, in a runtime of its own.
fn base(number: u64) -> Arc<Base> {
    static MADE: OnceLock<Vec<Mutex<Option<Arc<Base>>>>> = OnceLock::new();
    let made = MADE.get_or_init(|| (0..BASES).map(|_| Mutex::new(None)).collect());
    let mut slot = made[number as usize].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    slot.get_or_insert_with(|| Arc::new(in_simulated_time(make_base(number)))).clone()
}

async fn make_base(number: u64) -> Base {
    let mut random = Random::new(number);
    let world = cast::world(cast::topology(&mut random));
    let desired = cast::desired(&mut random, &world);
    let remote = Arc::new(remote(&world, &Arc::new(Operations::default())));
    let observed = observe(&remote, &desired).await;
    let shown = Planning::default().plan(&desired, &observed, &Consent::default());
    let outcome = carry_out(remote, (&desired, &observed, &shown), "base", number, drop).await;
    assert!(outcome.is_success(), "base {number}: {outcome:?}");
    Base { done_s: world.clock.now_s(), world, desired }
}

fn remote(world: &Arc<World>, operations: &Arc<Operations>) -> SandboxRemote {
    let names = world.nodes().iter().map(|node| (NodeName::new(node.name()), node.name().to_owned())).collect();
    let mut remote = SandboxRemote::new(world.clone(), names, operations.clone());
    remote.public_keys.insert(cast::KEY_PATH.into(), cast::PUBLIC_KEY.into());
    remote
}

fn in_simulated_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

/// Lives a history in a runtime of its own, with its own time: how many programs ran, and the log.
pub fn live(seed: u64, rules: &Rules) -> Result<(u64, Vec<String>), Failed> {
    let mut random = Random::new(seed ^ 0x5eed);
    let base = random.percent(92).then(|| base(random.next() % BASES));
    in_simulated_time(history(random, base, rules.clone()))
}

async fn history(mut random: Random, base: Option<Arc<Base>>, rules: Rules) -> Result<(u64, Vec<String>), Failed> {
    let (world, mut desired) = match base {
        Some(base) => {
            // Its guests have been up for an hour.
            let clock = Clock::simulated(base.done_s + 3600);
            (base.world.fork(clock).expect("it is in memory"), base.desired.clone())
        }
        None => {
            let world = cast::world(cast::topology(&mut random));
            let desired = cast::desired(&mut random, &world);
            (world, desired)
        }
    };
    change_of_mind(&mut desired, &mut random);
    let watch = Watch::new(Random::new(random.next()), climate(&rules, &mut random));
    let operations = Arc::new(Operations::default());
    let nodes = remote(&world, &operations).with_conditions(watch.clone());
    let links = nodes.links.clone();
    let stage = Stage { world: world.clone(), operations, links, watch: watch.clone() };
    let troubles = rules.faults.iter().copied().filter(|fault| fault.is_trouble());
    let kinds: Vec<Fault> = troubles.filter(|_| rules.certain || random.percent(25)).collect();
    watch.note(world.clock.now(), &format!("troubles {kinds:?}"));
    let (quiet, told) = oneshot::channel();
    let troubles = tokio::spawn(go_on(stage.clone(), kinds, Random::new(random.next()), told));
    watch.learn_masters(&world);
    let planning = Planning { mutation: rules.mutation };
    let player = Player { remote: nodes, desired, watch: watch.clone(), planning, memory: Mutex::default() };
    for _ in 0..random.between(1, 2) {
        turbulent(&player, &rules, &mut random).await;
        if !watch.violations().is_empty() {
            break;
        }
    }
    // Quiet: whatever is under way comes to its end.
    drop(quiet);
    troubles.await.expect("troubles don't panic");
    watch.clear_up();
    calm_down(&stage).await;
    let mut what = watch.violations();
    // What one property shows another may show, too: a broken pvekube goes on to its end.
    if what.is_empty() || rules.mutation.is_some() {
        let left = settle(&player, &stage).await;
        what = watch.violations();
        what.extend(left);
    }
    if what.is_empty() { Ok((watch.programs(), watch.log())) } else { Err(Failed { what, log: watch.log() }) }
}

fn climate(rules: &Rules, random: &mut Random) -> Climate {
    let happens = rules.certain || random.percent(70);
    let picked: Vec<Fault> =
        rules.faults.iter().copied().filter(|_| rules.certain || happens && random.percent(50)).collect();
    Climate {
        kinds: picked.iter().flat_map(|fault| fault.weather()).copied().collect(),
        tears: picked.contains(&Fault::Torn),
        per_mille: if rules.certain { 250 } else { *random.pick(&[5, 20, 80]) },
    }
}

/// The operator edits the manifest.
fn change_of_mind(desired: &mut Desired, random: &mut Random) {
    for _ in 0..random.between(1, 3) {
        let workers = desired.machines.iter().filter(|machine| machine.id.pool == Pool::Workers).count() as u32;
        match random.below(6) {
            0 => {
                let mut machine = cast::machine(random, Pool::Workers, workers + 1);
                // It may be one that is being taken away and wanted again: disks never shrink.
                machine.disk_gb = 8;
                desired.machines.push(machine);
            }
            1 if workers > 0 => drop(desired.machines.pop()),
            2 => {
                for machine in desired.machines.iter_mut().filter(|machine| machine.role == Role::Worker) {
                    machine.memory_mb = 4096;
                }
            }
            3 => {
                for machine in &mut desired.machines {
                    machine.disk_gb += 1;
                }
            }
            4 => {
                for machine in desired.machines.iter_mut().filter(|machine| machine.role == Role::Master) {
                    machine.cores = 2;
                }
            }
            _ => {
                for machine in &mut desired.machines {
                    machine.tags.insert("extra".into());
                    machine.onboot = true;
                }
            }
        }
    }
}

struct Player {
    remote: SandboxRemote,
    desired: Desired,
    watch: Arc<Watch>,
    planning: Planning,
    memory: Mutex<Memory>,
}

/// Tells the watch when a run is over, however it ends.
struct Running<'a>(&'a Player, u64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.watch.end(self.1, self.0.remote.world.clock.now());
    }
}

impl Player {
    /// Observe, plan, and carry out what is allowed. `Err`: what stands in the way.
    async fn run(&self, run: u64, consent: &Consent) -> Result<bool, Vec<String>> {
        let world = &self.remote.world;
        let mutation = self.planning.mutation;
        let nodes = |marks| Arc::new(Nodes::new(self.remote.clone(), mutation, self.watch.clone(), run, marks));
        let looked = world.clock.now();
        let truth = observe(&nodes(Default::default()), &self.desired).await;
        let mut observed = truth.clone();
        let mut desired = self.desired.clone();
        if let Some(mutation) = mutation {
            let mut memory = self.memory.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            mutation.observation(&mut observed, &mut desired, &mut memory);
        }
        let mut plan = self.planning.plan(&desired, &observed, consent);
        self.watch.note(world.clock.now(), &format!("run {run}: {}", about(&plan)));
        if !is_allowed(&plan) {
            let checks = plan.refusals().map(|check| format!("{} {}: {}", check.id, check.about, check.message));
            return Err(checks.chain(plan.unaccepted().map(|hazard| hazard.message.clone())).collect());
        }
        let sight = Sight { desired: &self.desired, observed: &truth, consent, looked };
        let mut faults = shown::faults(&plan, world, &sight);
        faults.extend(shown::planner_faults(
            &plan,
            &self.planning,
            &Sight { desired: &desired, observed: &observed, ..sight },
        ));
        self.watch.show(run, Shown::new(&plan, world, &sight), faults);
        let _running = Running(self, run);
        if !plan.has_changes() {
            return Ok(true);
        }
        if let Some(mutation) = mutation {
            mutation.execution(&mut plan);
        }
        let marks = plan.steps.iter().filter_map(|step| Some((step.vmid.0, step.action.expected_mark()?.clone())));
        let watch = self.watch.clone();
        let hear = move |event| watch.hear(run, &event);
        let owner = format!("run {run}");
        let outcome = carry_out(nodes(marks.collect()), (&desired, &observed, &plan), &owner, run, hear).await;
        self.watch.note(world.clock.now(), &format!("run {run} ends: {}", failures(&outcome)));
        Ok(false)
    }
}

/// Names of the machines that a plan is about, for the log.
fn about(plan: &Plan) -> String {
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

fn failures(outcome: &pvekube::model::outcome::Outcome) -> String {
    use pvekube::model::outcome::StepResult;
    let steps = outcome.steps.iter().filter_map(|(id, step)| match &step.result {
        StepResult::Failed(failure) => Some(format!("{id} {} {}: {:?}", step.verb, failure.summary, failure.evidence)),
        StepResult::Done | StepResult::Skipped { .. } | StepResult::NotStarted | StepResult::LeftRunning => None,
    });
    let all: Vec<String> = steps.chain(outcome.failures.iter().map(|failure| failure.summary.clone())).collect();
    if all.is_empty() { "done".to_owned() } else { all.join("; ") }
}

fn consent(desired: &Desired, random: &mut Random) -> Consent {
    let accept = HazardKind::ALL.into_iter().filter(|kind| *kind != HazardKind::BreakQuorum && random.percent(70));
    Consent { prune: desired.prune, accept: accept.collect() }
}

/// A run that may be killed, or have company.
async fn turbulent(player: &Player, rules: &Rules, random: &mut Random) {
    let seed = random.next() >> 8;
    let first = consent(&player.desired, random);
    let patience = Duration::from_millis(random.between(500, 200_000));
    let killed = rules.has(Fault::Kill) && random.percent(50);
    // At a moment, or right when one of its programs begins.
    let program = random.percent(50).then(|| random.between(1, 12));
    let company = rules.has(Fault::TwoAtOnce) && random.percent(if rules.certain { 80 } else { 25 });
    let one = async {
        if !killed {
            // Refusals under faults are as they should be.
            let _ = tokio::time::timeout(Duration::from_secs(7200), player.run(seed, &first)).await;
            return;
        }
        let moment = async {
            match program {
                Some(after) => {
                    player.watch.kill_after(after);
                    player.watch.kill.notified().await;
                }
                None => tokio::time::sleep(patience).await,
            }
        };
        // SIGKILL: everything of it is dropped where it stands.
        tokio::select! {
            biased;
            () = moment => player.watch.note(player.remote.world.clock.now(), &format!("run {seed} is killed")),
            _ = tokio::time::timeout(Duration::from_secs(7200), player.run(seed, &first)) => {}
        }
    };
    if company {
        let wait = Duration::from_secs(random.between(0, 60));
        let second = consent(&player.desired, random);
        let other = async {
            tokio::time::sleep(wait).await;
            let _ = tokio::time::timeout(Duration::from_secs(7200), player.run(seed ^ 1, &second)).await;
        };

        tokio::join!(biased; one, other);
    } else {
        one.await;
    }
}

/// Nodes come back, faults end, operations come to their end.
async fn calm_down(stage: &Stage) {
    let offline: BTreeSet<String> = stage.world.faults().offline;
    for name in offline {
        if let Some(node) = stage.world.node(&name) {
            pvekube::sandbox::power::on(&node).await.expect("memory takes all files");
        }
    }
    stage.world.change_faults(|faults| *faults = Default::default()).expect("memory takes all files");
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        if stage.operations.running() == 0 {
            break;
        }
    }
    ending::clear_leftovers(&stage.world).await;
    // An administrator's backup that was cut off is not ours to unlock.
    for view in view::realms(&stage.world) {
        for (vmid, owner, _) in view::marked(&view) {
            if let Some(node) = stage.world.node(&owner) {
                ending::unlock_backup(&node, vmid).await;
            }
        }
    }
}

/// Fault-free applies until nothing is left to do (P1, P2), then the look at what is there.
async fn settle(player: &Player, stage: &Stage) -> Vec<String> {
    let consent = Consent { prune: player.desired.prune, accept: HazardKind::ALL.to_vec() };
    let mut refusals: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        match player.run(1_000_000 + round as u64, &consent).await {
            Ok(true) => {
                return ending::complaints(&stage.world, &player.desired, &stage.watch);
            }
            Ok(false) => {}
            Err(now) if now == refusals => {
                let expected = player.watch.was_touched();
                return if expected {
                    Vec::new()
                } else {
                    vec![format!("P2: refused though nobody interfered: {now:?}")]
                };
            }
            Err(now) => refusals = now,
        }
    }
    vec![format!("P2: still something to do after {ROUNDS} quiet applies")]
}
