mod realms;
mod torn;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::frame::Writer;
use super::*;
use crate::model::desired::NodeTarget;
use crate::model::ids::{ClusterName, NodeName, RealmId};
use crate::model::observed::{Guest, NodeState, Observed, Power, Silence, Upstream};

const NONCE: &str = "0123456789abcdef";
const NOW: i64 = 1_795_347_100;
const VERSION_FILE: &[u8] =
    b"package PVE::pvecfg;\n\nsub package {\n    return 'pve-manager';\n}\n\nsub version {\n    return '9.2.11';\n}\n";

/// A node as a test wants it; [`Fake::bytes`] is its answer.
#[derive(Clone)]
struct Fake {
    name: &'static str,
    local: &'static str,
    /// Cluster name, quorate, members with their addresses; a member that is down has a `-` before its name.
    cluster: Option<(&'static str, bool, Vec<&'static str>)>,
    /// VMID, node, config.
    vms: Vec<(u32, &'static str, String)>,
    containers: Vec<(u32, &'static str)>,
    container_memory: Vec<&'static str>,
    running: Vec<u32>,
    rrd: String,
    /// `.vmlist` ids that have no file.
    only_listed: Vec<(u32, &'static str)>,
    vmlist_before: Option<String>,
}

impl Fake {
    fn standalone(name: &'static str) -> Self {
        Self {
            name,
            local: "link 755 nodes/x",
            cluster: None,
            vms: Vec::new(),
            containers: Vec::new(),
            container_memory: Vec::new(),
            running: Vec::new(),
            rrd: String::new(),
            only_listed: Vec::new(),
            vmlist_before: None,
        }
    }

    fn member(name: &'static str, all: &[&'static str]) -> Self {
        Self { cluster: Some(("home", true, all.to_vec())), ..Self::standalone(name) }
    }

    fn vm(mut self, vmid: u32, node: &'static str, config: &str) -> Self {
        self.vms.push((vmid, node, config.to_owned()));
        self
    }

    fn members_file(&self) -> String {
        let Some((name, quorate, all)) = &self.cluster else {
            return format!("{{\n\"nodename\": \"{}\",\n\"version\": 0\n}}\n", self.name);
        };
        let nodes: Vec<String> = all
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let (node, online) = node.strip_prefix('-').map_or((*node, 1), |node| (node, 0));
                format!(
                    "\"{node}\": {{ \"id\": {}, \"online\": {online}, \"ip\": \"10.0.0.{}\"}}",
                    index + 1,
                    index + 1
                )
            })
            .collect();
        format!(
            "{{\n\"nodename\": \"{}\",\n\"version\": 3,\n\"cluster\": {{ \"name\": \"{name}\", \"version\": 3, \"nodes\": {}, \"quorate\": {} }},\n\"nodelist\": {{\n{}\n}}\n}}\n",
            self.name,
            all.len(),
            u8::from(*quorate),
            nodes.join(",\n")
        )
    }

    fn vmlist_file(&self) -> String {
        let mut ids: Vec<String> = Vec::new();
        let vms = self.vms.iter().map(|(id, node, _)| (*id, *node)).chain(self.only_listed.clone());
        ids.extend(
            vms.map(|(id, node)| format!("\"{id}\": {{ \"node\": \"{node}\", \"type\": \"qemu\", \"version\": 4 }}")),
        );
        let containers = self.containers.iter();
        ids.extend(
            containers
                .map(|(id, node)| format!("\"{id}\": {{ \"node\": \"{node}\", \"type\": \"lxc\", \"version\": 5 }}")),
        );
        if ids.is_empty() {
            return "{\n\"version\": 0\n\n}\n".to_owned();
        }
        format!("{{\n\"version\": 29,\n\"ids\": {{\n{}}}\n\n}}\n", ids.join(",\n"))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut w = Writer::new(NONCE);
        w.lines(&["clock"], [NOW]);
        w.lines(&["local"], [self.local]);
        w.file("members", Some(self.members_file().as_bytes()));
        let list = self.vmlist_file();
        w.file("vmlist", Some(self.vmlist_before.as_ref().unwrap_or(&list).as_bytes()));
        let files: Vec<_> = self
            .vms
            .iter()
            .map(|(id, node, text)| (format!("{node}/qemu-server/{id}.conf"), text.clone().into_bytes()))
            .collect();
        w.configs(&files);
        w.lines(&["containers"], self.containers.iter().map(|(id, node)| format!("{node}/lxc/{id}.conf")));
        w.lines(&["container-memory"], self.container_memory.clone());
        w.file("vmlist-after", Some(list.as_bytes()));
        w.file("rrd", Some(self.rrd.as_bytes()));
        w.file("storage.cfg", None);
        w.file("user.cfg", Some(b"pool:kubernetes::201::\n"));
        w.file("pvecfg.pm", Some(VERSION_FILE));
        w.file("meminfo", Some(b"MemTotal:       24682416 kB\nMemFree: 1 kB\n"));
        w.file("cpus", Some(b"0-3,8\n"));
        w.file(
            "resolv.conf",
            Some(b"search lab.test other\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver fd00::1\n"),
        );
        w.lines(&["pids"], self.running.iter().map(|id| format!("{id} {}", id + 5000)));
        w.lines(
            &["cmdlines"],
            self.running.iter().map(|id| format!("{}/cmdline:/var/run/qemu-server/{id}.pid", id + 5000)),
        );
        w.lines(&["bridges"], ["vmbr0"]);
        w.lines(
            &["images"],
            [format!("145 sha256-{}.img", "ab".repeat(32)), format!("5 sha256-{}.img.part", "ab".repeat(32))],
        );
        w.lines(&["space"], ["1000 4096"]);
        w.section(&["op", "k8s-201-clone-x2", "1", "-"], b"transferred 1\rtransferred \x1b[1m2\x1b[0m\n");
        w.section(&["op", "odd", "0", "0"], b"");
        w.finish()
    }

    fn report(&self) -> NodeReport {
        parse(NONCE, &self.bytes()).unwrap()
    }
}

fn target(name: &str) -> NodeTarget {
    NodeTarget { name: name.into(), host: format!("{name}.lan"), port: None, zone: None, schedulable: true }
}

fn silent(reason: &str) -> Result<NodeReport, Silence> {
    Err(Silence { reason: reason.to_owned(), hint: String::new(), detail: String::new() })
}

fn observe(answers: Vec<(&str, Result<NodeReport, Silence>)>) -> Observed {
    let targets: Vec<_> = answers.iter().map(|(name, _)| target(name)).collect();
    let answers: BTreeMap<NodeName, _> = answers.into_iter().map(|(name, answer)| (name.into(), answer)).collect();
    assemble(&targets, answers, Upstream::Unknown { reason: "not asked".to_owned() }, 7)
}

fn only_realm(observed: &Observed) -> (&RealmId, &crate::model::observed::Realm) {
    assert_eq!(observed.realms.len(), 1, "{:?}", observed.realms.keys());
    observed.realms.iter().next().unwrap()
}

#[test]
fn facts_of_a_standalone_node() {
    let mut fake = Fake::standalone("pve1").vm(201, "pve1", "name: a\n").vm(202, "pve1", "name: b\n");
    fake.running = vec![201];
    fake.rrd = format!("pve-storage-9.0/pve1/local:{NOW}:1000:10\npve-storage-9.0/pve1/old:{}:1:1\n", NOW - 500);
    let observed = observe(vec![("pve1", Ok(fake.report()))]);
    let (id, realm) = only_realm(&observed);
    assert_eq!(id.as_str(), "node:pve1@pve1.lan");
    assert!(realm.quorate && realm.existence_known && realm.cluster.is_none());
    assert_eq!(realm.members[&"pve1".into()].node, Some("pve1".into()));
    let power = |vmid: u32| realm.guests[&Vmid(vmid)].vm().unwrap().power;
    assert_eq!((power(201), power(202)), (Power::Running, Power::Stopped));
    assert_eq!(realm.pools[&"kubernetes".into()].len(), 1);
    let facts = observed.facts(&"pve1".into()).unwrap();
    assert_eq!((facts.version.major, facts.version.minor, facts.version.text.as_str()), (9, 2, "9.2.11"));
    assert_eq!((facts.memory_bytes, facts.cpus), (24_682_416 * 1024, 5));
    assert_eq!(facts.nameservers, ["10.0.0.1", "fd00::1"]);
    assert_eq!(facts.searchdomain.as_deref(), Some("lab.test"));
    assert_eq!(facts.storages.len(), 1, "an old sample says nothing");
    assert_eq!((facts.images.len(), facts.image_space_bytes), (1, Some(4_096_000)));
    assert_eq!(facts.operations.len(), 1);
    let operation = &facts.operations[0];
    assert_eq!((operation.vmid, operation.verb.as_str(), operation.live), (Vmid(201), "clone", true));
    assert_eq!(operation.tail, ["transferred 1", "transferred 2"]);
}

#[test]
fn containers_take_ids_and_memory() {
    let mut fake = Fake::standalone("pve1");
    fake.containers = vec![(300, "pve1"), (301, "pve1"), (302, "pve1")];
    // The second line of 301 is a snapshot's.
    fake.container_memory =
        vec!["pve1/lxc/300.conf:memory: 9", "pve1/lxc/301.conf:memory: 2048", "pve1/lxc/301.conf:memory: 4096"];
    fake.rrd = format!(
        "pve-vm-9.0/300:5:ct:running:0:{NOW}:1:0.1:1073741824:5:U:U\npve-vm-9.0/301:5:ct:running:0:{}:1:0.1:1:5:U:U\n",
        NOW - 301
    );
    let observed = observe(vec![("pve1", Ok(fake.report()))]);
    let memory = |vmid: u32| match &only_realm(&observed).1.guests[&Vmid(vmid)] {
        Guest::Container(container) => container.memory_bytes,
        Guest::Vm(_) => panic!("{vmid} is a container"),
    };
    assert_eq!(memory(300), Some(1 << 30), "the sample");
    assert_eq!(memory(301), Some(2 << 30), "the config, without a fresh sample");
    assert_eq!(memory(302), Some(512 << 20), "what PVE gives a container whose config does not say");
}

#[test]
fn a_dead_qemu_leaves_its_pid_file() {
    let mut fake = Fake::standalone("pve1").vm(101, "pve1", "name: a\n");
    fake.running = vec![101];
    let text = String::from_utf8(fake.bytes()).unwrap();
    let other =
        text.replacen("5101/cmdline:/var/run/qemu-server/101.pid", "5101/cmdline:/var/run/qemu-server/999.pid", 1);
    assert!(parse(NONCE, other.as_bytes()).unwrap().running.is_empty());
    assert_eq!(parse(NONCE, text.as_bytes()).unwrap().running.len(), 1);
}

#[test]
fn versions() {
    let of = |text: &str| read::version(&format!("sub version {{\n    return '{text}';\n}}\n"));
    assert_eq!(of("7.4-17").map(|v| (v.major, v.minor)), Some((7, 4)));
    assert_eq!(of("9.0.0~1").map(|v| (v.major, v.minor)), Some((9, 0)));
    assert_eq!(of("9").map(|v| (v.major, v.minor)), Some((9, 0)));
    assert_eq!(of("x"), None);
}

#[test]
fn operation_names() {
    let parsed = |name: &str| parse_name(name).map(|(cluster, vmid, verb)| (cluster, vmid.0, verb));
    let is = |cluster: &str, vmid, verb: &str| Some((ClusterName::new(cluster), vmid, verb.to_owned()));
    assert_eq!(parsed("k8s-201-clone-x2"), is("k8s", 201, "clone"));
    assert_eq!(parsed("my-k8s-9000-remove-image-1234"), is("my-k8s", 9000, "remove-image"));
    assert_eq!(parsed("a-1-201-set-99"), is("a-1", 201, "set"));
    for bad in ["", "k8s", "201-clone-x", "k8s-clone-x", "k8s-201-", "k8s-99999999999-clone-x", "-201--x"] {
        assert_eq!(parsed(bad), None, "{bad}");
    }
}

#[test]
fn the_probe_of_one_vm() {
    let mut w = Writer::new(NONCE);
    w.lines(&["local"], ["link 755 nodes/c1"]);
    w.configs(&[("c2/qemu-server/201.conf".to_owned(), b"name: a\n".to_vec())]);
    w.lines(&["pids"], ["201 77"]);
    w.lines(&["cmdlines"], ["77/cmdline:/run/qemu-server/201.pid"]);
    w.section(&["op", "k8s-201-set-1", "0", "255"], b"VM is locked (backup)\n");
    let report = parse_vm(NONCE, Vmid(201), &w.finish()).unwrap();
    assert_eq!(report.seen.unwrap().node, "c2".into());
    assert!(report.running);
    assert_eq!(report.operations[0].exit, Some(255));
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic(content in prop::collection::vec(any::<u8>(), 0..200), name in "(configs|local|clock|op|pids|cmdlines|space|file members|file vmlist-after|file rrd|pvesm local 0|images)") {
        let mut w = Writer::new(NONCE);
        w.lines(&["clock"], [NOW]);
        w.lines(&["local"], ["link 755 nodes/c1"]);
        w.section(&[&name], &content);
        let bytes = w.finish();
        if let Ok(report) = parse(NONCE, &bytes) {
            let _ = observe(vec![("a", Ok(report))]);
        }
        let _ = parse_vm(NONCE, Vmid(100), &bytes);
        let _ = parse(NONCE, &content);
    }

    #[test]
    fn files_keep_their_bytes(files in prop::collection::btree_map(100u32..130, prop::collection::vec(any::<u8>(), 0..40), 0..5)) {
        let mut w = Writer::new(NONCE);
        let listed: Vec<_> = files.iter().map(|(id, bytes)| (format!("n/qemu-server/{id}.conf"), bytes.clone())).collect();
        w.configs(&listed);
        let bytes = w.finish();
        let (seen, torn) = read::configs(&frame::split(NONCE, &bytes).unwrap());
        prop_assert_eq!(torn, None);
        prop_assert_eq!(seen.len(), files.len());
        for (id, bytes) in &files {
            if let Ok(config) = &seen[&Vmid(*id)].config {
                prop_assert_eq!(&config.digest, &crate::pve::conf::digest(bytes));
            }
        }
    }
}
