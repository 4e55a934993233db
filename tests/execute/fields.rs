//! Apply, then plan is empty: for every managed field that somebody else has changed, on its own and in pairs.

use std::collections::BTreeSet;

use pvekube::model::plan::HazardKind;

use crate::cluster::{Cluster, ONE_WORKER};

/// What an administrator may have set, in PVE's grammar. The disk can only grow, so it is wanted larger instead (`grow`).
const DRIFTS: [(&str, &str); 14] = [
    ("cores", "3"),
    ("memory", "1024"),
    ("balloon", "512"),
    ("agent", "enabled=0"),
    ("onboot", "0"),
    ("protection", "1"),
    ("startup", "order=7,up=3"),
    ("tags", "mine"),
    ("ciuser", "admin"),
    ("ciupgrade", "1"),
    ("ipconfig0", "ip=10.0.0.9/24,gw=10.0.0.1"),
    ("sshkeys", "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIE8hTws%2Fzw%2B9Od2vOwbKc0y%2FiWVPVbsz31PUidkEvA%2B5%20x%0A"),
    ("net0", "tag=5"),
    ("disk", "grow"),
];

/// Writes a drift into the VM's file, as any tool of PVE's would.
fn drift(cluster: &mut Cluster, vmid: u32, key: &str, value: &str) {
    if key == "disk" {
        cluster.desired.machines[0].disk_gb += 1;
        return;
    }
    let node = cluster.desired.nodes.iter().find_map(|target| {
        let node = cluster.world.node(target.name.as_str())?;
        node.read_text(&node.conf_path(vmid)).is_ok().then_some(node)
    });
    let node = node.unwrap();
    let path = node.conf_path(vmid);
    let prefix = format!("{key}: ");
    let old = node.read_text(&path).unwrap();
    let mut lines: Vec<String> = old.lines().filter(|line| !line.starts_with(&prefix)).map(str::to_owned).collect();
    match old.lines().find(|line| line.starts_with(&prefix)) {
        // The MAC stays; the VLAN is new.
        Some(line) if key == "net0" => lines.push(format!("{line},{value}")),
        _ => lines.push(format!("{prefix}{value}")),
    }
    let (texts, mut keys): (Vec<String>, Vec<String>) = lines.into_iter().partition(|line| line.starts_with('#'));
    keys.sort();
    node.pve_write(&path, format!("{}\n{}\n", texts.join("\n"), keys.join("\n"))).unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_field_alone_and_in_pairs_is_mended_by_one_apply() {
    let mut cluster = Cluster::new(ONE_WORKER);
    let applied = cluster.apply().await;
    assert!(applied.outcome.is_success(), "{}", applied.failures());
    let vmid = 100;
    cluster.options.accept = BTreeSet::from(HazardKind::ALL);
    for (index, first) in DRIFTS.iter().enumerate() {
        for second in &DRIFTS[index..] {
            drift(&mut cluster, vmid, first.0, first.1);
            if second != first {
                drift(&mut cluster, vmid, second.0, second.1);
            }
            let (before, _) = cluster.plan().await;
            assert!(before.has_changes(), "{first:?} {second:?} is not seen");
            let applied = cluster.apply().await;
            assert!(applied.outcome.is_success(), "{first:?} {second:?}: {}", applied.failures());
            let (after, _) = cluster.plan().await;
            assert!(!after.has_changes() && after.steps.is_empty(), "{first:?} {second:?}: {:#?}", after.changes);
        }
    }
}
