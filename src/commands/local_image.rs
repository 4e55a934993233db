//! `download: controller`: the image comes through this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use etcetera::BaseStrategy as _;

use crate::execute::{LocalImage, LocalImageAsk};
use crate::image::{Download, ImageCache};

/// Fetched once to the user's cache, verified, then streamed to each node.
pub fn fetch() -> LocalImage {
    Arc::new(|ask: LocalImageAsk| Box::pin(to_cache(ask)))
}

/// In a thread of its own: `ureq` blocks.
async fn to_cache(ask: LocalImageAsk) -> Result<PathBuf, String> {
    let base = etcetera::base_strategy::Xdg::new().map_err(|error| format!("there is no cache folder: {error}"))?;
    let cache = ImageCache::new(base.cache_dir().join("pvekube").join("images"));
    let fetch = move || {
        let download = Download { url: ask.url, digest: ask.digest };
        let tell = |done: u64, all: Option<u64>| {
            if let Some(all) = all.filter(|all| *all > 0) {
                #[allow(clippy::cast_precision_loss)] // a percentage
                let _ = ask.progress.send(done as f32 / all as f32 * 100.0);
            }
        };
        cache.fetch(&download, &tell, &AtomicBool::new(false)).map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(fetch).await.map_err(|error| error.to_string())?
}
