//! Each fault of a guest gets its cause named, with evidence; what is only slow or odd becomes ready all the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use pvekube::execute::{ApplyOptions, LoginKeys};
use pvekube::model::outcome::{Failure, Stage, StepResult};
use pvekube::sandbox::guest::GuestFault;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::process::{Captured, Process};
use pvekube::sandbox::remote::{Conditions, Moment};
use pvekube::sandbox::tools;

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
    let (_, crashed) = applied(ONE_WORKER, GuestFault::Crashes, options()).await;
    let crashed = failure(&crashed);
    assert!(crashed.cause.as_ref().unwrap().contains("QEMU process is gone"), "{crashed:#?}");
    let last_words = ["qemu: KVM: entry failed, hardware error 0x80000021", "qemu: kvm: terminating on a fault"];
    assert!(last_words.iter().all(|words| crashed.evidence.iter().any(|line| line.starts_with(words))), "{crashed:#?}");
    let paused = cause(ONE_WORKER, GuestFault::IoError).await;
    assert!(paused.contains("I/O error"), "{paused}");
}

#[tokio::test(start_paused = true)]
async fn the_agent() {
    let silent = cause(ONE_WORKER, GuestFault::AgentSilent).await;
    assert!(silent.contains("asks for a login") && silent.contains("not installed or not enabled"), "{silent}");
    let hangs = cause(ONE_WORKER, GuestFault::BootHangs).await;
    assert!(hangs.contains("still booting"), "{hangs}");
}

/// Takes the agent out of the config right before the first start, as an administrator's hand might.
#[derive(Debug)]
struct NoAgent;

impl Conditions for NoAgent {
    fn program(&self, node: &SandboxNode, argv: &[String], moment: Moment) {
        if moment == Moment::Before && argv[0] == "qm" && argv[1] == "start" && argv[2] == "100" {
            let text = node.read_text(&node.conf_path(100)).unwrap();
            let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("agent:")).collect();
            node.pve_write(&node.conf_path(100), kept.join("\n") + "\n").unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_agent_that_is_not_configured() {
    let applied = Cluster::new(ONE_WORKER).with_conditions(Arc::new(NoAgent)).apply().await;
    let cause = failure(&applied).cause.clone().unwrap();
    assert!(cause.contains("no `agent: enabled=1`"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn the_address() {
    let no_lease = cause(ONE_WORKER, GuestFault::NoLease).await;
    assert!(no_lease.contains("no DHCP lease on vmbr0: BC:24:11:") && no_lease.contains("is seen there"), "{no_lease}");
    let unseen = cause(ONE_WORKER, GuestFault::NicSilent).await;
    assert!(unseen.contains("no DHCP lease on vmbr0: BC:24:11:") && unseen.contains("never seen there"), "{unseen}");
    let missing = cause(STATIC, GuestFault::NicSilent).await;
    assert!(missing.contains("cloud-init has not set 10.0.0.31 on BC:24:11:"), "{missing}");
    let other = cause(STATIC, GuestFault::OtherAddress).await;
    assert!(other.contains("not 10.0.0.31"), "{other}");
}

#[tokio::test(start_paused = true)]
async fn cloud_init_with_its_module() {
    let fault = GuestFault::CloudInitFails { module: "runcmd".into(), message: "exit status 1".into() };
    let failed = cause(ONE_WORKER, fault).await;
    assert!(failed.contains("cloud-init reports an error in module runcmd"), "{failed}");
    assert!(failed.contains("exit status 1"), "its message: {failed}");
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

/// Its earlier self left a host key for the same address, which the first one seen now is not.
#[tokio::test(start_paused = true)]
async fn a_machine_made_anew_replaces_its_own_host_keys_also_where_they_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let known_hosts = folder.path().join("known_hosts");
    let others = "10.0.0.32 ssh-ed25519 AAAAother\n";
    let stale = "k8s-worker-1,10.0.0.31 ssh-ed25519 AAAAagent\n10.0.0.31 ssh-ed25519 AAAAaccepted\n";
    std::fs::write(&known_hosts, format!("{others}{stale}")).unwrap();
    let options = ApplyOptions { known_hosts: Some(known_hosts.clone()), ..options() };
    let (cluster, first) = applied(STATIC, GuestFault::ExecForbidden, options.clone()).await;
    assert!(first.outcome.is_success(), "{}", first.failures());
    let text = std::fs::read_to_string(&known_hosts).unwrap();
    assert!(text.starts_with(others) && !text.contains("AAAAa") && text.contains("10.0.0.31 ssh-"), "{text}");
    // What is there already and shows another key is an alarm, with the way out for those who know better.
    std::fs::write(&known_hosts, stale).unwrap();
    let (_, out) = Captured::new();
    tools::run(&cluster.world.node("pve1").unwrap(), &Process::new(["qm", "stop", "100"], out)).await;
    let again = cluster.apply_with(options).await;
    let alarm = failure(&again);
    let cause = alarm.cause.as_ref().unwrap();
    assert!(cause.contains("host key is not the one that was seen there before"), "{alarm:#?}");
    assert!(alarm.next.contains("ssh-keygen -R '10.0.0.31' -f '"), "{alarm:#?}");
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
