//! What a plan does, in 64 hex digits: the same digest, the same work.
//!
//! In it: every change and every step with its names, ids, values and order. Not in it: what is said about them (reasons,
//! notes, places in files, how full nodes are, estimates), so that another VM's memory use, or a comment in the manifest,
//! makes no other digest.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::values::sensitive;
use crate::model::plan::{Change, ChangeAction, Plan, Step};

/// SHA-256 of the canonical JSON of what the plan does, as 64 lower-case hex digits.
pub fn plan_digest(plan: &Plan) -> String {
    let changes: Vec<Value> =
        plan.changes.iter().filter(|change| change.action != ChangeAction::None).map(change_value).collect();
    let steps: Vec<Value> = plan.steps.iter().map(step_value).collect();
    digest(&json!({ "digest_version": 1, "cluster": plan.cluster, "changes": changes, "steps": steps }))
}

fn change_value(change: &Change) -> Value {
    // Taken apart, so that a new member has to be thought about here.
    let Change {
        target,
        action,
        node,
        realm,
        vmid,
        fields,
        spec,
        template,
        reason: _,
        why_node: _,
        unchanged_fields: _,
        place: _,
    } = change;
    // As a saved plan keeps them, so that its digest is the plan's.
    let shown = |hidden: bool, value: &Option<String>| {
        value.as_ref().map(|value| if hidden { sensitive(value) } else { value.clone() })
    };
    let fields: Vec<Value> = fields
        .iter()
        .map(|field| {
            let hidden = field.sensitive;
            json!([field.field, shown(hidden, &field.old), shown(hidden, &field.new), field.effect])
        })
        .collect();
    let template = template.as_ref().map(|note| json!([note.storage, note.image_url, note.digest, note.bake]));
    json!({
        "target": target, "action": action, "node": node, "realm": realm, "vmid": vmid,
        "fields": fields, "spec": spec, "template": template,
    })
}

fn step_value(step: &Step) -> Value {
    let Step { id, needs, node, subject, vmid, action, storage, estimate_s: _, disruption } = step;
    json!({
        "id": id, "needs": needs, "node": node, "subject": subject, "vmid": vmid, "action": action,
        "storage": storage, "disruption": disruption,
    })
}

/// SHA-256 of a value's canonical form.
pub fn digest(value: &Value) -> String {
    hex::encode(Sha256::digest(canonical(value).as_bytes()))
}

/// SHA-256 of a file's bytes, as 64 hex digits.
pub fn bytes_digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// JSON without spaces, object keys in byte order: one text for one value.
pub(crate) fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<(&String, &Value)> = members.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_is_of_no_matter() {
        let (one, other) =
            (json!({"b": [1, {"y": 1, "x": 2}], "a": null}), json!({"a": null, "b": [1, {"x": 2, "y": 1}]}));
        assert_eq!(canonical(&one), r#"{"a":null,"b":[1,{"x":2,"y":1}]}"#);
        assert_eq!(digest(&one), digest(&other));
        assert_ne!(digest(&json!([1, 2])), digest(&json!([2, 1])));
    }
}
