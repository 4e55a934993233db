//! The two that answer requests to nodes, held against each other over the same files: `Ssh` with its shell programs behind
//! a real sshd, and the sandbox in process. What they say is the same, byte for byte.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod sshd;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pvekube::model::ids::{BridgeName, ClusterName, NodeName, OperationName, StorageName, Vmid};
use pvekube::remote::ssh::Ssh;
use pvekube::remote::{Answer, ObserveAsk, Operation, Probe, PutContent, PutFile, Remote, Work};
use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::fs::Fs;
use pvekube::sandbox::guest::hypervisor::Hypervisor;
use pvekube::sandbox::programs;
use pvekube::sandbox::remote::SandboxRemote;
use pvekube::sandbox::world::{NodeSpec, PveVersion, RealmSpec, StorageKind, StorageSpec, Topology, World};
use sshd::{Node, fresh_address, settings, target, until};

const PVEKUBE: &str = env!("CARGO_BIN_EXE_pvekube");
const NONCE: &str = "00112233445566ff";

/// A cluster of two nodes, the first of them behind an sshd.
struct Both {
    ssh: Ssh,
    sandbox: SandboxRemote,
    name: NodeName,
    node: Node,
    _folder: tempfile::TempDir,
}

fn both() -> Both {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    fs::create_dir_all(&world).unwrap();
    let topology = Topology { seed: 7, realms: vec![realm()] };
    World::create(Fs::directory(&world).unwrap(), topology, Clock::real(20.0), Arc::new(Hypervisor::default()))
        .unwrap();
    let opened = programs::open(&world, Path::new(PVEKUBE)).unwrap();
    programs::install(&opened, Path::new(PVEKUBE), 20.0).unwrap();
    let node = Node::start(&world.join("nodes/pve1"), &fresh_address());
    let config = folder.path().join("ssh_config");
    fs::write(&config, node.ssh_config("pve1")).unwrap();
    let ssh = Ssh::new(&settings(&config), &[target("pve1")]).unwrap();
    Both { ssh, sandbox: SandboxRemote::plain(opened), name: NodeName::new("pve1"), node, _folder: folder }
}

fn realm() -> RealmSpec {
    let node = |name: &str, address: &str| NodeSpec {
        name: name.to_owned(),
        address: address.to_owned(),
        cpus: 8,
        memory_mib: 65_536,
        version: PveVersion::pve9(),
        bridges: vec!["vmbr0".to_owned(), "vmbr1".to_owned()],
        resolv_conf: "search lan\nnameserver 10.0.0.1\n".to_owned(),
    };
    let storage = |name: &str, kind, content: &[&str], place: &str| StorageSpec {
        name: name.to_owned(),
        kind,
        content: content.iter().map(|word| (*word).to_owned()).collect(),
        size_mib: 100 << 10,
        place: place.to_owned(),
        shared: false,
        sparse: false,
        nodes: None,
    };
    RealmSpec {
        name: "home".to_owned(),
        cluster: Some("home".to_owned()),
        nodes: vec![node("pve1", "10.0.0.2"), node("pve2", "10.0.0.3")],
        storages: vec![
            storage("local", StorageKind::Dir, &["iso", "vztmpl", "backup", "snippets"], "/var/lib/vz"),
            storage("local-lvm", StorageKind::Lvmthin, &["images", "rootdir"], "pve/data"),
        ],
    }
}

impl Both {
    /// Asks both; the sandbox first, which also writes what its pvestatd knows.
    async fn observed(&self) -> (Vec<(String, String)>, Vec<(String, String)>) {
        let ask = ObserveAsk {
            nonce: NONCE.to_owned(),
            cluster: Some(ClusterName::new("k8s")),
            storages: vec![StorageName::new("local-lvm"), StorageName::new("nosuch")],
            bridges: vec![BridgeName::new("vmbr0"), BridgeName::new("nosuch")],
            snippet_folder: None,
        };
        let sandbox = self.sandbox.observe(&self.name, &ask).await.unwrap();
        let ssh = self.ssh.observe(&self.name, &ask).await.unwrap();
        (sections(&sandbox, NONCE), sections(&ssh, NONCE))
    }

    async fn assert_same_observation(&self) {
        let (sandbox, ssh) = self.observed().await;
        let names = |sections: &[(String, String)]| sections.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&sandbox), names(&ssh));
        for ((name, sandbox), (_, ssh)) in sandbox.iter().zip(&ssh) {
            // The moment, and this machine's own disk and programs.
            if !["clock", "space", "missing"].contains(&name.as_str()) {
                assert_eq!(sandbox, ssh, "section {name}");
            }
        }
    }

    async fn probed(&self, probe: &Probe) -> (Answer, Answer) {
        let sandbox = self.sandbox.probe(&self.name, probe).await.unwrap();
        (sandbox, self.ssh.probe(&self.name, probe).await.unwrap())
    }

    async fn assert_same_answer(&self, probe: &Probe) -> Answer {
        let (sandbox, ssh) = self.probed(probe).await;
        let text = |answer: &Answer| {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (answer.exit, shown(&answer.stdout), shown(&answer.stderr))
        };
        assert_eq!(text(&sandbox), text(&ssh), "{probe:?}");
        ssh
    }

    /// As above for a VM: its sections, whose nonces differ.
    async fn assert_same_vm(&self, vmid: u32) {
        let (sandbox, ssh) = self.probed(&Probe::Vm { vmid: Vmid(vmid) }).await;
        assert_eq!(sections_of_vm(&sandbox), sections_of_vm(&ssh), "VM {vmid}");
    }

    /// Runs an operation on the node, by `qm` as its own process, to its end.
    async fn run(&self, name: &str, args: &[&str]) -> i32 {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let operation = Operation { name: OperationName::new(name), work: Work::Qm { args }, files: Vec::new() };
        self.ssh.start(&self.name, &operation).await.unwrap();
        let code = self.node.root.join("run/pvekube/ops").join(name).join("rc");
        until("the operation ends", || code.exists()).await;
        fs::read_to_string(code).unwrap().trim().parse().unwrap()
    }
}

/// A report as (section, text).
fn sections(report: &[u8], nonce: &str) -> Vec<(String, String)> {
    let report = String::from_utf8_lossy(report);
    let mark = format!("\n@@{nonce} ");
    let parts = report.split(mark.as_str()).skip(1);
    parts.map(|part| part.split_once('\n').unwrap_or((part, ""))).map(|(n, t)| (n.to_owned(), t.to_owned())).collect()
}

fn sections_of_vm(answer: &Answer) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let nonce = text.trim_start_matches("\n@@").split(' ').next().unwrap();
    let sections = sections(&answer.stdout, nonce);
    assert_eq!(sections.last().map(|(name, _)| name.as_str()), Some("end"), "{text}");
    sections
}

#[tokio::test]
async fn empty_nodes_look_the_same() {
    let both = both();
    both.assert_same_observation().await;
    both.assert_same_vm(101).await;
    both.assert_same_answer(&Probe::Volumes { storage: StorageName::new("local-lvm"), vmid: Vmid(101) }).await;
    let absent = OperationName::new("k8s-101-set-0f");
    assert_eq!(both.assert_same_answer(&Probe::Operation { name: absent, lines: 5 }).await.stdout, b"absent\n");
    assert_eq!(both.assert_same_answer(&Probe::LockOwner { cluster: ClusterName::new("k8s") }).await.stdout, b"");
    both.ssh.close().await;
}

#[tokio::test]
async fn machines_operations_and_files_look_the_same() {
    let both = both();
    let mark = "pvekube/1 cluster=k8s machine=worker-1 vmid=101 image=sha256-ab12\n100% gr\u{fc}n: yes";
    let create =
        ["create", "101", "--name", "k8s-worker-1", "--description", mark, "--scsi0", "local-lvm:4", "--memory", "512"];
    assert_eq!(both.run("k8s-101-create-0f", &create).await, 0);
    both.assert_same_observation().await;
    assert_ne!(both.run("k8s-101-create-1f", &create).await, 0, "it is there already");
    assert_eq!(both.run("k8s-101-start-0f", &["start", "101"]).await, 0);
    both.assert_same_observation().await;
    both.assert_same_vm(101).await;
    both.assert_same_vm(102).await;
    both.assert_same_answer(&Probe::Volumes { storage: StorageName::new("local-lvm"), vmid: Vmid(101) }).await;
    both.assert_same_answer(&Probe::Volumes { storage: StorageName::new("nosuch"), vmid: Vmid(101) }).await;
    for name in ["k8s-101-create-0f", "k8s-101-create-1f", "k8s-101-start-0f"] {
        for lines in [0, 1, 100] {
            both.assert_same_answer(&Probe::Operation { name: OperationName::new(name), lines }).await;
        }
    }
    assert_eq!(both.run("k8s-101-stop-0f", &["stop", "101"]).await, 0);
    both.assert_same_observation().await;
    both.assert_same_vm(101).await;
    both.ssh.close().await;
}

#[tokio::test]
async fn files_put_by_either_are_the_same_to_both() {
    let both = both();
    let digest = "sha256-2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".parse().unwrap();
    let image = format!("/var/lib/pvekube/images/{digest}.img");
    let put = |path: &str, text: &str| PutFile {
        path: path.to_owned(),
        mode: 0o644,
        content: PutContent::Bytes(text.as_bytes().to_vec()),
    };
    let snippet = "/var/lib/vz/snippets/pvekube-ab12.json";
    both.ssh.put(&both.name, &put(&image, "foo")).await.unwrap();
    both.sandbox.put(&both.name, &put(snippet, "{}")).await.unwrap();
    both.assert_same_observation().await;
    let probe = Probe::Image { path: image.clone(), digest };
    assert_eq!(both.assert_same_answer(&probe).await.stdout, b"ok 3\n");
    both.sandbox.put(&both.name, &put(&image, "fooo")).await.unwrap();
    assert_eq!(both.assert_same_answer(&probe).await.stdout, b"wrong 4\n");
    both.ssh.remove(&both.name, snippet).await.unwrap();
    both.sandbox.remove(&both.name, &image).await.unwrap();
    assert_eq!(both.assert_same_answer(&probe).await.stdout, b"absent\n");
    both.assert_same_observation().await;
    for path in
        ["/etc/pve/user.cfg", "/var/lib/pvekube/../x", "/var/lib/vz/snippets/theirs", "relative", "/run/pvekube/a b"]
    {
        let sandbox = both.sandbox.put(&both.name, &put(path, "x")).await.unwrap_err();
        let ssh = both.ssh.put(&both.name, &put(path, "x")).await.unwrap_err();
        assert_eq!(sandbox.kind, ssh.kind, "{path}");
        assert!(ssh.sentence.ends_with(&sandbox.sentence), "{} / {}", ssh.sentence, sandbox.sentence);
    }
    both.ssh.close().await;
}
