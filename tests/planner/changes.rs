//! Machines that exist: every managed field, effects, locks, what somebody else did.

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::*;

use super::build::*;

fn of<'p>(plan: &'p Plan, machine: &str) -> Vec<(&'p str, Option<&'p str>, Option<&'p str>, Effect)> {
    let fields = change(plan, machine).fields.iter();
    fields.map(|f| (f.field.as_str(), f.old.as_deref(), f.new.as_deref(), f.effect)).collect()
}

#[test]
fn each_managed_field_is_one_change_with_its_effect() {
    let cases = [
        ("cores", "1", "cpus", Some("1"), "2", Effect::Reboot),
        ("memory", "2048", "memory_mb", Some("2048"), "4096", Effect::Reboot),
        ("balloon", "1024", "balloon", Some("1024"), "0", Effect::Reboot),
        ("agent", "enabled=0", "agent", Some("enabled=0"), "enabled=1", Effect::Reboot),
        ("name", "other", "name", Some("other"), "k8s-worker-1", Effect::Live),
        ("onboot", "0", "onboot", Some("0"), "1", Effect::Live),
        ("protection", "1", "protection", Some("1"), "0", Effect::Live),
        ("startup", "order=7", "startup", Some("order=7"), "order=2", Effect::Live),
        ("tags", "mine", "tags", Some("mine"), "k8s;mine;pvekube", Effect::Live),
        ("ciuser", "admin", "ciuser", Some("admin"), "ubuntu", Effect::NextBoot),
        ("ciupgrade", "1", "ciupgrade", Some("1"), "0", Effect::NextBoot),
        ("ipconfig0", "ip=10.0.0.9/24", "ipconfig0", Some("ip=10.0.0.9/24"), "ip=dhcp", Effect::NextBoot),
        (
            "sshkeys",
            "ssh-ed25519%20AAAA%20x",
            "sshkeys",
            Some("ssh-ed25519 SHA256:cJ6AyISHokEeHuTfufIqhhSS0gxHZRUMDHlKvXD4FHw x"),
            "ssh-ed25519 SHA256:bHGhjbYE3XQjrzGNZPMgNBCX2UqizGIveRRPkSpSo1g user@laptop",
            Effect::NextBoot,
        ),
        ("scsi0", "local-lvm:vm-104-disk-0,size=32G", "disk_gb", Some("32"), "40", Effect::Live),
        ("net0", "e1000=BC:24:11:00:00:68,bridge=vmbr0", "model", Some("e1000"), "virtio", Effect::Live),
        ("net0", "virtio=BC:24:11:00:00:68,bridge=vmbr9", "bridge", Some("vmbr9"), "vmbr0", Effect::Live),
    ];
    for (key, value, field, old, new, effect) in cases {
        let (desired, mut observed) = cluster();
        config_mut(&mut observed, 104).keys.insert(key.into(), value.into());
        let plan = plan(&desired, &observed);
        let got = of(&plan, "k8s-worker-1");
        let new = if key == "sshkeys" { got[0].2 } else { Some(new) };
        assert_eq!(got, [(field, old, new, effect)], "{key}: {value}");
        assert_eq!(plan.summary().machines, Count { add: 0, change: 1, destroy: 0 }, "{key}");
        assert_eq!(plan.steps.len(), 1, "{key}: {:?}", step_lines(&plan));
    }
}

#[test]
fn spelling_is_no_difference() {
    let cases = [
        ("agent", "1"),
        ("agent", "fstrim_cloned_disks=1,enabled=yes,type=virtio"),
        ("memory", "current=4096"),
        ("tags", "Zeta, PVEKUBE K8s"),
        ("ipconfig0", "ip6=auto,ip=dhcp"),
        ("net0", "bridge=vmbr0,firewall=1,queues=4,model=virtio,macaddr=bc:24:11:00:00:68"),
        ("scsi0", "size=40960M,file=local-lvm:vm-104-disk-0,cache=none"),
        ("startup", "2"),
        ("nameserver", "9.9.9.9"),
        ("searchdomain", "elsewhere.test"),
        ("cpu", "host"),
        ("sockets", "2"),
        (
            "sshkeys",
            "%0Assh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIOKPWfS9cPy0FkaJlfevkJJCJ9IJ9jknTNAvjI8wksT9%20user%40laptop",
        ),
    ];
    for (key, value) in cases {
        if key == "ipconfig0" {
            continue; // ip6=auto is a difference: tested below.
        }
        let (desired, mut observed) = cluster();
        config_mut(&mut observed, 104).keys.insert(key.into(), value.into());
        assert_eq!(lines(&plan(&desired, &observed)), Vec::<String>::new(), "{key}: {value}");
    }
}

#[test]
fn ipv6_in_another_spelling_is_no_difference() {
    let (mut desired, _) = cluster();
    let worker = &mut desired.machines[3];
    worker.network.ipv6 = Some(Address::Static {
        address: "2001:db8::5/64".parse().unwrap(),
        gateway: Some("2001:db8::1".parse().unwrap()),
    });
    let mut observed = settled(&desired, 3);
    let spelled = "gw6=2001:DB8:0:0::1,ip=dhcp,ip6=2001:0db8::0005/64";
    config_mut(&mut observed, 104).keys.insert("ipconfig0".into(), spelled.into());
    assert_eq!(lines(&plan(&desired, &observed)), Vec::<String>::new());
    config_mut(&mut observed, 104).keys.insert("ipconfig0".into(), "ip=dhcp,ip6=auto".into());
    assert_eq!(of(&plan(&desired, &observed), "k8s-worker-1").len(), 1);
}

#[test]
fn given_dns_is_managed_and_a_vlan_is_a_field() {
    let (mut desired, observed) = cluster();
    desired.machines[3].cloud_init.nameservers = vec!["10.0.0.1".into(), "1.1.1.1".into()];
    desired.machines[3].network.vlan = Some(20);
    let plan = plan(&desired, &observed);
    assert_eq!(
        of(&plan, "k8s-worker-1"),
        [
            ("nameserver", Some("10.0.0.1"), Some("10.0.0.1 1.1.1.1"), Effect::NextBoot),
            ("vlan", None, Some("20"), Effect::Live),
        ]
    );
}

#[test]
fn dns_not_given_is_kept_even_when_missing() {
    let (desired, mut observed) = cluster();
    config_mut(&mut observed, 104).keys.remove("nameserver");
    facts(&mut observed, "pve1").nameservers = vec!["192.0.2.1".into()];
    assert_eq!(lines(&plan(&desired, &observed)), Vec::<String>::new());
}

#[test]
fn a_shrinking_disk_is_refused() {
    let (mut desired, observed) = cluster();
    desired.machines[3].disk_gb = 30;
    let plan = plan(&desired, &observed);
    assert_eq!(failed(&plan), ["disk-shrink"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn other_agent_options_stay_when_it_is_enabled() {
    let (desired, mut observed) = cluster();
    config_mut(&mut observed, 104).keys.insert("agent".into(), "0,type=isa".into());
    let plan = plan(&desired, &observed);
    let Action::Set { set, .. } = &plan.steps[0].action else { panic!("{:?}", plan.steps) };
    assert_eq!(set.get("agent"), Some(&Setting::Text("enabled=1,type=isa".into())));
}

#[test]
fn without_consent_values_are_set_and_a_note_says_when() {
    let (mut desired, observed) = cluster();
    desired.machines[3].memory_mb = 8192;
    let plan = plan(&desired, &observed);
    assert_eq!(verbs(&plan, "k8s-worker-1"), ["set"]);
    assert_eq!(
        notes(&plan, "pending-reboot"),
        ["k8s-worker-1: memory_mb takes effect at its next reboot (--accept reboot-workers reboots it, rolling)"]
    );
    assert!(plan.hazards.is_empty());
    desired.machines[4].memory_mb = 8192;
    assert_eq!(
        notes(&super::build::plan(&desired, &observed), "pending-reboot"),
        [
            "k8s-worker-1, k8s-worker-2: memory_mb takes effect at their next reboots (--accept reboot-workers reboots them, rolling)"
        ]
    );
}

#[test]
fn what_waits_for_a_reboot_is_no_change() {
    let (mut desired, mut observed) = cluster();
    desired.machines[3].memory_mb = 8192;
    config_mut(&mut observed, 104).pending.insert("memory".into(), "8192".into());
    let waiting = plan(&desired, &observed);
    assert!(!waiting.has_changes() && waiting.steps.is_empty());
    assert_eq!(notes(&waiting, "pending-reboot").len(), 1);
    assert_eq!(change(&waiting, "k8s-worker-1").action, ChangeAction::None);

    let consent = plan_with(&desired, &observed, |o| o.accept = [HazardKind::RebootWorkers].into());
    assert_eq!(verbs(&consent, "k8s-worker-1"), ["shutdown", "start", "ready"]);
    assert_eq!(of(&consent, "k8s-worker-1"), [("memory_mb", Some("4096"), Some("8192"), Effect::Reboot)]);
    assert!(consent.hazards.iter().all(|hazard| hazard.accepted));
}

#[test]
fn cloud_init_values_of_before_the_last_boot_wait_too() {
    let (desired, mut observed) = cluster();
    config_mut(&mut observed, 104).cloudinit.insert("ciuser".into(), "admin".into());
    let waiting = plan(&desired, &observed);
    assert!(!waiting.has_changes());
    assert_eq!(notes(&waiting, "pending-reboot").len(), 1);
}

#[test]
fn somebody_elses_pending_value_is_reverted() {
    let (desired, mut observed) = cluster();
    config_mut(&mut observed, 104).pending.insert("memory".into(), "512".into());
    let plan = plan(&desired, &observed);
    let Action::Set { set, revert, .. } = &plan.steps[0].action else { panic!("{:?}", plan.steps) };
    assert!(set.is_empty());
    assert_eq!(revert.keys().collect::<Vec<_>>(), ["memory"]);
}

#[test]
fn a_pending_value_on_a_stopped_vm_is_set_for_good() {
    let (desired, mut observed) = cluster();
    stop(&mut observed, "pve1", 104);
    let config = config_mut(&mut observed, 104);
    config.keys.insert("memory".into(), "2048".into());
    config.pending.insert("memory".into(), "4096".into());
    let plan = plan(&desired, &observed);
    assert_eq!(verbs(&plan, "k8s-worker-1"), ["set", "start", "ready"]);
}

#[test]
fn locks_of_others_are_seen() {
    let (mut desired, mut observed) = cluster();
    config_mut(&mut observed, 104).keys.insert("lock".into(), "backup".into());
    assert!(plan(&desired, &observed).checks.iter().all(|check| check.verdict == Verdict::Passed));
    desired.machines[3].onboot = false;
    let waiting = plan(&desired, &observed);
    assert_eq!(waiting.checks[0].verdict, Verdict::Warning);
    config_mut(&mut observed, 104).keys.insert("lock".into(), "migrate".into());
    assert_eq!(failed(&plan(&desired, &observed)), ["locked"]);
    config_mut(&mut observed, 104).keys.insert("lock".into(), "suspended".into());
    let hibernated = plan(&desired, &observed);
    let hint = &hibernated.checks.iter().find(|check| check.id == "locked").unwrap().hint;
    assert!(hint.contains("qm start 104"), "`qm unlock` would lose its memory: {hint}");
}

#[test]
fn a_machine_on_another_node_or_id_than_asked_stays() {
    let (mut desired, observed) = cluster();
    desired.machines[3].node = Some("pve2".into());
    desired.machines[3].vmid = Some(Vmid(250));
    let stays = plan(&desired, &observed);
    assert!(!stays.has_changes());
    assert_eq!((notes(&stays, "other-node").len(), notes(&stays, "other-vmid").len()), (1, 1));
    let moved = plan_with(&desired, &observed, |o| o.replace = ["k8s-worker-1".into()].into());
    assert_eq!(lines(&moved), ["replace k8s-worker-1 pve2 250"]);
    assert_eq!(verbs(&moved, "k8s-worker-1")[..3], ["shutdown", "destroy", "clone"]);
    assert_eq!(moved.unaccepted().map(|hazard| hazard.kind).collect::<Vec<_>>(), [HazardKind::Replace]);
}

#[test]
fn replacements_go_one_at_a_time_and_stay_on_their_nodes() {
    let (desired, observed) = cluster();
    let plan = plan_with(&desired, &observed, |o| o.replace = ["k8s-worker-1".into(), "k8s-worker-2".into()].into());
    assert_eq!(lines(&plan), ["replace k8s-worker-1 pve1 100", "replace k8s-worker-2 pve2 108"]);
    let last = steps_of(&plan, "k8s-worker-1").last().unwrap().id;
    assert_eq!(steps_of(&plan, "k8s-worker-2")[0].needs, [last]);
}

#[test]
fn an_older_image_is_information_and_replace_outdated_rolls_it_out() {
    let (desired, mut observed) = cluster();
    observed.upstream = Upstream::Known { digest: digest('b'), source: "SHA256SUMS".into() };
    let told = plan(&desired, &observed);
    assert!(!told.has_changes());
    assert!(notes(&told, "older-image")[0].starts_with("7 machines are on an older image"));
    let rolled = plan_with(&desired, &observed, |o| o.replace_outdated = true);
    assert_eq!(rolled.summary().templates, Count { add: 3, change: 0, destroy: 3 });
    assert_eq!(rolled.summary().machines, Count { add: 7, change: 0, destroy: 7 });
    assert_eq!(lines(&rolled)[0], "replace ubuntu-2204-cloud-template pve1 9000");
}

#[test]
fn two_vms_with_the_mark_of_one_machine_are_refused() {
    let (desired, mut observed) = cluster();
    let twin = desired.machines[3].clone();
    put_machine(&mut observed, "pve3", 300, &twin);
    let plan = plan(&desired, &observed);
    assert_eq!(failed(&plan), ["duplicate-machine"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn a_copied_mark_is_foreign() {
    let (desired, mut observed) = cluster();
    let copy = config_of(&desired.machines[3], 104);
    put(&mut observed, "pve3", 300, copy, true);
    assert!(!plan(&desired, &observed).has_changes());
    realm(&mut observed, "pve1").guests.remove(&Vmid(104));
    let plan = plan(&desired, &observed);
    assert_eq!(failed(&plan), ["mark-lost"]);
    assert!(plan.checks[0].hint.contains("pvekube adopt k8s-worker-1 --vmid 300"));
}

#[test]
fn any_two_drifts_are_mended_by_one_apply() {
    let drifts = [
        ("cores", "1"),
        ("memory", "2048"),
        ("balloon", "1024"),
        ("agent", "enabled=0"),
        ("name", "other"),
        ("onboot", "0"),
        ("protection", "1"),
        ("startup", "order=7,up=3"),
        ("tags", "mine"),
        ("ciuser", "admin"),
        ("ciupgrade", "1"),
        ("ipconfig0", "ip=10.0.0.9/24,gw=10.0.0.1"),
        ("sshkeys", "ssh-ed25519%20AAAA%20x"),
        ("scsi0", "local-lvm:vm-104-disk-0,size=32G"),
        ("net0", "e1000=BC:24:11:00:00:68,bridge=vmbr9,tag=5,firewall=1"),
    ];
    for (i, first) in drifts.iter().enumerate() {
        for (second, running) in drifts[i..].iter().flat_map(|second| [(second, true), (second, false)]) {
            let (desired, mut observed) = cluster();
            if !running {
                stop(&mut observed, "pve1", 104);
            }
            for (key, value) in [first, second] {
                config_mut(&mut observed, 104).keys.insert((*key).into(), (*value).into());
            }
            let once = plan(&desired, &observed);
            super::model::apply(&mut observed, &super::model::order(&once, |_| 0));
            let again = plan(&desired, &observed);
            assert!(
                !again.has_changes() && again.steps.is_empty(),
                "{first:?} {second:?} {running}: {:?}",
                lines(&again)
            );
            let consent = plan_with(&desired, &observed, |o| o.accept = HazardKind::ALL.into());
            super::model::apply(&mut observed, &super::model::order(&consent, |_| 0));
            let settled = plan_with(&desired, &observed, |o| o.accept = HazardKind::ALL.into());
            assert!(
                settled.changes.is_empty() && settled.notes.is_empty(),
                "{first:?} {second:?} {running}: {settled:#?}"
            );
        }
    }
}
