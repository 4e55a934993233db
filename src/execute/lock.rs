//! The apply lock of a cluster: on every node, in sorted order, all or none; kept as long as the apply runs.
//!
//! A lock that may be lost is taken again. Until it is held again nothing starts on that node; if somebody else held it
//! in between, the whole apply stops before its next step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::events::Events;
use super::failure::{failure, unreachable};
use super::follower::{PATIENCE, backoff};
use crate::model::ids::NodeName;
use crate::model::outcome::Failure;
use crate::remote::{Lock, LockAnswer, LockAsk, Remote, RemoteErrorKind};

/// The lock of one node, as steps see it.
#[derive(Clone, Debug)]
pub(super) enum LockState {
    Held,
    /// May be lost; being taken again.
    Regaining,
    /// Gone for good: nothing starts on this node any more.
    Lost(Box<Failure>),
    /// Another apply held it in between: nothing starts anywhere any more.
    Stolen(Box<Failure>),
}

/// Seconds that taking it again may wait on the node. Our own holder of before is ended there at once (`lock.sh`); anybody
/// else's means that the lock is stolen, and waiting for its end would only hide that.
const REGAIN_WAIT_S: u32 = 5;

/// A node that answered a moment ago is tried this often again before the apply is refused.
const FIRST_ATTEMPTS: u32 = 3;

/// Takes the lock on every node, or on none; and whether another apply had to be waited for. `nodes` in sorted order: two
/// applies can't hold half each.
pub(super) async fn take_all<R: Remote>(
    remote: &R,
    nodes: impl IntoIterator<Item = &NodeName>,
    ask: &LockAsk,
    events: &Events,
) -> Result<(Vec<(NodeName, Lock)>, bool), Box<Failure>> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(ask.wait_s));
    let mut held = Vec::new();
    let mut waited = false;
    for node in nodes {
        let mut told = false;
        let mut attempt = 0;
        let lock = loop {
            let left_s = deadline.saturating_duration_since(Instant::now()).as_secs_f64().ceil() as u32;
            // First without waiting, to tell who holds it.
            let ask = LockAsk { wait_s: if told { left_s } else { 0 }, ..ask.clone() };
            match remote.lock(node, &ask).await {
                Ok(LockAnswer::Held(lock)) => break lock,
                Ok(LockAnswer::Busy { owner }) if !told && left_s > 0 => {
                    events.notice(format!("waiting for the lock on {node}, held by {owner}"));
                    told = true;
                    waited = true;
                }
                Ok(LockAnswer::Busy { owner }) => return Err(Box::new(busy(node, &ask, &owner))),
                Err(error) if attempt < FIRST_ATTEMPTS && error.kind != RemoteErrorKind::Refused => {
                    sleep(backoff(attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Err(Box::new(unreachable(&error))),
            }
        };
        held.push((node.clone(), lock));
    }
    Ok((held, waited))
}

fn busy(node: &NodeName, ask: &LockAsk, owner: &str) -> Failure {
    let mut failure = failure(
        "locked",
        format!("another apply of cluster \"{}\" runs: {owner}", ask.cluster),
        "wait for it (--lock-timeout 10m), or see `pvekube lock show`",
    );
    failure.node = Some(node.clone());
    failure
}

/// Keeps one node's lock: tells its state, takes it again when it may be lost. Ends when it is gone for good.
pub(super) async fn keep<R: Remote>(
    remote: Arc<R>,
    node: NodeName,
    mut lock: Lock,
    ask: LockAsk,
    state: watch::Sender<LockState>,
    changed: Arc<Notify>,
    events: Events,
) {
    loop {
        // An error means that the holder's end of the channel is gone, which is no certain hold either.
        let _ = lock.held.wait_for(|held| !held).await;
        drop(lock);
        state.send_replace(LockState::Regaining);
        changed.notify_one();
        events.notice(format!("{node}: the apply lock may be lost; nothing starts there until it is held again"));
        match regain(remote.as_ref(), &node, &ask).await {
            Ok(again) => {
                lock = again;
                state.send_replace(LockState::Held);
                events.notice(format!("{node}: the apply lock is held again"));
                changed.notify_one();
            }
            Err(gone) => {
                state.send_replace(gone);
                changed.notify_one();
                return;
            }
        }
    }
}

async fn regain<R: Remote>(remote: &R, node: &NodeName, ask: &LockAsk) -> Result<Lock, LockState> {
    let ask = LockAsk { wait_s: REGAIN_WAIT_S, ..ask.clone() };
    let deadline = Instant::now() + PATIENCE;
    let mut attempt = 0;
    loop {
        let last = match remote.lock(node, &ask).await {
            Ok(LockAnswer::Held(lock)) if lock.previous.is_empty() || lock.previous == ask.nonce => return Ok(lock),
            Ok(LockAnswer::Held(_)) => return Err(LockState::Stolen(Box::new(stolen(node, None)))),
            // Our own holder of before, which has not noticed yet.
            Ok(LockAnswer::Busy { owner }) if owner == ask.owner => lost(node, None),
            Ok(LockAnswer::Busy { owner }) => return Err(LockState::Stolen(Box::new(stolen(node, Some(&owner))))),
            Err(error) => lost(node, Some(unreachable(&error))),
        };
        if Instant::now() + backoff(attempt) > deadline {
            return Err(LockState::Lost(Box::new(last)));
        }
        sleep(backoff(attempt)).await;
        attempt += 1;
    }
}

fn stolen(node: &NodeName, owner: Option<&str>) -> Failure {
    let who = owner.map_or_else(|| "another apply".to_owned(), |owner| format!("another apply ({owner})"));
    let mut failure = failure(
        "lock-stolen",
        format!("{who} held the lock on {node} while this one had lost its connection; nothing more was started"),
        "when the other one is through, plan again: what was planned here may no longer be right",
    );
    failure.node = Some(node.clone());
    failure
}

fn lost(node: &NodeName, because: Option<Failure>) -> Failure {
    let mut failure = failure(
        "lock-lost",
        format!("the apply lock on {node} was lost and could not be taken again; nothing more was started there"),
        "bring the node back, then run apply again",
    );
    if let Some(because) = because {
        failure.cause = Some(because.summary);
        failure.evidence = because.evidence;
    }
    failure.node = Some(node.clone());
    failure
}
