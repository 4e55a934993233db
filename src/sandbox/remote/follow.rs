//! The follower: one session a node that reports operations and agent probes (follow.sh).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::operations::{OPERATIONS, Operations};
use super::session::{Links, Session};
use crate::model::ids::{OperationName, Vmid};
use crate::remote::{AgentAsk, Answer, FollowEvent, FollowRequest, Follower};
use crate::sandbox::node::SandboxNode;
use crate::sandbox::process::{Captured, Process};
use crate::sandbox::tools;

/// Logs, and operations of other processes, are looked at this often; the end of our own tells itself.
const POLL: Duration = Duration::from_millis(500);
/// `timeout 60 qm guest …`.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Agent probes at once on a node: each costs a second of Perl.
const PROBES: usize = 2;

pub(super) fn open(node: SandboxNode, operations: Arc<Operations>, links: Arc<Links>) -> Follower {
    let (requests, inbox) = mpsc::unbounded_channel();
    let (outbox, events) = mpsc::unbounded_channel();
    let session = links.session(node.name());
    let watch = Watch { node, operations, outbox, probes: Arc::new(Semaphore::new(PROBES)), open: BTreeMap::new() };
    tokio::spawn(watch.run(inbox, session));
    Follower { requests, events }
}

struct Watch {
    node: SandboxNode,
    operations: Arc<Operations>,
    outbox: mpsc::UnboundedSender<FollowEvent>,
    probes: Arc<Semaphore>,
    /// What was last said of each operation.
    open: BTreeMap<OperationName, Said>,
}

#[derive(Default)]
struct Said {
    line: String,
    /// Found without a live process once: believed at the second look.
    doubted: bool,
}

impl Watch {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<FollowRequest>, mut session: Session) {
        let operations = self.operations.clone();
        let mut probes = tokio::task::JoinSet::new();
        loop {
            // Registered before the look, so that no change is missed in between.
            let changed = operations.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.report_all() {
                return;
            }
            let looks_again = !self.open.is_empty();
            tokio::select! {
                biased;
                // The channel ends with the session.
                _ = session.cut() => return,
                request = inbox.recv() => match request {
                    Some(FollowRequest::Operation(name)) => drop(self.open.insert(name, Said::default())),
                    Some(FollowRequest::Agent { vmid, ask }) => {
                        let (node, outbox, turn) = (self.node.clone(), self.outbox.clone(), self.probes.clone());
                        probes.spawn(probe(node, outbox, turn, vmid, ask));
                    }
                    None => return,
                },
                () = changed => {}
                () = tokio::time::sleep(POLL), if looks_again => {}
                _ = probes.join_next(), if !probes.is_empty() => {}
            }
        }
    }

    /// False when nobody listens any more.
    fn report_all(&mut self) -> bool {
        let mut open = std::mem::take(&mut self.open);
        let mut listening = true;
        open.retain(|name, said| match self.report(name, said) {
            Ok(goes_on) => goes_on,
            Err(_) => {
                listening = false;
                false
            }
        });
        self.open = open;
        listening
    }

    /// Whether the operation is to be watched on.
    fn report(&self, name: &OperationName, said: &mut Said) -> Result<bool, mpsc::error::SendError<FollowEvent>> {
        let folder = format!("{OPERATIONS}/{name}");
        let line = last_line(&self.node.read_text(&format!("{folder}/log")).unwrap_or_default());
        if !line.is_empty() && line != said.line {
            said.line.clone_from(&line);
            self.outbox.send(FollowEvent::Log { operation: name.clone(), line })?;
        }
        if let Ok(exit) = self.node.read_text(&format!("{folder}/rc")) {
            let exit = exit.trim().parse().unwrap_or(255);
            self.outbox.send(FollowEvent::Exited { operation: name.clone(), exit })?;
            return Ok(false);
        }
        if self.operations.is_live(&self.node, name.as_str()) {
            said.doubted = false;
        } else if !self.node.exists(&folder) || said.doubted {
            self.outbox.send(FollowEvent::Lost { operation: name.clone() })?;
            return Ok(false);
        } else {
            said.doubted = true;
        }
        Ok(true)
    }
}

/// The last line of a log's last 2000 bytes; carriage returns split lines, too.
fn last_line(log: &str) -> String {
    log.rsplit(['\r', '\n']).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

async fn probe(
    node: SandboxNode,
    outbox: mpsc::UnboundedSender<FollowEvent>,
    turn: Arc<Semaphore>,
    vmid: Vmid,
    ask: AgentAsk,
) {
    let Ok(_turn) = turn.acquire_owned().await else { return };
    let id = vmid.to_string();
    let argv: Vec<&str> = match ask {
        AgentAsk::Ping => vec!["qm", "guest", "cmd", &id, "ping"],
        AgentAsk::Interfaces => vec!["qm", "guest", "cmd", &id, "network-get-interfaces"],
        AgentAsk::CloudInit => vec!["qm", "guest", "exec", &id, "--", "cloud-init", "status", "--format", "json"],
        AgentAsk::HostKeys => vec!["qm", "guest", "exec", &id, "--", "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"],
    };
    let answer = run(&node, argv, PROBE_LIMIT).await;
    // Nobody listens when the session has ended meanwhile.
    let _ = outbox.send(FollowEvent::Agent { vmid, ask, answer });
}

/// A program with its output kept; exit 124 after the limit, as `timeout` has it.
pub(super) async fn run(node: &SandboxNode, argv: Vec<&str>, limit: Duration) -> Answer {
    let (captured, out) = Captured::new();
    let program = argv.first().map(|word| (*word).to_owned()).unwrap_or_default();
    let process = Process::new(argv, out);
    let exit = match tokio::time::timeout(limit, tools::run(node, &process)).await {
        Ok(Some(exit)) => exit,
        Ok(None) => {
            let stderr = format!("sh: 1: {program}: not found\n").into_bytes();
            return Answer { exit: 127, stdout: Vec::new(), stderr };
        }
        Err(_) => 124,
    };
    let (stdout, stderr) = captured.take();
    Answer { exit, stdout, stderr }
}
