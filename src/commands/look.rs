//! Asking every node, and saying in one line who answered.

use std::sync::Arc;

use tokio::time::Instant;

use super::Stop;
use super::run::seed;
use super::session::Session;
use crate::error::Fault;
use crate::image::{self, ChecksumSource};
use crate::model::observed::Observed;
use crate::observe::{self, ObserveOptions};
use crate::render::{self, answered};
use crate::sandbox::demo;
use crate::ui::Ui;

/// One round trip a node. A silent node is a fact of the result, not an error.
pub async fn look(ui: &Ui, session: &Session) -> Observed {
    let began = Instant::now();
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
        nonce: format!("{:016x}", seed()),
    };
    let observed = observe::observe(&session.nodes, desired, &options).await;
    ui.talk(&answered::answered(&observed, began.elapsed().as_secs_f64(), session.sandbox.is_some()));
    observed
}

/// A saved observation, and how old it is in seconds.
pub fn saved(path: &std::path::Path) -> Result<(Observed, f64), Stop> {
    let text = std::fs::read_to_string(path).map_err(|error| {
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
    let age = jiff::Timestamp::now().as_second() - observed.taken_at;
    #[allow(clippy::cast_precision_loss)] // seconds of an age
    Ok((observed, age.max(0) as f64))
}
