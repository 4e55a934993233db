use std::collections::BTreeSet;

use super::*;
use crate::model::ids::NodeName;
use crate::remote::{ObserveAsk, Remote};

fn layout(nodes: &[&str]) -> Layout {
    Layout {
        nodes: nodes.iter().map(|name| LayoutNode { name: NodeName::new(*name) }).collect(),
        image_storages: BTreeSet::from(["local-lvm".to_owned()]),
        snippet_storages: BTreeSet::from(["local".to_owned()]),
        bridges: BTreeSet::from(["vmbr0".to_owned()]),
        pools: BTreeSet::from(["kubernetes".to_owned()]),
        dhcp: BTreeMap::new(),
        memory_mib: 65_536,
        storage_gib: 800,
        reserved_vmids: BTreeSet::from([110]),
    }
}

fn ask() -> ObserveAsk {
    ObserveAsk {
        nonce: "00112233445566ff".into(),
        storages: vec!["local-lvm".into()],
        bridges: vec!["vmbr0".into()],
        ..ObserveAsk::default()
    }
}

async fn report(remote: &SandboxRemote, node: &str) -> crate::pve::report::NodeReport {
    let bytes = remote.observe(&NodeName::new(node), &ask()).await.unwrap();
    crate::pve::report::parse("00112233445566ff", &bytes).unwrap()
}

#[tokio::test]
async fn a_fresh_world_is_a_quorate_cluster_with_other_peoples_guests() {
    let folder = tempfile::tempdir().unwrap();
    let remote = open_layout(&folder.path().join("w"), &layout(&["pve1", "pve2", "pve3"])).unwrap();
    let report = report(&remote, "pve2").await;
    assert!(report.members.unwrap().cluster.unwrap().quorate);
    assert_eq!(report.version.unwrap().text, "9.2.11");
    assert_eq!((report.configs.len(), report.containers.len()), (4, 3));
    assert!(report.configs.keys().all(|vmid| vmid.0 > 110), "110 is the user's");
    assert_eq!(report.running.len(), 1, "media runs, win11 does not");
    assert!(report.pools.contains_key(&"kubernetes".into()));
    assert!(!report.rrd.storages(&"pve2".into(), report.now).is_empty());
    assert_eq!(report.missing_programs.len(), 0);
}

#[tokio::test]
async fn it_persists_grows_with_the_config_and_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("w");
    let first = report(&open_layout(&dir, &layout(&["pve1"])).unwrap(), "pve1").await;
    let mut wider = layout(&["pve1", "pve2"]);
    wider.bridges.insert("vmbr1".into());
    wider.image_storages.insert("fast".into());
    let remote = open_layout(&dir, &wider).unwrap();
    let second = report(&remote, "pve1").await;
    assert_eq!(first.configs, second.configs);
    assert_eq!(first.running, second.running, "guests go on between two runs");
    assert!(second.bridges.contains(&"vmbr1".into()) && second.storage_defs.contains_key(&"fast".into()));
    assert_eq!(report(&remote, "pve2").await.configs, first.configs);
    assert!(reset(&dir).unwrap());
    assert!(!reset(&dir).unwrap());
    std::fs::create_dir(&dir).unwrap();
    assert!(reset(&dir).is_err(), "no sandbox: left alone");
}

#[tokio::test]
async fn faults_written_into_the_file_between_two_runs_take_effect() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("w");
    let three = layout(&["pve1", "pve2", "pve3"]);
    open_layout(&dir, &three).unwrap();
    let with = |faults: &str| {
        std::fs::write(dir.join("faults.json"), faults).unwrap();
        open_layout(&dir, &three)
    };
    let quorate = |report: crate::pve::report::NodeReport| report.members.unwrap().cluster.unwrap().quorate;
    assert!(!quorate(report(&with(r#"{"no_quorum": ["home"]}"#).unwrap(), "pve1").await));
    let alone = with(r#"{"offline": ["pve1", "pve2"]}"#).unwrap();
    assert!(!quorate(report(&alone, "pve3").await), "one of three is a minority");
    let bytes =
        with(r#"{"pmxcfs_unmounted": ["pve1"]}"#).unwrap().observe(&NodeName::new("pve1"), &ask()).await.unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains("unmounted"));
    let whole = report(&with("{}").unwrap(), "pve1").await;
    assert_eq!(whole.configs.len(), 4);
    assert!(quorate(whole));
    let typo = with(r#"{"offlin": ["pve1"]}"#).unwrap_err().to_string();
    assert!(typo.contains("faults.json") && typo.contains("offlin"), "{typo}");
}
