//! What a node must have for a template or a machine to be made there: storage, bridges, CPUs.

use std::collections::BTreeSet;

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::*;

use super::build::{observed as observed_nodes, *};
use super::templates::{one_worker, unmarked_template};

fn said(plan: &Plan) -> String {
    plan.refusals().map(|check| check.message.as_str()).collect::<Vec<_>>().join("\n")
}

fn share(observed: &mut Observed, node: &str) {
    realm(observed, node).storages.get_mut(&"local-lvm".into()).unwrap().shared = true;
}

#[test]
fn a_shared_template_is_made_where_its_storage_is_in_use() {
    let mut observed = observed_nodes(3);
    share(&mut observed, "pve1");
    let pve2 = PveName::from("pve2");
    let storage = realm(&mut observed, "pve1").storages.get_mut(&"local-lvm".into()).unwrap();
    storage.nodes = Some(BTreeSet::from([pve2, "pve3".into()]));
    let plan = plan(&with_machines(desired(3), 0, 2), &observed);
    assert_eq!(lines(&plan)[0], "create ubuntu-2204-cloud-template pve2 9000");
    assert!(plan.refusals().next().is_none());
}

/// `qm clone --target` is refused where any drive lies on storage that the other node has not (contract §5).
#[test]
fn a_template_with_a_local_drive_serves_its_own_node_alone() {
    let mut observed = observed_nodes(2);
    put_template(&mut observed, "pve1", 9000);
    share(&mut observed, "pve1");
    let template = config_mut(&mut observed, 9000);
    template.keys.insert("ide2".into(), "local:iso/seed.iso,media=cdrom".into());
    let plan = plan(&with_machines(desired(2), 0, 2), &observed);
    let clones: Vec<(&str, Vmid)> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Clone { template, target: None, .. } => Some((step.node.as_str(), *template)),
            _ => None,
        })
        .collect();
    assert_eq!(clones, [("pve1", Vmid(9000)), ("pve2", Vmid(9001))]);
}

/// Nodes without a cluster, all with the same NAS: volumes of one id would be each other's.
#[test]
fn standalone_nodes_with_shared_storage_have_templates_of_different_ids() {
    let mut observed = standalone(3);
    for node in ["pve1", "pve2", "pve3"] {
        share(&mut observed, node);
    }
    let made = |plan: &Plan| lines(plan).into_iter().filter(|line| line.contains("template")).collect::<Vec<_>>();
    let create = |node: &str, vmid: u32| format!("create ubuntu-2204-cloud-template {node} {vmid}");
    let desired = with_machines(desired(3), 0, 3);
    assert_eq!(made(&plan(&desired, &observed)), [create("pve1", 9000), create("pve2", 9001), create("pve3", 9002)]);
    put_template(&mut observed, "pve2", 9000);
    assert_eq!(made(&plan(&desired, &observed)), [create("pve1", 9001), create("pve3", 9002)]);
}

#[test]
fn a_bake_needs_its_bridge_on_the_node() {
    let mut desired = with_machines(desired(2), 0, 1);
    let network = Network { bridge: "vmbr9".into(), ..desired.machines[0].network.clone() };
    let (packages, commands) = (Vec::new(), Vec::new());
    desired.template.bake = Some(Bake { network, addresses: Default::default(), packages, commands, timeout_s: 900 });
    let mut observed = observed_nodes(2);
    let failed = plan(&desired, &observed);
    let said = said(&failed);
    assert!(said.contains("no template can be baked on pve1, which has no bridge vmbr9"), "{said}");
    facts(&mut observed, "pve2").bridges.insert("vmbr9".into());
    assert_eq!(lines(&plan(&desired, &observed))[1], "create k8s-worker-1 pve2 100");
}

#[test]
fn an_unmarked_template_under_backup_is_used_and_one_with_another_lock_is_named() {
    let mut observed = observed_nodes(1);
    unmarked_template(&mut observed, "pve1", 9000);
    config_mut(&mut observed, 9000).keys.insert("lock".into(), "backup".into());
    let desired = one_worker(1);
    assert_eq!(lines(&plan(&desired, &observed)), ["create k8s-worker-1 pve1 100"]);
    config_mut(&mut observed, 9000).keys.insert("lock".into(), "migrate".into());
    let refused = plan(&desired, &observed);
    let said = said(&refused);
    assert!(said.contains("template 9000 of pve1 is locked: migrate"), "{said}");
}

/// More CPUs than threads: PVE would make the machine and then not start it (d-running/start-many-cores).
#[test]
fn a_machine_has_no_more_cpus_than_its_node_has_threads() {
    let (mut desired, mut observed) = cluster();
    let threads = |observed: &mut Observed| {
        for (node, cpus) in [("pve1", 4), ("pve2", 8), ("pve3", 4)] {
            facts(observed, node).cpus = cpus;
        }
    };
    threads(&mut observed);
    let kept = desired.machines.iter().position(|machine| machine.name.as_str() == "k8s-worker-1").unwrap();
    desired.machines[kept].cores = 5;
    let refused = plan(&desired, &observed);
    let check = refused.refusals().next().unwrap();
    assert_eq!((check.id.as_str(), check.message.as_str()), ("cpus", "k8s-worker-1 would have 5 CPUs, and pve1 has 4"));

    let (mut desired, mut observed) = (one_worker(3), observed_nodes(3));
    threads(&mut observed);
    desired.machines[0].cores = 6;
    assert_eq!(lines(&plan(&desired, &observed)).last().unwrap(), "create k8s-worker-1 pve2 100");
    desired.machines[0].cores = 9;
    assert!(said(&plan(&desired, &observed)).contains("needs 9 CPUs, it has 8"));
}
