use std::collections::BTreeMap;

use super::*;
use crate::model::ids::Pool;

fn host(id: &str, vmid: u32, address: &str) -> Host {
    let id: MachineId = id.parse().unwrap();
    Host {
        name: id.name(&"k8s".into()),
        role: id.pool.role(),
        id,
        node: "pve1".into(),
        vmid: Vmid(vmid),
        address: address.parse().ok(),
        stage: Stage::Login,
        ready: true,
        user: "ubuntu".to_owned(),
        port: 22,
        keys_read: vmid != 106,
        identity: None,
        via: None,
    }
}

fn inventory() -> Inventory {
    let hosts = vec![
        host("master-1", 101, "10.0.0.11"),
        host("worker-1", 104, "10.0.0.21"),
        host("worker-2", 105, ""),
        host("gpu-a-1", 106, "fd00::31"),
    ];
    Inventory { cluster: "k8s".into(), hosts, known_hosts: None }
}

/// Everything that can be said, and text that quoting has to hold.
fn hostile() -> Inventory {
    let jump = Jump {
        node: "pve1".into(),
        user: "root".to_owned(),
        host: "pve1.lan".to_owned(),
        port: Some(2222),
        identity: Some("/keys/my pve'key".into()),
    };
    let mut inventory = inventory();
    inventory.known_hosts = Some("/home/a b/100%/known_hosts".into());
    for host in &mut inventory.hosts {
        host.port = 2200;
        host.identity = Some("/keys/it's \"mine\"".into());
        host.via = Some(jump.clone());
    }
    inventory.hosts[1].user = "{{ no }}".to_owned();
    inventory
}

#[test]
fn ansible_groups_are_kubespray_s() {
    insta::assert_snapshot!(ansible(&inventory()));
}

#[test]
fn formats_hold_hostile_text() {
    insta::assert_snapshot!("hostile-ansible", ansible(&hostile()));
    insta::assert_snapshot!("hostile-ssh-config", ssh_config(&hostile()));
}

#[test]
fn ssh_config_hosts_and_json() {
    insta::assert_snapshot!("ssh-config", ssh_config(&inventory()));
    insta::assert_snapshot!("hosts", hosts_file(&inventory()));
    insta::assert_snapshot!("json", json(&inventory()));
}

/// The YAML is what it says, read by a parser.
#[test]
fn the_ansible_inventory_reads_back() {
    for inventory in [inventory(), Inventory { hosts: Vec::new(), ..inventory() }] {
        let value: serde_yaml::Value = serde_yaml::from_str(&ansible(&inventory)).unwrap();
        let all = &value["all"];
        let hosts: BTreeMap<String, serde_yaml::Value> = serde_yaml::from_value(all["hosts"].clone()).unwrap();
        assert_eq!(hosts.len(), inventory.reachable().count());
        for (host, address) in inventory.reachable() {
            assert_eq!(hosts[host.name.as_str()]["ansible_host"], address.to_string().as_str());
            let group = match host.id.pool {
                Pool::Masters => "kube_control_plane",
                Pool::Workers | Pool::Named(_) => "kube_node",
            };
            assert!(all["children"][group]["hosts"].get(host.name.as_str()).is_some(), "{}", host.name);
        }
        assert!(all["children"]["k8s_cluster"]["children"].get("kube_node").is_some());
    }
}

#[test]
fn masters_work_where_there_are_no_workers() {
    let mut inventory = inventory();
    inventory.hosts.truncate(1);
    let value: serde_yaml::Value = serde_yaml::from_str(&ansible(&inventory)).unwrap();
    assert!(value["all"]["children"]["kube_node"]["hosts"].get("k8s-master-1").is_some());
}
