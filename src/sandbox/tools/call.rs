//! One call of a tool as its code sees it: the node, where output goes, how it may die.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::super::flock::{Flock, Mode};
use super::super::node::SandboxNode;
use super::super::process::{Closed, Output, Process};

/// Why a tool stops before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Die {
    /// Perl's `die`: the text on stderr. The code is whatever errno was: it carries no meaning (contract §0.1).
    Text { exit: i32, text: String },
    /// `400 Parameter verification failed.`, one line a parameter in order, then the usage line.
    Parameters { exit: i32, problems: Vec<(String, String)> },
    /// Its output pipe is closed: SIGPIPE.
    BrokenPipe,
    /// SIGTERM.
    Interrupted,
    /// Died of SIGPIPE while it cleaned up: what is left stays (contract §0.2).
    Killed,
}

impl From<Closed> for Die {
    fn from(_: Closed) -> Self {
        Die::BrokenPipe
    }
}

impl Die {
    /// A `die` with exit code 255 (no errno).
    pub fn new(text: impl Into<String>) -> Self {
        Die::Text { exit: 255, text: text.into() }
    }

    /// A `die` after some file was not found: errno 2.
    pub fn absent(text: impl Into<String>) -> Self {
        Die::Text { exit: 2, text: text.into() }
    }

    /// `raise_param_exc` for one parameter.
    pub fn parameter(exit: i32, name: &str, problem: impl Into<String>) -> Self {
        Die::Parameters { exit, problems: vec![(name.to_owned(), problem.into())] }
    }

    /// The text with something put in front, as Perl's callers wrap it.
    pub fn prefixed(self, prefix: &str) -> Self {
        match self {
            Die::Text { text, .. } => Die::new(format!("{prefix}{text}")),
            Die::Interrupted => Die::new(format!("{prefix}interrupted by signal")),
            other @ (Die::Parameters { .. } | Die::BrokenPipe | Die::Killed) => other,
        }
    }

    /// One line for task logs.
    pub fn summary(&self) -> String {
        match self {
            Die::Text { text, .. } => text.trim_end().replace('\n', " "),
            Die::Parameters { problems, .. } => {
                let lines: Vec<String> = problems.iter().map(|(name, text)| format!("{name}: {text}")).collect();
                format!("400 Parameter verification failed. {}", lines.join(" "))
            }
            Die::BrokenPipe => "broken pipe ".to_owned(),
            Die::Interrupted => "interrupted by signal".to_owned(),
            Die::Killed => "unexpected status".to_owned(),
        }
    }
}

/// What tools' functions return.
pub type Run<T> = Result<T, Die>;

/// A call in progress.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub node: &'a SandboxNode,
    pub process: &'a Process,
    pub out: Output,
    /// In a worker both streams are one (contract §0.2).
    pub worker: bool,
    /// Ends its waits early: SIGTERM.
    pub terminate: CancellationToken,
    /// Configs that it has warned about, by digest: PVE parses each once.
    pub warned: Arc<Mutex<BTreeSet<String>>>,
}

impl<'a> Call<'a> {
    pub fn new(node: &'a SandboxNode, process: &'a Process) -> Self {
        let (out, terminate) = (process.out.clone(), process.terminate.clone());
        Self { node, process, out, worker: false, terminate, warned: Arc::default() }
    }

    /// The same call for cleaning up, which a signal does not stop.
    pub fn sheltered(&self) -> Self {
        Self { terminate: CancellationToken::new(), ..self.clone() }
    }

    pub fn say(&self, text: impl AsRef<str>) -> Run<()> {
        Ok(self.out.line(text)?)
    }

    /// A line on stderr (which is stdout in a worker).
    pub fn warn(&self, text: impl AsRef<str>) -> Run<()> {
        let written = if self.worker { self.out.line(text) } else { self.out.error(text) };
        Ok(written?)
    }

    /// Work of so many seconds on a real node; SIGTERM ends it early.
    pub async fn work(&self, seconds: f64) -> Run<()> {
        tokio::select! {
            biased;
            () = self.terminate.cancelled() => Err(Die::Interrupted),
            () = self.node.work(seconds) => Ok(()),
        }
    }

    /// The lock on a VM's config: `trying to acquire lock...` when it is held, a time-out after `patience_s`.
    pub async fn lock_vm(&self, vmid: u32, mode: Mode, patience_s: f64) -> Run<Flock> {
        self.lock(&format!("/run/lock/qemu-server/lock-{vmid}.conf"), mode, patience_s).await
    }

    /// Any of the node's lock files. PVE names `/run/lock` by its old path.
    pub async fn lock(&self, path: &str, mode: Mode, patience_s: f64) -> Run<Flock> {
        let broken = |error: io::Error| Die::new(format!("can't open lock file {path} - {error}"));
        if let Some(lock) = self.node.flock(path, mode, 0.0).await.map_err(broken)? {
            return Ok(lock);
        }
        self.warn("trying to acquire lock...")?;
        let waited = tokio::select! {
            biased;
            () = self.terminate.cancelled() => return Err(Die::Interrupted),
            lock = self.node.flock(path, mode, patience_s) => lock.map_err(broken)?,
        };
        match waited {
            Some(lock) => {
                self.warn(" OK")?;
                Ok(lock)
            }
            None => {
                let shown = path.replacen("/run/lock/", "/var/lock/", 1);
                Err(Die::Text { exit: 4, text: format!("can't lock file '{shown}' - got timeout") })
            }
        }
    }

    /// A lock of the whole realm. PVE's is a folder in `/etc/pve/priv/lock`, which anybody may make (contract §9): one
    /// that is there holds, too. Ours frees itself when its holder dies, instead of after 120 s.
    pub async fn cfs_lock(&self, name: &str, patience_s: f64) -> Run<Flock> {
        let folder = format!("/etc/pve/priv/lock/{name}");
        let mut waited = 0.0;
        while self.node.exists(&folder) {
            if waited == 0.0 {
                self.warn(format!("trying to acquire cfs lock '{name}' ..."))?;
            }
            if waited >= patience_s {
                return Err(Die::new(format!("cfs-lock '{name}' error: got lock request timeout")));
            }
            self.work(1.0).await?;
            waited += 1.0;
        }
        let broken = |error: io::Error| Die::new(format!("cfs-lock '{name}' error: {error}"));
        let lock = self.node.realm_flock(name, patience_s - waited).await.map_err(broken)?;
        lock.ok_or_else(|| Die::new(format!("cfs-lock '{name}' error: got lock request timeout")))
    }

    /// `cluster not ready - no quorum?` as `check_cfs_quorum` says.
    pub fn assert_quorum(&self) -> Run<()> {
        if self.node.quorate() && self.node.exists("/etc/pve/local") {
            Ok(())
        } else {
            Err(Die::absent("cluster not ready - no quorum?"))
        }
    }
}
