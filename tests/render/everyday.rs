//! `status`, `doctor`, `explain`, and saved observations.

use std::collections::BTreeMap;

use pvekube::model::ids::Vmid;
use pvekube::model::observed::{Observed, Upstream};
use pvekube::model::outcome::{MachineReport, Stage};
use pvekube::planner::{doctor, explain};
use pvekube::render::Look;
use pvekube::render::checks::{checks_json, checks_text};
use pvekube::render::explain::{explain_json, explain_text};
use pvekube::render::observation;
use pvekube::render::status::{all_ready, extra_rows, rows, status_json, status_text};
use serde_json::Value;

use crate::build::*;

fn seen() -> Observed {
    let mut observed = settled(&with_machines(desired(3), 3, 3), 3);
    observed.upstream = Upstream::Known { digest: digest('b'), source: "SHA256SUMS".to_owned() };
    observed
}

fn report(name: &str, node: &str, vmid: u32, stage: Stage) -> MachineReport {
    let address = format!("10.0.0.{}", vmid - 90).parse().ok().filter(|_| stage >= Stage::Address);
    MachineReport {
        name: name.into(),
        node: node.into(),
        vmid: Vmid(vmid),
        address,
        addresses: if name == "k8s-master-1" { vec!["fd00::11".parse().unwrap()] } else { Vec::new() },
        ready: stage == Stage::Login,
        stage,
        stages_s: BTreeMap::new(),
        host_keys: Vec::new(),
    }
}

#[test]
fn status_tells_readiness_and_drift() {
    let mut wanted = with_machines(desired(3), 3, 4);
    wanted.machines[4].memory_mb *= 2;
    wanted.machines[5].power = false;
    let mut seen = seen();
    stop(&mut seen, "pve3", 106);
    // A clone keeps its template's: made three days before this observation.
    let made = seen.taken_at - 3 * 86_400;
    config_mut(&mut seen, 102).keys.insert("meta".into(), format!("creation-qemu=10.2.2,ctime={made}"));
    // Its Notes were edited: nothing with its mark is found, and a check says so.
    config_mut(&mut seen, 103).description.clear();
    let plan = plan(&wanted, &seen);
    let reports = [
        report("k8s-master-1", "pve1", 101, Stage::Login),
        report("k8s-master-2", "pve2", 102, Stage::Agent),
        report("k8s-worker-1", "pve1", 104, Stage::Unknown),
        report("k8s-worker-2", "pve2", 105, Stage::Login),
        report("k8s-worker-3", "pve3", 106, Stage::Stopped),
    ];
    let rows = rows(&wanted.machines, &plan, &seen, &reports);
    assert!(!all_ready(&rows));
    assert!(all_ready(&rows[5..=5]), "off, as wanted");
    assert_eq!(rows.len(), wanted.machines.len(), "none is left out");
    let mut said = String::new();
    for (wide, width) in [(false, 80), (true, 120)] {
        said.push_str(&status_text(&rows, &[], wide, Look { width, color: false }));
        said.push('\n');
    }
    said.push_str(&status_text(&[], &[], false, Look::PLAIN));
    insta::assert_snapshot!(said);
    let value: Value = serde_json::from_str(&status_json(&rows, &[])).unwrap();
    assert_eq!(
        (value["all_ready"].as_bool(), value["machines"][0]["name"].as_str()),
        (Some(false), Some("k8s-master-1"))
    );
    insta::assert_snapshot!("status-json", status_json(&rows, &[]));
}

#[test]
fn status_lists_machines_that_the_manifest_no_longer_has() {
    let wanted = with_machines(desired(3), 3, 2);
    let seen = seen();
    let told = |prune: bool| {
        let plan = plan_with(&wanted, &seen, |options| options.prune = prune);
        extra_rows(&wanted.machines, &plan, &seen)
    };
    let extra = told(false);
    let text = status_text(&[], &extra, true, Look { width: 120, color: false });
    insta::assert_snapshot!(text, @r"
     MACHINE        NODE   VMID   ADDRESS   STATE     POWER     IMAGE   DRIFT
     k8s-worker-3   pve3   106    -         running   running   -       not in the manifest; left alone (use --prune to
                                                                        delete it)

    The manifest asks for no machines. 1 machine not in the manifest.
    ");
    let value: Value = serde_json::from_str(&status_json(&[], &extra)).unwrap();
    assert_eq!((value["all_ready"].as_bool(), value["machines"].as_array().map(Vec::len)), (Some(true), Some(0)));
    assert_eq!(value["not_in_manifest"][0]["vmid"], 106);
    assert_eq!(told(true)[0].what, "to be destroyed");
}

#[test]
fn doctor_is_green_and_red() {
    let wanted = with_machines(desired(3), 3, 3);
    let mut ill = seen();
    realm(&mut ill, "pve1").quorate = false;
    facts(&mut ill, "pve2").bridges.clear();
    ill.nodes.insert("pve3".into(), silent());
    let mut said = String::new();
    for observed in [seen(), ill] {
        let checks = doctor(&wanted, &observed);
        said.push_str(&checks_text(&checks, Look { width: 100, color: false }));
        said.push('\n');
        assert!(serde_json::from_str::<Value>(&checks_json(&checks)).unwrap().is_array());
    }
    insta::assert_snapshot!(said);
}

#[test]
fn explain_says_why() {
    let wanted = with_machines(desired(3), 3, 4);
    let plan = plan(&wanted, &seen());
    let mut said = String::new();
    for name in ["k8s-master-1", "k8s-worker-4"] {
        let explanation = explain(&wanted, &seen(), &plan, &name.into()).unwrap();
        said.push_str(&explain_text(&explanation, Look::PLAIN));
        said.push('\n');
        assert!(serde_json::from_str::<Value>(&explain_json(&explanation)).unwrap().is_object());
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_saved_observation_plans_alike_and_holds_no_secret() {
    let mut observed = seen();
    for vmid in [101, 104] {
        let config = config_mut(&mut observed, vmid);
        config.description = format!("canary: root password\n{}\ncanary", config.description);
        for values in [&mut config.keys, &mut config.pending, &mut config.cloudinit] {
            values.insert("cipassword".to_owned(), "$5$canary$x".to_owned());
            values.insert("args".to_owned(), "-object secret,data=canary".to_owned());
        }
    }
    let text = observation::write(&observed);
    assert!(!text.contains("canary"));
    let read = observation::read(&text).unwrap();
    let wanted = with_machines(desired(3), 3, 4);
    assert_eq!(plan(&wanted, &read), plan(&wanted, &observed));
}
