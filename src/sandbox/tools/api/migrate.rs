//! Offline `qm migrate` (QemuMigrate.pm): local disks are copied, then the config moves.

use jiff::Timestamp;

use super::super::super::contents;
use super::super::super::flock::Mode;
use super::super::super::node::SandboxNode;
use super::super::call::{Call, Die, Run};
use super::super::conf::load;
use super::super::drives;
use super::super::storage::{self, Volume};
use super::super::worker::{Task, fork_worker};
use super::{Values, vmid_of};

pub async fn migrate(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    let target = values.get("target").cloned().unwrap_or_default();
    call.assert_quorum()?;
    if target == call.node.name() {
        return Err(Die::parameter(2, "target", "target is local node."));
    }
    let member = call.node.members().into_iter().find(|member| member.name() == target);
    let member = member.ok_or_else(|| Die::absent(format!("no such cluster node '{target}'")))?;
    load(call, vmid)?;
    if call.node.world.guests.running(call.node, vmid).is_some() {
        return Err(Die::absent("can't migrate running VM without --online"));
    }
    let body = async |call: &Call<'_>| run(call, vmid, &member).await;
    Ok(fork_worker(call, "qmigrate", &vmid.to_string(), body).await)
}

async fn run(call: &Call<'_>, vmid: u32, target: &SandboxNode) -> Run<()> {
    let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
    let config = load(call, vmid)?;
    config.assert_unlocked()?;
    say(call, &format!("starting migration of VM {vmid} to node '{}' ({})", target.name(), target.spec().address))?;
    if call.node.world.faults().offline.contains(target.name()) {
        return Err(Die::new("migration aborted"));
    }
    let mut moved = Vec::new();
    for (_, drive) in drives::drives(&config) {
        let Some(id) = drive.volume().filter(|id| id.owner().is_some()) else { continue };
        let place = storage::find(call.node, &id.storage)?;
        if place.shared() {
            continue;
        }
        let how = if drive.is_cloudinit() { "generated disk" } else { "local disk" };
        let why = if drive.is_cloudinit() { "in current VM config" } else { "attached" };
        say(call, &format!("found {how} '{id}' ({why})"))?;
        let volume = Volume::read(call.node, &id)?;
        call.work(volume.size as f64 / 120_000_000.0).await?;
        let bytes = serde_json::to_vec(&volume).map_err(|error| Die::new(error.to_string()))?;
        target.write(&id.path(&place), bytes).map_err(|error| Die::new(error.to_string()))?;
        say(call, &format!("volume '{id}' is '{id}' on the target"))?;
        let held = contents::read(call.node, &id.to_string());
        contents::write(target, &id.to_string(), &held).map_err(|error| Die::new(error.to_string()))?;
        moved.push((id.path(&place), id.to_string()));
    }
    let (from, to) = (call.node.conf_path(vmid), target.conf_path(vmid));
    call.node.pve_rename(&from, &to).map_err(|error| super::super::conf::write_error(call, &to, &error))?;
    for (path, id) in moved {
        contents::remove(call.node, &id).map_err(|error| Die::new(error.to_string()))?;
        call.node.remove(&path).map_err(|error| Die::new(error.to_string()))?;
    }
    say(call, "migration finished successfully (duration 00:00:02)")
}

/// Migration's lines have the time in front.
fn say(call: &Call<'_>, text: &str) -> Run<()> {
    let now = Timestamp::from_second(call.node.world.clock.now_s()).unwrap_or(Timestamp::UNIX_EPOCH);
    call.say(format!("{} {text}", now.strftime("%Y-%m-%d %H:%M:%S")))
}
