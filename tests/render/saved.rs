//! Saved plans: whole, without secrets, refused in doubt, and what moved in words.

use std::collections::BTreeMap;

use pvekube::model::observed::{NodeState, Observed, Power, Silence, Upstream};
use pvekube::model::plan::{HazardKind, Plan};
use pvekube::planner::PlanOptions;
use pvekube::render::Look;
use pvekube::render::digest::plan_digest;
use pvekube::render::fault::fault_text;
use pvekube::render::saved::{Inputs, SavedPlan, expect, fingerprint, moved, stale};

use crate::observed::{observed, realm, vm};
use crate::scenarios;

fn inputs() -> Inputs {
    BTreeMap::from([("cluster.yaml".to_owned(), "a".repeat(64)), ("config.yaml".to_owned(), "b".repeat(64))])
}

fn scenario(name: &str) -> Plan {
    scenarios::all().into_iter().find(|(other, _)| *other == name).unwrap().1
}

/// worker-4 is to be changed on pve2; two other machines stand beside it.
fn seen() -> Observed {
    observed(vec![
        vm("worker-4", "pve2", 113, Power::Running),
        vm("master-1", "pve1", 101, Power::Running),
        vm("worker-1", "pve1", 104, Power::Running),
    ])
}

fn saved(plan: &Plan, observed: &Observed) -> SavedPlan {
    let options = PlanOptions { prune: true, accept: [HazardKind::RebootWorkers].into(), ..PlanOptions::default() };
    SavedPlan::new(plan, &options, fingerprint(plan, observed, inputs()), 1_795_000_000)
}

#[test]
fn a_saved_plan_reads_back_whole() {
    for (name, plan) in scenarios::all() {
        let saved = saved(&plan, &seen());
        let read = SavedPlan::from_bytes(saved.to_text().as_bytes(), "plan.json").unwrap();
        assert_eq!(read, saved, "{name}");
        assert_eq!(plan_digest(&read.plan), plan_digest(&plan), "{name}");
        assert_eq!(read.plan.steps, plan.steps, "{name}: what runs is what was shown");
    }
}

#[test]
fn any_changed_or_missing_byte_is_refused() {
    let text = saved(&scenario("resize-reboot"), &seen()).to_text();
    let refused = |bytes: &[u8]| SavedPlan::from_bytes(bytes, "plan.json").is_err();
    for at in (0..text.len()).step_by(53).chain(text.len() - 80..text.len()) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(refused(&bytes), "byte {at}: {:?}", &text[at.saturating_sub(5)..at + 1]);
        assert!(refused(&text.as_bytes()[..at]), "cut at {at}");
    }
    assert!(refused(format!("{text} ").as_bytes()));
}

#[test]
fn what_is_no_saved_plan_is_told_what_it_is() {
    let plan = scenario("resize-reboot");
    let text = saved(&plan, &seen()).to_text();
    let newer = text.replace("pvekube-plan/1", "pvekube-plan/2");
    let shown = pvekube::render::json::plan_json(&pvekube::render::text::PlanView::new(&plan, Look::PLAIN));
    let edited = text.replace("16384", "32768");
    let mut said = String::new();
    for bytes in [b"\xff\xfe".as_slice(), b"nodes: []", b"[]", shown.as_bytes(), newer.as_bytes(), edited.as_bytes()] {
        said.push_str(&fault_text(
            &SavedPlan::from_bytes(bytes, "plan.json").unwrap_err(),
            Look { width: 110, color: false },
        ));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn it_is_for_one_cluster_and_for_real_or_simulated_nodes() {
    let mut saved = saved(&scenario("resize-reboot"), &seen());
    assert_eq!(saved.admits(&"k8s".into(), false), Ok(()));
    assert_eq!(saved.admits(&"other".into(), false).unwrap_err().id, "saved-plan-other-cluster");
    assert_eq!(saved.admits(&"k8s".into(), true).unwrap_err().id, "saved-plan-other-cluster");
    saved.offline = true;
    assert_eq!(saved.admits(&"k8s".into(), false).unwrap_err().id, "saved-plan-offline");
}

#[test]
fn no_secret_is_in_it() {
    let text = saved(&scenario("keys-and-notes"), &seen()).to_text();
    assert!(!text.contains("canary") && !text.contains("AAAAC3Nza"), "{text}");
}

#[test]
fn what_does_not_matter_does_not_make_it_stale() {
    let plan = scenario("resize-reboot");
    let mut now = seen();
    let then = fingerprint(&plan, &now, inputs());
    now.taken_at += 86_400;
    let realm = now.realms.get_mut(&realm()).unwrap();
    // Another VM's config; a foreign VM; a node that the plan does not need; an upstream image that it does not use.
    realm.guests.insert(pvekube::model::ids::Vmid(104), {
        let mut other = vm("worker-1", "pve1", 104, Power::Running);
        other.config.as_mut().unwrap().digest = "f".repeat(40);
        pvekube::model::observed::Guest::Vm(Box::new(other))
    });
    let mut foreign = vm("worker-9", "pve1", 300, Power::Running);
    foreign.config.as_mut().unwrap().description = String::new();
    realm.guests.insert(foreign.vmid, pvekube::model::observed::Guest::Vm(Box::new(foreign)));
    now.nodes.insert("pve3".into(), silent());
    now.upstream = Upstream::Unknown { reason: "offline".to_owned() };
    assert_eq!(moved(&then, &fingerprint(&plan, &now, inputs())), []);
}

fn silent() -> NodeState {
    NodeState::Silent(Silence { reason: "timeout".to_owned(), hint: String::new(), detail: String::new() })
}

#[test]
fn what_moved_is_said_thing_by_thing() {
    let plan = scenario("resize-reboot");
    let then = fingerprint(&plan, &seen(), inputs());
    let mut changed = vm("worker-4", "pve3", 113, Power::Stopped);
    changed.config.as_mut().unwrap().digest = "e".repeat(40);
    let mut now = observed(vec![
        changed,
        vm("master-1", "pve1", 101, Power::Stopped),
        vm("worker-2", "pve1", 105, Power::Running),
    ]);
    now.nodes.insert("pve2".into(), silent());
    let inputs =
        BTreeMap::from([("cluster.yaml".to_owned(), "c".repeat(64)), ("config.yaml".to_owned(), "b".repeat(64))]);
    let fault = stale(&moved(&then, &fingerprint(&plan, &now, inputs)));
    insta::assert_snapshot!(fault_text(&fault, Look { width: 110, color: false }));
}

#[test]
fn a_taken_id_and_another_image_move_a_plan_that_creates() {
    let plan = scenarios::first_plan();
    let then = fingerprint(&plan, &seen_empty(), inputs());
    let mut now = observed(vec![vm("worker-7", "pve1", 102, Power::Running)]);
    let other = format!("sha256-{}", "7".repeat(64)).parse().unwrap();
    now.upstream = Upstream::Known { digest: other, source: "SHA256SUMS".to_owned() };
    let fault = stale(&moved(&then, &fingerprint(&plan, &now, inputs())));
    insta::assert_snapshot!(fault_text(&fault, Look { width: 110, color: false }));
}

fn seen_empty() -> Observed {
    observed(Vec::new())
}

#[test]
fn an_expected_digest_is_a_long_enough_beginning() {
    let plan = scenarios::first_plan();
    let digest = plan_digest(&plan);
    assert_eq!(expect(&plan, &digest), Ok(()));
    assert_eq!(expect(&plan, &digest[..12].to_uppercase()), Ok(()));
    for bad in ["", &digest[..11], "zzzzzzzzzzzz", &format!("{digest}0")] {
        assert_eq!(expect(&plan, bad).unwrap_err().id, "expect-digest", "{bad}");
    }
    assert_eq!(expect(&plan, &"0".repeat(64)).unwrap_err().id, "plan-differs");
}
