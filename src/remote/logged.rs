//! Any `Remote`, with every request in the log: what, node, time, exit. Changes are `info` (`-v`), reads `debug` (`-vv`).
//!
//! Nothing secret goes in: file contents and answers are never logged, command lines are redacted (`Work::command_line`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info};

use super::{
    Answer, FollowEvent, FollowRequest, Follower, LockAnswer, LockAsk, LoginAnswer, LoginAsk, ObserveAsk, Operation,
    Probe, PutFile, Remote, RemoteError,
};
use crate::model::ids::{NodeName, OperationName};

/// When each operation of this process was started.
type Started = Arc<Mutex<BTreeMap<OperationName, Instant>>>;

#[derive(Debug)]
pub struct Logged<R> {
    remote: R,
    started: Started,
}

impl<R> Logged<R> {
    pub fn new(remote: R) -> Self {
        Self { remote, started: Started::default() }
    }
}

/// Seconds since then, to the millisecond.
fn seconds(since: Instant) -> String {
    format!("{:.3}", since.elapsed().as_secs_f64())
}

/// One line about a request that is over, at the level that the macro `$level` has.
macro_rules! tell {
    ($level:ident, $node:expr, $began:expr, $what:expr, $result:expr, $exit:expr) => {
        match &$result {
            Ok(_) => $level!(node = %$node, seconds = %seconds($began), exit = $exit, "{}", $what),
            Err(error) => {
                $level!(node = %$node, seconds = %seconds($began), error = %error.sentence, detail = %one_line(&error.detail), "{}", $what);
            }
        }
    };
}

/// What ssh or a shell said, fit for one line of a log.
fn one_line(text: &str) -> String {
    text.trim().escape_debug().to_string()
}

impl<R: Remote> Remote for Logged<R> {
    async fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        let began = Instant::now();
        let result = self.remote.observe(node, ask).await;
        let size = result.as_ref().map_or(0, Vec::len);
        tell!(debug, node, began, format!("observe: {size} bytes"), result, 0);
        result
    }

    async fn probe(&self, node: &NodeName, probe: &Probe) -> Result<Answer, RemoteError> {
        let began = Instant::now();
        let result = self.remote.probe(node, probe).await;
        let exit = result.as_ref().map_or(0, |answer| answer.exit);
        tell!(debug, node, began, probe_words(probe), result, exit);
        result
    }

    async fn start(&self, node: &NodeName, operation: &Operation) -> Result<(), RemoteError> {
        let began = Instant::now();
        self.started.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.name.clone(), began);
        let result = self.remote.start(node, operation).await;
        let command = operation.work.command_line();
        tell!(info, node, began, format!("start {}: {command}", operation.name), result, 0);
        result
    }

    async fn forget(&self, node: &NodeName, operation: &OperationName) -> Result<(), RemoteError> {
        let began = Instant::now();
        let result = self.remote.forget(node, operation).await;
        tell!(debug, node, began, format!("forget {operation}"), result, 0);
        result
    }

    async fn put(&self, node: &NodeName, file: &PutFile) -> Result<(), RemoteError> {
        let began = Instant::now();
        let result = self.remote.put(node, file).await;
        tell!(info, node, began, format!("put {} (mode {:o})", file.path, file.mode), result, 0);
        result
    }

    async fn remove(&self, node: &NodeName, path: &str) -> Result<(), RemoteError> {
        let began = Instant::now();
        let result = self.remote.remove(node, path).await;
        tell!(info, node, began, format!("remove {path}"), result, 0);
        result
    }

    async fn follow(&self, node: &NodeName) -> Result<Follower, RemoteError> {
        let began = Instant::now();
        let result = self.remote.follow(node).await;
        tell!(debug, node, began, "follow", result, 0);
        let follower = result?;
        let (requests, asked) = mpsc::unbounded_channel();
        let (told, events) = mpsc::unbounded_channel();
        tokio::spawn(between(node.clone(), Arc::clone(&self.started), follower, asked, told));
        Ok(Follower { requests, events })
    }

    async fn lock(&self, node: &NodeName, ask: &LockAsk) -> Result<LockAnswer, RemoteError> {
        let began = Instant::now();
        let result = self.remote.lock(node, ask).await;
        let what = match &result {
            Ok(LockAnswer::Held(_)) => "lock: held",
            Ok(LockAnswer::Busy { .. }) => "lock: somebody else holds it",
            Err(_) => "lock",
        };
        tell!(info, node, began, what, result, 0);
        result
    }

    async fn login(&self, ask: &LoginAsk) -> LoginAnswer {
        let began = Instant::now();
        let answer = self.remote.login(ask).await;
        let via = ask.via.as_ref().map_or(String::new(), |node| format!(" via {node}"));
        let said = match &answer {
            LoginAnswer::Ok => "ok".to_owned(),
            LoginAnswer::PortOk => "port and host key ok".to_owned(),
            LoginAnswer::PortClosed { detail } => format!("port closed: {}", one_line(detail)),
            LoginAnswer::HostKeyChanged { .. } => "another host key than expected".to_owned(),
            LoginAnswer::KeyRefused { offered, .. } => format!("{} keys refused", offered.len()),
            LoginAnswer::Odd { .. } => "logged in, but `echo ok` did not answer ok".to_owned(),
        };
        debug!(seconds = %seconds(began), "ssh {}@{} port {}{via}: {said}", ask.user, ask.address, ask.port);
        answer
    }

    async fn close(&self) {
        self.remote.close().await;
    }
}

/// Hands requests and events of a follower on, until either side ends, and tells what it sees.
async fn between(
    node: NodeName,
    started: Started,
    mut follower: Follower,
    mut asked: mpsc::UnboundedReceiver<FollowRequest>,
    told: mpsc::UnboundedSender<FollowEvent>,
) {
    let mut probes = BTreeMap::new();
    loop {
        tokio::select! {
            () = told.closed() => return,
            request = asked.recv() => {
                let Some(request) = request else { return };
                if let FollowRequest::Agent { vmid, ask } = &request {
                    probes.entry((*vmid, *ask)).or_insert_with(Instant::now);
                }
                if follower.requests.send(request).is_err() {
                    return;
                }
            }
            event = follower.events.recv() => {
                let Some(event) = event else { return };
                let began = match &event {
                    FollowEvent::Agent { vmid, ask, .. } => probes.remove(&(*vmid, *ask)),
                    FollowEvent::Exited { operation, .. } | FollowEvent::Lost { operation } => {
                        started.lock().unwrap_or_else(PoisonError::into_inner).remove(operation)
                    }
                    FollowEvent::Log { .. } => None,
                };
                tell_event(&node, began, &event);
                if told.send(event).is_err() {
                    return;
                }
            }
        }
    }
}

fn tell_event(node: &NodeName, began: Option<Instant>, event: &FollowEvent) {
    // An operation of an earlier run is attached to: only the node knows since when it ran.
    let seconds = began.map_or_else(|| "unknown".to_owned(), seconds);
    match event {
        // Progress: it is in the picture, and a failed operation's log is in the report.
        FollowEvent::Log { .. } => {}
        FollowEvent::Exited { operation, exit } => info!(%node, %seconds, exit, "end of {operation}"),
        FollowEvent::Lost { operation } => {
            info!(%node, %seconds, "end of {operation}: no exit code, its process is gone");
        }
        FollowEvent::Agent { vmid, ask, answer } => {
            debug!(%node, %seconds, exit = answer.exit, "{}", ask.command_line(*vmid));
        }
    }
}

fn probe_words(probe: &Probe) -> String {
    match probe {
        Probe::Vm { vmid } => format!("read VM {vmid}"),
        Probe::Volumes { storage, vmid } => format!("pvesm list {storage} --vmid {vmid} --content images"),
        Probe::Operation { name, .. } => format!("read operation {name}"),
        Probe::Image { path, digest } => format!("check image {path} ({digest})"),
        Probe::Diagnose { vmid, .. } => format!("diagnose VM {vmid}"),
        Probe::LockOwner { cluster } => format!("read lock of {cluster}"),
    }
}
