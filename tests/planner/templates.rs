//! Templates: ids, read-only use, half-made ones, shared storage, digests.

use std::collections::BTreeSet;

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::mark::MarkSubject;
use pvekube::model::observed::*;
use pvekube::model::plan::*;

use super::build::*;

pub fn one_worker(nodes: usize) -> Desired {
    with_machines(desired(nodes), 0, 1)
}

#[test]
fn a_template_that_stands_is_cloned_from() {
    let mut observed = observed(1);
    put_template(&mut observed, "pve1", 9000);
    let plan = plan(&one_worker(1), &observed);
    assert_eq!(lines(&plan), ["create k8s-worker-1 pve1 100"]);
    assert!(matches!(plan.steps[0].action, Action::Clone { template: Vmid(9000), target: None, .. }));
}

#[test]
fn templates_are_made_only_where_machines_are_cloned() {
    let plan = plan(&one_worker(3), &observed(3));
    assert_eq!(lines(&plan), ["create ubuntu-2204-cloud-template pve1 9000", "create k8s-worker-1 pve1 100"]);
}

#[test]
fn ids_do_not_depend_on_where_machines_go() {
    let mut desired = one_worker(3);
    desired.machines[0].node = Some("pve3".into());
    assert_eq!(lines(&plan(&desired, &observed(3)))[0], "create ubuntu-2204-cloud-template pve3 9002");
    desired.template.ids.insert("pve2".into(), Vmid(9500));
    assert_eq!(lines(&plan(&desired, &observed(3)))[0], "create ubuntu-2204-cloud-template pve3 9001");
}

#[test]
fn standalone_nodes_all_use_the_configured_id() {
    let plan = plan(&with_machines(desired(2), 0, 2), &standalone(2));
    assert_eq!(
        lines(&plan),
        [
            "create ubuntu-2204-cloud-template pve1 9000",
            "create ubuntu-2204-cloud-template pve2 9000",
            "create k8s-worker-1 pve1 100",
            "create k8s-worker-2 pve2 101",
        ]
    );
}

pub fn unmarked_template(observed: &mut Observed, node: &str, vmid: u32) {
    put_template(observed, node, vmid);
    config_mut(observed, vmid).description = "made by hand".into();
}

#[test]
fn an_unmarked_template_with_id_and_name_is_used_read_only() {
    let mut observed = observed(2);
    unmarked_template(&mut observed, "pve2", 9000);
    let plan = plan(&with_machines(desired(2), 0, 2), &observed);
    assert_eq!(
        lines(&plan),
        ["create ubuntu-2204-cloud-template pve1 9001", "create k8s-worker-1 pve1 100", "create k8s-worker-2 pve2 101",]
    );
    let on_it: Vec<&str> =
        plan.steps.iter().filter(|step| step.vmid == Vmid(9000)).map(|step| step.action.verb()).collect();
    assert_eq!(on_it, Vec::<&str>::new());
}

#[test]
fn an_unmarked_template_boots_from_what_it_has_and_must_have_a_cloud_init_drive() {
    let mut observed = observed(1);
    unmarked_template(&mut observed, "pve1", 9000);
    let keys = &mut config_mut(&mut observed, 9000).keys;
    let disk = keys.remove("scsi0").unwrap();
    keys.extend([("virtio0".into(), disk), ("boot".into(), "order=virtio0".into())]);
    let grown = plan(&one_worker(1), &observed);
    assert_eq!(failed(&grown), [""; 0]);
    let disks: Vec<&str> = grown
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Resize { disk, .. } => Some(disk.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(disks, ["virtio0"]);
    config_mut(&mut observed, 9000).keys.remove("ide2");
    let refused = plan(&one_worker(1), &observed);
    assert_eq!(failed(&refused), ["no-node-fits", "template-id"]);
    assert_eq!(refused.checks[1].message, "template 9000 of pve1 has no cloud-init drive");
    assert!(refused.checks[1].hint.contains("qm set 9000 --ide2 local-lvm:cloudinit"), "{}", refused.checks[1].hint);
}

#[test]
fn the_cloud_init_drive_is_where_every_kernel_sees_it() {
    for (machine, key) in [("i440fx", "ide2"), ("q35", "scsi1"), ("pc-q35-9.0", "scsi1"), ("pc-i440fx-9.0", "ide2")] {
        let mut desired = one_worker(1);
        desired.template.machine = machine.to_owned();
        let plan = plan(&desired, &observed(1));
        let drives = plan.steps.iter().find_map(|step| match &step.action {
            Action::Set { set, .. } if set.contains_key("boot") => Some(set.clone()),
            _ => None,
        });
        let drives = drives.unwrap();
        assert_eq!(drives.get(key), Some(&Setting::Text("local-lvm:cloudinit".into())), "{machine}");
        assert_eq!(drives.get("boot"), Some(&Setting::Text("order=scsi0".into())));
    }
}

#[test]
fn a_foreign_vm_with_the_template_id_is_a_problem() {
    let mut observed = observed(1);
    foreign(&mut observed, "pve1", 9000, "database");
    let plan = plan(&one_worker(1), &observed);
    assert_eq!(failed(&plan), ["no-node-fits", "template-id"]);
    assert!(plan.checks[1].message.contains("\"database\" on pve1"), "{}", plan.checks[1].message);
}

#[test]
fn an_unmarked_template_of_another_name_is_a_problem() {
    let mut observed = observed(1);
    unmarked_template(&mut observed, "pve1", 9000);
    config_mut(&mut observed, 9000).keys.insert("name".into(), "debian-12".into());
    assert!(failed(&plan(&one_worker(1), &observed)).contains(&"template-id"));
}

#[test]
fn a_half_made_template_is_made_again_with_its_id() {
    for change in [
        |config: &mut pvekube::model::vm_config::VmConfig| drop(config.keys.remove("template")),
        |config: &mut pvekube::model::vm_config::VmConfig| drop(config.keys.remove("scsi0")),
        |config: &mut pvekube::model::vm_config::VmConfig| {
            drop(config.keys.insert("scsi0".into(), "local-lvm:vm-9000-disk-0,size=16G".into()))
        },
        |config: &mut pvekube::model::vm_config::VmConfig| {
            drop(config.keys.insert("cicustom".into(), "vendor=local:snippets/x.yaml".into()))
        },
    ] {
        let mut observed = observed(1);
        put_template(&mut observed, "pve1", 9000);
        change(config_mut(&mut observed, 9000));
        let plan = plan(&one_worker(1), &observed);
        assert_eq!(lines(&plan)[0], "replace ubuntu-2204-cloud-template pve1 9000");
        assert_eq!(plan.steps[0].action.verb(), "destroy");
        assert_eq!(plan.steps[1].needs, [plan.steps[0].id]);
    }
}

#[test]
fn a_half_made_template_that_nobody_needs_goes() {
    let desired = one_worker(2);
    let mut observed = settled(&desired, 2);
    config_mut(&mut observed, 9001).keys.remove("template");
    let plan = plan(&desired, &observed);
    assert_eq!(lines(&plan), ["delete ubuntu-2204-cloud-template pve2 9001"]);
    assert!(plan.hazards.is_empty());
}

#[test]
fn a_template_under_backup_is_not_half_made() {
    let desired = one_worker(1);
    let mut observed = settled(&desired, 1);
    config_mut(&mut observed, 9000).keys.insert("lock".into(), "backup".into());
    assert!(!plan(&desired, &observed).has_changes());
    let more = plan(&with_machines(super::build::desired(1), 0, 2), &observed);
    assert_eq!(lines(&more), ["create k8s-worker-2 pve1 100"]);
    assert!(more.checks.iter().any(|check| check.id == "locked" && check.verdict == Verdict::Warning));
}

#[test]
fn a_template_being_made_is_waited_for() {
    let mut observed = observed(1);
    put_template(&mut observed, "pve1", 9000);
    config_mut(&mut observed, 9000).keys.remove("template");
    facts(&mut observed, "pve1").operations.push(operation(9000, "bake"));
    let waits = plan(&one_worker(1), &observed);
    assert_eq!(lines(&waits), ["resume ubuntu-2204-cloud-template pve1 9000"]);
    assert_eq!(step_lines(&waits), ["1 attach template pve1 9000"]);

    // The image's download has begun, the VM is not there yet.
    realm(&mut observed, "pve1").guests.remove(&Vmid(9000));
    assert_eq!(step_lines(&plan(&one_worker(1), &observed)), ["1 attach template pve1 9000"]);
}

#[test]
fn an_older_template_serves_until_the_config_asks_for_another() {
    let mut desired = one_worker(1);
    let mut observed = observed(1);
    put_template(&mut observed, "pve1", 9000);
    observed.upstream = Upstream::Known { digest: digest('b'), source: "SHA256SUMS".into() };
    assert_eq!(lines(&plan(&desired, &observed)), ["create k8s-worker-1 pve1 100"]);
    desired.template.image_digest = Some(digest('b'));
    assert_eq!(lines(&plan(&desired, &observed))[0], "replace ubuntu-2204-cloud-template pve1 9000");
    desired.template.image_digest = None;
    desired.template.name = "noble".into();
    assert_eq!(lines(&plan(&desired, &observed))[0], "replace noble pve1 9000");
}

#[test]
fn shared_storage_has_one_template() {
    let mut observed = observed(3);
    realm(&mut observed, "pve1").storages.get_mut(&"local-lvm".into()).unwrap().shared = true;
    let plan = plan(&with_machines(desired(3), 0, 3), &observed);
    assert_eq!(plan.summary().templates.add, 1);
    let clones: Vec<(String, Option<&PveName>)> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Clone { target, .. } => Some((step.node.to_string(), target.as_ref())),
            _ => None,
        })
        .collect();
    let (pve2, pve3) = (PveName::from("pve2"), PveName::from("pve3"));
    assert_eq!(clones, [("pve1".into(), None), ("pve1".into(), Some(&pve2)), ("pve1".into(), Some(&pve3))]);
}

#[test]
fn a_bake_is_a_step_with_its_document_and_static_bakes_take_turns() {
    let mut desired = with_machines(desired(2), 0, 2);
    desired.template.bake = Some(Bake {
        network: desired.machines[0].network.clone(),
        addresses: Default::default(),
        packages: vec!["containerd".into()],
        commands: Vec::new(),
        timeout_s: 900,
    });
    let bakes = |plan: &Plan| -> Vec<Step> {
        plan.steps.iter().filter(|step| matches!(step.action, Action::Bake(_))).cloned().collect()
    };
    let dhcp = plan(&desired, &observed(2));
    assert_eq!(failed(&dhcp), Vec::<&str>::new());
    let both = bakes(&dhcp);
    assert!(both.iter().all(|step| step.needs.len() == 1));
    let Action::Bake(bake) = &both[0].action else { panic!() };
    assert!(bake.document.starts_with("#cloud-config\n") && bake.document.contains("containerd"));
    let recipe = bake.mark.recipe.clone().unwrap();
    assert_eq!(bake.snippet_path, format!("/var/lib/vz/snippets/pvekube-bake-{recipe}-{}.yaml", both[0].vmid));
    let volumes = both.iter().map(|step| match &step.action {
        Action::Bake(bake) => bake.snippet_volume.clone(),
        other => panic!("{other:?}"),
    });
    let volumes: BTreeSet<String> = volumes.collect();
    assert_eq!(volumes.len(), 2, "on a shared storage the first bake to end would remove the other's: {volumes:?}");
    assert_eq!(bake.network.get("ipconfig0").unwrap(), "ip=dhcp");
    let clone = dhcp.steps.iter().find_map(|step| match &step.action {
        Action::Clone { mark, .. } => Some(mark.clone()),
        _ => None,
    });
    assert_eq!(clone.unwrap().recipe, Some(recipe));

    if let Some(bake) = &mut desired.template.bake {
        bake.network.ipv4 = Address::Static { address: "10.0.0.250/24".parse().unwrap(), gateway: None };
    }
    let fixed = plan(&desired, &observed(2));
    let both = bakes(&fixed);
    assert!(both[1].needs.contains(&both[0].id));

    if let Some(bake) = &mut desired.template.bake {
        let own = Address::Static { address: "10.0.0.251/24".parse().unwrap(), gateway: None };
        bake.addresses.insert("pve2".into(), own);
    }
    let apart = bakes(&plan(&desired, &observed(2)));
    assert!(apart.iter().all(|step| step.needs.len() == 1));
}

#[test]
fn a_disk_below_its_template_is_refused() {
    let mut desired = one_worker(1);
    desired.machines[0].disk_gb = 8;
    assert_eq!(failed(&plan(&desired, &observed(1))), ["disk-below-template"]);
    desired.machines[0].disk_gb = 16;
    let exact = plan(&desired, &observed(1));
    assert_eq!(verbs(&exact, "k8s-worker-1"), ["clone", "set", "start", "ready"]);
}

#[test]
fn another_clusters_template_is_used_read_only() {
    let mut observed = observed(1);
    put_template(&mut observed, "pve1", 9000);
    let mut mark = mark(MarkSubject::Template, 9000);
    mark.cluster = "staging".into();
    config_mut(&mut observed, 9000).description = mark.to_string();
    let plan = plan_with(&one_worker(1), &observed, |o| o.replace_outdated = true);
    assert_eq!(lines(&plan), ["create k8s-worker-1 pve1 100"]);
}

#[test]
fn a_bake_needs_its_snippets_storage_in_use_on_the_node() {
    let mut desired = with_machines(desired(2), 0, 2);
    desired.template.bake = Some(Bake {
        network: desired.machines[0].network.clone(),
        addresses: Default::default(),
        packages: Vec::new(),
        commands: Vec::new(),
        timeout_s: 900,
    });
    let refusal = |change: fn(&mut StorageDef)| {
        let mut observed = observed(2);
        for node in ["pve1", "pve2"] {
            change(realm(&mut observed, node).storages.get_mut(&"local".into()).unwrap());
        }
        let plan = plan(&desired, &observed);
        plan.checks.iter().find(|check| check.id == "no-node-fits").map(|check| check.message.clone())
    };
    assert_eq!(refusal(|_| {}), None);
    assert!(refusal(|local| local.enabled = false).unwrap().contains("pve1: storage local is disabled"));
    assert!(refusal(|local| local.nodes = Some(["pve9".into()].into())).unwrap().contains("restricted to other nodes"));
    assert!(refusal(|local| local.path = None).unwrap().contains("storage local has no folder `snippets`"));
}
