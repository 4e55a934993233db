//! Changes of what is there: reboots in order, hooks, locks, what others do meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use pvekube::execute::ApplyOptions;
use pvekube::model::desired::Hook;
use pvekube::model::ids::{MachineName, Role, Vmid};
use pvekube::model::outcome::StepResult;
use pvekube::model::plan::{Action, HazardKind, Target};

use crate::cluster::{Applied, Cluster, ONE_WORKER, THREE_AND_TWO, options};

async fn made(manifest: &str) -> Cluster {
    let cluster = Cluster::new(manifest);
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    cluster
}

/// When each master was out of service: from the begin of its shutdown to its being ready again.
fn outages(applied: &Applied, role: Role) -> Vec<(f64, f64)> {
    let of_role = |target: &Target| matches!(target, Target::Machine { role: own, .. } if *own == role);
    let mut outages = Vec::new();
    for step in applied.plan.steps.iter().filter(|step| of_role(&step.subject)) {
        let report = &applied.outcome.steps[&step.id];
        match &step.action {
            Action::Shutdown { .. } => outages.push((report.started_s.unwrap(), f64::NAN)),
            Action::Ready(_) => outages.last_mut().unwrap().1 = report.ended_s.unwrap(),
            _ => {}
        }
    }
    outages
}

#[tokio::test(start_paused = true)]
async fn masters_reboot_one_at_a_time_each_ready_before_the_next() {
    let mut cluster = made(THREE_AND_TWO).await;
    for machine in &mut cluster.desired.machines {
        machine.memory_mb += 1024;
    }
    cluster.options.accept = BTreeSet::from([HazardKind::RebootMasters, HazardKind::RebootWorkers]);
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    for role in [Role::Master, Role::Worker] {
        let mut outages = outages(&applied, role);
        outages.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(outages.len() >= 2);
        assert!(outages.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{role}: {outages:?}");
    }
    let (plan, _) = cluster.plan().await;
    assert!(plan.steps.is_empty(), "{:#?}", plan.steps);
}

#[tokio::test(start_paused = true)]
async fn a_master_that_does_not_come_back_stops_the_rolling_reboot() {
    let mut cluster = made(THREE_AND_TWO).await;
    for machine in &mut cluster.desired.machines {
        machine.memory_mb += 1024;
    }
    cluster.options.accept = BTreeSet::from([HazardKind::RebootMasters]);
    let fault = pvekube::sandbox::guest::GuestFault::Crashes;
    cluster.world.change_faults(|f| drop(f.guests.insert("k8s-master-1".into(), BTreeSet::from([fault])))).unwrap();
    let applied = cluster.apply().await;
    let stopped: Vec<&str> = applied
        .outcome
        .steps
        .values()
        .filter(|step| step.verb == "shutdown" && step.result == StepResult::Done)
        .map(|step| match &step.subject {
            Target::Machine { name, .. } => name.as_str(),
            Target::Template { name } => name,
        })
        .collect();
    assert_eq!(stopped, ["k8s-master-1"]);
    let skipped = applied.outcome.steps.values().filter(|step| matches!(step.result, StepResult::Skipped { .. }));
    assert!(skipped.count() >= 4, "{}", applied.failures());
}

#[tokio::test(start_paused = true)]
async fn disks_grow_and_values_change_live_and_planning_again_is_empty() {
    let mut cluster = made(THREE_AND_TWO).await;
    for machine in &mut cluster.desired.machines {
        machine.disk_gb += 10;
        machine.tags.insert("more".into());
        machine.onboot = false;
    }
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    assert!(applied.outcome.machines.is_empty(), "nothing was started, so nothing was waited for");
    let (plan, _) = cluster.plan().await;
    assert!(plan.steps.is_empty(), "{:#?}", plan.steps);
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_switched_off_and_on() {
    let mut cluster = made(ONE_WORKER).await;
    cluster.desired.machines[0].power = false;
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success() && applied.outcome.machines.is_empty(), "{}", applied.failures());
    assert!(cluster.plan().await.0.steps.is_empty());
    cluster.desired.machines[0].power = true;
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success() && applied.outcome.machines[0].ready, "{}", applied.failures());
}

#[tokio::test]
async fn a_hook_that_fails_leaves_the_machine_running() {
    tokio::time::pause();
    let mut cluster = made(ONE_WORKER).await;
    cluster.desired.machines.clear();
    cluster.options.prune = true;
    cluster.options.accept = BTreeSet::from([HazardKind::ManyDeletes]);
    // Real programs take real time.
    tokio::time::resume();
    let command = ["sh", "-c", "echo \"cannot drain $PVEKUBE_MACHINE at $PVEKUBE_ADDRESS\" >&2; exit 1"]
        .map(str::to_owned)
        .to_vec();
    cluster.desired.hooks.before_stop = Some(Hook { command, timeout_s: 60 });
    let applied = cluster.apply().await;
    let StepResult::Failed(failure) = &applied.outcome.steps.values().next().unwrap().result else {
        panic!("{:#?}", applied.outcome)
    };
    assert_eq!(failure.id, "hook-failed");
    // A leased one: nobody declared it, and this run has not seen it before.
    let address = failure.evidence[0].strip_prefix("cannot drain k8s-worker-1 at ").unwrap();
    assert!(address.parse::<std::net::IpAddr>().is_ok(), "{:?}", failure.evidence);
    let observed = cluster.observe().await;
    assert!(observed.nodes.keys().any(|node| observed.facts(node).unwrap().running.contains(&Vmid(100))));
    let without = cluster.apply_with(ApplyOptions { hooks: false, ..options() }).await;
    assert!(without.outcome.is_success(), "{}", without.failures());
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_waited_for_as_long_as_the_lock_time_out_says() {
    let mut cluster = made(ONE_WORKER).await;
    cluster.desired.machines[0].disk_gb += 1;
    let node = cluster.world.node("pve1").unwrap();
    let (path, text) = (node.conf_path(100), node.read_text(&node.conf_path(100)).unwrap());
    node.pve_write(&path, format!("{text}lock: backup\n")).unwrap();
    let impatient = cluster.apply().await;
    assert!(impatient.failures().contains("is locked: backup"), "{}", impatient.failures());
    let unlocking = async {
        tokio::time::sleep(Duration::from_secs(200)).await;
        let text = node.read_text(&path).unwrap().replace("lock: backup\n", "");
        node.pve_write(&path, &text).unwrap();
    };
    let options = ApplyOptions { lock_timeout_s: 600, ..options() };
    let (applied, ()) = tokio::join!(cluster.apply_with(options), unlocking);
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    assert!(applied.outcome.elapsed_s > 199.0);
}

#[tokio::test(start_paused = true)]
async fn of_two_applies_at_once_one_is_refused_and_nothing_is_done_twice() {
    let cluster = Cluster::new(ONE_WORKER);
    let late = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        // Another run has another seed, and so another nonce.
        cluster.apply_with(ApplyOptions { seed: 8, ..options() }).await
    };
    let (first, second) = tokio::join!(cluster.apply(), late);
    assert!(first.outcome.is_success(), "{}", first.failures());
    assert_eq!(second.outcome.failures[0].id, "locked");
    assert!(second.outcome.steps.values().all(|step| step.result == StepResult::NotStarted));
    cluster.assert_tidy().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_somebody_takes_in_between_is_left_alone_and_the_next_apply_takes_another() {
    let cluster = Cluster::new(ONE_WORKER);
    let foreign = "name: mail\nmemory: 512\n";
    let node = cluster.world.node("pve2").unwrap();
    let taking = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        node.pve_write(&node.conf_path(100), foreign).unwrap();
    };
    let (applied, ()) = tokio::join!(cluster.apply(), taking);
    let failures = applied.failures();
    assert!(failures.contains("vmid-taken") || failures.contains("clone-failed"), "{failures}");
    assert_eq!(node.read_text(&node.conf_path(100)).unwrap(), foreign);
    cluster.converge(3).await;
    assert_eq!(node.read_text(&node.conf_path(100)).unwrap(), foreign);
    cluster.assert_tidy().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_left_pending_is_not_started_by_accident() {
    let cluster = made(ONE_WORKER).await;
    let node = cluster.world.node("pve1").unwrap();
    let text = node.read_text(&node.conf_path(100)).unwrap();
    node.pve_write(&node.conf_path(100), format!("{text}\n[PENDING]\ncores: 7\n")).unwrap();
    cluster.converge(3).await;
    let (_, observed) = cluster.plan().await;
    let vm = observed.vms().find(|(_, _, vm)| vm.vmid == Vmid(100)).unwrap().2;
    assert_eq!(vm.config.as_ref().unwrap().next("cores"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn masters_are_replaced_one_after_the_other_and_the_new_ones_count() {
    let mut cluster = made(THREE_AND_TWO).await;
    cluster.options.replace = ["k8s-master-1", "k8s-master-2", "k8s-master-3"].map(MachineName::new).into();
    cluster.options.accept = [HazardKind::Replace].into();
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    // Each is ready before the next one goes; had the old ones been counted, the second would never have gone.
    let at = |name: &str, action: fn(&Action) -> bool| {
        let is_it = |target: &Target| matches!(target, Target::Machine { name: own, .. } if own.as_str() == name);
        let step = applied.plan.steps.iter().find(|step| is_it(&step.subject) && action(&step.action)).unwrap();
        &applied.outcome.steps[&step.id]
    };
    for (before, after) in [("k8s-master-1", "k8s-master-2"), ("k8s-master-2", "k8s-master-3")] {
        let ready = at(before, |action| matches!(action, Action::Ready(_))).ended_s;
        assert!(ready <= at(after, |action| matches!(action, Action::Destroy { .. })).started_s);
    }
}
