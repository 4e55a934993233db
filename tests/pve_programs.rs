//! The programs that observe a node, run by the local `sh` over a folder that looks like one.
#![allow(clippy::unwrap_used, reason = "a guest or node that can not be made is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use pvekube::model::ids::Vmid;
use pvekube::pve::report::{self, Mount, frame};

macro_rules! report {
    ($file:literal) => {
        concat!(
            include_str!("../src/remote/programs/common.sh"),
            include_str!("../src/remote/programs/report.sh"),
            include_str!(concat!("../src/remote/programs/", $file))
        )
    };
}

const OBSERVE: &str = report!("observe.sh");
const VM: &str = report!("vm.sh");
const NONCE: &str = "0123456789abcdef";
const CONFIG: &[u8] = include_bytes!("fixtures/pve/conf/i-golden.machine-conf-3.conf");

struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    /// A mounted, empty member `c1`. Its folder's name has a blank, which the programs must bear.
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("a node ").tempdir().unwrap();
        let node = Self { folder };
        for dir in
            ["etc/pve/nodes/c1/qemu-server", "etc/pve/nodes/c1/lxc", "run/qemu-server", "proc", "sys/class/net", "bin"]
        {
            fs::create_dir_all(node.root().join(dir)).unwrap();
        }
        symlink("nodes/c1", node.root().join("etc/pve/local")).unwrap();
        node
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn program(&self, name: &str, body: &str) {
        self.write(&format!("bin/{name}"), format!("#!/bin/sh\n{body}\n"));
        let path = self.root().join("bin").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, program: &str, args: &[&str]) -> Vec<u8> {
        let root = self.root().display();
        let head = format!("ROOT='{root}' PATH='{root}/bin:/usr/sbin:/usr/bin:/sbin:/bin'; export PATH\n");
        let mut child = Command::new("sh")
            .args(["-s", "--"])
            .args(args)
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{head}{program}").as_bytes()).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    fn observe(&self) -> Vec<u8> {
        self.run(OBSERVE, &[NONCE, "k8s", "local-lvm other", "vmbr0 ovs1 eth0 nosuch", ""])
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What `Writer` makes of the same state, byte for byte: this is how the sandbox answers.
#[test]
fn shell_and_writer_agree() {
    let node = Node::new();
    node.write("etc/pve/.members", "{\n\"nodename\": \"c1\",\n\"version\": 0\n}\n");
    let vmlist =
        "{\n\"version\": 3,\n\"ids\": {\n\"201\": { \"node\": \"c1\", \"type\": \"qemu\", \"version\": 3 }}\n\n}\n";
    node.write("etc/pve/.vmlist", vmlist);
    node.write("etc/pve/nodes/c1/qemu-server/201.conf", CONFIG);
    node.write("etc/pve/nodes/c2/qemu-server/202.conf", "name: no-newline");
    node.write("etc/pve/nodes/c1/lxc/300.conf", "hostname: a\nmemory: 1024\nswap: 0\n\n[snap]\nmemory: 2048\n");
    let rrd =
        format!("pve2-storage/c1/local-lvm:{}:9:9\npve-storage-9.0/c1/local-lvm:{}:1000:10\n", now() - 500, now() - 5);
    node.write("etc/pve/.rrd", &rrd);
    node.write("etc/pve/storage.cfg", "lvmthin: local-lvm\n\tthinpool data\n\ndir: other\n\tpath /o\n");
    node.write("etc/pve/user.cfg", "pool:kubernetes::201::\n");
    node.write("usr/share/perl5/PVE/pvecfg.pm", "sub version {\n    return '8.4.1';\n}\n");
    node.write("proc/meminfo", "MemTotal:  100 kB\n");
    node.write("sys/devices/system/cpu/online", "0-3\n");
    node.write("etc/resolv.conf", "nameserver 1.1.1.1\n");
    for (vmid, pid, inside) in [(201, 5201, 201), (202, 5202, 999), (203, 5203, 203)] {
        node.write(&format!("run/qemu-server/{vmid}.pid"), format!("{pid}\n"));
        let command = format!("/usr/bin/kvm\0-id\0{inside}\0-pidfile\0/var/run/qemu-server/{inside}.pid\0-daemonize\0");
        node.write(&format!("proc/{pid}/cmdline"), command);
    }
    fs::remove_dir_all(node.root().join("proc/5203")).unwrap();
    node.write("sys/class/net/vmbr0/bridge/x", "");
    node.write("sys/class/net/ovs1/mtu", "1500");
    node.write("sys/class/net/eth0/device/x", "");
    let image = format!("sha256-{}.img", "ab".repeat(32));
    node.write(&format!("var/lib/pvekube/images/{image}"), "12345");
    node.write("var/lib/vz/snippets/pvekube-bake-1.yaml", "");
    node.write("var/lib/vz/snippets/other.yaml", "");
    node.write("run/pvekube/ops/k8s-201-set-a1/rc", "255\n");
    node.write("run/pvekube/ops/k8s-201-set-a1/log", "VM is locked (backup)");
    node.write("run/pvekube/ops/.k8s-9-set-a1/log", "being made");
    node.program("pvesm", "echo \"Name Type Status Total Used Available %\"; echo \"$3 dir active 100 40 60 40.00%\"");
    for name in ["qm", "socat", "wget"] {
        node.program(name, "exit 1");
    }
    let answer = node.observe();
    let sections = frame::split(NONCE, &answer).unwrap();
    let of = |name: &str| sections.iter().find(|section| section.name == name).unwrap().content;
    let mut w = frame::Writer::new(NONCE);
    w.section(&["clock"], of("clock"));
    w.lines(&["local"], ["link 755 nodes/c1"]);
    w.file("members", Some(b"{\n\"nodename\": \"c1\",\n\"version\": 0\n}\n"));
    w.file("vmlist", Some(vmlist.as_bytes()));
    w.configs(&[
        ("c2/qemu-server/202.conf".to_owned(), b"name: no-newline".to_vec()),
        ("c1/qemu-server/201.conf".to_owned(), CONFIG.to_vec()),
    ]);
    w.lines(&["containers"], ["c1/lxc/300.conf"]);
    w.lines(&["container-memory"], ["c1/lxc/300.conf:memory: 1024", "c1/lxc/300.conf:memory: 2048"]);
    w.file("vmlist-after", Some(vmlist.as_bytes()));
    w.file("rrd", Some(rrd.as_bytes()));
    w.file("storage.cfg", Some(b"lvmthin: local-lvm\n\tthinpool data\n\ndir: other\n\tpath /o\n"));
    w.file("datacenter.cfg", None);
    w.file("user.cfg", Some(b"pool:kubernetes::201::\n"));
    w.file("ha/resources.cfg", None);
    w.file("pvecfg.pm", Some(b"sub version {\n    return '8.4.1';\n}\n"));
    w.file("meminfo", Some(b"MemTotal:  100 kB\n"));
    w.file("cpus", Some(b"0-3\n"));
    w.file("resolv.conf", Some(b"nameserver 1.1.1.1\n"));
    w.lines(&["pids"], ["201 5201", "202 5202", "203 5203"]);
    let named = ["5201/cmdline:/var/run/qemu-server/201.pid", "5202/cmdline:/var/run/qemu-server/999.pid"];
    w.lines(&["cmdlines"], named);
    w.lines(&["bridges"], ["vmbr0", "ovs1"]);
    w.lines(&["images"], [format!("5 {image}")]);
    w.section(&["space"], of("space"));
    w.lines(&["snippets"], ["pvekube-bake-1.yaml"]);
    w.section(&["missing"], b"");
    w.section(&["op", "k8s-201-set-a1", "0", "255"], b"VM is locked (backup)");
    let pvesm = b"Name Type Status Total Used Available %\nother dir active 100 40 60 40.00%\n";
    w.section(&["pvesm", "other", "0"], pvesm);
    let expected = w.finish();
    assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(&expected));

    let parsed = report::parse(NONCE, &answer).unwrap();
    assert_eq!(parsed.running.into_iter().collect::<Vec<_>>(), [Vmid(201)]);
    assert_eq!(parsed.configs[&Vmid(201)].config.as_ref().unwrap().get("name"), Some("k8s-worker-1"));
    assert_eq!(parsed.pvesm[&"other".into()].used_bytes, 40 * 1024);
    assert!(parsed.image_space_bytes.unwrap() > 0);
}

#[test]
fn unmounted_and_no_proxmox() {
    let node = Node::new();
    fs::remove_file(node.root().join("etc/pve/local")).unwrap();
    assert_eq!(report::parse(NONCE, &node.observe()).unwrap().mount, Mount::Unmounted);
    fs::remove_dir_all(node.root().join("etc/pve")).unwrap();
    assert_eq!(report::parse(NONCE, &node.observe()).unwrap().mount, Mount::Absent);
}

#[test]
fn quorum_by_mode() {
    let node = Node::new();
    let local = node.root().join("etc/pve/nodes/c1");
    let mount = |node: &Node| report::parse(NONCE, &node.observe()).unwrap().mount;
    assert_eq!(mount(&node), Mount::Mounted { writable: true });
    fs::set_permissions(&local, fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(mount(&node), Mount::Mounted { writable: false });
    fs::set_permissions(&local, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_empty_node_has_empty_sections() {
    let parsed = report::parse(NONCE, &Node::new().observe()).unwrap();
    assert!(parsed.configs.is_empty() && parsed.running.is_empty() && parsed.operations.is_empty());
    assert_eq!(parsed.torn, None);
    assert!(parsed.bridges.is_empty() && parsed.images.is_empty() && parsed.snippets.is_empty());
}

#[test]
fn an_operation_lives_by_pid_start_time_and_boot() {
    let node = Node::new();
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let start = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().to_owned();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for (name, line) in [
        ("k8s-201-clone-a", format!("{} {start} {boot}", child.id())),
        ("k8s-202-clone-b", format!("{} 1 {boot}", child.id())),
        ("k8s-203-clone-c", format!("{} {start} other-boot\n", child.id())),
        ("k8s-204-clone-d", "garbage\n".to_owned()),
    ] {
        node.write(&format!("run/pvekube/ops/{name}/pid"), line);
    }
    let live = || -> BTreeMap<String, bool> {
        let seen = report::parse(NONCE, &node.observe()).unwrap().operations;
        seen.into_iter().map(|operation| (operation.name.to_string(), operation.live)).collect()
    };
    assert_eq!(live().into_values().collect::<Vec<_>>(), [true, false, false, false]);
    let probed = report::parse_vm(NONCE, Vmid(202), &node.run(VM, &[NONCE, "202"])).unwrap();
    assert_eq!(probed.operations.len(), 1, "only those of this VM");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!live()["k8s-201-clone-a"]);
}

#[test]
fn the_probe_finds_the_vm_wherever_it_is() {
    let node = Node::new();
    node.write("etc/pve/nodes/c2/qemu-server/201.conf", CONFIG);
    node.write("etc/pve/nodes/c1/qemu-server/2010.conf", "name: other\n");
    let probed = report::parse_vm(NONCE, Vmid(201), &node.run(VM, &[NONCE, "201"])).unwrap();
    let seen = probed.seen.unwrap();
    assert_eq!(seen.node, "c2".into());
    assert_eq!(seen.config.unwrap().digest, pvekube::pve::conf::digest(CONFIG));
    assert!(!probed.running);
    assert_eq!(report::parse_vm(NONCE, Vmid(999), &node.run(VM, &[NONCE, "999"])).unwrap().seen, None);
}

/// Each storage that is asked costs a second of Perl.
#[test]
fn pvesm_is_asked_only_where_it_can_answer() {
    let asked = |storage_cfg: &str, rrd: &str| -> Vec<String> {
        let node = Node::new();
        node.write("etc/pve/storage.cfg", storage_cfg);
        node.write("etc/pve/.rrd", rrd);
        node.program("pvesm", "echo nothing; exit 3");
        let answer = node.run(OBSERVE, &[NONCE, "k8s", "local local-lvm", "", ""]);
        let sections = frame::split(NONCE, &answer).unwrap();
        let pvesm = sections.iter().filter(|section| section.name == "pvesm");
        let mut names: Vec<String> = pvesm.map(|section| section.args[0].clone()).collect();
        names.sort();
        names
    };
    let lvm = "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n";
    let fresh = format!("pve-storage-9.0/c1/local:{}:9:1\n", now());
    let other = format!("{fresh}pve-storage-9.0/c2/local-lvm:{}:9:1\n", now());
    assert_eq!(asked(lvm, ""), ["local", "local-lvm"], "no sample at all");
    assert_eq!(asked(lvm, &other), ["local-lvm"], "another node's sample is not ours");
    assert_eq!(asked("", &fresh), [""; 0], "not defined");
    assert_eq!(asked(&format!("{lvm}\tnodes c2,c1x\n"), &fresh), [""; 0], "only on other nodes");
    assert_eq!(asked(&format!("{lvm}\tnodes c2,c1\n"), &fresh), ["local-lvm"]);
    assert_eq!(asked(&format!("{lvm}\tdisable\n\nlvmthin: local-lvm-2\n\tvgname x\n"), &fresh), [""; 0], "disabled");
}

/// 2,000 guests have 400 KB of samples. A shell that looks for one storage in the whole text is at it for minutes: this one
/// is given 20 s of CPU time, of which it needs a fraction of one.
#[test]
fn samples_of_many_guests_are_read_in_no_time() {
    let node = Node::new();
    let guest = |vmid: u32| {
        format!("pve-vm-9.0/{vmid}:86400:guest-{vmid}:running:0:{}:4:0.01:{}\n", now(), "8589934592:".repeat(14))
    };
    let guests: String = (100..2100).map(guest).collect();
    node.write("etc/pve/storage.cfg", "lvmthin: local-lvm\n\tthinpool data\n\nzfspool: other\n\tpool x\n");
    let storages = [("local-lvm", 500), ("local", 5)]
        .map(|(name, age)| format!("pve-storage-9.0/c1/{name}:{}:9:1\n", now() - age));
    node.write("etc/pve/.rrd", format!("{guests}{}", storages.concat()));
    node.program("pvesm", "echo nothing; exit 3");
    let limited = format!("ulimit -t 20\n{OBSERVE}");
    let answer = node.run(&limited, &[NONCE, "k8s", "local local-lvm other", "", ""]);
    let sections = frame::split(NONCE, &answer).expect("cut off by the limit");
    let mut asked: Vec<&str> =
        sections.iter().filter(|section| section.name == "pvesm").map(|section| section.args[0].as_str()).collect();
    asked.sort();
    assert_eq!(asked, ["local-lvm", "other"], "the limit ended it unasked");
}

/// The cost of an observation is its processes: as many for three VMs as for three hundred.
#[test]
fn no_process_for_each_vm() {
    let processes = |vms: u32| -> usize {
        let node = Node::new();
        for vmid in 100..100 + vms {
            node.write(&format!("etc/pve/nodes/c1/qemu-server/{vmid}.conf"), CONFIG);
            node.write(&format!("run/qemu-server/{vmid}.pid"), format!("{}\n", vmid + 5000));
            let command = format!("kvm\0-pidfile\0/var/run/qemu-server/{vmid}.pid\0");
            node.write(&format!("proc/{}/cmdline", vmid + 5000), command);
        }
        let log = node.root().join("log");
        for name in ["stat", "cat", "grep", "tr", "readlink", "date", "tail", "pvesm", "timeout"] {
            node.program(name, &format!("echo {name} >>'{}'; PATH=/usr/bin:/bin exec {name} \"$@\"", log.display()));
        }
        let parsed = report::parse(NONCE, &node.observe()).unwrap();
        assert_eq!((parsed.configs.len(), parsed.running.len()), (vms as usize, vms as usize));
        fs::read_to_string(log).unwrap().lines().count()
    };
    let few = processes(3);
    assert_eq!(processes(300), few);
    assert!(few < 30, "{few} processes");
}

/// The programs hold no path of ours and no mutating command; they are read-only by what they call.
#[test]
fn programs_only_read() {
    for file in ["report.sh", "observe.sh", "vm.sh"] {
        let program = fs::read_to_string(Path::new("src/remote/programs").join(file)).unwrap();
        for word in [" rm ", " mv ", "mkdir", "touch", "chmod", " tee ", "qm set ", "qm create", "pvesh"] {
            assert!(!program.contains(word), "{file}: `{word}`");
        }
    }
}
