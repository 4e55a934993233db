//! Plans as JSON: the shape, the schema, nothing secret, and what the digest rests on.

use pvekube::model::ids::Vmid;
use pvekube::model::plan::{ChangeAction, Effect, Verdict};
use pvekube::render::Look;
use pvekube::render::digest::plan_digest;
use pvekube::render::json::{ActionOut, PlanDocument, document, plan_json, plan_schema};
use pvekube::render::text::PlanView;
use serde_json::Value;

use crate::samples::{check, field, note};
use crate::scenarios;

#[test]
fn plans_as_json() {
    for (name, plan) in scenarios::all() {
        insta::assert_snapshot!(name, plan_json(&PlanView::new(&plan, Look::PLAIN)));
    }
}

#[test]
fn every_plan_fits_the_schema_and_reads_back() {
    let schema: Value = serde_json::from_str(&plan_schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, plan) in scenarios::all() {
        let text = plan_json(&PlanView::new(&plan, Look::PLAIN));
        let value: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let read: PlanDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(read, document(&PlanView::new(&plan, Look::PLAIN)), "{name}");
    }
}

#[test]
fn the_schema_tells_a_wrong_document() {
    let schema: Value = serde_json::from_str(&plan_schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let plan = scenarios::first_plan();
    let mut value: Value = serde_json::from_str(&plan_json(&PlanView::new(&plan, Look::PLAIN))).unwrap();
    value["resource_changes"][0]["change"]["actions"][0] = "explode".into();
    assert!(!validator.is_valid(&value));
}

#[test]
fn the_schema_in_the_docs_is_the_code_s() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plan.schema.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, plan_schema()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written == plan_schema(), "docs/plan.schema.json is out of date: UPDATE_DOCS=1 cargo test --test render");
}

#[test]
fn keys_and_passwords_are_never_in_it() {
    for (name, plan) in scenarios::all() {
        let text = plan_json(&PlanView::new(&plan, Look::PLAIN));
        for secret in ["AAAAC3Nza", "canary"] {
            assert!(!text.contains(secret), "{name} has {secret}");
        }
    }
}

/// What a policy for OpenTofu plans does: scan the actions for `delete`, look at `before`.
#[test]
fn a_policy_can_find_deleted_masters() {
    let plan = scenarios::all().into_iter().find(|(name, _)| *name == "scale-down").unwrap().1;
    let document = document(&PlanView::new(&plan, Look::PLAIN));
    let masters: Vec<&str> = document
        .resource_changes
        .iter()
        .filter(|resource| resource.change.actions.contains(&ActionOut::Delete))
        .filter(|resource| resource.change.before.as_ref().is_some_and(|before| before["role"] == "master"))
        .map(|resource| resource.address.as_str())
        .collect();
    assert_eq!(masters, ["pvekube_machine.k8s-master-3"]);
    assert!(!document.applyable, "its hazards are not accepted");
}

#[test]
fn what_is_said_about_the_work_is_not_in_the_digest() {
    let plan = scenarios::first_plan();
    let digest = plan_digest(&plan);
    let mut said = plan.clone();
    said.nodes[0].memory_bytes.0 += 1;
    said.notes.push(note("older-image", "new words", None));
    said.checks.push(check("quorum", Verdict::Passed, "home", "", ""));
    said.changes[3].why_node = Some("other words".to_owned());
    said.changes[3].place = None;
    said.steps[0].estimate_s += 1;
    said.unchanged.push("k8s-worker-9".into());
    assert_eq!(plan_digest(&said), digest);
}

#[test]
fn the_work_is_in_the_digest() {
    let plan = scenarios::first_plan();
    let mut others = vec![plan.clone(); 7];
    others[0].changes[3].vmid = Vmid(999);
    others[1].changes[3].node = "pve9".into();
    others[2].changes[3].action = ChangeAction::Resume;
    others[3].changes[3].fields.push(field("tags", None, Some("x"), Effect::Live));
    others[4].steps.pop();
    others[5].steps[1].needs.clear();
    others[6].cluster = "other".into();
    let mut digests: Vec<String> = others.iter().map(plan_digest).collect();
    digests.push(plan_digest(&plan));
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
    assert!(digests.iter().all(|digest| digest.len() == 64));
}
