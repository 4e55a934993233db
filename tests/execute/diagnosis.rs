//! Each fault of a guest gets its cause named, with evidence; what is only slow or odd becomes ready all the same.

use std::collections::BTreeSet;

use pvekube::execute::{ApplyOptions, LoginKeys};
use pvekube::model::outcome::{Failure, Stage, StepResult};
use pvekube::sandbox::guest::GuestFault;

use crate::cluster::{Applied, Cluster, ONE_WORKER, options};

const STATIC: &str = "cluster: k8s
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

fn failure(applied: &Applied) -> &Failure {
    let failed = applied.outcome.steps.values().find_map(|step| match &step.result {
        StepResult::Failed(failure) => Some(failure),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("nothing failed: {:#?}", applied.outcome.machines))
}

/// The cause that is named, for a worker whose guest has this fault.
async fn cause(manifest: &str, fault: GuestFault) -> String {
    let (_, applied) = applied(manifest, fault.clone(), options()).await;
    let failure = failure(&applied);
    assert_eq!(failure.id, "not-ready", "{fault:?}: {failure:#?}");
    assert!(failure.summary.starts_with("k8s-worker-1 (VM 100 on pve1) "), "{failure:#?}");
    assert!(!applied.outcome.machines[0].ready);
    failure.cause.clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_vm_itself() {
    let crashed = cause(ONE_WORKER, GuestFault::Crashes).await;
    assert!(crashed.contains("QEMU process is gone"), "{crashed}");
    let paused = cause(ONE_WORKER, GuestFault::IoError).await;
    assert!(paused.contains("I/O error"), "{paused}");
}

#[tokio::test(start_paused = true)]
async fn the_agent() {
    let silent = cause(ONE_WORKER, GuestFault::AgentSilent).await;
    assert!(silent.contains("asks for a login") && silent.contains("not installed or not enabled"), "{silent}");
    let hangs = cause(ONE_WORKER, GuestFault::BootHangs).await;
    assert!(hangs.contains("still booting") || hangs.contains("hardly used any CPU"), "{hangs}");
}

#[tokio::test(start_paused = true)]
async fn the_address() {
    let no_lease = cause(ONE_WORKER, GuestFault::NoLease).await;
    assert!(no_lease.contains("no DHCP lease on vmbr0: BC:24:11:"), "{no_lease}");
    let other = cause(STATIC, GuestFault::OtherAddress).await;
    assert!(other.contains("not 10.0.0.31"), "{other}");
}

#[tokio::test(start_paused = true)]
async fn cloud_init_with_its_module() {
    let fault = GuestFault::CloudInitFails { module: "runcmd".into(), message: "exit status 1".into() };
    let failed = cause(ONE_WORKER, fault).await;
    assert!(failed.contains("cloud-init reports an error") && failed.contains("runcmd"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn the_login() {
    let closed = cause(ONE_WORKER, GuestFault::PortClosed).await;
    assert!(closed.contains("nothing answers there"), "{closed}");
    let changed = cause(ONE_WORKER, GuestFault::HostKeyChanged).await;
    assert!(changed.contains("host key is not the one"), "{changed}");
    let refused = cause(ONE_WORKER, GuestFault::KeyRefused).await;
    assert!(refused.contains("refused every key") && refused.contains(crate::cluster::KEY), "{refused}");
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
