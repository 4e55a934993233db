//! Cut off anywhere, the next apply converges: with the operations going on, with them killed, with connections lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pvekube::execute::ApplyOptions;
use pvekube::model::observed::Observed;
use pvekube::sandbox::remote::{Calm, Conditions, Cut, Weather};

use crate::cluster::{Cluster, ONE_WORKER, THREE_AND_TWO, options};

/// What happens at the moment of the cut.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    /// pvekube is killed; its operations go on.
    Killed,
    /// The nodes are powered off and on: operations and guests die, too.
    PowerLoss,
}

/// Applies, and cuts it off after so many seconds.
async fn cut_after(cluster: &Cluster, seconds: f64, blow: Blow) {
    let applied = tokio::time::timeout(Duration::from_secs_f64(seconds), cluster.apply()).await;
    drop(applied);
    if blow == Blow::PowerLoss {
        cluster.remote.operations.kill(None);
        for node in cluster.world.nodes() {
            // /run is memory: gone with the power.
            let _ = node.fs().remove_tree(&node.at("/run/pvekube"));
        }
    }
}

fn macs(observed: &Observed) -> Vec<(u32, String)> {
    let net0 = |vm: &pvekube::model::observed::Vm| Some((vm.vmid.0, vm.config.as_ref()?.get("net0")?.to_owned()));
    // A half-made template is made anew, MAC and all.
    observed.vms().filter_map(|(_, _, vm)| net0(vm)).filter(|(vmid, _)| *vmid < 9000).collect()
}

async fn cut_everywhere(manifest: &str, blow: Blow, cuts: u32) {
    let whole = Cluster::new(manifest).apply().await.outcome.elapsed_s;
    for cut in 0..cuts {
        let cluster = Cluster::new(manifest);
        let at = whole * f64::from(cut) / f64::from(cuts) + 0.37;
        cut_after(&cluster, at, blow).await;
        let before = macs(&cluster.observe().await);
        let rounds = cluster.converge(5).await;
        assert!(rounds <= 4, "cut at {at:.1} s: {rounds} rounds");
        cluster.assert_tidy().await;
        let observed = cluster.observe().await;
        let after = macs(&observed);
        // A machine that was whole keeps its MAC; half-made ones were made anew.
        assert_eq!(observed.vms().filter(|(_, _, vm)| vm.config.as_ref().unwrap().lock().is_some()).count(), 0);
        if blow == Blow::Killed {
            assert!(before.iter().all(|entry| after.contains(entry)), "cut at {at:.1} s: {before:?} {after:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_time_the_next_apply_attaches_and_converges() {
    cut_everywhere(ONE_WORKER, Blow::Killed, 24).await;
}

#[tokio::test(start_paused = true)]
async fn power_lost_at_any_time_the_next_apply_converges_without_orphans() {
    cut_everywhere(ONE_WORKER, Blow::PowerLoss, 24).await;
}

#[tokio::test(start_paused = true)]
async fn many_machines_and_cuts() {
    cut_everywhere(THREE_AND_TWO, Blow::Killed, 4).await;
    cut_everywhere(THREE_AND_TWO, Blow::PowerLoss, 4).await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_cut_in_the_middle_cost_time_only() {
    for how in [Cut::Reset, Cut::Vanished] {
        let cluster = Cluster::new(ONE_WORKER);
        let cutting = async {
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_secs(23)).await;
                for node in cluster.world.nodes() {
                    cluster.remote.links.cut(node.name(), how);
                }
            }
        };
        let (applied, ()) = tokio::join!(cluster.apply(), cutting);
        assert!(applied.outcome.is_success(), "{how:?}: {}", applied.failures());
        cluster.assert_tidy().await;
    }
}

/// Requests fail now and then, before or after they had their effect.
#[derive(Debug)]
struct Unsteady {
    count: AtomicU64,
    every: u64,
}

impl Conditions for Unsteady {
    fn weather(&self, _: &str, request: &'static str) -> Weather {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        if request == "observe" || !count.is_multiple_of(self.every) {
            return Weather::Fair;
        }
        let weathers = [Weather::LostBefore, Weather::LostAfter, Weather::Refused, Weather::Slow(7.0), Weather::Frozen];
        weathers[(count / self.every % 5) as usize]
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsteady_network_changes_nothing_but_the_time() {
    for every in [2, 3, 5] {
        let weather = Arc::new(Unsteady { count: AtomicU64::new(1), every });
        let cluster = Cluster::new(THREE_AND_TWO).with_conditions(weather);
        let options = ApplyOptions { lock_timeout_s: 120, ..options() };
        let applied = cluster.apply_with(options).await;
        assert!(applied.outcome.is_success(), "every {every}: {}", applied.failures());
        cluster.with_conditions(Arc::new(Calm)).assert_tidy().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_loses_power_under_a_running_apply_fails_its_own_steps_only() {
    let whole = Cluster::new(THREE_AND_TWO).apply().await.outcome.elapsed_s;
    for cut in 1..=6 {
        let cluster = Cluster::new(THREE_AND_TWO);
        let losing = async {
            tokio::time::sleep(Duration::from_secs_f64(whole * f64::from(cut) / 7.0)).await;
            cluster.remote.operations.kill(Some("pve2"));
            cluster.remote.links.cut("pve2", Cut::Reset);
            let node = cluster.world.node("pve2").unwrap();
            let _ = node.fs().remove_tree(&node.at("/run/pvekube"));
            let _ = node.fs().remove_tree(&node.at("/run/qemu-server"));
        };
        let (applied, ()) = tokio::join!(cluster.apply(), losing);
        for (id, step) in &applied.outcome.steps {
            let fine = step.result == pvekube::model::outcome::StepResult::Done;
            assert!(fine || step.node.as_str() == "pve2", "cut {cut}, step {id}: {:#?}", step.result);
        }
        cluster.converge(4).await;
        cluster.assert_tidy().await;
    }
}

/// Killed between its `qm unlock` and its `qm destroy`, a removal leaves a marked VM without lock and disk.
#[tokio::test(start_paused = true)]
async fn a_half_made_clone_that_was_already_unlocked_is_still_known_as_one() {
    let whole = Cluster::new(ONE_WORKER).apply().await.outcome.elapsed_s;
    let mut found = false;
    for cut in 0..60 {
        let cluster = Cluster::new(ONE_WORKER);
        cut_after(&cluster, whole * f64::from(cut) / 60.0, Blow::PowerLoss).await;
        let node = cluster.world.node("pve1").unwrap();
        let path = node.conf_path(100);
        let Ok(text) = node.read_text(&path) else { continue };
        if !text.contains("lock: clone") {
            continue;
        }
        found = true;
        node.pve_write(&path, text.replace("lock: clone\n", "")).unwrap();
        cluster.converge(3).await;
        cluster.assert_tidy().await;
        break;
    }
    assert!(found, "no cut fell into the clone");
}

/// The template is the operator's, without a drive that is copied before its disk: all through the copy the clone's config
/// is a note and a lock, without our mark. The next run waits for it, and makes no second one.
#[tokio::test(start_paused = true)]
async fn a_clone_that_has_no_mark_yet_is_attached_to() {
    for at in [8.0, 12.0, 16.0, 20.0, 24.0] {
        let cluster = Cluster::new(ONE_WORKER);
        cluster.own_template().await;
        cut_after(&cluster, at, Blow::Killed).await;
        cluster.converge(4).await;
        let observed = cluster.observe().await;
        let machines: Vec<u32> = observed.vms().map(|(_, _, vm)| vm.vmid.0).filter(|vmid| *vmid < 9000).collect();
        assert_eq!(machines, [100], "cut at {at} s");
    }
}
