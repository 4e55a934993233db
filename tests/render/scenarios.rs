//! One plan for each situation, by name.

use pvekube::model::desired::Place;
use pvekube::model::plan::*;

use crate::odd_text;
use crate::samples::*;

/// Every scenario, in the order of `style.md` and on.
pub fn all() -> Vec<(&'static str, Plan)> {
    vec![
        ("first-plan", first_plan()),
        ("scale-up", scale_up()),
        ("scale-down", scale_down()),
        ("left-alone", left_alone()),
        ("resize-live", resize_live()),
        ("resize-reboot", resize_reboot()),
        ("resize-pending", resize_pending()),
        ("image-change", image_change()),
        ("drift", drift()),
        ("foreign-vmid", foreign_vmid()),
        ("node-down", node_down()),
        ("interrupted", interrupted()),
        ("nothing-to-do", nothing_to_do()),
        ("hostile-text", odd_text::hostile_text()),
        ("wide-addresses", odd_text::wide_addresses()),
        ("keys-and-notes", odd_text::keys_and_notes()),
        ("destroy", destroy()),
    ]
}

pub fn first_plan() -> Plan {
    let medium = |address| spec("medium", 2, 4096, 40, address);
    let mut plan = plan(vec![
        template_create("pve1", 9000),
        template_create("pve2", 9001),
        template_create("pve3", 9002),
        create("master-1", "pve1", 101, medium("10.0.0.11/24"), "fewest VMs (2), no master yet"),
        create("master-2", "pve3", 102, medium("10.0.0.12/24"), "fewest VMs (4), no master yet"),
        create("master-3", "pve2", 103, medium("10.0.0.13/24"), "only node without a master"),
        create("worker-1", "pve1", 104, spec("large", 4, 8192, 80, "dhcp"), "fewest VMs (3)"),
        create("worker-2", "pve3", 105, spec("large", 4, 8192, 80, "dhcp"), "fewest VMs (5)"),
    ]);
    for (node, vmid, machines) in [
        ("pve1", 9000, vec![("master-1", 101), ("worker-1", 104)]),
        ("pve2", 9001, vec![("master-3", 103)]),
        ("pve3", 9002, vec![("master-2", 102), ("worker-2", 105)]),
    ] {
        let ready = template_steps(&mut plan.steps, node, vmid);
        for (id, machine) in machines {
            machine_steps(&mut plan.steps, id, node, machine, vmid, &[ready]);
        }
    }
    plan.nodes = vec![
        node("pve1", (2, 4), (8, 20), (96, 216)),
        node("pve2", (9, 10), (40, 44), (400, 440)),
        node("pve3", (4, 6), (16, 28), (120, 240)),
    ];
    plan.checks = vec![check("quorum", Verdict::Passed, "home", "3 of 3 members are online", "")];
    plan
}

fn scale_up() -> Plan {
    let changes = (2..12)
        .map(|number| {
            let node = format!("pve{}", number % 3 + 1);
            let why = format!("fewest VMs ({})", 3 + number / 3);
            create(&format!("worker-{number}"), &node, 110 + number, spec("large", 4, 8192, 80, "dhcp"), &why)
        })
        .collect();
    let mut plan = plan(changes);
    for number in 2..12 {
        let node = format!("pve{}", number % 3 + 1);
        machine_steps(&mut plan.steps, &format!("worker-{number}"), &node, 110 + number, 9000, &[]);
    }
    plan.unchanged = vec!["k8s-master-1".into(), "k8s-worker-1".into()];
    plan.nodes = vec![
        node("pve1", (3, 6), (12, 36), (136, 376)),
        node("pve2", (4, 7), (16, 40), (200, 440)),
        node("pve3", (3, 7), (12, 44), (120, 440)),
    ];
    plan
}

fn delete(id: &str, node: &str, vmid: u32) -> Change {
    Change { reason: "not in the manifest".to_owned(), ..change(machine(id), ChangeAction::Delete, node, vmid) }
}

fn scale_down() -> Plan {
    let mut plan =
        plan(vec![delete("master-3", "pve2", 103), delete("worker-5", "pve1", 115), delete("worker-6", "pve2", 116)]);
    plan.hazards = vec![
        hazard(HazardKind::DeleteMasters, "1 of 3 masters is deleted: k8s-master-3", &["k8s-master-3"]),
        hazard(
            HazardKind::ManyDeletes,
            "3 of 9 machines are deleted (33 %; more than 30 % needs consent)",
            &["k8s-master-3", "k8s-worker-5", "k8s-worker-6"],
        ),
    ];
    for (index, change) in plan.changes.clone().into_iter().enumerate() {
        let mark = mark(&change.target, change.vmid.0);
        plan.steps.push(Step {
            id: StepId(index as u32),
            needs: vec![],
            node: change.node,
            subject: change.target,
            vmid: change.vmid,
            action: Action::Destroy { mark, half_made: false },
            storage: None,
            estimate_s: 8,
            disruption: None,
        });
    }
    plan.unchanged = (1..5).map(|n| format!("k8s-worker-{n}").as_str().into()).collect();
    plan.nodes = vec![node("pve1", (5, 4), (32, 24), (300, 220)), node("pve2", (6, 4), (40, 28), (400, 280))];
    plan
}

fn left_alone() -> Plan {
    let alone = |id: &str, vmid| Change {
        reason: "not in the manifest; left alone (use --prune to delete it)".to_owned(),
        ..change(machine(id), ChangeAction::None, "pve2", vmid)
    };
    let mut plan = plan(vec![alone("worker-6", 116), alone("worker-7", 117)]);
    plan.unchanged = vec!["k8s-master-1".into()];
    plan.notes = vec![
        note("left-alone", "k8s-worker-6 is not in the manifest", Some("k8s-worker-6")),
        note(
            "older-image",
            "5 machines are on an older image than sha256 5a3c…e91f (--replace-outdated rolls it out)",
            None,
        ),
    ];
    plan
}

pub fn update(id: &str, node: &str, vmid: u32, fields: Vec<FieldChange>) -> Change {
    Change {
        fields,
        unchanged_fields: 11,
        spec: Some(spec("large", 4, 16384, 120, "dhcp")),
        place: Some(Place { file: "cluster.yaml".to_owned(), line: 9, column: 5 }),
        ..change(machine(id), ChangeAction::Update, node, vmid)
    }
}

fn resize_live() -> Plan {
    let grown = FieldChange {
        comment: Some("the guest grows it at its next boot".to_owned()),
        ..field("disk_gb", Some("80"), Some("120"), Effect::Live)
    };
    let mut plan = plan(vec![update("worker-4", "pve2", 113, vec![grown])]);
    let target = machine("worker-4");
    plan.steps = vec![Step {
        id: StepId(0),
        needs: vec![],
        node: "pve2".into(),
        action: Action::Resize { mark: mark(&target, 113), disk: "scsi0".to_owned(), size_gb: 120 },
        subject: target,
        vmid: plan.changes[0].vmid,
        storage: None,
        estimate_s: 2,
        disruption: None,
    }];
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300)), node("pve2", (6, 6), (40, 40), (400, 440))];
    plan
}

fn resize_fields() -> Vec<FieldChange> {
    vec![
        field("memory_mb", Some("8192"), Some("16384"), Effect::Reboot),
        FieldChange {
            comment: Some("the guest grows it at its next boot".to_owned()),
            ..field("disk_gb", Some("80"), Some("120"), Effect::Live)
        },
        field("nameserver", Some("10.0.0.1"), Some("10.0.0.1 1.1.1.1"), Effect::NextBoot),
        field("searchdomain", Some("old.example.com"), None, Effect::NextBoot),
        field("vlan", None, Some("20"), Effect::Live),
    ]
}

fn resize_reboot() -> Plan {
    let mut plan = plan(vec![update("worker-4", "pve2", 113, resize_fields())]);
    reboot_steps(&mut plan.steps, "worker-4", "pve2", 113, 1);
    plan.hazards =
        vec![hazard(HazardKind::RebootWorkers, "k8s-worker-4 reboots (rolling, 1 at a time)", &["k8s-worker-4"])];
    plan.hazards[0].accepted = true;
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300)), node("pve2", (6, 6), (40, 48), (400, 440))];
    plan
}

fn resize_pending() -> Plan {
    let mut plan = plan(vec![update("worker-4", "pve2", 113, resize_fields())]);
    plan.nodes = vec![node("pve2", (6, 6), (40, 40), (400, 440))];
    plan
}

fn image_change() -> Plan {
    let replaced = |id: &str, node: &str, vmid| Change {
        reason: "made from image sha256 11aa…22bb, upstream is sha256 5a3c…e91f (--replace-outdated)".to_owned(),
        spec: Some(spec("large", 4, 8192, 80, "dhcp")),
        ..change(machine(id), ChangeAction::Replace, node, vmid)
    };
    let mut plan =
        plan(vec![template_create("pve1", 9003), replaced("worker-1", "pve1", 118), replaced("worker-2", "pve2", 119)]);
    plan.hazards = vec![hazard(
        HazardKind::Replace,
        "2 machines are deleted and made again, one at a time: k8s-worker-1, k8s-worker-2",
        &["k8s-worker-1", "k8s-worker-2"],
    )];
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300))];
    plan
}

fn drift() -> Plan {
    let mut plan = plan(vec![update(
        "master-1",
        "pve1",
        101,
        vec![
            field("onboot", Some("0"), Some("1"), Effect::Live),
            field("tags", Some("prod"), Some("k8s-master prod pvekube"), Effect::Live),
            field(
                "description",
                Some("line one\npvekube/1 cluster=k8s machine=master-1 vmid=101\nold words"),
                Some("line one\npvekube/1 cluster=k8s machine=master-1 vmid=101 image=sha256-5a3c\nold words"),
                Effect::Live,
            ),
        ],
    )]);
    plan.unchanged = vec!["k8s-worker-1".into()];
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300))];
    plan
}

fn foreign_vmid() -> Plan {
    let mut plan = plan(vec![]);
    plan.checks = vec![
        Check {
            place: Some(Place { file: "cluster.yaml".to_owned(), line: 14, column: 32 }),
            ..check(
                "vmid-taken",
                Verdict::Failed,
                "k8s-worker-4",
                "VMID 250 belongs to VM \"nas\" on pve2, which is not ours",
                "choose another `vmid:`, or leave it out and the lowest free one of 200-299 is taken",
            )
        },
        check(
            "storage-missing",
            Verdict::Failed,
            "pve1",
            "storage local-lvm is disabled in storage.cfg",
            "enable it: pvesm set local-lvm --disable 0",
        ),
        check(
            "storage-missing",
            Verdict::Failed,
            "pve3",
            "storage local-lvm is disabled in storage.cfg",
            "enable it: pvesm set local-lvm --disable 0",
        ),
        check(
            "thin-overcommit",
            Verdict::Warning,
            "pve2",
            "local-lvm would be promised 1.9 TiB of 800 GiB",
            "watch its use, or raise limits.storage_overcommit",
        ),
        check("quorum", Verdict::Passed, "home", "3 of 3 members are online", ""),
    ];
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300))];
    plan
}

fn node_down() -> Plan {
    let mut plan = plan(vec![create(
        "worker-5",
        "pve1",
        115,
        spec("large", 4, 8192, 80, "dhcp"),
        "fewest VMs (5) of 2 nodes that answered",
    )]);
    machine_steps(&mut plan.steps, "worker-5", "pve1", 115, 9000, &[]);
    plan.checks = vec![
        check(
            "node-silent",
            Verdict::Unknown,
            "pve3",
            "it did not answer; power and memory of k8s-master-3, k8s-worker-3 are unknown, and nothing is placed there",
            "bring it back, or plan without it: pvekube plan --without-node pve3",
        ),
        check(
            "held-back",
            Verdict::Unknown,
            "k8s-worker-6",
            "it could already be on pve4, which is not of this cluster and did not answer: not created",
            "bring pve4 back, or plan without it: pvekube plan --without-node pve4",
        ),
    ];
    plan.unchanged = vec!["k8s-master-1".into(), "k8s-master-2".into()];
    plan.nodes = vec![node("pve1", (5, 6), (32, 40), (300, 380)), node("pve2", (6, 6), (40, 40), (400, 400))];
    plan.nodes.push(NodeUse { known: false, ..node("pve3", (0, 0), (0, 0), (0, 0)) });
    plan
}

fn interrupted() -> Plan {
    let mut plan = plan(vec![
        Change {
            reason: "its clone is still running (operation k8s-104-clone-7f3a): waited for".to_owned(),
            spec: Some(spec("large", 4, 8192, 80, "dhcp")),
            ..change(machine("worker-1"), ChangeAction::Resume, "pve1", 104)
        },
        Change {
            reason: "half-made clone (lock: clone, nothing runs): made again".to_owned(),
            spec: Some(spec("large", 4, 8192, 80, "dhcp")),
            ..change(machine("worker-2"), ChangeAction::Replace, "pve3", 105)
        },
    ]);
    machine_steps(&mut plan.steps, "worker-1", "pve1", 104, 9000, &[]);
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300))];
    plan
}

fn nothing_to_do() -> Plan {
    let mut plan = plan(vec![]);
    plan.unchanged = (1..8).map(|n| format!("k8s-worker-{n}").as_str().into()).collect();
    plan.notes = vec![note(
        "pending-reboot",
        "k8s-worker-2 waits for its next reboot: memory_mb 8192 -> 16384",
        Some("k8s-worker-2"),
    )];
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300))];
    plan
}

fn destroy() -> Plan {
    let template =
        Change { reason: "destroy --templates".to_owned(), ..change(template(), ChangeAction::Delete, "pve1", 9000) };
    let mut plan = plan(vec![template, delete("master-1", "pve1", 101), delete("worker-1", "pve2", 104)]);
    plan.changes[1].reason = "destroy".to_owned();
    plan.changes[2].reason = "destroy".to_owned();
    plan.hazards = vec![
        hazard(HazardKind::DeleteMasters, "1 of 1 masters is deleted: k8s-master-1", &["k8s-master-1"]),
        hazard(HazardKind::BreakQuorum, "0 of 1 masters stay; 1 is needed", &["k8s-master-1"]),
        hazard(HazardKind::ManyDeletes, "2 of 2 machines are deleted (100 %)", &["k8s-master-1", "k8s-worker-1"]),
    ];
    plan.nodes = vec![node("pve1", (5, 3), (32, 28), (300, 260)), node("pve2", (6, 5), (40, 32), (400, 320))];
    plan
}
