//! `Work::Download`: as `operation.sh` does it with wget, from the sandbox's own images.

use super::files::own_path;
use super::operations::Context;
use crate::model::ids::ImageDigest;
use crate::sandbox::faults::DownloadFault;
use crate::sandbox::image_server::{self, has_digest, of_bytes};

/// What an image of a distribution weighs; only the progress shows it.
const SHOWN_BYTES: u64 = 660 << 20;
/// Seconds that it takes at a home's link.
const SECONDS: f64 = 6.0;
const STEPS: u64 = 20;

/// wget's exit code, 65 for a wrong digest, 73 where the file can't be written.
pub(super) async fn download(context: &Context, url: &str, digest: &ImageDigest, path: &str) -> i32 {
    let node = &context.node;
    if let Err(text) = own_path(path) {
        context.say(&format!("{text}\n"));
        return 64;
    }
    if node.read(path).is_ok_and(|bytes| has_digest(&bytes, digest)) {
        context.say("already there\n");
        return 0;
    }
    let part = format!("{path}.part");
    let fault = node.world.faults().downloads.get(node.name()).cloned();
    context.say(&format!("--{}--  {url}\n", node.world.clock.now_s()));
    let Some(mut bytes) = image_server::get(url, url).filter(|_| fault != Some(DownloadFault::NotFound)) else {
        context.say("HTTP request sent, awaiting response... 404 Not Found\nERROR 404: Not Found.\n");
        return 8;
    };
    if fault == Some(DownloadFault::Unreachable) {
        context.say("failed: Temporary failure in name resolution.\nwget: unable to resolve host address\n");
        return 4;
    }
    context.say(&format!("HTTP request sent, awaiting response... 200 OK\nLength: {SHOWN_BYTES} (660M)\n"));
    // Killed in the middle, it leaves a part file.
    if let Err(error) = node.write(&part, &bytes[..bytes.len() / 2]) {
        context.say(&format!("{part}: {error}\n"));
        return 73;
    }
    for step in 1..=STEPS {
        node.work(SECONDS / STEPS as f64).await;
        if step == STEPS / 2 && fault == Some(DownloadFault::Truncated) {
            context.say("Connection closed at byte 330000000. Giving up.\n");
            bytes.truncate(bytes.len() / 2);
            break;
        }
        if step == STEPS / 2 && fault == Some(DownloadFault::DiskFull) {
            context.say(&format!("Cannot write to '{part}' (No space left on device).\n"));
            drop_part(context, &part);
            return 3;
        }
        // `--progress=dot:mega`: 48 dots a line, the percentage after them.
        let kib = SHOWN_BYTES / 1024 * step / STEPS;
        let dots = ["........"; 6].join(" ");
        context.say(&format!("{kib:>6}K {dots} {:>3}%  110M 0s\n", step * 100 / STEPS));
    }
    if fault == Some(DownloadFault::WrongBytes)
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 1;
    }
    if !has_digest(&bytes, digest) {
        let (algorithm, hex, found) = (digest.algorithm(), digest.hex(), of_bytes(&bytes));
        let size = bytes.len();
        context
            .say(&format!("wrong digest: expected {algorithm} {hex}, the file has {} ({size} bytes)\n", found.hex()));
        drop_part(context, &part);
        return 65;
    }
    let wrote = node.write(&part, &bytes).and_then(|()| node.fs().rename(&node.at(&part), &node.at(path)));
    match wrote {
        Ok(()) => 0,
        Err(error) => {
            context.say(&format!("{path}: {error}\n"));
            73
        }
    }
}

/// A failed download leaves nothing.
fn drop_part(context: &Context, part: &str) {
    if let Err(error) = context.node.remove(part) {
        context.say(&format!("{part}: {error}\n"));
    }
}
