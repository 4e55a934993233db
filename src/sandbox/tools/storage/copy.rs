//! Copying a disk with progress, as `qemu-img convert -p` and PVE print it.

use super::super::super::contents;
use super::super::call::{Call, Die, Run};
use super::volume::{Volume, VolumeId};
use super::{find, used_bytes};

/// What the copy holds in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An image file's bytes.
    Bytes(Vec<u8>),
    /// What another volume holds when the copy ends.
    Of(VolumeId),
}

/// What is copied where.
#[derive(Clone, Debug)]
pub struct Copy<'a> {
    /// Path and format of the source, for the error's command line.
    pub from: (&'a str, &'a str),
    pub content: Content,
    pub size: u64,
    pub used: u64,
    pub target: &'a VolumeId,
    /// KiB/s; 0: as fast as disks are.
    pub limit_kib_s: u64,
}

/// Bytes a second that an idle node copies (observed §9: 1.5 GiB in 2.5 s).
const BYTES_PER_SECOND: f64 = 800_000_000.0;

/// Copies into an allocated volume, one progress line a percent.
pub async fn copy(call: &Call<'_>, plan: &Copy<'_>) -> Run<()> {
    let storage = find(call.node, &plan.target.storage)?;
    let mut volume = Volume::read(call.node, plan.target)?;
    let rate = if plan.limit_kib_s > 0 { plan.limit_kib_s as f64 * 1024.0 } else { BYTES_PER_SECOND };
    let seconds = plan.size as f64 / rate;
    let full = call.node.world.faults().storage_full.contains(&format!("{}/{}", call.node.name(), storage.name));
    let room = if full { 0 } else { storage.total_bytes.saturating_sub(used_bytes(call.node, &storage)) };
    let steps = (plan.size >> 20).clamp(1, 98);
    let total = human(plan.size);
    for step in 0..=steps {
        if step > 0 {
            call.work(seconds / steps as f64).await?;
        }
        let done = plan.size / steps * step;
        let written = (plan.used as u128 * u128::from(step) / u128::from(steps)) as u64;
        if storage.thin() && written > room {
            call.warn(format!("qemu-img: error while writing at byte {done}: No space left on device"))?;
            return Err(Die::new(format!(
                "copy failed: command '{}' failed: exit code 1",
                command(plan, &storage_path(plan, &storage), &volume.format)
            )));
        }
        let done = if step == steps { plan.size } else { done };
        let percent = if plan.size == 0 { 100.0 } else { done as f64 * 100.0 / plan.size as f64 };
        call.say(format!("transferred {} of {total} ({percent:.2}%)", human(done)))?;
        volume.used = written.max(volume.used);
        if step % 10 == 0 {
            volume.write(call.node, plan.target)?;
        }
    }
    call.say(format!("transferred {total} of {total} (100.00%)"))?;
    volume.used = plan.used;
    let (node, target) = (call.node, plan.target.to_string());
    let kept = match &plan.content {
        Content::Bytes(bytes) => contents::write(node, &target, bytes),
        Content::Of(source) => contents::copy(node, &source.to_string(), &target),
    };
    kept.map_err(|error| Die::new(format!("copy failed: {error}")))?;
    volume.write(call.node, plan.target)
}

fn storage_path(plan: &Copy<'_>, storage: &super::Storage) -> String {
    plan.target.path(storage)
}

fn command(plan: &Copy<'_>, target: &str, format: &str) -> String {
    let limit = if plan.limit_kib_s > 0 { format!(" -r {}K", plan.limit_kib_s) } else { String::new() };
    format!("/usr/bin/qemu-img convert -p -n{limit} -f {} -O {format} {} zeroinit:{target}", plan.from.1, plan.from.0)
}

/// `1.5 GiB`, as PVE's `render_bytes`.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}
