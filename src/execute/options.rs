//! How an apply is carried out, beyond the plan: who we are, how long we wait, which keys we try.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::model::ids::ImageDigest;

#[derive(Clone)]
pub struct ApplyOptions {
    /// The lock's owner line: `ci@runner-7 pid 4121 since 2026-11-22T12:01:00Z`.
    pub owner: String,
    /// Operation names and jitter come from it: the same seed gives the same run in a simulation.
    pub seed: u64,
    /// Seconds to wait for another apply's lock, and for a VM's backup.
    pub lock_timeout_s: u32,
    /// `--no-wait`: machines are started, not waited for.
    pub wait: bool,
    /// `--no-hooks`.
    pub hooks: bool,
    pub keys: LoginKeys,
    /// The cluster's own known_hosts; `None`: host keys are not written down.
    pub known_hosts: Option<PathBuf>,
    /// Where `download: controller` gets the image file; needed when a plan has such a step.
    pub local_image: Option<LocalImage>,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            owner: "pvekube".to_owned(),
            seed: 0,
            lock_timeout_s: 0,
            wait: true,
            hooks: true,
            keys: LoginKeys::default(),
            known_hosts: None,
            local_image: None,
        }
    }
}

/// Private keys for the readiness login: only those whose public half the machines carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginKeys {
    /// Tried in this order.
    pub files: Vec<PathBuf>,
    /// Those that the SSH agent holds: `TYPE BASE64`.
    pub agent: Vec<String>,
}

impl LoginKeys {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.agent.is_empty()
    }
}

/// Fetches an image to the controller: verified, and the same file for every caller. `progress` gets the percentage.
pub type LocalImage = Arc<dyn Fn(LocalImageAsk) -> LocalImageFuture + Send + Sync>;

pub type LocalImageFuture = Pin<Box<dyn Future<Output = Result<PathBuf, String>> + Send>>;

#[derive(Clone, Debug)]
pub struct LocalImageAsk {
    pub url: String,
    pub digest: ImageDigest,
    /// Percent, 0–100.
    pub progress: mpsc::UnboundedSender<f32>,
}
