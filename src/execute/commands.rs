//! Arguments of `qm` for each change. TEMPORARY until `pve::commands` is there.

use std::collections::BTreeSet;

use super::mutate::Command;
use crate::model::ids::{MachineName, PoolName, PveName, StorageName, Vmid};
use crate::model::mark::Mark;
use crate::model::plan::{Setting, Settings};
use crate::model::vm_config::VmConfig;
use crate::pve::property::{Net, joined_tags, tags};

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn clone(
    template: Vmid,
    vmid: Vmid,
    target: Option<&PveName>,
    name: &MachineName,
    mark: &Mark,
    pool: Option<&PoolName>,
    storage: &StorageName,
) -> Vec<String> {
    let mut args = words(&[
        "clone",
        &template.to_string(),
        &vmid.to_string(),
        "--full",
        "1",
        "--name",
        name.as_str(),
        "--description",
        &mark.to_string(),
        "--storage",
        storage.as_str(),
    ]);
    if let Some(pool) = pool {
        args.extend(words(&["--pool", pool.as_str()]));
    }
    if let Some(target) = target {
        args.extend(words(&["--target", target.as_str()]));
    }
    args
}

fn options(args: &mut Vec<String>, files: &mut Vec<(String, Vec<u8>)>, set: &Settings, current: &VmConfig) {
    for (key, setting) in set {
        args.push(format!("--{key}"));
        args.push(match setting {
            Setting::Text(text) => text.clone(),
            Setting::SshKeys(keys) => {
                files.push(("sshkeys".to_owned(), keys.clone().into_bytes()));
                "@FOLDER/sshkeys".to_owned()
            }
            Setting::Net { model, bridge, vlan } => match current.get("net0").and_then(|net| Net::parse(net).ok()) {
                Some(net) => net.with(model, bridge, *vlan).to_string(),
                None => Net::new(model, bridge, *vlan).to_string(),
            },
            Setting::Tags(wanted) => {
                let mut all = tags(current.get("tags").unwrap_or_default());
                all.extend(wanted.iter().cloned());
                joined_tags(&all)
            }
            Setting::Description(mark) => mark.put_into(&current.description),
        });
    }
}

pub(super) fn create_template(vmid: Vmid, mark: &Mark, set: &Settings) -> Command {
    let (mut args, mut files) = (words(&["create", &vmid.to_string()]), Vec::new());
    options(&mut args, &mut files, set, &VmConfig::default());
    if !set.contains_key("description") {
        args.extend(words(&["--description", &mark.to_string()]));
    }
    (args, files)
}

pub(super) fn set(vmid: Vmid, set: &Settings, delete: &BTreeSet<String>, current: &VmConfig) -> Command {
    let (mut args, mut files) = (words(&["set", &vmid.to_string(), "--digest", &current.digest]), Vec::new());
    options(&mut args, &mut files, set, current);
    if !delete.is_empty() {
        args.extend(words(&["--delete", &delete.iter().cloned().collect::<Vec<_>>().join(",")]));
    }
    (args, files)
}

pub(super) fn revert(vmid: Vmid, keys: &BTreeSet<String>) -> Vec<String> {
    words(&["set", &vmid.to_string(), "--revert", &keys.iter().cloned().collect::<Vec<_>>().join(",")])
}

pub(super) fn import_disk(
    vmid: Vmid,
    disk: &str,
    storage: &StorageName,
    path: &str,
    options: &str,
    digest: &str,
) -> Vec<String> {
    let tail = if options.is_empty() { String::new() } else { format!(",{options}") };
    words(&[
        "set",
        &vmid.to_string(),
        "--digest",
        digest,
        &format!("--{disk}"),
        &format!("{storage}:0,import-from={path}{tail}"),
    ])
}

pub(super) fn resize(vmid: Vmid, disk: &str, size_gb: u64, digest: &str) -> Vec<String> {
    words(&["disk", "resize", &vmid.to_string(), disk, &format!("{size_gb}G"), "--digest", digest])
}

pub(super) fn template(vmid: Vmid) -> Vec<String> {
    words(&["template", &vmid.to_string()])
}

pub(super) fn start(vmid: Vmid) -> Vec<String> {
    words(&["start", &vmid.to_string()])
}

pub(super) fn shutdown(vmid: Vmid, timeout_s: u32) -> Vec<String> {
    words(&["shutdown", &vmid.to_string(), "--timeout", &timeout_s.to_string(), "--forceStop", "1"])
}

pub(super) fn destroy(vmid: Vmid) -> Vec<String> {
    words(&["destroy", &vmid.to_string(), "--purge", "1"])
}

pub(super) fn unlock(vmid: Vmid) -> Vec<String> {
    words(&["unlock", &vmid.to_string()])
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BakeOutcome {
    Ok,
    Failed { module: String },
    Silent,
}

pub(super) fn bake_outcome(console: &str) -> BakeOutcome {
    for line in console.lines().rev() {
        if let Some(rest) = line.split_once("pvekube-bake: ").map(|(_, rest)| rest.trim()) {
            return match rest.strip_prefix("failed: ") {
                Some(module) => BakeOutcome::Failed { module: module.to_owned() },
                None => BakeOutcome::Ok,
            };
        }
    }
    BakeOutcome::Silent
}
