//! Placement, capacity, ids, addresses, names.

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::*;

use super::build::*;

fn why<'p>(plan: &'p Plan, machine: &str) -> (&'p str, &'p str) {
    let change = change(plan, machine);
    (change.node.as_str(), change.why_node.as_deref().unwrap_or_default())
}

fn crowd(observed: &mut Observed, node: &str, first: u32, count: u32) {
    for vmid in first..first + count {
        foreign(observed, node, vmid, &format!("other-{vmid}"));
    }
}

#[test]
fn masters_spread_first_then_fewest_vms() {
    let mut observed = observed(3);
    crowd(&mut observed, "pve1", 500, 2);
    crowd(&mut observed, "pve2", 510, 9);
    crowd(&mut observed, "pve3", 520, 4);
    let plan = plan(&with_machines(desired(3), 4, 1), &observed);
    assert_eq!(why(&plan, "k8s-master-1"), ("pve1", "fewest VMs (2), no master yet"));
    assert_eq!(why(&plan, "k8s-master-2"), ("pve3", "fewest VMs (4), no master yet"));
    assert_eq!(why(&plan, "k8s-master-3"), ("pve2", "only node without a master"));
    assert_eq!(why(&plan, "k8s-master-4"), ("pve1", "fewest masters (1), fewest VMs (3)"));
    assert_eq!(why(&plan, "k8s-worker-1"), ("pve1", "fewest VMs (4)"));
    let use1 = &plan.nodes[0];
    assert_eq!((use1.vms, use1.known), ((2, 5), true));
}

/// Its config is still the template's, with the template's memory. (It was counted with that.)
#[test]
fn a_machine_that_an_earlier_run_is_cloning_is_counted_as_it_will_be() {
    let mut desired = with_machines(desired(2), 0, 2);
    desired.placement = Strategy::Memory;
    desired.machines[0].memory_mb = 8192;
    let mut observed = observed(2);
    put_template(&mut observed, "pve1", 9000);
    put_template(&mut observed, "pve2", 9001);
    put_machine(&mut observed, "pve1", 101, &desired.machines[0]);
    stop(&mut observed, "pve1", 101);
    config_mut(&mut observed, 101).keys.extend([("lock".into(), "clone".into()), ("memory".into(), "1024".into())]);
    facts(&mut observed, "pve1").operations.push(operation(101, "clone"));
    foreign(&mut observed, "pve2", 500, "other");
    config_mut(&mut observed, 500).keys.insert("memory".into(), "4096".into());
    assert_eq!(why(&plan(&desired, &observed), "k8s-worker-2").0, "pve2");
}

#[test]
fn zones_come_before_nodes() {
    let mut desired = with_machines(desired(3), 3, 0);
    for (node, zone) in desired.nodes.iter_mut().zip(["rack-a", "rack-a", "rack-b"]) {
        node.zone = Some(zone.into());
    }
    let mut observed = observed(3);
    crowd(&mut observed, "pve3", 500, 9);
    let plan = plan(&desired, &observed);
    assert_eq!(why(&plan, "k8s-master-1").0, "pve1");
    assert_eq!(why(&plan, "k8s-master-2"), ("pve3", "fewest VMs (9), no master yet in rack-b"));
    assert_eq!(why(&plan, "k8s-master-3").0, "pve2");
}

#[test]
fn templates_and_containers_are_no_vms_to_count() {
    let mut observed = observed(2);
    put_template(&mut observed, "pve1", 9000);
    let container = Container { node: "pve1".into(), memory_bytes: Some(GIB), running: Some(true) };
    realm(&mut observed, "pve1").guests.insert(Vmid(600), Guest::Container(container));
    foreign(&mut observed, "pve2", 500, "other");
    let plan = plan(&with_machines(desired(2), 0, 1), &observed);
    assert_eq!(why(&plan, "k8s-worker-1"), ("pve1", "fewest VMs (0)"));
    assert_eq!(plan.nodes[0].memory_bytes.0, GIB);
}

#[test]
fn strategies_memory_and_pack() {
    let mut desired = with_machines(desired(2), 0, 1);
    let mut observed = observed(2);
    facts(&mut observed, "pve2").memory_bytes = 128 * GIB;
    desired.placement = Strategy::Memory;
    assert_eq!(why(&plan(&desired, &observed), "k8s-worker-1"), ("pve2", "most free memory (126.0 GiB)"));
    desired.placement = Strategy::Pack;
    assert_eq!(why(&plan(&desired, &observed), "k8s-worker-1"), ("pve1", "fullest node that fits (62.0 GiB free)"));
}

#[test]
fn a_pin_decides_and_a_pin_that_cannot_be_is_refused() {
    let mut desired = with_machines(desired(2), 0, 1);
    desired.machines[0].node = Some("pve2".into());
    assert_eq!(why(&plan(&desired, &observed(2)), "k8s-worker-1"), ("pve2", "pinned to it in the manifest"));
    desired.nodes[1].schedulable = false;
    let plan = plan(&desired, &observed(2));
    assert_eq!(failed(&plan), ["no-node-fits"]);
    assert!(plan.checks[0].message.contains("`schedulable: false`"));
}

#[test]
fn a_refusal_names_every_node_with_its_numbers() {
    let mut desired = with_machines(desired(4), 0, 1);
    desired.machines[0].memory_mb = 63 * 1024;
    desired.nodes[1].schedulable = false;
    let mut observed = observed(4);
    facts(&mut observed, "pve3").bridges.clear();
    facts(&mut observed, "pve4").storages.clear();
    let plan = plan(&desired, &observed);
    assert_eq!(
        plan.checks[0].message,
        "no node can take k8s-worker-1: \
         pve1: needs 63.0 GiB of memory, 62.0 GiB of 62.0 GiB is free; \
         pve2: `schedulable: false`; pve3: it has no bridge vmbr0; pve4: the size of storage local-lvm is unknown"
    );
}

#[test]
fn an_exact_fit_of_memory_fits_and_a_byte_more_does_not() {
    let mut desired = with_machines(desired(1), 0, 2);
    desired.machines[0].memory_mb = 31 * 1024;
    desired.machines[1].memory_mb = 31 * 1024;
    assert_eq!(failed(&plan(&desired, &observed(1))), Vec::<&str>::new());
    desired.machines[1].memory_mb += 1;
    assert_eq!(failed(&plan(&desired, &observed(1))), ["no-node-fits"]);
    desired.limits.memory_overcommit = 1.5;
    assert_eq!(failed(&plan(&desired, &observed(1))), Vec::<&str>::new());
}

#[test]
fn memory_counts_running_and_onboot_vms_only() {
    let mut desired = with_machines(desired(1), 0, 1);
    desired.machines[0].memory_mb = 60 * 1024;
    let mut observed = observed(1);
    put(&mut observed, "pve1", 500, config(&[("name", "off"), ("memory", "8192")]), false);
    assert_eq!(failed(&plan(&desired, &observed)), Vec::<&str>::new());
    config_mut(&mut observed, 500).keys.insert("onboot".into(), "1".into());
    assert_eq!(failed(&plan(&desired, &observed)), ["no-node-fits"]);
}

#[test]
fn a_container_counts_unless_it_is_known_to_be_stopped() {
    let mut desired = with_machines(desired(1), 0, 1);
    desired.machines[0].memory_mb = 60 * 1024;
    for (running, fits) in [(Some(true), false), (None, false), (Some(false), true)] {
        let mut observed = observed(1);
        let container = Container { node: "pve1".into(), memory_bytes: Some(8 * GIB), running };
        realm(&mut observed, "pve1").guests.insert(Vmid(300), Guest::Container(container));
        assert_eq!(failed(&plan(&desired, &observed)).is_empty(), fits, "{running:?}");
    }
}

/// Two nodes of 62 GiB. By number of VMs the small ones are spread, and neither has 60 GiB left.
#[test]
fn the_largest_go_first_where_the_manifests_order_does_not_fit() {
    let sizes = |gib: &[u64]| {
        let mut desired = with_machines(desired(2), 0, u32::try_from(gib.len()).unwrap());
        desired.machines.iter_mut().zip(gib).for_each(|(machine, gib)| machine.memory_mb = gib * 1024);
        plan(&desired, &observed(2))
    };
    let packed = sizes(&[4, 4, 4, 60]);
    assert_eq!(failed(&packed), Vec::<&str>::new());
    assert_eq!(notes(&packed, "largest-first").len(), 1);
    assert_eq!(why(&packed, "k8s-worker-4").0, "pve1");
    // Only 34 + 28 and 22 + 20 + 20 fit: by number of VMs even the largest first do not find that.
    let packed = sizes(&[20, 20, 22, 28, 34]);
    assert_eq!(failed(&packed), Vec::<&str>::new());
    assert_eq!(why(&packed, "k8s-worker-4").0, why(&packed, "k8s-worker-5").0);
    // What can't fit is refused as the manifest has it, and nothing is said of another order.
    let refused = sizes(&[20, 20, 22, 63]);
    assert_eq!(failed(&refused), ["no-node-fits"]);
    assert!(notes(&refused, "largest-first").is_empty());
}

/// It leaves pve1 only when it is destroyed, which may fail: nobody is given its room before.
#[test]
fn a_replacement_that_moves_makes_no_room_for_others() {
    let mut desired = with_machines(desired(2), 0, 2);
    desired.machines[0].memory_mb = 50 * 1024;
    let mut observed = observed(2);
    put_machine(&mut observed, "pve1", 101, &desired.machines[0]);
    desired.machines[0].node = Some("pve2".into());
    desired.machines[1].memory_mb = 40 * 1024;
    let plan = plan_with(&desired, &observed, |o| o.replace = ["k8s-worker-1".into()].into());
    assert_eq!(failed(&plan), ["no-node-fits"]);
    // Where it stays, its own room is its own.
    desired.machines[0].node = None;
    desired.machines[0].memory_mb = 60 * 1024;
    desired.machines[1].memory_mb = 62 * 1024;
    let plan = plan_with(&desired, &observed, |o| o.replace = ["k8s-worker-1".into()].into());
    assert_eq!(failed(&plan), Vec::<&str>::new());
    assert_eq!((why(&plan, "k8s-worker-1").0, why(&plan, "k8s-worker-2").0), ("pve1", "pve2"));
}

#[test]
fn a_machine_that_outgrows_its_node_is_refused() {
    let mut desired = with_machines(desired(1), 0, 1);
    let observed = settled(&desired, 1);
    desired.machines[0].memory_mb = 63 * 1024;
    assert_eq!(failed(&plan(&desired, &observed)), ["memory"]);
}

#[test]
fn thick_storage_counts_whole_disks_and_the_template() {
    let mut desired = with_machines(desired(1), 0, 2);
    let mut observed = observed(1);
    realm(&mut observed, "pve1").storages.get_mut(&"local-lvm".into()).unwrap().thin = false;
    let free = |observed: &mut Observed, gib: u64| {
        let sample = StorageUse { total_bytes: 200 * GIB, used_bytes: (200 - gib) * GIB };
        facts(observed, "pve1").storages.insert("local-lvm".into(), sample);
    };
    free(&mut observed, 16 + 40 + 40);
    assert_eq!(failed(&plan(&desired, &observed)), Vec::<&str>::new());
    free(&mut observed, 16 + 40 + 39);
    let refused = plan(&desired, &observed);
    assert_eq!(failed(&refused), ["no-node-fits"]);
    assert!(refused.checks[0].message.contains("needs 40.0 GiB on local-lvm, 39.0 GiB is free"));
    // A disk that grows counts too.
    desired.machines.truncate(1);
    let mut settled = settled(&desired, 1);
    realm(&mut settled, "pve1").storages.get_mut(&"local-lvm".into()).unwrap().thin = false;
    free(&mut settled, 10);
    desired.machines[0].disk_gb = 51;
    assert_eq!(failed(&plan(&desired, &settled)), ["space"]);
    desired.machines[0].disk_gb = 50;
    assert_eq!(failed(&plan(&desired, &settled)), Vec::<&str>::new());
}

#[test]
fn thin_storage_counts_used_bytes_and_warns_beyond_overcommit() {
    let mut desired = with_machines(desired(1), 0, 2);
    desired.machines.iter_mut().for_each(|machine| machine.disk_gb = 1000);
    let plan = plan(&desired, &observed(1));
    assert_eq!(failed(&plan), Vec::<&str>::new());
    let warning = plan.checks.iter().find(|check| check.verdict == Verdict::Warning).unwrap();
    assert_eq!(warning.id, "storage-overcommit");
    assert_eq!(plan.nodes[0].storage_bytes, (96 * GIB, (96 + 2016) * GIB));
}

#[test]
fn vmids_are_the_lowest_free_over_all_realms() {
    let mut desired = with_machines(desired(2), 0, 3);
    desired.vmid_range = (Vmid(200), Vmid(204));
    let mut observed = standalone(2);
    foreign(&mut observed, "pve1", 200, "a");
    let container = Container { node: "pve2".into(), memory_bytes: None, running: None };
    realm(&mut observed, "pve2").guests.insert(Vmid(202), Guest::Container(container));
    let plan = plan(&desired, &observed);
    let ids: Vec<u32> = (1..=3).map(|n| change(&plan, &format!("k8s-worker-{n}")).vmid.0).collect();
    assert_eq!(ids, [201, 203, 204]);
}

#[test]
fn a_full_range_and_a_taken_id_are_refused() {
    let mut desired = with_machines(desired(1), 0, 2);
    desired.vmid_range = (Vmid(200), Vmid(200));
    assert_eq!(failed(&plan(&desired, &observed(1))), ["vmid-range-full"]);
    let mut observed = observed(1);
    foreign(&mut observed, "pve1", 250, "theirs");
    desired.machines[1].vmid = Some(Vmid(250));
    assert_eq!(failed(&plan(&desired, &observed)), ["vmid-taken"]);
}

#[test]
fn ids_that_the_datacenter_offers_come_first() {
    let mut observed = observed(1);
    realm(&mut observed, "pve1").next_id = Some((300, 301));
    let plan = plan(&with_machines(desired(1), 0, 2), &observed);
    let ids: Vec<u32> = (1..=2).map(|n| change(&plan, &format!("k8s-worker-{n}")).vmid.0).collect();
    assert_eq!(ids, [300, 100]);
}

#[test]
fn an_explicit_id_is_reserved_for_its_machine() {
    let mut desired = with_machines(desired(1), 0, 2);
    desired.machines[1].vmid = Some(Vmid(100));
    let plan = plan(&desired, &observed(1));
    let ids: Vec<u32> = (1..=2).map(|n| change(&plan, &format!("k8s-worker-{n}")).vmid.0).collect();
    assert_eq!(ids, [101, 100]);
}

#[test]
fn addresses_of_other_vms_are_taken() {
    let mut desired = with_machines(desired(1), 0, 1);
    fixed(&mut desired.machines[0], "10.0.0.21/24", "10.0.0.1");
    let mut observed = observed(1);
    put(&mut observed, "pve1", 500, config(&[("name", "web"), ("ipconfig1", "ip=10.0.0.21/16")]), false);
    let plan1 = plan(&desired, &observed);
    assert_eq!(failed(&plan1), ["address-taken"]);
    assert!(plan1.checks[0].message.contains("VM 500 \"web\" on pve1"));
    config_mut(&mut observed, 500).keys.insert("template".into(), "1".into());
    assert_eq!(failed(&plan(&desired, &observed)), Vec::<&str>::new());
}

#[test]
fn a_proxmox_nodes_own_address_is_taken() {
    let mut desired = with_machines(desired(2), 0, 2);
    desired.nodes[0].host = "10.0.0.2".into();
    fixed(&mut desired.machines[0], "10.0.0.2/24", "10.0.0.1");
    fixed(&mut desired.machines[1], "10.0.0.3/24", "10.0.0.1");
    let mut observed = observed(2);
    realm(&mut observed, "pve1").members.get_mut(&"pve2".into()).unwrap().address = Some("10.0.0.3".into());
    let plan = plan(&desired, &observed);
    let said: Vec<&str> = plan.refusals().map(|check| check.message.as_str()).collect();
    let expected = [1, 2].map(|n| format!("10.0.0.{} of k8s-worker-{n} is given to the Proxmox node pve{n}", n + 1));
    assert_eq!(said, expected);
}

#[test]
fn machines_may_swap_addresses() {
    let mut desired = with_machines(desired(1), 0, 2);
    fixed(&mut desired.machines[0], "10.0.0.21/24", "10.0.0.1");
    fixed(&mut desired.machines[1], "10.0.0.22/24", "10.0.0.1");
    let observed = settled(&desired, 1);
    fixed(&mut desired.machines[0], "10.0.0.22/24", "10.0.0.1");
    assert!(failed(&plan(&desired, &observed)).contains(&"address-taken"));
    fixed(&mut desired.machines[1], "10.0.0.21/24", "10.0.0.1");
    assert_eq!(failed(&plan(&desired, &observed)), Vec::<&str>::new());
}

#[test]
fn a_foreign_vm_with_a_wanted_name_is_never_taken_over() {
    let mut observed = observed(1);
    foreign(&mut observed, "pve1", 500, "k8s-worker-1");
    let plan1 = plan(&with_machines(desired(1), 0, 1), &observed);
    assert_eq!(failed(&plan1), ["name-taken"]);
    assert!(plan1.steps.is_empty());
    config_mut(&mut observed, 500).keys.insert("tags".into(), "k8s;pvekube".into());
    let plan2 = plan(&with_machines(desired(1), 0, 1), &observed);
    assert_eq!(failed(&plan2), ["mark-lost"]);
    assert!(plan2.checks[0].hint.contains("pvekube adopt k8s-worker-1 --vmid 500"));
}

#[test]
fn a_missing_pool_is_refused() {
    let mut desired = with_machines(desired(1), 0, 1);
    desired.pve_pool = Some("kubernetes".into());
    let mut observed = observed(1);
    assert_eq!(failed(&plan(&desired, &observed)), ["pool"]);
    realm(&mut observed, "pve1").pools.insert("kubernetes".into(), Default::default());
    assert_eq!(failed(&plan(&desired, &observed)), Vec::<&str>::new());
}

#[test]
fn only_plans_a_part_with_its_template() {
    let desired = with_machines(desired(3), 0, 3);
    let part = plan_with(&desired, &observed(3), |o| o.only = ["k8s-worker-2".into()].into());
    assert_eq!(lines(&part), ["create ubuntu-2204-cloud-template pve1 9000", "create k8s-worker-2 pve1 100"]);
    assert_eq!(notes(&part, "not-in-plan"), ["not in this plan (--only): k8s-worker-1, k8s-worker-3"]);
    let slip = plan_with(&desired, &observed(3), |o| o.only = ["k8s-worker-22".into()].into());
    assert_eq!(failed(&slip), ["unknown-machine"]);
}

#[test]
fn a_name_server_that_only_the_node_reaches_is_warned_of() {
    let mut observed = observed(1);
    facts(&mut observed, "pve1").nameservers = vec!["127.0.0.1".into()];
    let plan = plan(&with_machines(desired(1), 0, 1), &observed);
    assert!(plan.checks.iter().any(|check| check.id == "dns-loopback" && check.verdict == Verdict::Warning));
}

#[test]
fn an_old_node_is_refused() {
    let mut observed = observed(1);
    facts(&mut observed, "pve1").version = PveVersion { major: 7, minor: 4, text: "7.4-17".into() };
    let plan = plan(&with_machines(desired(1), 0, 1), &observed);
    assert_eq!(failed(&plan), ["no-node-fits", "pve-version"]);
}
