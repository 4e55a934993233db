//! Asking every node, and saying in one line who answered.

use std::sync::Arc;

use tokio::time::Instant;

use super::session::Session;
use super::{Stop, files, identity};
use crate::error::Fault;
use crate::image::{self, ChecksumSource};
use crate::model::ids::NodeName;
use crate::model::observed::{NodeState, Observed};
use crate::observe::{self, ObserveOptions};
use crate::render::{self, answered};
use crate::sandbox::demo;
use crate::ui::Ui;

/// One round trip a node. A silent node is a fact of the result; where all are silent there is nothing to say.
pub async fn look(ui: &Ui, session: &Session) -> Result<Observed, Stop> {
    let began = Instant::now();
    let observed = silently(session).await?;
    ui.talk(&answered::answered(&observed, began.elapsed().as_secs_f64(), session.sandbox.is_some()));
    Ok(observed)
}

/// As `look`, without a word of who answered.
pub async fn silently(session: &Session) -> Result<Observed, Stop> {
    let desired = &session.loaded.desired;
    let image_url = desired.template.image_url.clone();
    let checksums: ChecksumSource = match &session.sandbox {
        // The sandbox's image server needs no network.
        Some(_) => Arc::new(move |url: &str| {
            let list = demo::checksums(url, &image_url).ok_or_else(|| format!("the sandbox has no {url}"))?;
            String::from_utf8(list).map_err(|error| error.to_string())
        }),
        None => image::network(),
    };
    let options = ObserveOptions {
        checksums: Some(checksums),
        taken_at: jiff::Timestamp::now().as_second(),
        nonce: format!("{:016x}", identity::seed()),
    };
    let observed = observe::observe(&session.nodes, desired, &options).await;
    nobody(&observed, "")?;
    Ok(observed)
}

/// A saved observation, and how old it is in seconds.
pub fn saved(path: &std::path::Path) -> Result<(Observed, f64), Stop> {
    let not_text = |_| std::io::Error::other("it is not UTF-8 text");
    let text = files::read(path).and_then(|bytes| String::from_utf8(bytes).map_err(not_text)).map_err(|error| {
        Fault::new(
            "observation-unreadable",
            format!("--observed {}: {error}", path.display()),
            "make one with: pvekube observe > observed.json",
        )
    })?;
    let observed = render::observation::read(&text).map_err(|reason| {
        Fault::new(
            "observation-unreadable",
            format!("--observed {}: {reason}", path.display()),
            "make one with this version: pvekube observe > observed.json",
        )
    })?;
    nobody(&observed, &format!("--observed {}: ", path.display()))?;
    let age = jiff::Timestamp::now().as_second() - observed.taken_at;
    #[allow(clippy::cast_precision_loss)] // seconds of an age
    Ok((observed, age.max(0) as f64))
}

/// Every node's silence as an error of its own, when no node answered at all. `source`: whose words these are.
fn nobody(observed: &Observed, source: &str) -> Result<(), Stop> {
    let fault = |(node, state): (&NodeName, &NodeState)| match state {
        NodeState::Answered(_) => None,
        NodeState::Silent(silence) => {
            let fault =
                Fault::new("node-unreachable", format!("{source}{node}: {}", silence.reason), silence.hint.clone());
            Some(if silence.detail.is_empty() { fault } else { fault.with_detail(silence.detail.clone()) })
        }
    };
    let faults: Vec<Fault> = observed.nodes.iter().filter_map(fault).collect();
    // An observation without any node has nothing to say here: the plan names those that it lacks.
    if !faults.is_empty() && faults.len() == observed.nodes.len() { Err(Stop::Faults(faults)) } else { Ok(()) }
}
