//! From started to ready, or why not.

use super::fake::Fake;
use super::setup::*;
use crate::execute::{ApplyOptions, Interrupt, LoginKeys};
use crate::model::outcome::Stage;
use crate::model::plan::StepId;
use crate::remote::LoginAnswer;

fn with_key() -> ApplyOptions {
    let keys = LoginKeys { files: vec!["/k".into()], agent: Vec::new() };
    ApplyOptions { keys, ..ApplyOptions::default() }
}

async fn applied(fake: &Fake, options: ApplyOptions) -> Applied {
    run_with(fake, &machines([101]), options, tokio::sync::watch::channel(Interrupt::None).1).await
}

#[tokio::test(start_paused = true)]
async fn every_stage_is_reached_in_order_with_its_time() {
    let fake = Fake::new();
    let applied = applied(&fake, with_key()).await;
    let machine = &applied.outcome.machines[0];
    assert!(machine.ready);
    let stages: Vec<Stage> = machine.stages_s.keys().copied().collect();
    use Stage::{Address, Agent, CloudInit, Login, Port, Running, Stopped};
    assert_eq!(stages, [Stopped, Running, Agent, Address, CloudInit, Port, Login]);
    assert!(machine.stages_s.values().is_sorted());
    assert!(machine.stages_s[&Agent] - machine.stages_s[&Running] >= super::fake::AGENT_S as f64);
}

#[tokio::test(start_paused = true)]
async fn no_wait_leaves_after_the_start() {
    let fake = Fake::new();
    let applied = applied(&fake, ApplyOptions { wait: false, ..with_key() }).await;
    assert!(applied.outcome.is_success());
    let machine = &applied.outcome.machines[0];
    assert!(!machine.ready && machine.stage == Stage::Running);
}

#[tokio::test(start_paused = true)]
async fn the_time_out_runs_from_the_machines_own_start_and_names_a_cause() {
    let fake = Fake::new();
    fake.with(|state| state.silent_agents.insert(101));
    let applied = applied(&fake, with_key()).await;
    let failure = applied.failure(StepId(5));
    assert_eq!(failure.id, "not-ready");
    assert_eq!(failure.summary, "k8s-worker-101 (VM 101 on pve2) has no guest agent after 2 min");
    assert!(failure.cause.as_ref().unwrap().contains("not installed"), "{failure:?}");
    let report = &applied.outcome.steps[&StepId(5)];
    let waited = report.ended_s.unwrap() - report.started_s.unwrap();
    assert!((119.0..130.0).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn what_no_waiting_mends_ends_at_once() {
    let changed = LoginAnswer::HostKeyChanged { detail: "SHA256:x".into() };
    let refused = LoginAnswer::KeyRefused { offered: vec!["/k".into()], detail: "Permission denied".into() };
    for (answer, word) in [(changed, "host key"), (refused, "/k")] {
        let fake = Fake::new();
        fake.with(|state| state.logins.insert(101, answer));
        let applied = applied(&fake, with_key()).await;
        assert!(applied.failure(StepId(5)).cause.as_ref().unwrap().contains(word));
        assert!(applied.outcome.elapsed_s < 100.0, "{}", applied.outcome.elapsed_s);
    }
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_stops_while_it_is_waited_for_is_not_waited_for_any_longer() {
    let fake = Fake::new();
    fake.with(|state| state.silent_agents.insert(101));
    let stopping = async {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        fake.with(|state| state.vms.get_mut(&101).unwrap().started = None);
    };
    let (applied, ()) = tokio::join!(applied(&fake, with_key()), stopping);
    assert!(applied.failure(StepId(5)).cause.as_ref().unwrap().contains("QEMU process is gone"));
    assert!(applied.outcome.elapsed_s < 90.0);
}

#[tokio::test(start_paused = true)]
async fn host_keys_from_the_agent_go_into_the_clusters_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k8s/known_hosts");
    let fake = Fake::new();
    applied(&fake, ApplyOptions { known_hosts: Some(path.clone()), ..with_key() }).await;
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, "k8s-worker-101,10.0.0.101 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAKEY\n");
}
