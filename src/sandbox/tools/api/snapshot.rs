//! Snapshots (AbstractConfig.pm): a section in the config, and the storage's own snapshot of each disk.

use super::super::super::flock::Mode;
use super::super::super::world::StorageKind;
use super::super::call::{Call, Die, Run};
use super::super::conf::{Config, load, store};
use super::super::drives;
use super::super::storage::{self, Volume};
use super::super::worker::{Task, fork_worker};
use super::{Values, vmid_of};
use crate::pve::conf::Section;

fn name_of(values: &Values) -> String {
    values.get("snapname").cloned().unwrap_or_default()
}

pub async fn snapshot(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    let body = async |call: &Call<'_>| take(call, values).await;
    Ok(fork_worker(call, "qmsnapshot", &vmid.to_string(), body).await)
}

async fn take(call: &Call<'_>, values: &Values) -> Run<()> {
    let (vmid, name) = (vmid_of(values), name_of(values));
    let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
    let mut config = load(call, vmid)?;
    if config.is_template() {
        return Err(Die::new(format!("VM {vmid} is a template. It is not possible to snapshot a template.")));
    }
    config.assert_unlocked()?;
    if config.file.snapshots.contains_key(&name) {
        return Err(Die::new(format!("snapshot name '{name}' already used")));
    }
    let disks: Vec<_> = drives::drives(&config).into_iter().filter(|(_, drive)| !drive.is_cdrom()).collect();
    for (_, drive) in &disks {
        if !can_snapshot(call, drive)? {
            return Err(Die::new("snapshot feature is not available"));
        }
    }
    let mut section = Section { description: String::new(), keys: config.file.main.keys.clone() };
    section.description = values.get("description").cloned().unwrap_or_default();
    section.keys.retain(|key, _| !key.starts_with("unused"));
    section.keys.insert("snaptime".into(), call.node.world.clock.now_s().to_string());
    for (key, drive) in &disks {
        call.say(format!("snapshotting 'drive-{key}' ({})", drive.file))?;
        call.work(0.2).await?;
    }
    config.file.snapshots.insert(name.clone(), section);
    config.set("parent", name);
    store(call, &mut config)
}

fn can_snapshot(call: &Call<'_>, drive: &drives::Drive) -> Run<bool> {
    let Some(id) = drive.volume() else { return Ok(true) };
    let place = storage::find(call.node, &id.storage)?;
    Ok(match place.kind {
        StorageKind::Dir | StorageKind::Nfs => Volume::read(call.node, &id)?.format == "qcow2",
        StorageKind::Lvmthin | StorageKind::Zfspool => true,
        StorageKind::Lvm => false,
    })
}

pub async fn rollback(call: &Call<'_>, values: &Values) -> Run<Task> {
    let (vmid, name) = (vmid_of(values), name_of(values));
    let body = async |call: &Call<'_>| {
        let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
        let mut config = load(call, vmid)?;
        config.assert_unlocked()?;
        let section = existing(&config, &name)?.clone();
        let unused: Vec<_> = drives::unused(&config);
        config.file.main.keys = section.keys;
        config.file.main.keys.remove("snaptime");
        unused.into_iter().for_each(|(key, volume)| config.set(&key, volume.to_string()));
        config.set("parent", name.clone());
        call.work(0.3).await?;
        store(call, &mut config)
    };
    Ok(fork_worker(call, "qmrollback", &vmid.to_string(), body).await)
}

pub async fn delete(call: &Call<'_>, values: &Values) -> Run<Task> {
    let (vmid, name) = (vmid_of(values), name_of(values));
    let body = async |call: &Call<'_>| {
        let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
        let mut config = load(call, vmid)?;
        let parent = existing(&config, &name)?.keys.get("parent").cloned();
        config.assert_unlocked()?;
        call.work(0.3).await?;
        config.file.snapshots.remove(&name);
        let Config { file, .. } = &mut config;
        for section in file.snapshots.values_mut().chain([&mut file.main]) {
            if section.keys.get("parent") == Some(&name) {
                match &parent {
                    Some(parent) => drop(section.keys.insert("parent".into(), parent.clone())),
                    None => drop(section.keys.remove("parent")),
                }
            }
        }
        store(call, &mut config)
    };
    Ok(fork_worker(call, "qmdelsnapshot", &vmid.to_string(), body).await)
}

/// `snapshot 's1' does not exist`.
pub fn existing<'a>(config: &'a Config, name: &str) -> Run<&'a Section> {
    config.file.snapshots.get(name).ok_or_else(|| Die::new(format!("snapshot '{name}' does not exist")))
}
