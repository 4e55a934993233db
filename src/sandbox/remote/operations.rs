//! Operations: folders under `/run/pvekube/ops` as `start.sh` and `operation.sh` make them, run as tasks of this process.
//!
//! The pid file names this process (pid, start time, boot id), so that an operation is dead for the next pvekube when
//! this one was killed: then it leaves what SIGKILL leaves.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::conditions::{Conditions, Moment};
use super::{bake, download};
use crate::model::ids::OperationName;
use crate::remote::{Operation, Work};
use crate::sandbox::node::SandboxNode;
use crate::sandbox::process::{Closed, Output, Process, Sink, Stream};
use crate::sandbox::tools;

pub(crate) const OPERATIONS: &str = "/run/pvekube/ops";

/// The operations that run as tasks of this process, by node and name.
#[derive(Debug, Default)]
pub struct Operations {
    tasks: Mutex<BTreeMap<(String, String), AbortHandle>>,
    /// An operation ended. (Logs are looked at now and then: a copy says a hundred lines.)
    pub(crate) changed: Notify,
}

/// What an operation needs while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) node: SandboxNode,
    /// `/run/pvekube/ops/NAME`.
    pub(crate) folder: String,
    pub(crate) operations: Arc<Operations>,
    pub(crate) conditions: Arc<dyn Conditions>,
}

impl Operations {
    fn tasks(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), AbortHandle>> {
        self.tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes the folder and runs the work; a second start of a name does nothing.
    pub(crate) fn start(
        self: &Arc<Self>,
        node: &SandboxNode,
        operation: &Operation,
        conditions: Arc<dyn Conditions>,
    ) -> Result<(), String> {
        let name = checked_name(&operation.name)?;
        let folder = format!("{OPERATIONS}/{name}");
        let failed = |error: io::Error| format!("cannot make {folder}: {error}");
        if !node.exists(&folder) {
            node.fs().mkdir_all(&node.at(&format!("{folder}/files"))).map_err(failed)?;
            node.write(&format!("{folder}/argv"), argv_file(&operation.work)).map_err(failed)?;
            for (file, bytes) in &operation.files {
                let path = format!("{folder}/files/{file}");
                node.write(&path, bytes).and_then(|()| node.fs().set_mode(&node.at(&path), 0o600)).map_err(failed)?;
            }
        }
        match node.fs().mkdir(&node.at(&format!("{folder}/claim"))) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
        node.write(&format!("{folder}/log"), "").map_err(failed)?;
        node.write(&format!("{folder}/pid"), own_identity()).map_err(failed)?;
        let context = Context { node: node.clone(), folder, operations: self.clone(), conditions };
        let work = operation.work.clone();
        let key = (node.name().to_owned(), name.to_owned());
        let task = tokio::spawn(async move {
            let exit = run(&context, &work).await;
            // A folder that can't be written any more is the node's fault to show.
            let _ = context.node.write(&format!("{}/rc", context.folder), format!("{exit}\n"));
            context.operations.changed.notify_waiters();
        });
        self.tasks().insert(key, task.abort_handle());
        Ok(())
    }

    /// Removes a folder; a live operation is refused.
    pub(crate) fn forget(&self, node: &SandboxNode, name: &OperationName) -> Result<(), String> {
        let name = checked_name(name)?;
        let folder = format!("{OPERATIONS}/{name}");
        if self.is_live(node, name) {
            return Err(format!("{name} still runs"));
        }
        self.tasks().remove(&(node.name().to_owned(), name.to_owned()));
        node.fs().remove_tree(&node.at(&folder)).map_err(|error| format!("{folder}: {error}"))
    }

    /// No exit code, and the process that its pid file names is there.
    pub(crate) fn is_live(&self, node: &SandboxNode, name: &str) -> bool {
        let folder = format!("{OPERATIONS}/{name}");
        if node.exists(&format!("{folder}/rc")) {
            return false;
        }
        let Ok(identity) = node.read_text(&format!("{folder}/pid")) else { return false };
        let task = (node.name().to_owned(), name.to_owned());
        match self.tasks().get(&task) {
            Some(handle) => !handle.is_finished(),
            None => identity != own_identity() && is_process(&identity),
        }
    }

    /// SIGKILL for every operation of a node (it goes down), or of all nodes.
    pub fn kill(&self, node: Option<&str>) {
        self.tasks().retain(|(on, _), handle| {
            let hit = node.is_none_or(|node| node == on);
            if hit {
                handle.abort();
            }
            !hit
        });
        self.changed.notify_waiters();
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.tasks().values().filter(|handle| !handle.is_finished()).count()
    }
}

fn checked_name(name: &OperationName) -> Result<&str, String> {
    let text = name.as_str();
    let good = !text.is_empty()
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    if good { Ok(text) } else { Err(format!("bad name of an operation: {text}")) }
}

/// Each word as its length, a newline, its bytes.
fn argv_file(work: &Work) -> Vec<u8> {
    let words: Vec<String> = match work {
        Work::Qm { args } => ["qm".to_owned()].into_iter().chain(args.iter().cloned()).collect(),
        Work::FreeVolume { volume } => ["pvesm", "free", volume].map(str::to_owned).to_vec(),
        Work::Download { url, digest, path } => {
            ["download", url, digest.algorithm(), digest.hex(), path].map(str::to_owned).to_vec()
        }
        Work::Bake { vmid, timeout_s } => vec!["bake".to_owned(), vmid.to_string(), timeout_s.to_string()],
    };
    words.iter().map(|word| format!("{}\n{word}", word.len())).collect::<String>().into_bytes()
}

async fn run(context: &Context, work: &Work) -> i32 {
    match work {
        Work::Qm { args } => {
            let files = format!("{}/files", context.folder);
            let there = context.node.list(&files);
            let named = args.iter().map(|arg| match arg.strip_prefix("@FOLDER/") {
                Some(file) if there.iter().any(|name| name == file) => format!("{files}/{file}"),
                Some(_) | None => arg.clone(),
            });
            context.program(["qm".to_owned()].into_iter().chain(named)).await
        }
        Work::FreeVolume { volume } => context.program(["pvesm", "free", volume].map(str::to_owned)).await,
        Work::Download { url, digest, path } => download::download(context, url, digest, path).await,
        Work::Bake { vmid, timeout_s } => bake::bake(context, *vmid, *timeout_s).await,
    }
}

impl Context {
    /// Runs one of the node's programs with its output in the log.
    pub(crate) async fn program(&self, argv: impl IntoIterator<Item = String>) -> i32 {
        let argv: Vec<String> = argv.into_iter().collect();
        self.conditions.program(&self.node, &argv, Moment::Before);
        let process = Process {
            argv: argv.clone(),
            stdin: Vec::new(),
            locale: "C.UTF-8".to_owned(),
            out: Output(Arc::new(Log(self.clone()))),
            terminate: CancellationToken::new(),
        };
        let exit = match tools::run(&self.node, &process).await {
            Some(exit) => exit,
            None => {
                self.say(&format!("sh: 1: exec: {}: not found\n", argv[0]));
                127
            }
        };
        self.conditions.program(&self.node, &argv, Moment::After { exit });
        exit
    }

    /// Appends to the log.
    pub(crate) fn say(&self, text: &str) {
        // A log that can't be written loses words, not work.
        let _ = self.node.append(&format!("{}/log", self.folder), text);
    }
}

struct Log(Context);

impl Sink for Log {
    fn write(&self, _: Stream, bytes: &[u8]) -> Result<(), Closed> {
        let _ = self.0.node.append(&format!("{}/log", self.0.folder), bytes);
        Ok(())
    }
}

/// `PID STARTTIME BOOTID` of this process; where there is no `/proc`, a start time that no other process shares.
fn own_identity() -> String {
    static IDENTITY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let fresh = || {
        let boot =
            std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_else(|_| "no-boot-id".to_owned());
        let began = start_time("self").unwrap_or_else(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            since.as_nanos().to_string()
        });
        format!("{} {began} {}\n", std::process::id(), boot.trim())
    };
    IDENTITY.get_or_init(fresh).clone()
}

/// Field 22 of a live process's stat.
fn start_time(pid: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let alive = !matches!(*fields.first()?, "Z" | "X");
    alive.then(|| fields.get(19).map(|text| (*text).to_owned()))?
}

/// Whether another process of this identity lives.
fn is_process(identity: &str) -> bool {
    let mut words = identity.split_whitespace();
    let (Some(pid), Some(began), Some(boot)) = (words.next(), words.next(), words.next()) else { return false };
    let booted = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    pid.bytes().all(|byte| byte.is_ascii_digit())
        && boot == booted.trim()
        && start_time(pid).is_some_and(|found| found == began)
}
