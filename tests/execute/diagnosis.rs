//! A guest's faults beside those of `causes`: what is only slow or odd becomes ready all the same, and a bake says why.

use std::collections::BTreeSet;

use pvekube::execute::{ApplyOptions, LoginKeys};
use pvekube::model::outcome::{Failure, Stage, StepResult};
use pvekube::sandbox::guest::GuestFault;

use crate::cluster::{Applied, Cluster, ONE_WORKER, options};

pub const STATIC: &str = "cluster: k8s
workers: {count: 1, size: small, network: {mode: static, addresses: [10.0.0.31/24], gateway: 10.0.0.1}}
";

async fn applied(manifest: &str, fault: GuestFault, options: ApplyOptions) -> (Cluster, Applied) {
    let cluster = Cluster::new(manifest);
    cluster
        .world
        .change_faults(|faults| drop(faults.guests.insert("k8s-worker-1".into(), BTreeSet::from([fault]))))
        .unwrap();
    let applied = cluster.apply_with(options).await;
    (cluster, applied)
}

pub fn failure(applied: &Applied) -> &Failure {
    let failed = applied.outcome.steps.values().find_map(|step| match &step.result {
        StepResult::Failed(failure) => Some(failure),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("nothing failed: {:#?}", applied.outcome.machines))
}

#[tokio::test(start_paused = true)]
async fn the_next_apply_goes_on_where_this_one_gave_up() {
    let (cluster, first) = applied(ONE_WORKER, GuestFault::Crashes, options()).await;
    assert_eq!(failure(&first).id, "not-ready");
    cluster.world.change_faults(|faults| faults.guests.clear()).unwrap();
    let second = cluster.apply().await;
    let verbs: Vec<&str> = second.outcome.steps.values().map(|step| step.verb.as_str()).collect();
    assert_eq!(verbs, ["start", "ready"]);
    assert!(second.outcome.is_success(), "{}", second.failures());
    cluster.assert_tidy().await;
}

#[tokio::test(start_paused = true)]
async fn without_guest_exec_the_first_host_key_seen_is_taken_and_said_so() {
    let (_, applied) = applied(ONE_WORKER, GuestFault::ExecForbidden, options()).await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    assert!(applied.outcome.machines[0].host_keys.is_empty());
    let told = format!("{:?}", applied.events);
    assert!(told.contains("the first one seen on the network is taken"), "{told}");
}

/// Its earlier self left a host key for the same address, which the first one seen now is not.
#[tokio::test(start_paused = true)]
async fn a_machine_made_anew_replaces_its_own_host_keys_also_where_they_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let known_hosts = folder.path().join("known_hosts");
    let others = "10.0.0.32 ssh-ed25519 AAAAother\n";
    let stale = "k8s-worker-1,10.0.0.31 ssh-ed25519 AAAAagent\n10.0.0.31 ssh-ed25519 AAAAaccepted\n";
    std::fs::write(&known_hosts, format!("{others}{stale}")).unwrap();
    let options = ApplyOptions { known_hosts: Some(known_hosts.clone()), ..options() };
    let (_, first) = applied(STATIC, GuestFault::ExecForbidden, options).await;
    assert!(first.outcome.is_success(), "{}", first.failures());
    let text = std::fs::read_to_string(&known_hosts).unwrap();
    assert!(text.starts_with(others) && !text.contains("AAAAa") && text.contains("10.0.0.31 ssh-"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn interfaces_of_containers_are_never_the_machines_address() {
    let (_, applied) = applied(ONE_WORKER, GuestFault::Containers, options()).await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    assert!(applied.outcome.machines[0].address.unwrap().to_string().starts_with("10.0.0."));
}

#[tokio::test(start_paused = true)]
async fn without_a_private_key_readiness_ends_at_the_port() {
    let options = ApplyOptions { keys: LoginKeys::default(), ..options() };
    let applied = Cluster::new(ONE_WORKER).apply_with(options).await;
    assert!(applied.outcome.is_success());
    assert_eq!(applied.outcome.machines[0].stage, Stage::Port);
}

#[tokio::test(start_paused = true)]
async fn a_bake_that_fails_says_why_and_the_next_apply_makes_the_template_anew() {
    for (fault, word) in [
        (GuestFault::BakeFails { message: "no space".into() }, "bake failed"),
        (GuestFault::BakeHangs, "not through after"),
        (GuestFault::NoPackages, "bake failed"),
    ] {
        let cluster = Cluster::new(ONE_WORKER);
        cluster
            .world
            .change_faults(|faults| drop(faults.guests.insert("*".into(), BTreeSet::from([fault.clone()]))))
            .unwrap();
        let first = cluster.apply().await;
        let failed = failure(&first);
        assert_eq!(failed.id, "bake-failed", "{fault:?}");
        assert!(failed.summary.contains(word) && !failed.evidence.is_empty(), "{failed:#?}");
        cluster.world.change_faults(|faults| faults.guests.clear()).unwrap();
        cluster.converge(3).await;
        cluster.assert_tidy().await;
    }
}
