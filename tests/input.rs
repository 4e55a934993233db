//! The two files of the operator: the documented starting points, the original plan's config, every key's effect.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use pvekube::input::{self, Env, Loaded, Problems, SourceFile};
use pvekube::model::desired::{Address, Desired};
use serde_json::Value;

const ORIGINAL: &str = include_str!("fixtures/original/config.yaml");
const FULL_CONFIG: &str = include_str!("fixtures/full/config.yaml");
const FULL_MANIFEST: &str = include_str!("fixtures/full/cluster.yaml");
const PLACEHOLDER: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ...";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b";
const THIRD: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBO5cMgJHa1EofEO5wS3vFnrYQtXWR8DKsEpJ2zzKrUpjc9AIqhFgqpohWWRL20O5xHEjwcPMTyJkScIdKYcr3ZY= third";

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn parse(config: &str, manifest: &str) -> Result<Loaded, Box<Problems>> {
    let read_file = |path: &Path| match path.to_str() {
        Some("/home/op/.ssh/third.pub") => Ok(format!("# my keys\n\n{THIRD}\n")),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let env = Env { home: Some(PathBuf::from("/home/op")), read_file: &read_file };
    input::parse(&file("etc/config.yaml", config), &file("cluster.yaml", manifest), &env)
}

fn fine(config: &str, manifest: &str) -> Loaded {
    parse(config, manifest).unwrap_or_else(|problems| panic!("{}", problems.render(false, 100)))
}

fn snapshot(name: &str, desired: &Desired) {
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(name, serde_json::to_string_pretty(desired).unwrap());
    });
}

#[test]
fn the_examples_are_fine() {
    let loaded = fine(&input::example_config().text, &input::example_manifest().text);
    assert_eq!(loaded.warnings, []);
    snapshot("examples", &loaded.desired);
}

/// What `--sandbox` starts with: three nodes, three static masters, three workers by DHCP.
#[test]
fn the_examples_suit_the_sandbox() {
    let desired = fine(&input::example_config().text, &input::example_manifest().text).desired;
    let nodes: Vec<&str> = desired.nodes.iter().map(|node| node.host.as_str()).collect();
    assert_eq!(nodes, ["pve1", "pve2", "pve3"]);
    let machines: Vec<(String, bool)> = desired
        .machines
        .iter()
        .map(|machine| (machine.name.to_string(), machine.network.ipv4 == Address::Dhcp))
        .collect();
    let wanted = [("master", false), ("worker", true)]
        .into_iter()
        .flat_map(|(role, dhcp)| (1..=3).map(move |n| (format!("k8s-{role}-{n}"), dhcp)));
    assert_eq!(machines, wanted.collect::<Vec<_>>());
}

#[test]
fn the_original_config_has_one_problem_its_placeholder_key() {
    let problems = parse(ORIGINAL, &input::example_manifest().text).unwrap_err();
    assert_eq!(problems.list.len(), 1);
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(problems.render(false, 100)) });
}

/// Each key of the original plan, and where in `Desired` a changed value arrives.
#[test]
fn every_key_of_the_original_config_has_its_effect() {
    let original = ORIGINAL.replace(PLACEHOLDER, KEY);
    let manifest = "cluster: k8s\nmasters: {count: 1, size: small}\nworkers: {count: 1, size: medium}\n\
                    pools: {big: {count: 1, size: large}}\n";
    let before = serde_json::to_value(fine(&original, manifest).desired).unwrap();
    let machine = |index: usize, field: &str| format!("/machines/{index}/{field}");
    let table: Vec<(&str, &str, String)> = vec![
        ("pve-pc-mini.icosahedron.org", "a.example", "/nodes/0/host".into()),
        ("pve-mac-mini.icosahedron.org", "b.example", "/nodes/1/name".into()),
        ("ssh_user: root", "ssh_user: admin", "/ssh/user".into()),
        ("~/.ssh/pve.key", "/other.key", "/ssh/private_key".into()),
        ("name: ubuntu-2204-cloud-template", "name: other", "/template/name".into()),
        ("id: 9000", "id: 9500", "/template/id".into()),
        ("jammy-server-cloudimg-amd64.img", "other.img", "/template/image_url".into()),
        ("current/SHA256SUMS", "current/OTHER", "/template/checksum_url".into()),
        ("storage_pool: local-lvm", "storage_pool: other", "/template/storage".into()),
        ("network_bridge: vmbr0", "network_bridge: vmbr1", "/template/bridge".into()),
        ("network_bridge: vmbr0", "network_bridge: vmbr1", machine(0, "network/bridge")),
        ("base_cpus: 1", "base_cpus: 2", "/template/cores".into()),
        ("base_memory_mb: 2048", "base_memory_mb: 1024", "/template/memory_mb".into()),
        ("base_disk_gb: 16", "base_disk_gb: 8", "/template/disk_gb".into()),
        (KEY, THIRD, machine(0, "cloud_init/ssh_keys")),
        ("small:\n    cpus: 1", "small:\n    cpus: 3", machine(0, "cores")),
        ("    memory_mb: 2048\n    disk_gb: 20", "    memory_mb: 3072\n    disk_gb: 20", machine(0, "memory_mb")),
        ("disk_gb: 20", "disk_gb: 21", machine(0, "disk_gb")),
        ("medium:\n    cpus: 2", "medium:\n    cpus: 3", machine(1, "cores")),
        ("memory_mb: 4096", "memory_mb: 4097", machine(1, "memory_mb")),
        ("disk_gb: 40", "disk_gb: 41", machine(1, "disk_gb")),
        ("large:\n    cpus: 4", "large:\n    cpus: 5", machine(2, "cores")),
        ("memory_mb: 8192", "memory_mb: 8193", machine(2, "memory_mb")),
        ("disk_gb: 80", "disk_gb: 81", machine(2, "disk_gb")),
        ("timeout_seconds: 300", "timeout_seconds: 301", "/readiness/timeout_s".into()),
        ("ssh_check_interval_seconds: 10", "ssh_check_interval_seconds: 11", "/readiness/ssh_interval_s".into()),
    ];
    for (from, to, pointer) in table {
        assert!(original.contains(from), "{from}");
        let after = serde_json::to_value(fine(&original.replacen(from, to, 1), manifest).desired).unwrap();
        assert_ne!(before.pointer(&pointer).unwrap(), after.pointer(&pointer).unwrap(), "{from}: {pointer}");
    }
}

#[test]
fn every_key_given() {
    let loaded = fine(FULL_CONFIG, FULL_MANIFEST);
    assert_eq!(loaded.warnings, []);
    snapshot("full", &loaded.desired);
}

/// A key that could be left out of the full files without a difference would be a key without effect.
#[test]
fn no_key_is_without_effect() {
    let wanted = without_places(fine(FULL_CONFIG, FULL_MANIFEST).desired);
    for index in 0..FULL_CONFIG.lines().count() {
        if let Some((text, line)) = without_key(FULL_CONFIG, index) {
            let same = parse(&text, FULL_MANIFEST).is_ok_and(|loaded| without_places(loaded.desired) == wanted);
            // `enabled: true` and `mode: static` are written out, but are the default there.
            assert!(!same || ["enabled: true", "mode: static"].contains(&line.trim()), "{line} has no effect");
        }
    }
    for index in 0..FULL_MANIFEST.lines().count() {
        if let Some((text, line)) = without_key(FULL_MANIFEST, index) {
            let same = parse(FULL_CONFIG, &text).is_ok_and(|loaded| without_places(loaded.desired) == wanted);
            assert!(!same || line.trim() == "mode: static", "{line} has no effect");
        }
    }
}

/// The full files have every key that the schemas have.
#[test]
fn the_full_files_are_full() {
    for (text, schema) in [(FULL_CONFIG, input::schema_config()), (FULL_MANIFEST, input::schema_manifest())] {
        let mut keys = Vec::new();
        collect(&schema, &mut keys);
        for key in keys {
            assert!(text.contains(&format!("{key}:")), "no `{key}` in the full files");
        }
    }
}

fn collect(schema: &Value, keys: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                keys.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| collect(value, keys));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The text without the key of one line and all that is below it; `None` for lines that are no key.
fn without_key(text: &str, index: usize) -> Option<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let line = lines[index];
    if line.trim_start().starts_with("- ") || !line.contains(':') {
        return None;
    }
    let below = lines[index + 1..].iter().take_while(|next| indent(next) > indent(line)).count();
    let kept = lines[..index].iter().chain(&lines[index + 1 + below..]);
    Some((kept.map(|line| format!("{line}\n")).collect(), line.to_owned()))
}

fn without_places(mut desired: Desired) -> Desired {
    for machine in &mut desired.machines {
        machine.place = None;
    }
    desired
}

#[test]
fn places_of_machines_are_their_lines() {
    let loaded = fine(FULL_CONFIG, FULL_MANIFEST);
    let places: Vec<String> = loaded
        .desired
        .machines
        .iter()
        .map(|machine| format!("{} {}", machine.name, machine.place.as_ref().unwrap()))
        .collect();
    assert_eq!(
        places,
        [
            "prod-master-1 cluster.yaml:2:1",
            "prod-worker-1 cluster.yaml:26:5",
            "prod-worker-3 cluster.yaml:37:5",
            "prod-gpu-1 cluster.yaml:48:3"
        ]
    );
}

#[test]
fn windows_files_mean_the_same() {
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let wanted = fine(FULL_CONFIG, FULL_MANIFEST).desired;
    let mut got = fine(&windows(FULL_CONFIG), &windows(FULL_MANIFEST)).desired;
    // A block text keeps the line ends that YAML gives it: \n.
    assert_eq!(got.machines[0].place, wanted.machines[0].place);
    got.machines.clone_from(&wanted.machines);
    assert_eq!(got, wanted);
}

#[test]
fn a_machine_of_a_size_and_a_machine_of_numbers_are_the_same() {
    let config = ORIGINAL.replace(PLACEHOLDER, KEY);
    let by_size = fine(&config, "cluster: a\nworkers: {count: 1, size: small}\n").desired.machines;
    let by_hand =
        fine(&config, "cluster: a\nworkers: {count: 1, cpus: 1, memory_mb: 2048, disk_gb: 20}\n").desired.machines;
    assert_eq!((by_size[0].cores, by_size[0].memory_mb, by_size[0].disk_gb), (1, 2048, 20));
    assert_eq!((by_hand[0].cores, by_hand[0].memory_mb, by_hand[0].disk_gb), (1, 2048, 20));
    assert_eq!((by_size[0].size.as_str(), by_hand[0].size.as_str()), ("small", "custom"));
}

/// Taking number 3 out changes no other machine.
#[test]
fn numbers_are_identities() {
    let config = ORIGINAL.replace(PLACEHOLDER, KEY);
    let of = |numbers: &str| {
        let network = "{addresses: 10.0.0.20-10.0.0.29/24, gateway: 10.0.0.1}";
        let manifest = format!("cluster: a\nworkers:\n  numbers: {numbers}\n  size: small\n  network: {network}\n");
        without_places(fine(&config, &manifest).desired).machines
    };
    let mut all = of("[1, 2, 3, 4]");
    all.remove(2);
    assert_eq!(all, of("[1, 2, 4]"));
}

#[test]
fn files_that_cannot_be_read_are_problems_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("big.yaml"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
    std::fs::write(at("latin1.yaml"), b"cluster: k8s\n# gr\xfc\xdfe\n").unwrap();
    std::fs::write(at("utf16.yaml"), b"\xff\xfec\0l\0").unwrap();
    std::fs::create_dir(at("folder.yaml")).unwrap();
    let mut told = String::new();
    for (config, manifest) in [("none.yaml", "gone.yaml"), ("big.yaml", "latin1.yaml"), ("folder.yaml", "utf16.yaml")] {
        let problems = input::load(&at(config), &at(manifest)).unwrap_err();
        told += &problems.render(false, 100).replace(&format!("{}/", folder.path().display()), "");
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(told) });
}

#[test]
fn files_on_disk_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (config, manifest) = (folder.path().join("config.yaml"), folder.path().join("cluster.yaml"));
    std::fs::write(
        &config,
        ORIGINAL.replace(&format!("ssh_public_key: \"{PLACEHOLDER}\""), "ssh_public_key_file: id.pub"),
    )
    .unwrap();
    std::fs::write(&manifest, &input::example_manifest().text).unwrap();
    std::fs::write(folder.path().join("id.pub"), KEY).unwrap();
    let loaded = input::load(&config, &manifest).unwrap();
    assert_eq!(loaded.desired.machines[0].cloud_init.ssh_keys, format!("{KEY}\n"));
}
