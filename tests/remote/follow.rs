//! The follower: one session for all operations and agent probes of a node.

use std::fs;

use pvekube::model::ids::{OperationName, Vmid};
use pvekube::remote::{AgentAsk, FollowEvent, FollowRequest, Follower, Remote};

use crate::sshd::until;
use crate::{bench, qm};

async fn next(follower: &mut Follower) -> FollowEvent {
    follower.events.recv().await.expect("the follower ended")
}

#[tokio::test]
async fn questions_to_agents_are_answered_with_both_streams() {
    let bench = bench();
    let mut follower = bench.ssh.follow(&bench.name).await.unwrap();
    for (ask, said, noise) in [
        (AgentAsk::Ping, "ping of 101\n", "noise\n"),
        (AgentAsk::Interfaces, "network-get-interfaces of 101\n", "noise\n"),
        (AgentAsk::CloudInit, "{\"exitcode\":0,\"exited\":1,\"out-data\":\"cloud-init status --format json\"}\n", ""),
        (
            AgentAsk::HostKeys,
            "{\"exitcode\":0,\"exited\":1,\"out-data\":\"sh -c cat /etc/ssh/ssh_host_*_key.pub\"}\n",
            "",
        ),
    ] {
        follower.requests.send(FollowRequest::Agent { vmid: Vmid(101), ask }).unwrap();
        let FollowEvent::Agent { vmid, ask: asked, answer } = next(&mut follower).await else { panic!("no answer") };
        assert_eq!((vmid, asked, answer.exit), (Vmid(101), ask, 0));
        assert_eq!(String::from_utf8(answer.stdout).unwrap(), said);
        assert_eq!(String::from_utf8(answer.stderr).unwrap(), noise);
    }
    bench.ssh.close().await;
}

#[tokio::test]
async fn two_probes_at_once_in_order_and_operations_are_not_held_up() {
    let bench = bench();
    let mut follower = bench.ssh.follow(&bench.name).await.unwrap();
    fs::write(bench.root("hold"), "").unwrap();
    for vmid in 101..=112 {
        follower.requests.send(FollowRequest::Agent { vmid: Vmid(vmid), ask: AgentAsk::Ping }).unwrap();
    }
    let asking = || {
        let names = fs::read_dir(&bench.node.root).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> =
            names.filter_map(|name| Some(name.to_str()?.strip_prefix("agent-")?.to_owned())).collect();
        names.sort();
        names
    };
    until("the first two are asked", || asking() == ["101", "102"]).await;
    // Twelve machines wait for their agents, and a clone still starts and ends at once.
    bench.ssh.start(&bench.name, &qm("k8s-113-clone-0f", &["say", "cloned", "0"])).await.unwrap();
    follower.requests.send(FollowRequest::Operation(OperationName::new("k8s-113-clone-0f"))).unwrap();
    assert!(matches!(next(&mut follower).await, FollowEvent::Log { line, .. } if line == "cloned"));
    assert!(matches!(next(&mut follower).await, FollowEvent::Exited { exit: 0, .. }));
    assert_eq!(asking(), ["101", "102"]);
    assert_eq!(bench.node.connections(), 1);
    fs::remove_file(bench.root("hold")).unwrap();
    let mut answered = Vec::new();
    for _ in 0..12 {
        let FollowEvent::Agent { vmid, .. } = next(&mut follower).await else { panic!("no answer") };
        answered.push(vmid.0);
    }
    answered.sort_unstable();
    assert_eq!(answered, (101..=112).collect::<Vec<_>>());
    bench.ssh.close().await;
}

#[tokio::test]
async fn many_operations_are_told_apart() {
    let bench = bench();
    let mut follower = bench.ssh.follow(&bench.name).await.unwrap();
    for n in 0..6 {
        let name = format!("k8s-10{n}-clone-0f");
        follower.requests.send(FollowRequest::Operation(OperationName::new("k8s-199-absent-0f"))).unwrap();
        bench
            .ssh
            .start(&bench.name, &qm(&name, &["say", &format!("a\r\n54 %\r{}", "x".repeat(3000 * n)), &n.to_string()]))
            .await
            .unwrap();
        follower.requests.send(FollowRequest::Operation(OperationName::new(name))).unwrap();
    }
    let mut exits = Vec::new();
    let mut lost = 0;
    while exits.len() < 6 {
        match next(&mut follower).await {
            FollowEvent::Exited { operation, exit } => exits.push((operation.as_str().to_owned(), exit)),
            FollowEvent::Lost { operation } => {
                assert_eq!(operation.as_str(), "k8s-199-absent-0f");
                lost += 1;
            }
            FollowEvent::Log { line, .. } => {
                assert!(line == "54 %" || line.chars().all(|letter| letter == 'x'), "{line}")
            }
            FollowEvent::Agent { .. } => panic!("nobody asked"),
        }
    }
    exits.sort();
    assert_eq!(exits, (0..6).map(|n| (format!("k8s-10{n}-clone-0f"), n)).collect::<Vec<_>>());
    assert!(lost >= 1);
    bench.ssh.close().await;
}

#[tokio::test]
async fn dropping_the_follower_ends_it_on_the_node() {
    let bench = bench();
    let follower = bench.ssh.follow(&bench.name).await.unwrap();
    let spools = || {
        let entries = fs::read_dir(bench.root("run/pvekube")).into_iter().flatten();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("follow.")).count()
    };
    until("its spool is there", || spools() == 1).await;
    drop(follower);
    until("it is gone", || spools() == 0).await;
    bench.ssh.close().await;
}

#[tokio::test]
async fn spool_of_a_killed_follower_is_swept_by_the_next() {
    let bench = bench();
    fs::create_dir_all(bench.root("run/pvekube/follow.4194303.1")).unwrap();
    let _follower = bench.ssh.follow(&bench.name).await.unwrap();
    until("it is swept", || !bench.root("run/pvekube/follow.4194303.1").exists()).await;
    bench.ssh.close().await;
}
