//! `qm disk resize` (Qemu.pm `resize_vm`; contract §6). All checks are inside the worker, and nobody looks at its end:
//! every failure exits 0.

use super::super::super::flock::Mode;
use super::super::super::world::StorageKind;
use super::super::call::{Call, Die, Run};
use super::super::conf::{load, store};
use super::super::drives::Drive;
use super::super::storage::{self, Volume};
use super::super::worker::{Task, fork_worker};
use super::{Values, flag, vmid_of};
use crate::pve::size;

pub async fn resize(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    Ok(fork_worker(call, "resize", &vmid.to_string(), async |call| run(call, values).await).await)
}

async fn run(call: &Call<'_>, values: &Values) -> Run<()> {
    let vmid = vmid_of(values);
    let (disk, wanted) =
        (values.get("disk").cloned().unwrap_or_default(), values.get("size").cloned().unwrap_or_default());
    let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
    let mut config = load(call, vmid)?;
    config.assert_digest(values.get("digest"))?;
    if !flag(values, "skiplock") {
        config.assert_unlocked()?;
    }
    let drive = config.get(&disk).and_then(|value| Drive::parse(&disk, value));
    let mut drive = drive.ok_or_else(|| Die::new(format!("disk '{disk}' does not exist")))?;
    if drive.is_cdrom() {
        return Err(Die::new("you can't resize a cdrom"));
    }
    let id = drive.volume().ok_or_else(|| Die::new(format!("disk '{disk}' has no associated volume")))?;
    let place = storage::find(call.node, &id.storage)?;
    let mut volume = Volume::read(call.node, &id)?;
    let (added, number) = (wanted.starts_with('+'), wanted.trim_start_matches('+'));
    let number = size::parse(number).unwrap_or(0);
    // Image files are whole sectors.
    let target = (if added { volume.size + number } else { number }).div_ceil(512) * 512;
    if target < volume.size {
        return Err(Die::new("shrinking disks is not supported"));
    }
    if target != volume.size {
        grow(call, &config, &drive, &place, target).await?;
        volume.size = target;
        volume.write(call.node, &id)?;
    }
    drive.options.insert("size".into(), size::format(target));
    config.set(&disk, drive.print());
    store(call, &mut config)
}

async fn grow(
    call: &Call<'_>,
    config: &super::super::conf::Config,
    drive: &Drive,
    place: &storage::Storage,
    target: u64,
) -> Run<()> {
    let Some(id) = drive.volume() else { return Ok(()) };
    let path = id.path(place);
    let volume = Volume::read(call.node, &id)?;
    if volume.base && place.kind.is_files() {
        call.warn(format!("qemu-img: Could not open '{path}': Could not open '{path}': Operation not permitted"))?;
        let command = format!("/usr/bin/qemu-img resize '--preallocation=off' -f {} {path} {target}", volume.format);
        return Err(Die::new(format!("command '{command}' failed: exit code 1")));
    }
    let full = call.node.world.faults().storage_full.contains(&format!("{}/{}", call.node.name(), place.name));
    if !place.thin() && (full || storage::used_bytes(call.node, place) + target - volume.size > place.total_bytes) {
        let group = place.settings.get("vgname").map_or("pve", String::as_str);
        call.warn(format!("  Insufficient free space: {} extents needed", (target - volume.size) >> 22))?;
        return Err(Die::new(format!(
            "command '/sbin/lvextend -L {target}b /dev/{group}/{}' failed: exit code 5",
            id.file_name()
        )));
    }
    let _held = storage::lock_storage(call, place).await?;
    call.work(0.2).await?;
    let running = call.node.world.guests.running(call.node, config.vmid).is_some();
    match place.kind {
        StorageKind::Dir | StorageKind::Nfs if !running => call.say("Image resized.")?,
        StorageKind::Dir | StorageKind::Nfs | StorageKind::Zfspool => {}
        StorageKind::Lvm | StorageKind::Lvmthin => {
            call.say(format!("  Logical volume {} successfully resized.", id.file_name()))?;
        }
    }
    Ok(())
}
