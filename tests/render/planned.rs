//! What the real planner says of built clusters, in every format.

use pvekube::model::plan::{HazardKind, Plan};
use pvekube::render::Look;
use pvekube::render::json::{plan_json, plan_schema};
use pvekube::render::text::{PlanView, plan_text, summary_line};

use crate::build::*;
use crate::formats;

/// Situations that a reviewer meets, by name.
pub fn all() -> Vec<(&'static str, Plan)> {
    let wanted = || {
        let mut desired = with_machines(desired(3), 3, 3);
        for (index, address) in ["10.0.0.11/24", "10.0.0.12/24", "10.0.0.13/24"].iter().enumerate() {
            fixed(&mut desired.machines[index], address, "10.0.0.1");
        }
        desired
    };
    let settled_all = || settled(&wanted(), 3);
    let without = |name: &str| {
        let mut desired = wanted();
        desired.machines.retain(|machine| machine.name.as_str() != name);
        desired
    };
    let larger = |name: &str| {
        let mut desired = wanted();
        for machine in desired.machines.iter_mut().filter(|machine| machine.name.as_str() == name) {
            machine.memory_mb *= 2;
            machine.disk_gb += 40;
            machine.cloud_init.nameservers = vec!["10.0.0.1".to_owned(), "1.1.1.1".to_owned()];
        }
        desired
    };
    let mut silent_node = settled_all();
    silent_node.nodes.insert("pve3".into(), silent());
    let mut stopped = settled_all();
    stop(&mut stopped, "pve2", 102);
    let mut foreign_name = observed(3);
    foreign(&mut foreign_name, "pve1", 100, "k8s-worker-1");
    let mut newer_image = settled_all();
    newer_image.upstream =
        pvekube::model::observed::Upstream::Known { digest: digest('b'), source: "SHA256SUMS".to_owned() };
    let mut old_storage = settled_all();
    realm(&mut old_storage, "pve1").storages.clear();
    vec![
        ("empty", plan(&wanted(), &observed(3))),
        ("settled", plan(&wanted(), &settled_all())),
        ("scale-down", plan(&without("k8s-worker-3"), &settled_all())),
        ("prune", plan_with(&without("k8s-master-2"), &settled_all(), |options| options.prune = true)),
        ("resize", plan(&larger("k8s-worker-2"), &settled_all())),
        (
            "resize-accepted",
            plan_with(&larger("k8s-worker-2"), &settled_all(), |options| {
                options.accept = [HazardKind::RebootWorkers].into();
            }),
        ),
        ("node-silent", plan(&larger("k8s-worker-3"), &silent_node)),
        ("without-node", plan_with(&wanted(), &settled_all(), |options| options.without_node = Some("pve3".into()))),
        ("stopped", plan(&wanted(), &stopped)),
        ("foreign-name", plan(&wanted(), &foreign_name)),
        ("older-image", plan(&wanted(), &newer_image)),
        ("replace-outdated", plan_with(&wanted(), &newer_image, |options| options.replace_outdated = true)),
        ("storage-gone", plan(&larger("k8s-worker-2"), &old_storage)),
        (
            "destroy",
            plan_with(&wanted(), &settled_all(), |options| {
                options.destroy = true;
                options.templates = true;
            }),
        ),
    ]
}

#[test]
fn planned_text() {
    for (name, plan) in all() {
        for width in [80, 120] {
            let text = plan_text(&PlanView::new(&plan, Look { width, color: false }));
            assert_eq!(text.lines().last(), Some(summary_line(&plan).as_str()), "{name}");
            insta::assert_snapshot!(format!("{name}-{width}"), text);
        }
    }
}

#[test]
fn planned_json() {
    let schema = serde_json::from_str(&plan_schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, plan) in all() {
        let text = plan_json(&PlanView::new(&plan, Look::PLAIN));
        let value = serde_json::from_str(&text).unwrap();
        assert!(validator.is_valid(&value), "{name}");
        assert!(!text.contains("AAAAC3Nza"), "{name}: a key in full");
        insta::assert_snapshot!(format!("{name}-json"), text);
    }
}

#[test]
fn planned_markdown() {
    for (name, plan) in all() {
        insta::assert_snapshot!(format!("{name}-markdown"), formats::markdown(&plan));
    }
}
