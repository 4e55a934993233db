//! Images and their checksums, fetched to the controller. The only place that speaks HTTP.

use std::sync::Arc;
use std::time::Duration;

use crate::model::desired::TemplateSpec;
use crate::model::observed::Upstream;
use crate::pve::checksums;

mod cache;
mod digest;
mod http;
mod part;

pub use cache::{Download, ImageCache, ImageError, fetch_local};

/// Fetches a text by its URL, or says why not. Called where blocking is allowed.
pub type ChecksumSource = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// A checksum list is small; more is some other page.
const LIST_LIMIT: u64 = 1024 * 1024;

/// A plan waits no longer for the checksum list (design §3).
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// The checksum list over the network.
pub fn network() -> ChecksumSource {
    Arc::new(|url: &str| http::text(url, LIST_LIMIT, LIST_TIMEOUT).map_err(|error| error.to_string()))
}

/// What is known of the image upstream: the pinned digest, or what `source` says. Without a source it is not asked.
/// Blocks while it asks.
pub fn upstream(template: &TemplateSpec, source: Option<&ChecksumSource>) -> Upstream {
    if let Some(digest) = &template.image_digest {
        return Upstream::Known { digest: digest.clone(), source: "image_digest".to_owned() };
    }
    let unknown = |reason: String| Upstream::Unknown { reason };
    let Some(url) = &template.checksum_url else {
        return unknown("the config has neither checksum_url nor image_digest".to_owned());
    };
    let Some(source) = source else {
        return unknown("checksum_url was not asked".to_owned());
    };
    let list = match source(url) {
        Ok(list) => list,
        Err(reason) => return unknown(reason),
    };
    match checksums::find(&list, &template.image_url) {
        Ok(digest) => {
            Upstream::Known { digest, source: checksums::file_name(url).unwrap_or_else(|| "checksum_url".to_owned()) }
        }
        Err(error) => unknown(format!("{url}: {error}")),
    }
}

#[cfg(test)]
mod tests;
