//! Seeded histories with everything going wrong at once; then calm, and convergence. `PVEKUBE_SEED=n` replays one,
//! `PVEKUBE_SEEDS=n` runs so many.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use pvekube::execute::ApplyOptions;
use pvekube::model::plan::HazardKind;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::remote::{Conditions, Cut, Moment, Weather};

use crate::cluster::{Cluster, THREE_AND_TWO, options};

/// SplitMix64.
#[derive(Debug)]
struct Random(Mutex<u64>);

impl Random {
    fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Bad weather until it is calmed; a foreign VM that must never be touched.
#[derive(Debug)]
struct Storm {
    random: Arc<Random>,
    calm: Mutex<bool>,
}

/// A VM of somebody else, in the middle of our range.
const FOREIGN: u32 = 102;

impl Conditions for Storm {
    fn weather(&self, _: &str, request: &'static str) -> Weather {
        if *self.calm.lock().unwrap() || request == "observe" || self.random.below(8) != 0 {
            return Weather::Fair;
        }
        let seconds = self.random.below(30) as f64;
        [Weather::LostBefore, Weather::LostAfter, Weather::Refused, Weather::Slow(seconds), Weather::Frozen]
            [self.random.below(5) as usize]
    }

    fn program(&self, node: &SandboxNode, argv: &[String], moment: Moment) {
        if moment == Moment::Before && argv[0] == "qm" {
            let changes = ["set", "disk", "start", "shutdown", "destroy", "unlock", "template"];
            let touched = argv.iter().any(|arg| *arg == FOREIGN.to_string());
            assert!(!(touched && changes.contains(&argv[1].as_str())), "{}: {argv:?}", node.name());
        }
    }
}

/// What the plan's note asks the operator for: a killed `qm create`, `qm clone` or `qm destroy` leaves a config that is
/// nothing but its lock.
fn remove_nameless(cluster: &Cluster) {
    for node in cluster.world.nodes() {
        for vmid in (100..200).chain(9000..9010) {
            let path = node.conf_path(vmid);
            if node.read_text(&path).is_ok_and(|text| is_only_lock(&text)) {
                node.pve_remove(&path).unwrap();
            }
        }
    }
}

fn is_only_lock(text: &str) -> bool {
    ["lock: create", "lock: destroyed", "# qmclone temporary file\nlock: clone"].contains(&text.trim())
}

async fn history(seed: u64) {
    let random = Arc::new(Random(Mutex::new(seed)));
    let storm = Arc::new(Storm { random: random.clone(), calm: Mutex::new(false) });
    let mut cluster = Cluster::new(THREE_AND_TWO).with_conditions(storm.clone());
    let node = cluster.world.node("pve3").unwrap();
    let foreign = "name: mail\nmemory: 512\nscsi0: local-lvm:vm-102-disk-0,size=1G\n";
    node.pve_write(&node.conf_path(FOREIGN), foreign).unwrap();
    cluster.options.accept = HazardKind::ALL.into_iter().collect::<BTreeSet<_>>();
    cluster.options.prune = true;
    let all = cluster.desired.machines.clone();
    for round in 0..4 {
        remove_nameless(&cluster);
        // Wishes change: some machines, and how much memory they have.
        cluster.desired.machines = all.iter().filter(|_| random.below(5) != 0).cloned().collect();
        for machine in &mut cluster.desired.machines {
            machine.memory_mb += 512 * random.below(2);
            machine.disk_gb += 10 * round / 2;
        }
        let options = ApplyOptions { seed: seed * 100 + round, lock_timeout_s: 120, ..options() };
        let cut = Duration::from_secs(20 + random.below(400));
        let cutting = async {
            for _ in 0..1 + random.below(4) {
                tokio::time::sleep(Duration::from_secs(random.below(40))).await;
                let name = format!("pve{}", 1 + random.below(3));
                match random.below(3) {
                    0 => cluster.remote.operations.kill(Some(&name)),
                    1 => cluster.remote.links.cut(&name, Cut::Reset),
                    _ => cluster.remote.links.cut(&name, Cut::Vanished),
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = tokio::time::timeout(cut, cluster.apply_with(options)) => {}
            () = cutting => {}
        }
    }
    *storm.calm.lock().unwrap() = true;
    // A holder whose network vanished lets go within 45 s.
    tokio::time::sleep(Duration::from_secs(60)).await;
    remove_nameless(&cluster);
    cluster.converge(6).await;
    cluster.assert_tidy().await;
    assert_eq!(node.read_text(&node.conf_path(FOREIGN)).unwrap(), foreign);
}

#[tokio::test(start_paused = true)]
async fn whatever_happened_calm_weather_converges() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("PVEKUBE_SEED") {
        return history(seed).await;
    }
    for seed in 0..number("PVEKUBE_SEEDS").unwrap_or(12) {
        #[allow(clippy::print_stderr, reason = "shown when a seed fails")]
        {
            eprintln!("seed {seed}");
        }
        history(seed).await;
    }
}
