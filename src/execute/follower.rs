//! One long-lived session a node: it reports every operation and every agent probe of that node.
//!
//! The session is opened when somebody first asks, and opened again when it breaks: what was asked and not yet answered
//! is asked anew, so that those who wait notice nothing but the time. A node that stays away for `PATIENCE` is given up:
//! whoever waits is told, and the next request tries again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::events::Events;
use crate::model::ids::{NodeName, OperationName, Vmid};
use crate::remote::{AgentAsk, Answer, FollowEvent, FollowRequest, Follower, Remote, RemoteError};

/// How long a node may be away before what waits for it is given up. A node that reboots for a new kernel takes longer;
/// then its operations are dead anyway and the next run sorts it out.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Pauses between attempts to reach a node: 1, 2, 4, 8, 15, 15 … seconds.
pub(super) fn backoff(attempt: u32) -> Duration {
    Duration::from_secs((1u64 << attempt.min(4)).min(15))
}

/// What a follower tells about one operation.
#[derive(Debug)]
pub(super) enum News {
    Line(String),
    Exited(i32),
    Lost,
    /// The node stayed away; the operation may go on there.
    Gone(RemoteError),
}

type AnswerSender = oneshot::Sender<Result<Answer, RemoteError>>;

#[derive(Debug)]
enum Ask {
    Operation(OperationName, mpsc::UnboundedSender<News>),
    Agent(Vmid, AgentAsk, AnswerSender),
}

/// Asks a node's session. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct FollowHandle {
    asks: mpsc::UnboundedSender<Ask>,
}

impl FollowHandle {
    /// News of an operation until it is over, lost or its node gone.
    pub(super) fn operation(&self, name: &OperationName) -> mpsc::UnboundedReceiver<News> {
        let (sender, news) = mpsc::unbounded_channel();
        // A session that has ended drops the sender with the message: `recv` then gives `None`.
        let _ = self.asks.send(Ask::Operation(name.clone(), sender));
        news
    }

    /// One agent probe; `None` when the apply is ending.
    pub(super) async fn agent(&self, vmid: Vmid, ask: AgentAsk) -> Option<Result<Answer, RemoteError>> {
        let (sender, answer) = oneshot::channel();
        let _ = self.asks.send(Ask::Agent(vmid, ask, sender));
        answer.await.ok()
    }
}

/// The handle and the session itself, which runs until every handle is dropped.
pub(super) fn session<R: Remote>(
    remote: Arc<R>,
    node: NodeName,
    events: Events,
) -> (FollowHandle, impl Future<Output = ()> + Send) {
    let (sender, asks) = mpsc::unbounded_channel();
    let session = Session { remote, node, events, asks, watched: BTreeMap::new(), probes: BTreeMap::new() };
    (FollowHandle { asks: sender }, session.run())
}

struct Session<R> {
    remote: Arc<R>,
    node: NodeName,
    events: Events,
    asks: mpsc::UnboundedReceiver<Ask>,
    watched: BTreeMap<OperationName, Vec<mpsc::UnboundedSender<News>>>,
    probes: BTreeMap<(Vmid, AgentAsk), VecDeque<AnswerSender>>,
}

impl<R: Remote> Session<R> {
    async fn run(mut self) {
        loop {
            if self.idle() {
                match self.asks.recv().await {
                    Some(ask) => drop(self.note(ask)),
                    None => return,
                }
            }
            match self.open().await {
                Ok(follower) => {
                    if self.serve(follower).await {
                        return;
                    }
                }
                Err(error) => self.give_up(&error),
            }
        }
    }

    fn idle(&self) -> bool {
        self.watched.is_empty() && self.probes.is_empty()
    }

    async fn open(&self) -> Result<Follower, RemoteError> {
        let deadline = Instant::now() + PATIENCE;
        let mut attempt = 0;
        loop {
            let error = match self.remote.follow(&self.node).await {
                Ok(follower) => return Ok(follower),
                Err(error) => error,
            };
            if Instant::now() + backoff(attempt) > deadline {
                return Err(error);
            }
            if attempt == 0 {
                self.events.notice(format!("{}: {}; trying again", self.node, error.sentence));
            }
            sleep(backoff(attempt)).await;
            attempt += 1;
        }
    }

    /// Until the session breaks (false) or nobody can ask any more (true).
    async fn serve(&mut self, mut follower: Follower) -> bool {
        for request in self.outstanding() {
            let _ = follower.requests.send(request);
        }
        loop {
            tokio::select! {
                biased;
                ask = self.asks.recv() => match ask {
                    Some(ask) => {
                        let request = self.note(ask);
                        let _ = follower.requests.send(request);
                    }
                    None => return true,
                },
                event = follower.events.recv() => match event {
                    Some(event) => self.tell(event),
                    None => {
                        if !self.idle() {
                            self.events.notice(format!("{}: connection lost; trying again", self.node));
                        }
                        // A node that drops every session at once must not be asked in a tight loop.
                        sleep(backoff(0)).await;
                        return false;
                    }
                },
            }
        }
    }

    fn note(&mut self, ask: Ask) -> FollowRequest {
        match ask {
            Ask::Operation(name, sender) => {
                self.watched.entry(name.clone()).or_default().push(sender);
                FollowRequest::Operation(name)
            }
            Ask::Agent(vmid, ask, sender) => {
                self.probes.entry((vmid, ask)).or_default().push_back(sender);
                FollowRequest::Agent { vmid, ask }
            }
        }
    }

    fn outstanding(&self) -> Vec<FollowRequest> {
        let operations = self.watched.keys().cloned().map(FollowRequest::Operation);
        let probes = self.probes.iter().flat_map(|((vmid, ask), waiting)| {
            std::iter::repeat_n(FollowRequest::Agent { vmid: *vmid, ask: *ask }, waiting.len())
        });
        operations.chain(probes).collect()
    }

    fn tell(&mut self, event: FollowEvent) {
        match event {
            FollowEvent::Log { operation, line } => {
                for watcher in self.watched.get(&operation).into_iter().flatten() {
                    let _ = watcher.send(News::Line(line.clone()));
                }
            }
            FollowEvent::Exited { operation, exit } => {
                for watcher in self.watched.remove(&operation).unwrap_or_default() {
                    let _ = watcher.send(News::Exited(exit));
                }
            }
            FollowEvent::Lost { operation } => {
                for watcher in self.watched.remove(&operation).unwrap_or_default() {
                    let _ = watcher.send(News::Lost);
                }
            }
            FollowEvent::Agent { vmid, ask, answer } => {
                let Some(waiting) = self.probes.get_mut(&(vmid, ask)) else { return };
                if let Some(sender) = waiting.pop_front() {
                    let _ = sender.send(Ok(answer));
                }
                if waiting.is_empty() {
                    self.probes.remove(&(vmid, ask));
                }
            }
        }
    }

    fn give_up(&mut self, error: &RemoteError) {
        for watcher in std::mem::take(&mut self.watched).into_values().flatten() {
            let _ = watcher.send(News::Gone(error.clone()));
        }
        for sender in std::mem::take(&mut self.probes).into_values().flatten() {
            let _ = sender.send(Err(error.clone()));
        }
    }
}
