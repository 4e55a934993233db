//! A Proxmox of our own: simulated nodes as programs behind real sshds, an image server, an sshd for the guests, and
//! pvekube run as a user would run it. All of it in a network (and process) namespace of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::fs::Fs;
use pvekube::sandbox::guest::hypervisor::Hypervisor;
use pvekube::sandbox::image_server::{self, Server};
use pvekube::sandbox::leases;
use pvekube::sandbox::power;
use pvekube::sandbox::process::{Captured, Process};
use pvekube::sandbox::programs;
use pvekube::sandbox::remote::{Links, Operations};
use pvekube::sandbox::tools;
use pvekube::sandbox::world::{NodeSpec, PveVersion, RealmSpec, StorageKind, StorageSpec, Topology, World};

use super::said::{Said, said};
use super::sshd::{Node, all_processes, make_key, program, signal, user};

/// How many times faster than life the nodes work.
const SPEED: f64 = 30.0;
/// The guests' network: all of it belongs to this (namespaced) machine.
const GUESTS: &str = "10.77.0";
const PVEKUBE: &str = env!("CARGO_BIN_EXE_pvekube");
/// The config of the original plan, byte for byte.
const ORIGINAL: &str = include_str!("../fixtures/original/config.yaml");

/// Runs a test by its name in namespaces of its own: networks are its own, and whatever it starts ends with it.
pub fn in_own_namespaces(test: &str, body: fn()) {
    each_in_own_namespaces(test, &[("alone", body)]);
}

/// As `in_own_namespaces`, for several at once: they wait more than they work.
pub fn each_in_own_namespaces(test: &str, bodies: &[(&str, fn())]) {
    const INSIDE: &str = "PVEKUBE_E2E_INSIDE";
    if let Ok(name) = std::env::var(INSIDE) {
        return bodies.iter().filter(|(body, _)| *body == name).for_each(|(_, body)| body());
    }
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let names = bodies.iter().map(|(name, _)| *name);
        let runs: Vec<_> = names.map(|name| (name, scope.spawn(move || namespaced(test, INSIDE, name)))).collect();
        runs.into_iter().filter_map(|(name, run)| (!run.join().unwrap()).then_some(name)).collect()
    });
    assert!(failed.is_empty(), "{test} failed ({}); see above", failed.join(", "));
}

/// Whether it passed.
fn namespaced(test: &str, variable: &str, name: &str) -> bool {
    let script = format!("ip link set lo up && ip route add local {GUESTS}.0/24 dev lo && exec \"$@\"");
    // A user without root gets a user namespace, in which the network can be set up and the own sshd can run.
    let own_user: &[&str] = if user() == "root" { &[] } else { &["--user", "--map-current-user", "--keep-caps"] };
    let status = Command::new("unshare")
        .args(own_user)
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, name)
        .status();
    status.expect("unshare (util-linux) and ip (iproute2) are needed: tests/run installs them").success()
}

/// One PVE cluster, or each node on its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Cluster,
    Standalone,
}

pub struct Lab {
    dir: tempfile::TempDir,
    pub nodes: BTreeMap<String, Node>,
    images: Server,
    guests: Child,
}

impl Lab {
    /// Nodes by the hosts' names in the config; their PVE names are the first labels.
    pub fn new(shape: Shape, hosts: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<&str> = hosts.iter().map(|host| host.split('.').next().unwrap()).collect();
        let folder = dir.path().join("world");
        fs::create_dir_all(&folder).unwrap();
        let fs = Fs::directory(&folder).unwrap();
        let realms = match shape {
            Shape::Cluster => vec![realm("home", Some("home"), &names)],
            Shape::Standalone => names.iter().map(|name| realm(name, None, &[name])).collect(),
        };
        let topology = Topology { seed: 7, realms };
        World::create(fs, topology, Clock::real(SPEED), Arc::new(Hypervisor::default())).unwrap();
        let world = programs::open(&folder, Path::new(PVEKUBE)).unwrap();
        programs::install(&world, Path::new(PVEKUBE), SPEED).unwrap();
        let first = format!("{GUESTS}.100/24").parse().unwrap();
        leases::set_range(&world.fs, "vmbr0", leases::Range { first, count: 50 }).unwrap();

        let guests = start_guest_sshd(&dir.path().join("guests"));
        let key = fs::read_to_string(dir.path().join("guests/host_key.pub")).unwrap();
        world.fs.write("/guest-host-keys", key).unwrap();

        let mut nodes = BTreeMap::new();
        let mut ssh_config = String::new();
        for (number, (host, name)) in hosts.iter().zip(&names).enumerate() {
            let node = Node::start(&folder.join("nodes").join(name), &format!("127.0.1.{}", number + 1));
            ssh_config.push_str(&node.ssh_config(host));
            nodes.insert((*name).to_owned(), node);
        }
        let lab = Self { nodes, images: image_server::serve("127.0.0.1:0").unwrap(), guests, dir };
        lab.write("ssh_config", &ssh_config);
        fs::create_dir_all(lab.path("home/.ssh")).unwrap();
        fs::create_dir_all(lab.path("runtime")).unwrap();
        make_key(&lab.path("home/.ssh/pve.key"));
        lab.let_in();
        lab.write("config.yaml", &lab.config(hosts));
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The user's key is authorized on every node and put into the guests.
    fn let_in(&self) {
        let public = fs::read_to_string(self.path("home/.ssh/pve.key.pub")).unwrap();
        for node in self.nodes.values() {
            fs::write(node.root.join("etc/ssh/authorized_keys"), &public).unwrap();
        }
        self.write("guests/authorized_keys", &public);
    }

    /// The original config; hosts, keys and addresses of the image replaced, and this user's name put in.
    fn config(&self, hosts: &[&str]) -> String {
        let public = fs::read_to_string(self.path("home/.ssh/pve.key.pub")).unwrap();
        let list: String = hosts.iter().map(|host| format!("  - {host}\n")).collect();
        let old = "  - pve-pc-mini.icosahedron.org\n  - pve-mac-mini.icosahedron.org\n";
        let images = self.images.url("");
        assert!(ORIGINAL.contains(old));
        let text = ORIGINAL
            .replace(old, &list)
            .replace("ssh_user: root", &format!("ssh_user: {}", user()))
            .replace("https://cloud-images.ubuntu.com/jammy/current/", &images)
            .replace("\"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ...\"", &format!("{public:?}").replace("\\n", ""))
            .replace("cloud_init:\n", &format!("cloud_init:\n  user: {}\n", user()));
        format!("{text}ssh: {{config_file: {}}}\n", self.path("ssh_config").display())
    }

    /// Runs pvekube in the lab's folder, with a home of its own, no agent and no terminal.
    pub fn pvekube(&self, words: &[&str]) -> Said {
        let output = self.command(words).output().unwrap();
        said(output)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PVEKUBE);
        command
            .args(words)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("PATH", format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap()))
            .env("COLUMNS", "120")
            .stdin(Stdio::null());
        command
    }

    /// Configs under `/etc/pve` of the whole lab: (VMID, text).
    pub fn configs(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for node in self.nodes.values() {
            let folder = node.root.join("etc/pve/nodes").join(name_of(node)).join("qemu-server");
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().trim_end_matches(".conf").to_owned();
                found.push((name, fs::read_to_string(entry.path()).unwrap()));
            }
        }
        found
    }

    /// A dead connection is noticed after some 4 s instead of 40 s: the first of equal options holds. Where `$CUT` names
    /// a file that is there, no connection can be made.
    pub fn notice_dead_connections_soon(&self) {
        let text = "#!/bin/sh\nif [ -n \"$CUT\" ] && [ -e \"$CUT\" ]; then\n  echo 'ssh: connect to host pve1.lan port 22: \
                    No route to host' >&2\n  exit 255\nfi\nexec /usr/bin/ssh -o ServerAliveInterval=1 \"$@\"\n";
        fs::create_dir_all(self.path("bin")).unwrap();
        program(&self.path("bin/ssh"), text);
    }

    /// Volumes on a node's `local-lvm`.
    pub fn volumes(&self, name: &str) -> Vec<String> {
        let world = self.world();
        let (captured, out) = Captured::new();
        let (node, list) = (world.node(name).unwrap(), Process::new(["pvesm", "list", "local-lvm"], out));
        assert_eq!(block_on(tools::run(&node, &list)), Some(0));
        let text = String::from_utf8(captured.take().0).unwrap();
        text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    /// Pulls a node's plug and puts it back: whatever ran there has ended, `/run` is empty, guests with `onboot` start.
    pub fn lose_power(&mut self, name: &str) {
        let world = self.world();
        let simulated = world.node(name).unwrap();
        let node = self.nodes.get_mut(name).unwrap();
        node.kill();
        for pid in all_processes().into_iter().filter(|pid| runs_on(*pid, &node.root, name)) {
            signal("KILL", pid);
        }
        power::off(&simulated, &Operations::default(), &Links::default()).unwrap();
        let _ = fs::remove_dir_all(node.root.join("gates"));
        fs::create_dir_all(node.root.join("gates")).unwrap();
        block_on(power::on(&simulated)).unwrap();
        node.restart();
    }

    fn world(&self) -> Arc<World> {
        programs::open(&self.path("world"), Path::new(PVEKUBE)).unwrap()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Started by a session of this node's sshd, or one of its stand-ins.
fn runs_on(pid: u32, root: &Path, name: &str) -> bool {
    let read = |what| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    read("environ").contains(&format!("PVEKUBE_ROOT={}\0", root.display()))
        || read("cmdline").contains("sandbox\0tool\0") && read("cmdline").contains(&format!("\0{name}\0"))
}

fn name_of(node: &Node) -> &str {
    node.root.file_name().unwrap().to_str().unwrap()
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.guests.kill();
        let _ = self.guests.wait();
    }
}

/// One sshd stands for every guest: it listens on all addresses of the namespace.
fn start_guest_sshd(folder: &Path) -> Child {
    fs::create_dir_all(folder).unwrap();
    make_key(&folder.join("host_key"));
    let _ = fs::create_dir_all("/run/sshd");
    let here = folder.display();
    let config = format!(
        "Port 22\nListenAddress 0.0.0.0\nHostKey {here}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n\
         AuthorizedKeysFile {here}/authorized_keys\nPasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\n"
    );
    let path = folder.join("sshd_config");
    fs::File::create(&path).unwrap().write_all(config.as_bytes()).unwrap();
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "/usr/sbin/sshd", "-D", "-e", "-f"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

fn realm(name: &str, cluster: Option<&str>, nodes: &[&str]) -> RealmSpec {
    let node = |(number, name): (usize, &&str)| NodeSpec {
        name: (*name).to_owned(),
        address: format!("127.0.1.{}", number + 1),
        cpus: 8,
        memory_mib: 65_536,
        version: PveVersion::pve9(),
        bridges: vec!["vmbr0".to_owned()],
        resolv_conf: "search lan\nnameserver 10.0.0.1\n".to_owned(),
    };
    let storage = |name: &str, kind, content: &[&str], place: &str| StorageSpec {
        name: name.to_owned(),
        kind,
        content: content.iter().map(|word| (*word).to_owned()).collect(),
        size_mib: 800 << 10,
        place: place.to_owned(),
        shared: false,
        sparse: false,
        nodes: None,
    };
    RealmSpec {
        name: name.to_owned(),
        cluster: cluster.map(str::to_owned),
        nodes: nodes.iter().enumerate().map(node).collect(),
        storages: vec![
            storage("local", StorageKind::Dir, &["iso", "vztmpl", "backup", "snippets"], "/var/lib/vz"),
            storage("local-lvm", StorageKind::Lvmthin, &["images", "rootdir"], "pve/data"),
        ],
    }
}
