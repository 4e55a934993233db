//! Runs recorded commands against a world in memory, under simulated time.

use std::collections::BTreeSet;
use std::sync::Arc;

use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::fs::Fs;
use pvekube::sandbox::guest::GuestFault;
use pvekube::sandbox::guest::disk::Disk;
use pvekube::sandbox::guest::hypervisor::Hypervisor;
use pvekube::sandbox::world::{NodeSpec, PveVersion, RealmSpec, StorageKind, StorageSpec, Topology, World};

use super::between::{self, Between, Step};
use super::compare::{self, Tokens};
use super::recorded::{self, Recorded};
use super::shell::{Answer, Shell};

/// Nodes of one laboratory and the files recorded on it, in order.
pub struct Laboratory {
    pub files: &'static [&'static str],
    nodes: &'static [(&'static str, &'static str)],
    cluster: Option<&'static str>,
}

pub fn worlds() -> Vec<Laboratory> {
    let one = |files, node: &'static [(&'static str, &'static str)]| Laboratory { files, nodes: node, cluster: None };
    vec![
        one(&["i-golden"], &[("pve2", "10.77.0.12")]),
        one(
            &["a-info", "b-provision", "c-set-and-errors", "d-running", "f-more", "g-interrupted"],
            &[("pve1", "10.77.0.11")],
        ),
        one(&["h-extra"], &[("pve2", "10.77.0.12")]),
        Laboratory {
            files: &["e-cluster"],
            nodes: &[("c1", "10.77.0.13"), ("c2", "10.77.0.14"), ("c3", "10.77.0.15")],
            cluster: Some("labcluster"),
        },
    ]
}

/// How a recorded command fared.
pub struct Outcome {
    pub id: String,
    /// What differs; empty: it answered alike. `None`: the shell does not know how to run it.
    pub differences: Option<Vec<String>>,
}

/// The moment when the first recordings began.
const START: i64 = 1_795_346_000;

const IMAGE: &str = "noble-server-cloudimg-amd64.qcow2";

fn storage(name: &str, place: &str, content: &[&str], size_mib: u64, shared: bool) -> StorageSpec {
    StorageSpec {
        name: name.into(),
        kind: StorageKind::Dir,
        content: content.iter().map(|kind| (*kind).to_owned()).collect(),
        size_mib,
        place: place.into(),
        shared,
        sparse: false,
        nodes: None,
    }
}

fn world(laboratory: &Laboratory) -> Arc<World> {
    let mut version = PveVersion::pve9();
    version.repoid = "14a22df35955d97d".into();
    version.kernel = "6.18.44-fc-v445".into();
    version.qemu = "10.2.2".into();
    let node = |&(name, address): &(&str, &str)| NodeSpec {
        name: name.into(),
        address: address.into(),
        cpus: 2,
        memory_mib: 24_103,
        version: version.clone(),
        bridges: vec!["vmbr0".into()],
        resolv_conf: "nameserver 10.255.255.53\n".into(),
    };
    let mut storages = vec![
        storage("local", "/var/lib/vz", &["iso", "vztmpl", "backup", "snippets", "import"], 258_020, false),
        storage("local-lvm", "/var/lib/pve-local-lvm", &["images", "rootdir"], 258_020, false),
    ];
    match laboratory.cluster {
        None => storages.push(storage("tiny", "/mnt/tiny", &["images"], 48, false)),
        Some(_) => storages.push(storage("shared", "/mnt/shared", &["images", "import"], 258_020, true)),
    }
    let realm = RealmSpec {
        name: "lab".into(),
        cluster: laboratory.cluster.map(str::to_owned),
        nodes: laboratory.nodes.iter().map(node).collect(),
        storages,
    };
    let topology = Topology { seed: 7, realms: vec![realm] };
    let world =
        World::create(Fs::memory(), topology, Clock::simulated(START), Arc::new(Hypervisor::default())).unwrap();
    // Software emulation: guests came up in minutes.
    let slow = BTreeSet::from([GuestFault::SlowBoot]);
    world.change_faults(|faults| drop(faults.guests.insert("*".into(), slow))).unwrap();
    for node in world.nodes() {
        let folder = if laboratory.cluster.is_some() { "/mnt/shared/import" } else { "/var/lib/vz/import" };
        node.write(&format!("{folder}/{IMAGE}"), image()).unwrap();
    }
    world
}

/// A qcow2 file whose guest has the agent, as the laboratory's small Debian.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    bytes[24..32].copy_from_slice(&1_572_864_000_u64.to_be_bytes());
    let packages = BTreeSet::from(["qemu-guest-agent".to_owned()]);
    bytes.extend(Disk { image: "noble".into(), packages, ..Disk::default() }.write());
    bytes
}

pub async fn run(laboratory: &Laboratory) -> Vec<Outcome> {
    let world = world(laboratory);
    let between = between::read();
    let mut tokens = Tokens::default();
    let mut shell = Shell::new(world);
    let mut outcomes = Vec::new();
    for file in laboratory.files {
        for recorded in in_order(recorded::read(file), &between) {
            for steps in between.iter().filter(|between| between.before == recorded.id) {
                prepare(&mut shell, steps, &tokens).await;
            }
            // By then pvestatd has sent its samples.
            let samples = recorded.argv.iter().any(|word| word == "/cluster/resources");
            tokio::time::sleep(std::time::Duration::from_millis(if samples { 11_000 } else { 500 })).await;
            outcomes.push(replay(&mut shell, &recorded, &mut tokens).await);
        }
    }
    outcomes
}

/// Moves what ended first to the front.
fn in_order(mut list: Vec<Recorded>, between: &[Between]) -> Vec<Recorded> {
    for between in between.iter().filter(|between| !between.first.is_empty()) {
        for id in &between.first {
            let from = list.iter().position(|recorded| recorded.id == *id);
            let to = list.iter().position(|recorded| recorded.id == between.before);
            if let (Some(from), Some(to)) = (from, to) {
                let recorded = list.remove(from);
                list.insert(to, recorded);
            }
        }
    }
    list
}

async fn replay(shell: &mut Shell, recorded: &Recorded, tokens: &mut Tokens) -> Outcome {
    let argv: Vec<String> = recorded.argv.iter().map(|word| tokens.ours(word)).collect();
    let stdin = tokens.ours(recorded.stdin.as_deref().unwrap_or_default());
    let answer = shell.run(&recorded.node, &argv, stdin.as_bytes()).await;
    let differences = answer.map(|answer| compare::differences(recorded, &answer, tokens));
    Outcome { id: recorded.id.clone(), differences }
}

async fn prepare(shell: &mut Shell, between: &Between, tokens: &Tokens) {
    for step in &between.steps {
        match step {
            Step::Run { node, argv } => {
                let argv: Vec<String> = argv.iter().map(|word| tokens.ours(word)).collect();
                let Some(Answer { exit, stderr, .. }) = shell.run(node, &argv, b"").await else {
                    panic!("before {}: {argv:?} can't be run", between.before);
                };
                assert_eq!(exit, 0, "before {} ({}): {argv:?}: {stderr}", between.before, between.why);
            }
            Step::Background { node, argv } => shell.background(node, argv),
            Step::CloseBackground => shell.close_background(),
            Step::AwaitBackground => shell.await_background().await,
            Step::Wait { seconds } => tokio::time::sleep(std::time::Duration::from_secs_f64(*seconds)).await,
            Step::Copy { node, from, to } => {
                let node = shell.node(node);
                node.write(to, node.read(from).unwrap()).unwrap();
            }
            Step::Write { node, path, text } => shell.node(node).write(path, text).unwrap(),
            Step::Offline { nodes } => {
                let offline: BTreeSet<String> = nodes.iter().cloned().collect();
                shell.world.change_faults(|faults| faults.offline = offline).unwrap();
            }
        }
    }
}
