//! Connections to nodes: how long they take, how they fail, how they are cut.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{SandboxRemote, Weather};
use crate::model::ids::NodeName;
use crate::remote::{RemoteError, RemoteErrorKind};
use crate::sandbox::node::SandboxNode;

/// A round trip on a small network, with the start of a shell.
const ROUND_TRIP_S: f64 = 0.1;
/// `ConnectTimeout` to a node that is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Keep-alive gives a frozen connection up: 3 × 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(45);

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    #[default]
    None,
    /// Reset: both ends know at once.
    Reset,
    /// Packets vanish: each end finds out by its own patience.
    Vanished,
}

/// The connections to all nodes. Cutting one ends all sessions on that node.
#[derive(Debug, Default)]
pub struct Links {
    nodes: Mutex<BTreeMap<String, watch::Sender<(u64, Cut)>>>,
    /// Processes that hold apply locks: by the lock's path, who holds it and how to kill it.
    holders: Mutex<BTreeMap<String, (String, CancellationToken)>>,
}

impl Links {
    /// Ends all sessions on a node.
    pub fn cut(&self, node: &str, how: Cut) {
        self.sender(node, |sender| sender.send_modify(|(count, last)| (*count, *last) = (*count + 1, how)));
    }

    fn sender<T>(&self, node: &str, body: impl FnOnce(&watch::Sender<(u64, Cut)>) -> T) -> T {
        let mut nodes = self.nodes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        body(nodes.entry(node.to_owned()).or_insert_with(|| watch::channel((0, Cut::None)).0))
    }

    fn holders(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (String, CancellationToken)>> {
        self.holders.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn new_holder(&self, lock: &str, nonce: &str) -> CancellationToken {
        let token = CancellationToken::new();
        self.holders().insert(lock.to_owned(), (nonce.to_owned(), token.clone()));
        token
    }

    /// Kills the process that holds a lock for this nonce.
    pub(crate) fn end_holder(&self, lock: &str, nonce: &str) {
        if let Some((holder, token)) = self.holders().get(lock)
            && holder == nonce
        {
            token.cancel();
        }
    }

    /// Resolves when this session is cut.
    pub(crate) fn session(&self, node: &str) -> Session {
        Session { link: self.sender(node, |sender| sender.subscribe()) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    link: watch::Receiver<(u64, Cut)>,
}

impl Session {
    pub(crate) async fn cut(&mut self) -> Cut {
        match self.link.changed().await {
            Ok(()) => self.link.borrow_and_update().1,
            // The world is gone.
            Err(_) => Cut::Reset,
        }
    }
}

impl SandboxRemote {
    /// One request: connect, run, answer; with whatever the conditions do to it.
    pub(crate) async fn request<T, F, W>(&self, name: &NodeName, what: &'static str, work: F) -> Result<T, RemoteError>
    where
        F: FnOnce(SandboxNode) -> W + Send,
        W: Future<Output = Result<T, RemoteError>> + Send,
    {
        let node = self.sandbox_node(name)?;
        let mut session = self.links.session(node.name());
        if node.world.faults().offline.contains(node.name()) {
            tokio::time::sleep(CONNECT_TIMEOUT).await;
            return Err(unreachable(name, &node, "No route to host"));
        }
        let weather = self.conditions.weather(node.name(), what);
        self.world.clock.work(ROUND_TRIP_S).await;
        match weather {
            Weather::Refused => return Err(unreachable(name, &node, "Connection refused")),
            Weather::LostBefore => return Err(lost(name, what)),
            Weather::Frozen => {
                tokio::time::sleep(KEEP_ALIVE).await;
                return Err(lost(name, what));
            }
            Weather::Slow(_) | Weather::Fair | Weather::LostAfter => {}
        }
        let slow = async {
            if let Weather::Slow(seconds) = weather {
                self.world.clock.work(seconds).await;
            }
            work(node).await
        };
        let answer = tokio::select! {
            biased;
            answer = slow => answer,
            how = session.cut() => {
                if how == Cut::Vanished {
                    tokio::time::sleep(KEEP_ALIVE).await;
                }
                return Err(lost(name, what));
            }
        };
        if weather == Weather::LostAfter { Err(lost(name, what)) } else { answer }
    }
}

pub(crate) fn no_such_host(name: &NodeName) -> RemoteError {
    RemoteError {
        node: name.clone(),
        kind: RemoteErrorKind::Unreachable,
        sentence: format!("the sandbox has no node {name}"),
        hint: "it was made for other nodes: `pvekube sandbox reset`, then try again".to_owned(),
        detail: String::new(),
    }
}

fn unreachable(name: &NodeName, node: &SandboxNode, why: &str) -> RemoteError {
    RemoteError {
        node: name.clone(),
        kind: RemoteErrorKind::Unreachable,
        sentence: format!("no connection: {why}"),
        hint: format!("bring the node back, or plan without it: pvekube plan --without-node {name}"),
        detail: format!("ssh: connect to host {} port 22: {why} (sandbox)", node.spec().address),
    }
}

fn lost(name: &NodeName, what: &str) -> RemoteError {
    RemoteError {
        node: name.clone(),
        kind: RemoteErrorKind::Unknown,
        sentence: format!("the connection was lost during {what}"),
        hint: "run the same command again: it finds what is there".to_owned(),
        detail: "client_loop: send disconnect: Broken pipe (sandbox)".to_owned(),
    }
}

/// The program on the node said no.
pub(crate) fn refused(name: &NodeName, text: &str) -> RemoteError {
    RemoteError {
        node: name.clone(),
        kind: RemoteErrorKind::Refused,
        sentence: text.to_owned(),
        hint: String::new(),
        detail: text.to_owned(),
    }
}
