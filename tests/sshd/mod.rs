//! A real `sshd` as a node: its own address, keys and root folder, which stands for `/`.
//!
//! `Node::start` mounts nothing and needs no root: sshd sets `PVEKUBE_ROOT`, which the programs on a node take their paths
//! from. `Node::start_mounted` (by root; for others the same as `start`) gives sshd a mount namespace of its own, where the
//! root folder's parts lie at their real places, as on a real node: `/usr/sbin/qm`, `/etc/pve`, `/run`.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pvekube::model::desired::{KnownHosts, NodeTarget, SshSettings};
use pvekube::model::ids::NodeName;

pub const PORT: u16 = 2222;

/// A running sshd; killed with its sessions when dropped.
#[derive(Debug)]
pub struct Node {
    pub root: PathBuf,
    pub address: String,
    sshd: Option<Child>,
    extra: String,
    mounted: bool,
}

/// Puts the parts of a root folder (`$1`) at their places, then runs the rest of the arguments. What is there of programs
/// and configuration shows through; what runs and is kept is the folder's alone.
const MOUNT: &str = r#"set -e
root=$1
shift
mount --make-rprivate /
for part in etc usr/sbin usr/bin; do
  mount -t overlay overlay -o "lowerdir=$root/$part:/$part" "/$part"
done
mount --bind "$root/etc/pve" /etc/pve
for part in run root var/lib; do mount --bind "$root/$part" "/$part"; done
mkdir -p /run/sshd
exec "$@""#;

/// An address of the loopback network that no other test uses: by process and by count.
pub fn fresh_address() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let (pid, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", (pid >> 8) % 255 + 1, pid % 256, n % 254 + 1)
}

impl Node {
    /// Makes what a node's root needs (keys, folders) where it is missing, and starts sshd on `address`:2222.
    pub fn start(root: &Path, address: &str) -> Self {
        Self::start_with(root, address, "")
    }

    /// As `start`, with further lines of sshd_config.
    pub fn start_with(root: &Path, address: &str, extra: &str) -> Self {
        Self::start_as(root, address, extra, false)
    }

    /// As `start`, in its own mount namespace when we are root. Programs must lie in the root before.
    pub fn start_mounted(root: &Path, address: &str) -> Self {
        Self::start_as(root, address, "", user() == "root")
    }

    fn start_as(root: &Path, address: &str, extra: &str, mounted: bool) -> Self {
        for folder in ["etc/ssh", "etc/pve", "usr/sbin", "usr/bin", "run/qemu-server", "var/lib", "root"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        make_key(&root.join("etc/ssh/host_key"));
        make_key(&root.join("client_key"));
        let authorized = root.join("etc/ssh/authorized_keys");
        if !authorized.exists() {
            fs::copy(root.join("client_key.pub"), &authorized).unwrap();
        }
        let mut node =
            Self { root: root.to_owned(), address: address.to_owned(), sshd: None, extra: extra.to_owned(), mounted };
        node.restart();
        fs::write(root.join("known_hosts"), node.known_host()).unwrap();
        node
    }

    /// Starts sshd again (after `kill`), with the keys that lie in the root now.
    pub fn restart(&mut self) {
        self.kill();
        // Where sshd runs as root it insists on it.
        let _ = fs::create_dir_all("/run/sshd");
        let config = self.root.join("etc/ssh/sshd_config");
        fs::write(&config, self.config()).unwrap();
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        // The kernel ends it with us, however we end.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if self.mounted {
            command.args(["unshare", "-m", "sh", "-c", MOUNT, "sh"]).arg(&self.root);
        }
        let sshd = command
            .args(["/usr/sbin/sshd", "-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("setpriv (util-linux) and sshd (openssh-server) are needed: tests/run installs them");
        self.sshd = Some(sshd);
        let begun = Instant::now();
        while TcpStream::connect((self.address.as_str(), PORT)).is_err() {
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(30), "sshd does not listen: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn config(&self) -> String {
        let root = self.root.display();
        let environment =
            if self.mounted { String::new() } else { format!("SetEnv PVEKUBE_ROOT={root} HOME={root}/root\n") };
        format!(
            "Port {PORT}\nListenAddress {address}\nHostKey {root}/etc/ssh/host_key\nPidFile none\nUsePAM no\n\
             StrictModes no\nAuthorizedKeysFile {root}/etc/ssh/authorized_keys\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nUseDNS no\nLogLevel VERBOSE\nAcceptEnv LANG LC_*\n\
             {environment}{extra}\n",
            address = self.address,
            extra = self.extra,
        )
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("sshd.log")
    }

    /// Logins so far.
    pub fn connections(&self) -> usize {
        self.logged("Accepted publickey for")
    }

    /// Remote commands so far.
    pub fn executions(&self) -> usize {
        self.logged("Starting session: command for")
    }

    fn logged(&self, text: &str) -> usize {
        BufReader::new(File::open(self.log()).unwrap())
            .lines()
            .filter(|line| line.as_ref().unwrap().contains(text))
            .count()
    }

    /// This node's line for a known_hosts file.
    pub fn known_host(&self) -> String {
        let key = fs::read_to_string(self.root.join("etc/ssh/host_key.pub")).unwrap();
        format!("[{}]:{PORT} {key}", self.address)
    }

    /// The node as an entry of an ssh_config under a name.
    pub fn ssh_config(&self, name: &str) -> String {
        format!(
            "Host {name}\n  HostName {address}\n  Port {PORT}\n  User {user}\n  IdentityFile {root}/client_key\n  \
             IdentitiesOnly yes\n  UserKnownHostsFile {root}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  \
             KexAlgorithms curve25519-sha256\n",
            address = self.address,
            user = user(),
            root = self.root.display(),
        )
    }

    /// The sshd processes of open connections: for a login other than root's, two each.
    pub fn sessions(&self) -> Vec<u32> {
        let first = self.sshd.as_ref().map(|sshd| children(sshd.id())).unwrap_or_default();
        let second = first.iter().flat_map(|pid| children(*pid)).filter(|pid| is_sshd(*pid));
        first.iter().copied().chain(second.collect::<Vec<_>>()).collect()
    }

    /// Cuts every connection, as a node's crash does; what they started runs on.
    pub fn kill_sessions(&self) {
        for pid in self.sessions() {
            signal("KILL", pid);
        }
    }

    /// Stops (or lets go on) every connection: to the client the network is frozen.
    pub fn freeze_sessions(&self, frozen: bool) {
        for pid in self.sessions() {
            signal(if frozen { "STOP" } else { "CONT" }, pid);
        }
    }

    /// Ends sshd and all its connections.
    pub fn kill(&mut self) {
        self.kill_sessions();
        if let Some(mut sshd) = self.sshd.take() {
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
    }

    /// Puts an executable program at a path of the root.
    pub fn program(&self, path: &str, text: &str) {
        program(&self.root.join(path), text);
    }
}

/// Writes an executable program.
pub fn program(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Settings that reach nodes by the entries of an ssh_config file.
pub fn settings(config_file: &Path) -> SshSettings {
    SshSettings {
        user: String::new(),
        private_key: None,
        config_file: Some(config_file.to_owned()),
        known_hosts: KnownHosts::Strict,
        connect_timeout_s: 10,
        sudo: false,
    }
}

pub fn target(name: &str) -> NodeTarget {
    NodeTarget { name: NodeName::new(name), host: name.to_owned(), port: None, zone: None, schedulable: true }
}

/// Makes an ed25519 key pair unless it is there.
pub fn make_key(path: &Path) {
    if path.exists() {
        return;
    }
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen is needed").success());
}

pub fn user() -> String {
    let said = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

pub fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
}

fn is_sshd(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"))
}

pub fn all_processes() -> Vec<u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Live processes by the name of their program.
pub fn processes(name: &str) -> Vec<u32> {
    let stat = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_it = |pid: &u32| stat(pid).contains(&format!(" ({name}) ")) && !stat(pid).contains(") Z ");
    all_processes().into_iter().filter(is_it).collect()
}

/// Live children of a process.
pub fn children(parent: u32) -> Vec<u32> {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    all_processes()
        .into_iter()
        .filter(|pid| {
            stat(*pid).is_some_and(|stat| {
                let mut fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
                fields.next().is_some_and(|state| state != "Z") && fields.next() == Some(&parent.to_string())
            })
        })
        .collect()
}

/// As `eventually`, for what needs this task's runtime to go on.
pub async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until something is true that another process makes true; fails loudly after half a minute.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
