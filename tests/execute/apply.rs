//! From nothing to ready, and what comes after.

use std::sync::Arc;

use pvekube::execute::{GlanceOptions, glance};
use pvekube::model::outcome::Stage;
use pvekube::sandbox::world::StorageKind;

use crate::cluster::{Cluster, ONE_WORKER, THREE_AND_TWO};

#[tokio::test(start_paused = true)]
async fn from_nothing_to_ready_and_planning_again_finds_nothing() {
    let cluster = Cluster::new(THREE_AND_TWO);
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    assert_eq!(applied.outcome.machines.len(), 5);
    for machine in &applied.outcome.machines {
        assert!(machine.ready && machine.stage == Stage::Login, "{machine:#?}");
        assert!(!machine.host_keys.is_empty());
    }
    let address = |name: &str| {
        let machine = applied.outcome.machines.iter().find(|machine| machine.name.as_str() == name);
        machine.unwrap().address.unwrap().to_string()
    };
    assert_eq!(address("k8s-master-2"), "10.0.0.12");
    assert!(address("k8s-worker-1").starts_with("10.0.0.1"));
    let (plan, _) = cluster.plan().await;
    assert!(!plan.has_changes() && plan.steps.is_empty(), "{:#?}", plan.changes);
    cluster.assert_tidy().await;
}

#[tokio::test(start_paused = true)]
async fn one_worker_from_nothing_in_less_than_the_sum_of_its_parts() {
    let cluster = Cluster::new(ONE_WORKER);
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    assert!(applied.outcome.critical_path_s <= applied.outcome.elapsed_s);
    cluster.assert_tidy().await;
}

#[tokio::test(start_paused = true)]
async fn everything_goes_when_nothing_is_wanted_any_more() {
    let mut cluster = Cluster::new(THREE_AND_TWO);
    assert!(cluster.apply().await.outcome.is_success());
    cluster.desired.machines.clear();
    cluster.options.prune = true;
    cluster.options.destroy = true;
    cluster.options.templates = true;
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    let observed = cluster.observe().await;
    assert_eq!(observed.vms().count(), 0);
    cluster.assert_tidy().await;
}

#[tokio::test(start_paused = true)]
async fn on_shared_storage_one_template_serves_all_nodes() {
    let cluster = Cluster::shared(THREE_AND_TWO);
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    let observed = cluster.observe().await;
    let templates = observed.vms().filter(|(_, _, vm)| vm.config.as_ref().unwrap().is_template()).count();
    assert_eq!(templates, 1);
    let nodes: std::collections::BTreeSet<&str> = observed.vms().map(|(_, _, vm)| vm.node.as_str()).collect();
    assert_eq!(nodes.len(), 3, "machines are on all nodes");
    assert!(cluster.plan().await.0.steps.is_empty());
    cluster.assert_tidy().await;
}

/// Thick LVM has no base volumes: `qm template` leaves its disks as they are (contract §4.3), and full clones work.
#[tokio::test(start_paused = true)]
async fn every_kind_of_storage_holds_machines_after_one_apply() {
    for kind in [StorageKind::Dir, StorageKind::Nfs, StorageKind::Lvm, StorageKind::Lvmthin, StorageKind::Zfspool] {
        for (bios, machine) in [("seabios", "i440fx"), ("ovmf", "q35")] {
            let mut cluster = Cluster::on(kind, ONE_WORKER);
            cluster.desired.template.bios = bios.to_owned();
            cluster.desired.template.machine = machine.to_owned();
            let applied = cluster.apply().await;
            assert!(applied.outcome.is_success(), "{kind:?} {bios}: {}", applied.failures());
            let (plan, _) = cluster.plan().await;
            assert!(plan.steps.is_empty(), "{kind:?} {bios}: {:#?}", plan.changes);
            cluster.assert_tidy().await;
        }
    }
}

/// A node answers two probes of agents at once: twice as many machines as one after the other in the same time.
#[tokio::test(start_paused = true)]
async fn a_look_at_many_machines_asks_two_agents_of_a_node_at_once() {
    let look = async |count: usize| {
        let manifest = format!("cluster: k8s\nworkers: {{count: {count}, size: small, network: {{mode: dhcp}}}}\n");
        let cluster = Cluster::new(&manifest);
        let applied = cluster.apply().await;
        assert!(applied.outcome.is_success(), "{}", applied.failures());
        let observed = cluster.observe().await;
        let begun = tokio::time::Instant::now();
        let options = GlanceOptions { keys: crate::cluster::options().keys, known_hosts: None };
        let machines = glance(&cluster.desired, &observed, Arc::new(cluster.remote.clone()), options).await;
        assert!(machines.len() == count && machines.iter().all(|machine| machine.ready), "{machines:#?}");
        begun.elapsed().as_secs_f64()
    };
    // On three nodes.
    let (one, eight) = (look(3).await, look(24).await);
    assert!(eight < one * 5.0, "one machine a node {one:.1} s, eight {eight:.1} s");
}
