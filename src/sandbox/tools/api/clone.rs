//! `qm clone` (Qemu.pm `clone_vm`; contract §5). The target's first config is a note and `lock: clone` alone; name,
//! description and all the rest come with the first drive that was copied (`efidisk0`, `ide2` before `scsi0`), each further
//! drive when it is; the lock goes last.

mod config;

use super::super::super::contents;
use super::super::super::flock::Mode;
use super::super::super::guests::AgentReply;
use super::super::call::{Call, Die, Run};
use super::super::conf::{self, Config, load, store};
use super::super::drives::{self, Drive};
use super::super::storage::{self, Allocation, Copy, Volume, VolumeId, lock_storage};
use super::super::worker::{Task, fork_worker};
use super::{Values, number, pools, vmid_of};
use crate::pve::size;
use config::fresh_config;

/// What stands in the target's config until its first drive is there.
const TEMPORARY: &str = "# qmclone temporary file\nlock: clone\n";

/// A clone in the making.
struct Plan<'a> {
    source: u32,
    target: u32,
    full: bool,
    storage: Option<&'a String>,
    format: Option<&'a String>,
    bwlimit: u64,
    values: &'a Values,
}

pub async fn clone(call: &Call<'_>, values: &Values) -> Run<Task> {
    let source = vmid_of(values);
    let target = number(values, "newid").unwrap_or(0) as u32;
    pools::assert_exists(call, values.get("pool"))?;
    let node = values.get("target").filter(|node| *node != call.node.name());
    if let Some(node) = node
        && !call.node.members().iter().any(|member| member.name() == node)
    {
        return Err(Die::absent(format!("no such cluster node '{node}'")));
    }
    let config = early(call, source, target)?;
    check_storage(call, values, node)?;
    let full = values.get("full").map_or(!config.is_template(), |full| full == "1");
    if !full && (values.contains_key("storage") || values.contains_key("format")) {
        let name = if values.contains_key("storage") { "storage" } else { "format" };
        return Err(Die::absent(format!("parameter '{name}' not allowed for linked clones")));
    }
    if let Some(node) = node
        && uses_local_storage(call, &config)?
    {
        return Err(Die::absent(format!("can't clone VM to node '{node}' (VM uses local storage)")));
    }
    if !call.node.quorate() {
        return Err(Die::new("cluster not ready - no quorum?"));
    }
    let plan = Plan {
        source,
        target,
        full,
        storage: values.get("storage"),
        format: values.get("format"),
        bwlimit: number(values, "bwlimit").unwrap_or(0),
        values,
    };
    let task = fork_worker(call, "qmclone", &source.to_string(), async |call| run(call, &plan, node).await).await;
    Ok(task)
}

fn early(call: &Call<'_>, source: u32, target: u32) -> Run<Config> {
    if !call.node.exists(&call.node.conf_path(source)) {
        let text = format!("unable to find configuration file for VM {source} on node '{}'", call.node.name());
        return Err(Die::absent(text));
    }
    let config = load(call, source)?;
    if call.node.exists(&call.node.conf_path(target)) {
        return Err(Die::absent(format!("unable to create VM {target}: config file already exists")));
    }
    Ok(config)
}

fn check_storage(call: &Call<'_>, values: &Values, node: Option<&String>) -> Run<()> {
    let Some(name) = values.get("storage") else { return Ok(()) };
    let store = storage::find(call.node, name)?;
    if let Some(node) = node {
        storage::find_for(call.node, name, node)?;
        if !store.shared() {
            return Err(Die::new(format!("can't clone to non-shared storage '{name}'")));
        }
    }
    if !store.holds("images") {
        return Err(Die::parameter(255, "storage", format!("storage '{name}' does not support vm images")));
    }
    Ok(())
}

fn uses_local_storage(call: &Call<'_>, config: &Config) -> Run<bool> {
    for (_, drive) in drives::drives(config) {
        if let Some(volume) = drive.volume()
            && !storage::find(call.node, &volume.storage)?.shared()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn run(call: &Call<'_>, plan: &Plan<'_>, node: Option<&String>) -> Run<()> {
    let running = call.node.world.guests.running(call.node, plan.source).is_some();
    let mode = if running { Mode::Exclusive } else { Mode::Shared };
    let _source_lock = call.lock_vm(plan.source, mode, 1.0).await?;
    let config = load(call, plan.source)?;
    config.assert_unlocked()?;
    let _target_lock = call.lock_vm(plan.target, Mode::Exclusive, 1.0).await?;
    if call.node.exists(&call.node.conf_path(plan.target)) {
        return Err(Die::new(format!("unable to create VM {}: config file already exists", plan.target)));
    }
    if call.node.spec().version.qemu_server_since([9, 1, 6]) {
        call.say(format!("creating a clone of VM {} with ID {}", plan.source, plan.target))?;
    }
    let (mut new, todo) = fresh_config(call, &config, plan);
    let path = call.node.conf_path(plan.target);
    call.node.pve_write(&path, TEMPORARY).map_err(|error| conf::write_error(call, &path, &error))?;
    let mut made = Vec::new();
    let copied = copy_drives(call, plan, &mut new, &todo, running, &mut made).await;
    let finished = match copied {
        Ok(()) => finish(call, plan, &config, new, node),
        Err(die) => Err(die),
    };
    if let Err(die) = finished {
        drives::free_all(call, &made).await?;
        // Without quorum the config stays: PVE can't remove it either.
        let _ = conf::remove(call, plan.target);
        return Err(die.prefixed("clone failed: "));
    }
    Ok(())
}

async fn copy_drives(
    call: &Call<'_>,
    plan: &Plan<'_>,
    new: &mut Config,
    todo: &[(String, Drive)],
    running: bool,
    made: &mut Vec<VolumeId>,
) -> Run<()> {
    for (key, drive) in todo {
        let Some(volume) = drive.volume() else { continue };
        let value = if drive.is_cloudinit() {
            full_copy(call, plan, (key, drive, &volume), false, made).await?
        } else if plan.full {
            full_copy(call, plan, (key, drive, &volume), running, made).await?
        } else {
            linked_clone(call, plan, key, drive, &volume, made).await?
        };
        new.set(key, value);
        store(call, new)?;
    }
    Ok(())
}

async fn full_copy(
    call: &Call<'_>,
    plan: &Plan<'_>,
    (key, drive, volume): (&str, &Drive, &VolumeId),
    running: bool,
    made: &mut Vec<VolumeId>,
) -> Run<String> {
    call.say(format!("create full clone of drive {key} ({volume})"))?;
    let store = storage::find(call.node, plan.storage.unwrap_or(&volume.storage))?;
    let source = Volume::read(call.node, volume)?;
    let cloudinit = drive.is_cloudinit();
    let format = if store.raw_only() {
        "raw"
    } else if cloudinit {
        "qcow2"
    } else {
        plan.format.map_or(source.format.as_str(), String::as_str)
    };
    let allocation =
        Allocation { storage: &store, vmid: plan.target, format, bytes: source.size, cloudinit, base: None };
    let target = allocation.make(call).await?;
    made.push(target.clone());
    if call.node.spec().version.qemu_server_since([9, 1, 7]) {
        call.say(format!("allocated target volume '{target}'"))?;
    }
    if !cloudinit {
        let path = volume.path(&storage::find(call.node, &volume.storage)?);
        let copy = Copy {
            from: (&path, &source.format),
            content: storage::Content::Of(volume.clone()),
            size: source.size,
            used: source.used,
            target: &target,
            limit_kib_s: plan.bwlimit,
        };
        if running { mirror(call, plan, key, &copy).await? } else { storage::copy(call, &copy).await? }
    }
    Ok(with_file(drive, &target, source.size))
}

/// The disk of a running VM is copied by QEMU, the guest's file systems frozen at the end if its agent answers.
async fn mirror(call: &Call<'_>, plan: &Plan<'_>, key: &str, copy: &Copy<'_>) -> Run<()> {
    call.say(format!("drive mirror is starting for drive-{key}"))?;
    storage::copy(call, copy).await?;
    call.say("all 'mirror' jobs are ready")?;
    let agent = call.node.world.guests.agent(call.node, plan.source, "ping") != AgentReply::Silent;
    if agent {
        call.say("issuing guest agent 'guest-fsfreeze-freeze' command")?;
    }
    call.say(format!("mirror-{key}: Cancelling block job"))?;
    call.say(format!("mirror-{key}: Done."))?;
    if agent {
        call.say("issuing guest agent 'guest-fsfreeze-thaw' command")?;
    }
    Ok(())
}

/// `STORE:base/…`: rests on its base (contract §4.3 for each kind of storage).
async fn linked_clone(
    call: &Call<'_>,
    plan: &Plan<'_>,
    key: &str,
    drive: &Drive,
    base: &VolumeId,
    made: &mut Vec<VolumeId>,
) -> Run<String> {
    let store = storage::find(call.node, &base.storage)?;
    if !store.has_templates() || !base.is_base() {
        return Err(Die::new(format!("Linked clone feature is not supported for '{base}' ({key})")));
    }
    call.say(format!("create linked clone of drive {key} ({base})"))?;
    let source = Volume::read(call.node, base)?;
    let format = if store.raw_only() { "raw" } else { "qcow2" };
    let allocation = Allocation {
        storage: &store,
        vmid: plan.target,
        format,
        bytes: source.size,
        cloudinit: false,
        base: Some(base),
    };
    if store.kind.is_files() {
        call.say(format!(
            "clone {}: images, vm-{}-disk-0.qcow2, {} to vm-{}-disk-0.qcow2 (base=../{})",
            base.name, plan.target, plan.target, plan.target, base.name
        ))?;
    }
    let plain = allocation.make(call).await?;
    made.push(plain.clone());
    let _held = lock_storage(call, &store).await?;
    let mut volume = Volume::read(call.node, &plain)?;
    volume.linked_to = Some(base.name.clone());
    volume.write(call.node, &plain)?;
    let by_id = store.kind != super::super::super::world::StorageKind::Lvmthin;
    let name = if by_id { format!("{}/{}", base.name, plain.name) } else { plain.name.clone() };
    let id = VolumeId { storage: plain.storage.clone(), name };
    made.pop();
    made.push(id.clone());
    let kept = contents::copy(call.node, &base.to_string(), &id.to_string());
    kept.map_err(|error| Die::new(error.to_string()))?;
    Ok(with_file(drive, &id, source.size))
}

fn with_file(drive: &Drive, volume: &VolumeId, bytes: u64) -> String {
    let mut result = drive.clone();
    result.file = volume.to_string();
    result.options.insert("size".into(), size::format(bytes));
    result.print()
}

/// The lock goes, the pool is joined, the config moves to its node.
fn finish(call: &Call<'_>, plan: &Plan<'_>, source: &Config, mut new: Config, node: Option<&String>) -> Run<()> {
    let dropped = source.file.pending.keys.keys().filter(|key| *key != "delete");
    for key in dropped {
        call.say(format!("found pending changes for '{key}', discarding for clone"))?;
    }
    new.unset("lock");
    store(call, &mut new)?;
    pools::add(call, plan.values.get("pool"), plan.target)?;
    if let Some(node) = node {
        let to = format!("/etc/pve/nodes/{node}/qemu-server/{}.conf", plan.target);
        let from = call.node.conf_path(plan.target);
        call.node
            .pve_rename(&from, &to)
            .map_err(|error| Die::new(format!("Failed to move config to node '{node}' - rename failed: {error}")))?;
    }
    Ok(())
}
