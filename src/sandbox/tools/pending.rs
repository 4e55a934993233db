//! Pending changes: kept in `[PENDING]`, moved into effect on a stopped VM or where QEMU can do it live
//! (QemuServer.pm `vmconfig_apply_pending`, `vmconfig_hotplug_pending`; contract §6).

use super::call::{Call, Run};
use super::cloudinit;
use super::conf::{Config, store};
use super::drives::{Drive, is_drive_key, keep_unused};
use super::storage;

/// Options that take effect at once on a running VM.
const LIVE: [&str; 12] = [
    "description",
    "hookscript",
    "lock",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "protection",
    "shares",
    "startup",
    "tags",
    "vmstatestorage",
];

/// Marks a key for deletion at the next chance.
pub fn mark_deleted(config: &mut Config, key: &str, force: bool) {
    let mut keys = deleted(config);
    let entry = if force { format!("!{key}") } else { key.to_owned() };
    keys.retain(|known| known.trim_start_matches('!') != key);
    keys.push(entry);
    keys.sort();
    config.file.pending.keys.remove(key);
    config.file.pending.keys.insert("delete".into(), keys.join(","));
}

/// Keys marked for deletion, a forced one with its `!`.
pub fn deleted(config: &Config) -> Vec<String> {
    let list = config.file.pending.keys.get("delete").map(String::as_str).unwrap_or_default();
    list.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// Takes the deletion mark (and a pending value) off a key.
pub fn unmark(config: &mut Config, key: &str) {
    let keys: Vec<String> = deleted(config).into_iter().filter(|known| known.trim_start_matches('!') != key).collect();
    if keys.is_empty() {
        config.file.pending.keys.remove("delete");
    } else {
        config.file.pending.keys.insert("delete".into(), keys.join(","));
    }
}

/// Applies what is pending: everything on a stopped VM, else what QEMU takes live. Stores the config.
pub async fn apply(call: &Call<'_>, config: &mut Config, running: bool) -> Run<()> {
    let before = config.clone();
    for entry in deleted(config) {
        let (key, force) = (entry.trim_start_matches('!').to_owned(), entry.starts_with('!'));
        if running && !live(&key) {
            continue;
        }
        unmark(config, &key);
        let Some(old) = take(config, &key) else { continue };
        note_cloudinit(config, &key, Some(&old), running);
        if let Some(drive) = Drive::parse(&key, &old).filter(|_| is_drive_key(&key)) {
            release(call, config, &drive, force).await?;
        }
    }
    let wanted: Vec<(String, String)> = config
        .file
        .pending
        .keys
        .iter()
        .filter(|(key, _)| *key != "delete")
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let mut iso = false;
    for (key, value) in wanted {
        if running && !live(&key) {
            continue;
        }
        config.file.pending.keys.remove(&key);
        let old = take(config, &key);
        if running && key == "name" || cloudinit::is_key(&key) {
            note_cloudinit(config, &key, old.as_deref(), running);
        }
        put(config, &key, &value);
        if is_drive_key(&key) {
            let drive = Drive::parse(&key, &value);
            if let Some(volume) = drive.as_ref().and_then(Drive::volume) {
                let noted = config.file.main.keys.iter();
                let known = noted.filter(|(key, text)| key.starts_with("unused") && **text == volume.to_string());
                let stale: Vec<String> = known.map(|(key, _)| key.clone()).collect();
                stale.iter().for_each(|key| drop(config.unset(key)));
            }
            if let Some(old) = old.and_then(|old| Drive::parse(&key, &old))
                && drive.as_ref().and_then(Drive::volume) != old.volume()
            {
                release(call, config, &old, false).await?;
            }
            iso |= drive.is_some_and(|drive| drive.is_cloudinit());
        }
    }
    if config.file != before.file {
        store(call, config)?;
    }
    if iso && !running {
        call.say("generating cloud-init ISO")?;
    }
    Ok(())
}

/// Whether a running VM takes this option without a restart.
fn live(key: &str) -> bool {
    LIVE.contains(&key)
        || cloudinit::is_key(key)
        || key.starts_with("unused")
        || (key.starts_with("net") && key[3..].bytes().all(|b| b.is_ascii_digit()))
        || (is_drive_key(key) && !key.starts_with("ide") && !key.starts_with("efi") && !key.starts_with("tpm"))
}

fn take(config: &mut Config, key: &str) -> Option<String> {
    if key == "description" {
        let text = std::mem::take(&mut config.file.main.description);
        return (!text.is_empty()).then_some(text);
    }
    config.unset(key)
}

fn put(config: &mut Config, key: &str, value: &str) {
    if key == "description" {
        config.file.main.description = value.trim_end().to_owned();
    } else {
        config.set(key, value);
    }
}

/// Remembers in `[special:cloudinit]` what the drive still has (contract §1.6); a stopped VM's drive is made anew at
/// its start, so nothing is noted.
fn note_cloudinit(config: &mut Config, key: &str, old: Option<&str>, running: bool) {
    let has_drive = super::drives::drives(config).iter().any(|(_, drive)| drive.is_cloudinit());
    if !running || !has_drive || !(cloudinit::is_key(key) || key == "name") {
        return;
    }
    let section = config.file.special.entry("cloudinit".into()).or_default();
    if section.keys.contains_key(key) {
        return;
    }
    match old {
        Some(old) => drop(section.keys.insert(key.to_owned(), old.to_owned())),
        None => {
            let mut added: Vec<&str> = section.keys.get("added").map(|a| a.split(',').collect()).unwrap_or_default();
            if !added.contains(&key) {
                added.push(key);
            }
            let joined = added.join(",");
            section.keys.insert("added".into(), joined);
        }
    }
}

/// A drive that is no longer used: its volume is kept as `unusedN`; a cloud-init drive, or a forced one, goes.
async fn release(call: &Call<'_>, config: &mut Config, drive: &Drive, force: bool) -> Run<()> {
    let gone = if force { drive.volume() } else { keep_unused(config, drive) };
    if let Some(volume) = gone.filter(|volume| volume.owner() == Some(config.vmid)) {
        storage::free(call, &volume).await?;
    }
    Ok(())
}
