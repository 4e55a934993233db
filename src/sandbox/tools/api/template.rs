//! `qm template` (Qemu.pm `template`; contract §4.3). `template: 1` is written first, then disk after disk is renamed to
//! `base-…`: a failure in between leaves a half template, and the command exits 0.

use super::super::super::contents;
use super::super::super::flock::Mode;
use super::super::call::{Call, Die, Run};
use super::super::conf::{load, store};
use super::super::drives;
use super::super::storage::{self, Volume, VolumeId};
use super::super::worker::{Task, fork_worker};
use super::{Values, vmid_of};

pub async fn template(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    let only = values.get("disk").cloned();
    let config = load(call, vmid)?;
    config.assert_unlocked()?;
    if !config.file.snapshots.is_empty() {
        return Err(Die::new("unable to create template, because VM contains snapshots"));
    }
    if config.is_template() && only.is_none() {
        return Err(Die::new("you can't convert a template to a template"));
    }
    if call.node.world.guests.running(call.node, vmid).is_some() {
        return Err(Die::Text { exit: 25, text: "you can't convert a VM to template if VM is running".into() });
    }
    let held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
    let body = async |call: &Call<'_>| convert(call, vmid, only.as_deref()).await;
    let task = fork_worker(call, "qmtemplate", &vmid.to_string(), body).await;
    drop(held);
    Ok(task)
}

async fn convert(call: &Call<'_>, vmid: u32, only: Option<&str>) -> Run<()> {
    let mut config = load(call, vmid)?;
    config.set("template", "1");
    store(call, &mut config)?;
    for (key, drive) in drives::drives(&config) {
        let Some(volume) = drive.volume().filter(|volume| volume.owner().is_some()) else { continue };
        if drive.is_cdrom() || volume.is_base() || only.is_some_and(|only| only != key) {
            continue;
        }
        let place = storage::find(call.node, &volume.storage)?;
        if !place.has_templates() {
            continue;
        }
        call.work(0.2).await?;
        if call.node.world.faults().template_fails.contains(&vmid) {
            return Err(Die::new(format!("unable to create base volume '{volume}'")));
        }
        let base = to_base(call, &volume).await?;
        let mut result = drive.clone();
        result.file = base.to_string();
        config.set(&key, result.print());
        store(call, &mut config)?;
    }
    Ok(())
}

async fn to_base(call: &Call<'_>, id: &VolumeId) -> Run<VolumeId> {
    let place = storage::find(call.node, &id.storage)?;
    let _held = storage::lock_storage(call, &place).await?;
    let Ok(mut volume) = Volume::read(call.node, id) else {
        call.warn(format!("failed to stat '{}'", id.path(&place)))?;
        return Err(Die::new(format!("file_size_info on '{}' failed", id.name)));
    };
    let name =
        id.name.rsplit_once("vm-").map_or_else(|| id.name.clone(), |(front, rest)| format!("{front}base-{rest}"));
    let base = VolumeId { storage: id.storage.clone(), name };
    volume.base = true;
    volume.write(call.node, &base)?;
    let renamed = contents::rename(call.node, &id.to_string(), &base.to_string());
    let removed = renamed.and_then(|()| call.node.remove(&id.path(&place)));
    removed.map_err(|error| Die::new(error.to_string()))?;
    Ok(base)
}
