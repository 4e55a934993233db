//! Plans whose text is hostile, wide or secret.

use pvekube::model::desired::Address;
use pvekube::model::plan::*;

use crate::samples::*;
use crate::scenarios::update;

/// Names and descriptions that try to act on a terminal, a table or a comment.
pub fn hostile_text() -> Plan {
    let mut plan = plan(vec![update(
        "worker-4",
        "pve2",
        113,
        vec![
            field(
                "description",
                Some("\u{1b}[2Jgone | `x` <img src=x> @octocat\u{202e}"),
                Some("日本語 | ok"),
                Effect::Live,
            ),
            field("tags", Some("a|b"), Some("<!-- x --> a|b"), Effect::Live),
        ],
    )]);
    plan.checks = vec![check(
        "name-taken",
        Verdict::Warning,
        "pve1|`pve2`",
        "VM \"<b>@team</b>\" has that name",
        "rename it --> or not",
    )];
    plan.notes = vec![note("left-alone", "::error::injected\n::set-output name=x::y", None)];
    plan.nodes = vec![node("pve1", (5, 5), (32, 32), (300, 300))];
    plan
}

pub fn wide_addresses() -> Plan {
    let mut six = spec("large", 4, 8192, 80, "10.0.0.31/24");
    six.network.vlan = Some(20);
    six.network.ipv6 = Some(Address::Static { address: "fd00:10:20:30::31/64".parse().unwrap(), gateway: None });
    let mut gpu = create(
        "gpu-1",
        "a-node-with-a-long-name",
        200,
        six,
        "the only node with enough memory free: 120 of 256 GiB; pve1 has 3 GiB, pve2 1 GiB",
    );
    gpu.place = None;
    let mut plan = plan(vec![gpu]);
    machine_steps(&mut plan.steps, "gpu-1", "a-node-with-a-long-name", 200, 9000, &[]);
    let mut odd = node("a-node-with-a-long-name", (120, 121), (300, 308), (30000, 30080));
    odd.memory_total_bytes = 1024 * GIB;
    odd.storage_total_bytes = 61440 * GIB;
    odd.storage = "ceph-nvme".into();
    plan.nodes = vec![odd, node("pve1", (5, 5), (61, 61), (300, 300))];
    plan
}

pub fn keys_and_notes() -> Plan {
    let keys = FieldChange {
        sensitive: true,
        ..field("sshkeys", Some(KEY_OLD), Some(&format!("{KEY_OLD}{KEY_NEW}")), Effect::NextBoot)
    };
    let password = FieldChange { sensitive: true, ..field("cipassword", Some("$5$canary$x"), None, Effect::NextBoot) };
    let mut plan = plan(vec![update("worker-4", "pve2", 113, vec![keys, password])]);
    plan.nodes = vec![node("pve2", (6, 6), (40, 40), (400, 400))];
    plan
}
