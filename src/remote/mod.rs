//! The one trait between us and a node, with two implementors: `ssh::Ssh` (real nodes) and `sandbox` (simulated ones).
//!
//! Requests are few and typed. `Ssh` turns each into one of the fixed shell programs in `remote/programs/`; the sandbox
//! answers directly; a test holds both against each other, byte for byte. Answers are bytes or plain data: parsing and
//! deciding is `pve`'s and `execute`'s business.

mod classify;
mod command_line;
mod control;
mod exchange;
mod follow;
mod lock;
pub mod logged;
mod login;
mod program;
mod session;
pub mod ssh;
mod ssh_config;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;

use tokio::sync::{mpsc, watch};

use crate::model::ids::{BridgeName, ClusterName, ImageDigest, NodeName, OperationName, StorageName, Vmid};

/// Requests to nodes. Every future may be dropped safely: a dropped request never kills a mutating command on a node,
/// because those run detached (`start`).
pub trait Remote: Send + Sync + 'static {
    /// The whole observation of a node in one exec: marker-delimited sections, see `pve::report`.
    fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> impl Future<Output = Result<Vec<u8>, RemoteError>> + Send;

    /// A short read.
    fn probe(&self, node: &NodeName, probe: &Probe) -> impl Future<Output = Result<Answer, RemoteError>> + Send;

    /// Starts a detached operation. `Ok` means its folder exists and its process runs or has run: a second start of the
    /// same name is `Ok` and starts nothing (`mkdir` decides). An `Unknown` error may be retried with the same name.
    fn start(&self, node: &NodeName, operation: &Operation) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Removes the folder of a finished operation (a live one is refused), or cancels nothing.
    fn forget(
        &self,
        node: &NodeName,
        operation: &OperationName,
    ) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Writes a file atomically (temporary file and rename, parents made 0755). Refused outside `/var/lib/pvekube`,
    /// `/run/pvekube` and snippet folders.
    fn put(&self, node: &NodeName, file: &PutFile) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Removes a file that `put` may write; absent is fine.
    fn remove(&self, node: &NodeName, path: &str) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Opens the node's follower: one long-lived session that reports operations and agent probes as tagged lines.
    fn follow(&self, node: &NodeName) -> impl Future<Output = Result<Follower, RemoteError>> + Send;

    /// Takes the apply lock of a cluster on a node, waiting at most `ask.wait_s`.
    fn lock(&self, node: &NodeName, ask: &LockAsk) -> impl Future<Output = Result<LockAnswer, RemoteError>> + Send;

    /// Tries to reach a guest: TCP, host key, login and `echo ok`.
    fn login(&self, ask: &LoginAsk) -> impl Future<Output = LoginAnswer> + Send;

    /// Ends every connection. Called once, at the end.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Why a request has no answer. `sentence` says it in our words; `detail` is what ssh or the shell printed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{node}: {sentence}")]
pub struct RemoteError {
    pub node: NodeName,
    pub kind: RemoteErrorKind,
    pub sentence: String,
    pub hint: String,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemoteErrorKind {
    /// No connection: nothing ran.
    Unreachable,
    /// Connected, but the request was certainly not begun.
    NotStarted,
    /// The connection went away while it ran, or the answer is incomplete: it may or may not have happened.
    Unknown,
    /// It ran and said no.
    Refused,
}

/// What an observation asks beyond the fixed files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObserveAsk {
    /// Delimits sections; unguessable for the nodes' files (16 hex digits).
    pub nonce: String,
    pub cluster: Option<ClusterName>,
    pub storages: Vec<StorageName>,
    pub bridges: Vec<BridgeName>,
    /// Folder of the snippet storage, when known: `/var/lib/vz/snippets`.
    pub snippet_folder: Option<String>,
}

/// A short read on a node. Output as the real program prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// One VM's config file, whether its QEMU runs, and its live operations: sections as in `observe`.
    Vm { vmid: Vmid },
    /// `pvesm list STORAGE --vmid VMID --content images`: its disks, never its backups.
    Volumes { storage: StorageName, vmid: Vmid },
    /// An operation folder: exit code, live or not, last `lines` lines of its log.
    Operation { name: OperationName, lines: u32 },
    /// An image file: its size and whether its digest is right (`ok SIZE`, `wrong SIZE`, `absent`).
    Image { path: String, digest: ImageDigest },
    /// Console evidence: connect, send a newline, read 5 s (design §6). `ip neigh`/bridge fdb for the MAC; CPU time of QEMU.
    Diagnose { vmid: Vmid, mac: Option<String>, bridge: Option<String> },
    /// Who holds the apply lock of this cluster: the owner's text, empty when free.
    LockOwner { cluster: ClusterName },
}

/// What a program said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub exit: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// A detached command on a node, with a folder under `/run/pvekube/ops`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `<cluster>-<vmid>-<verb>-<nonce>`; `[A-Za-z0-9.-]` only.
    pub name: OperationName,
    pub work: Work,
    /// Files put into its folder (0600) before it starts; named in arguments as `@FOLDER/name`, replaced by the node.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// `env LC_ALL=C.UTF-8 /usr/sbin/qm ARGS… </dev/null`, output to the log. An argument `@FOLDER/NAME`
    /// names a file of the folder; where there is none of that name it is left as it is.
    Qm { args: Vec<String> },
    /// `/usr/sbin/pvesm free VOLID`.
    FreeVolume { volume: String },
    /// `wget` to `.part`, digest verified, renamed. Log: wget's progress; a wrong digest exits 65 and removes the part.
    Download { url: String, digest: ImageDigest, path: String },
    /// Starts the VM, reads its serial console to the log from the start, waits until QEMU is gone.
    /// Exit 0: powered itself off; 124: timed out (the VM still runs); else: it did not start (qm's output in the log).
    Bake { vmid: Vmid, timeout_s: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutFile {
    pub path: String,
    /// Octal permission bits: 0o600, 0o644.
    pub mode: u32,
    pub content: PutContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutContent {
    Bytes(Vec<u8>),
    /// A local file streamed over; verified on the node before the rename.
    File {
        path: PathBuf,
        digest: ImageDigest,
    },
}

/// A node's follower. Dropping it ends the session; operations go on.
#[derive(Debug)]
pub struct Follower {
    pub requests: mpsc::UnboundedSender<FollowRequest>,
    /// Ends when the session does.
    pub events: mpsc::UnboundedReceiver<FollowEvent>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowRequest {
    /// Report this operation until it is over.
    Operation(OperationName),
    /// One agent probe; at most two run at a time on a node, further ones wait in order.
    Agent { vmid: Vmid, ask: AgentAsk },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentAsk {
    /// `qm guest cmd ID ping`.
    Ping,
    /// `qm guest cmd ID network-get-interfaces`.
    Interfaces,
    /// `qm guest exec ID -- cloud-init status --format json`.
    CloudInit,
    /// `qm guest exec ID -- sh -c 'cat /etc/ssh/ssh_host_*_key.pub'`.
    HostKeys,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEvent {
    /// The last line of the operation's log changed (carriage returns split lines).
    Log {
        operation: OperationName,
        line: String,
    },
    Exited {
        operation: OperationName,
        exit: i32,
    },
    /// No folder, or its process is gone without an exit code (killed, node rebooted): the state decides.
    Lost {
        operation: OperationName,
    },
    Agent {
        vmid: Vmid,
        ask: AgentAsk,
        answer: Answer,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockAsk {
    pub cluster: ClusterName,
    /// Who we are, one line: `ci@runner-7 pid 4121 since 2026-11-22T12:01:00Z`.
    pub owner: String,
    /// Unguessable, tells whether somebody else held the lock in between (16 hex digits).
    pub nonce: String,
    pub wait_s: u32,
}

#[derive(Debug)]
pub enum LockAnswer {
    Held(Lock),
    /// Somebody else's; their owner line.
    Busy {
        owner: String,
    },
}

/// A held lock: heartbeats go out while this lives; dropping it releases.
#[derive(Debug)]
pub struct Lock {
    /// Nonce of whoever held it before us; empty when nobody did since the node's boot.
    pub previous: String,
    /// Turns false when the lock is not held for certain any more.
    pub held: watch::Receiver<bool>,
    /// Dropped with the lock: ends the holder.
    pub release: mpsc::Sender<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginAsk {
    pub address: IpAddr,
    pub port: u16,
    pub user: String,
    /// Tried in order; empty: stop after the host key.
    pub keys: Vec<PathBuf>,
    /// Public keys (`TYPE BASE64`) of those in the agent that may be offered, too: a server hangs up after six wrong ones.
    pub agent: Vec<String>,
    /// Host keys to expect, as lines `ssh-ed25519 AAAA…`; empty: accept-new into `known_hosts`.
    pub host_keys: Vec<String>,
    pub known_hosts: Option<PathBuf>,
    /// Jump over this node.
    pub via: Option<NodeName>,
    pub timeout_s: u32,
    /// `false`: only see whether the port answers with the expected host key.
    pub log_in: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginAnswer {
    Ok,
    /// Host key as expected on the port; no login was tried.
    PortOk,
    PortClosed {
        detail: String,
    },
    HostKeyChanged {
        detail: String,
    },
    KeyRefused {
        offered: Vec<String>,
        detail: String,
    },
    /// Logged in, but `echo ok` did not answer `ok`.
    Odd {
        detail: String,
    },
}
