//! Inventories as their real readers see them: `ssh -G` and `ansible-inventory`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use pvekube::inventory::{Host, Inventory, Jump, ansible, ssh_config};
use pvekube::model::ids::{MachineId, Vmid};
use pvekube::model::outcome::Stage;
use serde_json::Value;

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
        keys_read: true,
        user: "ubuntu".to_owned(),
        port: 2200,
        identity: Some("/keys/my key".into()),
        via: Some(Jump {
            node: "pve1".into(),
            user: "root".to_owned(),
            host: "pve1.lan".to_owned(),
            port: Some(2222),
            identity: Some("/keys/node's key".into()),
        }),
    }
}

fn inventory() -> Inventory {
    let hosts = vec![
        host("master-1", 101, "10.0.0.11"),
        host("master-3", 103, "10.0.0.13"),
        host("worker-1", 104, "fd00::21"),
        host("gpu-a-1", 106, "10.0.0.31"),
    ];
    Inventory { cluster: "k8s".into(), hosts, known_hosts: Some("/state/a b/100%/known_hosts".into()) }
}

/// What `ssh -G` makes of a file: keyword to value.
fn ssh_reads(file: &Path, arguments: &[&str], host: &str) -> BTreeMap<String, String> {
    let output = Command::new("ssh").arg("-F").arg(file).args(arguments).args(["-G", host]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn ssh_reads_the_config() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, ssh_config(&inventory())).unwrap();
    let read = ssh_reads(&file, &[], "k8s-worker-1");
    for (key, value) in [
        ("hostname", "fd00::21"),
        ("user", "ubuntu"),
        ("port", "2200"),
        ("identityfile", "/keys/my key"),
        ("userknownhostsfile", "/state/a b/100%/known_hosts"),
        ("stricthostkeychecking", "true"),
        ("proxyjump", "pvekube-k8s-pve1"),
    ] {
        let found = read.get(key).map(|found| found.trim_matches('"').replace("%%", "%"));
        assert_eq!(found.as_deref(), Some(value), "{key}");
    }
    let jump = ssh_reads(&file, &[], "pvekube-k8s-pve1");
    assert_eq!((jump["hostname"].as_str(), jump["user"].as_str(), jump["port"].as_str()), ("pve1.lan", "root", "2222"));
    assert_eq!(jump["identityfile"].trim_matches('"'), "/keys/node's key");
}

fn ansible_inventory() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/ansible-inventory");
    assert!(program.exists(), "{} is missing: run tests/run, which installs it", program.display());
    program
}

#[test]
fn ansible_reads_the_inventory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.yaml");
    std::fs::write(&file, ansible(&inventory())).unwrap();
    let output = Command::new(ansible_inventory())
        .args(["--list", "-i"])
        .arg(&file)
        .env("HOME", folder.path())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("WARNING"), "{said}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let members = |group: &str| -> Vec<&str> {
        let hosts = value[group]["hosts"].as_array().into_iter().flatten();
        hosts.filter_map(Value::as_str).collect()
    };
    assert_eq!(members("kube_control_plane"), ["k8s-master-1", "k8s-master-3"]);
    assert_eq!(members("etcd"), ["k8s-master-1", "k8s-master-3"]);
    assert_eq!(members("kube_node"), ["k8s-worker-1", "k8s-gpu-a-1"]);
    assert_eq!(members("pool_gpu_a"), ["k8s-gpu-a-1"]);
    assert_eq!(value["k8s_cluster"]["children"], serde_json::json!(["kube_control_plane", "kube_node"]));
    let variables = &value["_meta"]["hostvars"]["k8s-master-3"];
    assert_eq!(variables["ansible_host"], "10.0.0.13");
    assert_eq!(variables["ansible_port"], 2200);
    assert_eq!(variables["etcd_member_name"], "etcd3");

    // Its ssh options, split as Ansible splits them, mean what they say to ssh.
    let options = shlex(variables["ansible_ssh_common_args"].as_str().unwrap());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let read = ssh_reads(Path::new("/dev/null"), &options, "10.0.0.13");
    assert_eq!(read["userknownhostsfile"].trim_matches('"').replace("%%", "%"), "/state/a b/100%/known_hosts");
    assert_eq!(read["proxycommand"], r"ssh -W %h:%p -p 2222 -i '/keys/node'\''s key' root@pve1.lan");
}

/// Python's `shlex.split`, which Ansible uses.
fn shlex(text: &str) -> Vec<String> {
    let script = "import json, shlex, sys; print(json.dumps(shlex.split(sys.argv[1])))";
    let output = Command::new("python3").args(["-c", script, text]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
