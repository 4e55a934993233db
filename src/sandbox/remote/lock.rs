//! The apply lock of a cluster on a node: a `flock` held by a remote process that listens for heartbeats (lock.sh).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::session::{Cut, Links, Session};
use crate::model::ids::ClusterName;
use crate::remote::{Lock, LockAnswer, LockAsk};
use crate::sandbox::flock::{Flock, Mode, flock};
use crate::sandbox::node::SandboxNode;

/// A holder that hears nothing for so long lets go (design §6).
const PATIENCE: Duration = Duration::from_secs(45);
/// We stop calling the lock ours before the holder can have let go.
const DOUBT: Duration = Duration::from_secs(30);

fn base(cluster: &ClusterName) -> String {
    format!("/run/pvekube/locks/{cluster}")
}

fn checked(cluster: &ClusterName) -> Result<(), String> {
    let text = cluster.as_str();
    let good = !text.is_empty()
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    if good { Ok(()) } else { Err(format!("bad cluster name: {text}")) }
}

pub(super) async fn take(node: SandboxNode, ask: &LockAsk, links: &Arc<Links>) -> Result<LockAnswer, String> {
    checked(&ask.cluster)?;
    let base = base(&ask.cluster);
    let (path, broken) = (node.at(&format!("{base}.lock")), |error: std::io::Error| format!("{base}.lock: {error}"));
    node.fs().mkdir_all(&node.at("/run/pvekube/locks")).map_err(broken)?;
    // A time-out of 0 s still tries: owner.sh holds the lock for an instant.
    let patience = Duration::from_secs(u64::from(ask.wait_s).max(1));
    if node.read_text(&format!("{base}.nonce")).is_ok_and(|nonce| nonce.trim() == ask.nonce) {
        // Ourselves, from before a lost connection: the frozen holder must not keep us out.
        links.end_holder(&path, &ask.nonce);
    }
    let Some(held) = flock(node.fs(), &path, Mode::Exclusive, patience).await.map_err(broken)? else {
        let owner = node.read_text(&format!("{base}.owner")).unwrap_or_default();
        return Ok(LockAnswer::Busy { owner: owner.trim_end().replace('\n', " ") });
    };
    let previous = node.read_text(&format!("{base}.nonce")).unwrap_or_default().trim().to_owned();
    node.write(&format!("{base}.owner"), format!("{}\n", ask.owner)).map_err(broken)?;
    node.write(&format!("{base}.nonce"), format!("{}\n", ask.nonce)).map_err(broken)?;
    let (held_sender, held_receiver) = watch::channel(true);
    let (release, released) = mpsc::channel(1);
    let session = links.session(node.name());
    let ended = links.new_holder(&path, &ask.nonce);
    tokio::spawn(hold(held, held_sender, released, session, ended));
    Ok(LockAnswer::Held(Lock { previous, held: held_receiver, release }))
}

/// Both ends of the session: the holder on the node, and our side's knowledge of it.
async fn hold(
    lock: Flock,
    held: watch::Sender<bool>,
    mut released: mpsc::Receiver<()>,
    mut session: Session,
    ended: CancellationToken,
) {
    let how = tokio::select! {
        biased;
        () = ended.cancelled() => Cut::Reset,
        // Let go of, or the one who held it is gone: its end of the connection closes.
        _ = released.recv() => Cut::Reset,
        how = session.cut() => how,
    };
    if how == Cut::Vanished {
        let patience = async {
            tokio::time::sleep(DOUBT).await;
            held.send_replace(false);
            tokio::time::sleep(PATIENCE.saturating_sub(DOUBT)).await;
        };
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            () = patience => {}
        }
    }
    held.send_replace(false);
    drop(lock);
}

/// The owner's line while somebody holds the lock (owner.sh).
pub(super) async fn owner(node: &SandboxNode, cluster: &ClusterName) -> Result<String, String> {
    checked(cluster)?;
    let base = base(cluster);
    let path = node.at(&format!("{base}.lock"));
    if !node.fs().exists(&path) {
        return Ok(String::new());
    }
    let free = flock(node.fs(), &path, Mode::Shared, Duration::ZERO).await.map_err(|error| error.to_string())?;
    if free.is_some() {
        return Ok(String::new());
    }
    let owner = node.read_text(&format!("{base}.owner")).unwrap_or_default();
    Ok(owner.chars().take(1000).collect())
}
