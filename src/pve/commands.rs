//! Plan actions → arguments of `qm`, as lists that nobody quotes ([i-golden] is the reference, command by command).
//!
//! Booleans always carry a value (contract §0.3), name servers are one argument, changes carry the digest of the config
//! they were decided on. Everything is absolute, so that a command that ran twice did the same once.

use std::collections::BTreeSet;

use crate::model::ids::{MachineName, PoolName, PveName, StorageName, Vmid};
use crate::model::mark::Mark;
use crate::model::plan::{Action, BakeStep, Setting, Settings};
use crate::model::vm_config::VmConfig;
use crate::pve::property::Net;
use crate::pve::sshkeys;

/// Arguments after `qm`, and the files they name as `@FOLDER/NAME`, the operation's folder.
pub type Command = (Vec<String>, Vec<(String, Vec<u8>)>);

const KEYS_FILE: &str = "sshkeys";

fn args<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// `qm create` without a disk: name, mark and hardware. The mark is there from the config's first write on.
pub fn create_template(vmid: Vmid, mark: &Mark, set: &Settings) -> Command {
    let mut words = args(["create", &vmid.to_string()]);
    let mut set = set.clone();
    set.insert("description".to_owned(), Setting::Description(mark.clone()));
    let files = push_settings(&mut words, &set, &VmConfig::default());
    (words, files)
}

/// `qm set --scsi0 STORE:0,import-from=PATH,…` alone: an import that fails in a call with other options leaves those in
/// `[PENDING]` (observed §6).
pub fn import_disk(
    vmid: Vmid,
    disk: &str,
    storage: &StorageName,
    image_path: &str,
    options: &str,
    digest: &str,
) -> Vec<String> {
    let options = if options.is_empty() { String::new() } else { format!(",{options}") };
    let value = format!("{storage}:0,import-from={image_path}{options}");
    args(["set", &vmid.to_string(), "--digest", digest, &format!("--{disk}"), &value])
}

/// One `qm set` for everything. `config` is the one just read: its digest goes along, its MAC, tags and description stay.
pub fn set(vmid: Vmid, set: &Settings, delete: &BTreeSet<String>, config: &VmConfig) -> Command {
    let mut words = args(["set", &vmid.to_string(), "--digest", &config.digest]);
    let files = push_settings(&mut words, set, config);
    let blank_keys = set.iter().filter(|(_, value)| is_blank(value)).map(|(key, _)| key.clone());
    let delete: BTreeSet<String> =
        delete.iter().filter(|key| !set.contains_key(*key)).cloned().chain(blank_keys).collect();
    if !delete.is_empty() {
        words.extend(args(["--delete", &joined(&delete)]));
    }
    (words, files)
}

/// Drops pending values, if the config is still the one that was read: others may have pending values, too.
pub fn revert(vmid: Vmid, keys: &BTreeSet<String>, digest: &str) -> Vec<String> {
    args(["set", &vmid.to_string(), "--digest", digest, "--revert", &joined(keys)])
}

/// Absolute and grow only. Exit 0 says nothing: read the size back (contract §0.1).
pub fn resize(vmid: Vmid, disk: &str, size_gb: u64, digest: &str) -> Vec<String> {
    args(["disk", "resize", &vmid.to_string(), disk, &format!("{size_gb}G"), "--digest", digest])
}

/// `qm clone --full 1`, on the template's node.
pub fn clone(
    template: Vmid,
    vmid: Vmid,
    target: Option<&PveName>,
    name: &MachineName,
    mark: &Mark,
    pool: Option<&PoolName>,
    storage: &StorageName,
) -> Vec<String> {
    let mut words = args(["clone", &template.to_string(), &vmid.to_string(), "--full", "1", "--name", name.as_str()]);
    if let Some(pool) = pool {
        words.extend(args(["--pool", pool.as_str()]));
    }
    words.extend(args(["--storage", storage.as_str()]));
    if let Some(target) = target {
        words.extend(args(["--target", target.as_str()]));
    }
    words.extend(args(["--description", &mark.to_string()]));
    words
}

/// Exit 0 says nothing: verify `template: 1` and `base-` volumes (contract §4.3).
pub fn template(vmid: Vmid) -> Vec<String> {
    args(["template", &vmid.to_string()])
}

pub fn start(vmid: Vmid) -> Vec<String> {
    args(["start", &vmid.to_string()])
}

/// Asks the guest, and stops it after `timeout_s` seconds.
pub fn shutdown(vmid: Vmid, timeout_s: u32) -> Vec<String> {
    args(["shutdown", &vmid.to_string(), "--timeout", &timeout_s.to_string(), "--forceStop", "1"])
}

/// With its own volumes only: stray ones of the id are never asked for (contract §11).
pub fn destroy(vmid: Vmid) -> Vec<String> {
    args(["destroy", &vmid.to_string(), "--purge", "1"])
}

/// Drops the config's `lock:`.
pub fn unlock(vmid: Vmid) -> Vec<String> {
    args(["unlock", &vmid.to_string()])
}

/// What a bake's boot needs beside the template's own settings; the same keys are deleted afterwards.
pub fn bake_settings(bake: &BakeStep) -> Settings {
    let mut settings: Settings =
        bake.network.iter().map(|(key, value)| (key.clone(), Setting::Text(value.clone()))).collect();
    settings.insert("cicustom".to_owned(), Setting::Text(format!("vendor={}", bake.snippet_volume)));
    settings
}

/// Every `qm` command that a step may run on a VM with this config, in order. A step whose state is reached already runs
/// none of them; what is not here, it never runs.
pub fn of(action: &Action, vmid: Vmid, config: &VmConfig) -> Vec<Command> {
    let plain = |words: Vec<String>| (words, Vec::new());
    match action {
        Action::CreateTemplate { mark, set } => vec![create_template(vmid, mark, set)],
        Action::ImportDisk { mark: _, disk, storage, image_path, options } => {
            vec![plain(import_disk(vmid, disk, storage, image_path, options, &config.digest))]
        }
        Action::Set { mark: _, set, delete, revert: dropped } => {
            let mut commands = Vec::new();
            if !dropped.is_empty() {
                commands.push(plain(revert(vmid, &dropped.keys().cloned().collect(), &config.digest)));
            }
            if !set.is_empty() || !delete.is_empty() {
                commands.push(self::set(vmid, set, delete, config));
            }
            commands
        }
        Action::Resize { mark: _, disk, size_gb } => vec![plain(resize(vmid, disk, *size_gb, &config.digest))],
        Action::Bake(bake) => {
            let settings = bake_settings(bake);
            let keys = settings.keys().cloned().collect();
            vec![
                set(vmid, &settings, &BTreeSet::new(), config),
                plain(start(vmid)),
                set(vmid, &Settings::new(), &keys, config),
            ]
        }
        Action::ConvertTemplate { mark: _ } => vec![plain(template(vmid))],
        Action::Clone { template, target, name, mark, pool, storage } => {
            vec![plain(clone(*template, vmid, target.as_ref(), name, mark, pool.as_ref(), storage))]
        }
        Action::Start { mark: _ } => vec![plain(start(vmid))],
        Action::Shutdown { mark: _, timeout_s } => vec![plain(shutdown(vmid, *timeout_s))],
        Action::Destroy { mark: _, half_made } => {
            let unlock = half_made.then(|| plain(unlock(vmid)));
            unlock.into_iter().chain([plain(destroy(vmid))]).collect()
        }
        Action::FetchImage { .. } | Action::RemoveImage { .. } | Action::Ready(_) | Action::Attach { .. } => Vec::new(),
    }
}

fn joined(keys: &BTreeSet<String>) -> String {
    keys.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// Nothing to hand over: PVE would store an empty key file, and complain of it for ever (observed §6).
fn is_blank(value: &Setting) -> bool {
    matches!(value, Setting::SshKeys(keys) if sshkeys::key_lines(keys).is_empty())
}

fn push_settings(words: &mut Vec<String>, set: &Settings, config: &VmConfig) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (key, value) in set.iter().filter(|(_, value)| !is_blank(value)) {
        let text = match value {
            Setting::Text(text) => text.clone(),
            Setting::Net { model, bridge, vlan } => net(config.next(key), model, bridge, *vlan),
            Setting::Tags(tags) => with_tags(config.next("tags").unwrap_or_default(), tags),
            Setting::Description(mark) => mark.put_into(&config.description),
            Setting::SshKeys(keys) => {
                files.push((KEYS_FILE.to_owned(), key_file(keys)));
                format!("@FOLDER/{KEYS_FILE}")
            }
        };
        words.extend([format!("--{key}"), text]);
    }
    files
}

/// The device that is there with another model, bridge and VLAN. Without its MAC PVE would invent a new one (contract §6).
fn net(current: Option<&str>, model: &str, bridge: &str, vlan: Option<u16>) -> String {
    match current.and_then(|value| Net::parse(value).ok()) {
        Some(net) => net.with(model, bridge, vlan).to_string(),
        None => Net::new(model, bridge, vlan).to_string(),
    }
}

/// The tags that are there, as they are written, and ours.
fn with_tags(current: &str, wanted: &BTreeSet<String>) -> String {
    let mut tags: BTreeSet<String> = current
        .split(|c: char| matches!(c, ',' | ';') || c.is_whitespace())
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect();
    for tag in wanted {
        if !tags.iter().any(|there| there.eq_ignore_ascii_case(tag)) {
            tags.insert(tag.clone());
        }
    }
    tags.into_iter().collect::<Vec<_>>().join(";")
}

fn key_file(keys: &str) -> Vec<u8> {
    let lines: Vec<&str> = keys.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{}\n", lines.join("\n")).into_bytes()
}

#[cfg(test)]
mod tests;
