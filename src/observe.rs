//! Asks all nodes at once what there is, and the image's checksum list beside them: one round trip a node (design §3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::image::{self, ChecksumSource};
use crate::model::desired::{Desired, TemplateSpec};
use crate::model::ids::NodeName;
use crate::model::observed::{Observed, Silence, Upstream};
use crate::pve::report::{self, NodeReport};
use crate::remote::{ObserveAsk, Remote, RemoteError, RemoteErrorKind};

/// A read that met a write, or broke off, is made once more.
const TRIES: usize = 2;

/// What an observation is made with, beyond the desired state.
#[derive(Clone)]
pub struct ObserveOptions {
    /// Where the checksum list comes from; `None`: it is not asked.
    pub checksums: Option<ChecksumSource>,
    /// Unix seconds by the controller's clock.
    pub taken_at: i64,
    /// Unguessable, 16 hex digits: keeps content of nodes from looking like our markers.
    pub nonce: String,
}

/// Asks everything at once. Always answers: what could not be told is in the observation.
pub async fn observe<R: Remote>(remote: &Arc<R>, desired: &Desired, options: &ObserveOptions) -> Observed {
    let upstream = tokio::task::spawn_blocking({
        let (template, source) = (desired.template.clone(), options.checksums.clone());
        move || image::upstream(&template, source.as_ref())
    });
    let ask = ask(desired, &options.nonce);
    let mut tasks = JoinSet::new();
    let mut asked = BTreeMap::new();
    for target in &desired.nodes {
        let (remote, node, ask) = (remote.clone(), target.name.clone(), ask.clone());
        let task = tasks.spawn(async move { one_node(remote.as_ref(), &node, &ask).await });
        asked.insert(task.id(), target.name.clone());
    }
    let mut answers = BTreeMap::new();
    while let Some(ended) = tasks.join_next_with_id().await {
        let (id, answer) = match ended {
            Ok((id, answer)) => (id, answer),
            Err(error) => (error.id(), Err(broken(&error.to_string()))),
        };
        if let Some(node) = asked.remove(&id) {
            answers.insert(node, answer);
        }
    }
    let upstream = upstream.await.unwrap_or_else(|error| Upstream::Unknown { reason: error.to_string() });
    report::assemble(&desired.nodes, answers, upstream, options.taken_at)
}

/// What is asked of every node: the storages and bridges that a plan may use.
fn ask(desired: &Desired, nonce: &str) -> ObserveAsk {
    let template: &TemplateSpec = &desired.template;
    let storages = BTreeSet::from([template.storage.clone(), template.snippet_storage.clone()]);
    let networks = desired.machines.iter().map(|machine| &machine.network);
    let networks = networks.chain(template.bake.as_ref().map(|bake| &bake.network));
    let mut bridges: BTreeSet<_> = networks.map(|network| network.bridge.clone()).collect();
    bridges.insert(template.bridge.clone());
    ObserveAsk {
        nonce: nonce.to_owned(),
        cluster: Some(desired.cluster.clone()),
        storages: storages.into_iter().collect(),
        bridges: bridges.into_iter().collect(),
        snippet_folder: None,
    }
}

async fn one_node<R: Remote>(remote: &R, node: &NodeName, ask: &ObserveAsk) -> Result<NodeReport, Silence> {
    let mut last = Err(broken("it was never asked"));
    for _ in 0..TRIES {
        last = match remote.observe(node, ask).await {
            Ok(bytes) => report::parse(&ask.nonce, &bytes).map_err(|error| Silence::from(&error)),
            Err(error) if error.kind == RemoteErrorKind::Unknown => Err(silence(error)),
            // It was not reached, or it refused: asking again at once would only be slower.
            Err(error) => return Err(silence(error)),
        };
        if last.as_ref().is_ok_and(|report| !report.worth_asking_again()) {
            break;
        }
    }
    last
}

fn silence(error: RemoteError) -> Silence {
    Silence { reason: error.sentence, hint: error.hint, detail: error.detail }
}

fn broken(detail: &str) -> Silence {
    Silence {
        reason: "it could not be asked".to_owned(),
        hint: "run it again; if it stays so, this is a bug of pvekube".to_owned(),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests;
