//! `qm destroy` (Qemu.pm, QemuServer.pm `destroy_vm`; contract §7): the volumes go first, under the config as it was; then
//! nothing but `lock: destroyed` stands in its place until everything that refers to the VM is gone, too.

use super::super::super::flock::Mode;
use super::super::call::{Call, Die, Run};
use super::super::conf::{self, Config, load, store};
use super::super::drives;
use super::super::storage::{self, VolumeId};
use super::super::worker::{Task, fork_worker};
use super::{Values, flag, ha_managed, pools, vmid_of};
use crate::pve::conf::ConfFile;

pub async fn destroy(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    let config = load(call, vmid)?;
    if !flag(values, "skiplock") {
        assert_destroyable(&config)?;
    }
    if config.flag("protection") {
        return Err(Die::new(format!("can't remove VM {vmid} - protection mode enabled")));
    }
    if ha_managed(call.node, vmid) && !flag(values, "purge") {
        return Err(Die::new(format!(
            "unable to remove VM {vmid} - used in HA resources and purge parameter not set."
        )));
    }
    assert_no_linked_clones(call, &config)?;
    if call.node.world.guests.running(call.node, vmid).is_some() {
        return Err(Die::Text { exit: 25, text: format!("VM {vmid} is running - destroy failed") });
    }
    let body = async |call: &Call<'_>| run(call, values).await;
    Ok(fork_worker(call, "qmdestroy", &vmid.to_string(), body).await)
}

/// A suspended VM may go; any other lock holds.
fn assert_destroyable(config: &Config) -> Run<()> {
    if config.get("lock") == Some("suspended") { Ok(()) } else { config.assert_unlocked() }
}

/// `base volume '…' is still in use by linked cloned`, where the storage knows (not on lvmthin, contract §4.3).
fn assert_no_linked_clones(call: &Call<'_>, config: &Config) -> Run<()> {
    for (_, drive) in drives::drives(config) {
        let Some(volume) = drive.volume().filter(VolumeId::is_base) else { continue };
        let Ok(place) = storage::find(call.node, &volume.storage) else { continue };
        if storage::linked_clone_of(call.node, &place, &volume).is_some() {
            return Err(Die::new(format!("base volume '{volume}' is still in use by linked cloned")));
        }
    }
    Ok(())
}

async fn run(call: &Call<'_>, values: &Values) -> Run<()> {
    let vmid = vmid_of(values);
    let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
    let config = load(call, vmid)?;
    if !flag(values, "skiplock") {
        assert_destroyable(&config)?;
    }
    let mut volumes: Vec<VolumeId> = drives::drives(&config).iter().filter_map(|(_, drive)| drive.volume()).collect();
    volumes.extend(drives::unused(&config).into_iter().map(|(_, volume)| volume));
    for section in config.file.snapshots.values() {
        let listed = section.keys.get("vmstate").and_then(|text| VolumeId::parse(text));
        volumes.extend(listed);
    }
    for volume in volumes.iter().filter(|volume| volume.owner() == Some(vmid)) {
        if let Err(Die::Text { text, .. }) = storage::free(call, volume).await {
            call.warn(format!("Could not remove disk '{volume}', check manually: {text}"))?;
        }
    }
    if flag(values, "destroy-unreferenced-disks") {
        remove_strays(call, vmid).await?;
    }
    let mut stub = Config { vmid, file: ConfFile::default(), digest: String::new() };
    stub.set("lock", "destroyed");
    store(call, &mut stub)?;
    // Permissions, firewall, replication, backup jobs.
    call.node.work(0.2).await;
    if flag(values, "purge") {
        call.say(format!("purging VM {vmid} from related configurations.."))?;
        purge_ha(call, vmid)?;
    }
    pools::remove(call, vmid)?;
    conf::remove(call, vmid)
}

/// Every volume named after the VM on every enabled storage, whoever made it (contract §11 trap 2).
async fn remove_strays(call: &Call<'_>, vmid: u32) -> Run<()> {
    for place in storage::all(call.node).into_iter().filter(|place| place.enabled_on(call.node.name())) {
        for (volume, _) in storage::list(call.node, &place) {
            if volume.owner() == Some(vmid)
                && let Err(Die::Text { text, .. }) = storage::free(call, &volume).await
            {
                call.warn(format!("Could not remove disk '{volume}', check manually: {text}"))?;
            }
        }
    }
    Ok(())
}

fn purge_ha(call: &Call<'_>, vmid: u32) -> Run<()> {
    let path = "/etc/pve/ha/resources.cfg";
    let Ok(text) = call.node.read_text(path) else { return Ok(()) };
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        if !line.starts_with(['\t', ' ']) && !line.is_empty() {
            inside = line.trim() == format!("vm: {vmid}");
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    if kept == text {
        return Ok(());
    }
    call.node.pve_write(path, kept).map_err(|error| conf::write_error(call, path, &error))
}
