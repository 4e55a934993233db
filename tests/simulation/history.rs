//! One seeded history: a cluster as an earlier apply left it (or bare nodes), a changed wish, troubles while pvekube works
//! and is killed, then quiet; in the end everything is as wished, or the same refusals come every time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use pvekube::model::desired::Desired;
use pvekube::model::ids::{NodeName, Pool, Role};
use pvekube::model::plan::HazardKind;
use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::remote::{Operations, SandboxRemote, Weather};
use pvekube::sandbox::world::World;

use crate::cast;
use crate::ending;
use crate::mutants::{Mutant, Mutation};
use crate::pvekube::{Consent, carry_out, is_allowed, observe, plan};
use crate::random::Random;
use crate::troubles::{Stage, Trouble, go_on};
use crate::watch::{Climate, Watch, about};

/// Clusters that histories begin from. Making one costs more than a history.
const BASES: u64 = 24;
/// Fault-free applies until the end must be reached (P2).
const ROUNDS: usize = 6;

#[derive(Debug)]
pub struct Failed {
    pub what: Vec<String>,
    pub log: Vec<String>,
}

/// What a history may hold; switched off one by one by the tests of single faults.
#[derive(Clone, Debug)]
pub struct Rules {
    pub weather: bool,
    pub troubles: Vec<Trouble>,
    /// Every kind listed happens; else each does in a quarter of the histories.
    pub certain: bool,
    pub kills: bool,
    pub two_at_once: bool,
    pub mutation: Option<Mutation>,
}

impl Default for Rules {
    fn default() -> Self {
        let troubles = Trouble::ALL.to_vec();
        Self { weather: true, troubles, certain: false, kills: true, two_at_once: true, mutation: None }
    }
}

impl Rules {
    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self { weather: false, troubles: Vec::new(), certain: true, kills: false, two_at_once: false, mutation: None }
    }
}

struct Base {
    world: Arc<World>,
    /// When it was done, by the clock of the runtime that made it: another runtime's reads otherwise.
    done_s: i64,
    desired: Desired,
}

/// A world where everything is as wished, made once a number.
async fn base(number: u64) -> Arc<Base> {
    static MADE: OnceLock<Vec<Mutex<Option<Arc<Base>>>>> = OnceLock::new();
    let made = MADE.get_or_init(|| (0..BASES).map(|_| Mutex::new(None)).collect());
    let slot = &made[(number % BASES) as usize];
    let known = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    if let Some(base) = known {
        return base;
    }
    let mut random = Random::new(number % BASES);
    let world = cast::world(cast::topology(&mut random));
    let desired = cast::desired(&mut random, &world);
    let remote = Arc::new(remote(&world, &Arc::new(Operations::default())));
    let observed = observe(remote.as_ref(), &desired).await;
    let shown = plan(&desired, &observed, &Consent::default());
    let outcome = carry_out(remote, &desired, &observed, &shown, "base", number).await;
    assert!(outcome.is_success(), "base {number}: {outcome:?}");
    let base = Arc::new(Base { done_s: world.clock.now_s(), world, desired });
    *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(base.clone());
    base
}

fn remote(world: &Arc<World>, operations: &Arc<Operations>) -> SandboxRemote {
    let names = world.nodes().iter().map(|node| (NodeName::new(node.name()), node.name().to_owned())).collect();
    let mut remote = SandboxRemote::new(world.clone(), names, operations.clone());
    remote.public_keys.insert(cast::KEY_PATH.into(), cast::PUBLIC_KEY.into());
    remote
}

/// Lives a history in a runtime of its own, with its own time.
pub fn live(seed: u64, rules: &Rules) -> Result<u64, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(history(seed, rules.clone()))
}

async fn history(seed: u64, rules: Rules) -> Result<u64, Failed> {
    let mut random = Random::new(seed ^ 0x5eed);
    let (world, mut desired) = if random.percent(92) {
        let base = base(random.next()).await;
        // Its guests have been up for an hour.
        let clock = Clock::simulated(base.done_s + 3600);
        (base.world.fork(clock).expect("it is in memory"), base.desired.clone())
    } else {
        let world = cast::world(cast::topology(&mut random));
        let desired = cast::desired(&mut random, &world);
        (world, desired)
    };
    change_of_mind(&mut desired, &mut random);
    let watch = Watch::new(Random::new(random.next()), climate(&rules, &mut random));
    let operations = Arc::new(Operations::default());
    let nodes = remote(&world, &operations).with_conditions(watch.clone());
    let links = nodes.links.clone();
    let stage = Stage { world: world.clone(), operations, links, watch: watch.clone() };
    let kinds: Vec<Trouble> = rules.troubles.iter().copied().filter(|_| rules.certain || random.percent(25)).collect();
    watch.note(world.clock.now(), &format!("troubles {kinds:?}"));
    let troubles = tokio::spawn(go_on(stage.clone(), kinds, Random::new(random.next())));
    let player = Player { remote: nodes, desired, watch: watch.clone(), mutation: rules.mutation };
    for number in 0..random.between(1, 2) {
        turbulent(&player, number, &rules, &mut random).await;
        if !watch.violations().is_empty() {
            break;
        }
    }
    // Quiet: whatever is under way comes to its end.
    troubles.abort();
    watch.clear_up();
    calm_down(&stage).await;
    let mut what = watch.violations();
    if what.is_empty() {
        what = settle(&player, &stage).await;
    }
    what.extend(watch.violations());
    if what.is_empty() { Ok(watch.programs()) } else { Err(Failed { what, log: watch.log() }) }
}

fn climate(rules: &Rules, random: &mut Random) -> Climate {
    if !rules.weather || random.percent(30) {
        return Climate::default();
    }
    let all = [
        Weather::Refused,
        Weather::LostBefore,
        Weather::LostAfter,
        Weather::Slow(4.0),
        Weather::Slow(60.0),
        Weather::Frozen,
    ];
    let kinds = all.into_iter().filter(|_| random.percent(50)).collect();
    Climate { kinds, per_mille: *random.pick(&[5, 20, 80]) }
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
    mutation: Option<Mutation>,
}

impl Player {
    /// Observe, plan, and carry out what is allowed. `Err`: what stands in the way.
    async fn run(&self, run: u64, consent: &Consent) -> Result<bool, Vec<String>> {
        let now = || self.remote.world.clock.now();
        let mut desired = self.desired.clone();
        let mut observed = observe(&self.remote, &desired).await;
        if let Some(mutation) = self.mutation {
            mutation.observation(&mut observed, &mut desired);
        }
        let mut shown = plan(&desired, &observed, consent);
        self.watch.note(now(), &format!("run {run}: {}", about(&shown)));
        if !is_allowed(&shown) {
            let checks = shown.refusals().map(|check| format!("{} {}: {}", check.id, check.about, check.message));
            return Err(checks.chain(shown.unaccepted().map(|hazard| hazard.message.clone())).collect());
        }
        self.watch.show(run, &shown, &consent.accept, &desired);
        if !shown.has_changes() {
            return Ok(true);
        }
        if let Some(mutation) = self.mutation {
            mutation.plan(&mut shown);
        }
        let marks = shown.steps.iter().filter_map(|step| Some((step.vmid.0, step.action.expected_mark()?.clone())));
        let remote = Mutant { inner: self.remote.clone(), mutation: self.mutation, marks: marks.collect() };
        let outcome = carry_out(Arc::new(remote), &desired, &observed, &shown, &format!("run {run}"), run).await;
        self.watch.note(now(), &format!("run {run} ends: {}", failures(&outcome)));
        Ok(false)
    }
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
async fn turbulent(player: &Player, number: u64, rules: &Rules, random: &mut Random) {
    let seed = random.next() >> 8;
    let first = consent(&player.desired, random);
    let patience = Duration::from_millis(random.between(500, 200_000));
    let killed = rules.kills && random.percent(50);
    let company = rules.two_at_once && random.percent(25);
    let one = async {
        if killed {
            // SIGKILL: everything of it is dropped where it stands.
            if tokio::time::timeout(patience, player.run(seed, &first)).await.is_err() {
                player.watch.note(player.remote.world.clock.now(), &format!("run {seed} is killed"));
            }
        } else {
            // Refusals under faults are as they should be.
            let _ = tokio::time::timeout(Duration::from_secs(7200), player.run(seed, &first)).await;
        }
    };
    if company {
        let wait = Duration::from_secs(random.between(0, 60));
        let second = consent(&player.desired, random);
        let other = async {
            tokio::time::sleep(wait).await;
            let _ = tokio::time::timeout(Duration::from_secs(7200), player.run(seed ^ 1, &second)).await;
        };
        tokio::join!(one, other);
    } else {
        one.await;
    }
    let _ = number;
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
    for view in crate::watch::realms(&stage.world) {
        for (vmid, owner, _) in crate::watch::marked(&view) {
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
                return if player.mutation.is_some_and(Mutation::distorts_the_look) {
                    Vec::new()
                } else {
                    ending::complaints(&stage.world, &player.desired, &stage.watch)
                };
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
        if !player.watch.violations().is_empty() {
            return Vec::new();
        }
    }
    vec![format!("P2: still something to do after {ROUNDS} quiet applies")]
}
