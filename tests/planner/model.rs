//! What steps do to a cluster, as plain data: enough of PVE to apply a plan to an observation and plan again. It holds
//! each step to its preconditions, so that a plan which could not run fails the test that runs it.

use std::collections::{BTreeMap, BTreeSet};

use pvekube::model::ids::*;
use pvekube::model::mark::Mark;
use pvekube::model::observed::*;
use pvekube::model::plan::*;
use pvekube::model::vm_config::VmConfig;
use pvekube::pve::property::{self, Drive, Net};

use super::build::{GIB, facts};

/// Keys that a running VM takes at its next start only.
const AT_START: [&str; 4] = ["agent", "balloon", "cores", "memory"];
const CLOUD_INIT: [&str; 6] = ["ciupgrade", "ciuser", "ipconfig0", "nameserver", "searchdomain", "sshkeys"];

/// Steps in an order that `needs` allows, chosen by `pick` among those that are free.
pub fn order(plan: &Plan, mut pick: impl FnMut(usize) -> usize) -> Vec<&Step> {
    let mut done: BTreeSet<StepId> = BTreeSet::new();
    let mut left: Vec<&Step> = plan.steps.iter().collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let free: Vec<usize> =
            (0..left.len()).filter(|i| left[*i].needs.iter().all(|need| done.contains(need))).collect();
        assert!(!free.is_empty(), "the steps are no DAG");
        let step = left.remove(free[pick(free.len()) % free.len()]);
        done.insert(step.id);
        order.push(step);
    }
    order
}

pub fn apply(observed: &mut Observed, steps: &[&Step]) {
    for step in steps {
        act(observed, step);
    }
}

pub fn act(observed: &mut Observed, step: &Step) {
    let (node, vmid) = (step.node.as_str(), step.vmid);
    if let Some(mark) = step.action.expected_mark() {
        let vm = vm(observed, node, vmid);
        assert_eq!(vm.mark().as_ref(), Some(mark), "step {} of VM {vmid}", step.id);
    }
    match &step.action {
        Action::FetchImage { digest, .. } => drop(facts(observed, node).images.insert(digest.clone(), 600 << 20)),
        Action::RemoveImage { path } => {
            facts(observed, node).images.retain(|digest, _| !path.contains(digest.as_str()))
        }
        Action::CreateTemplate { set, .. } => {
            let mut config = VmConfig { digest: "0".repeat(40), ..VmConfig::default() };
            put_settings(&mut config, set, vmid);
            insert(observed, node, node, vmid, config);
        }
        Action::ImportDisk { disk, storage, options, image_path, .. } => {
            let there = facts(observed, node).images.keys().any(|digest| image_path.contains(digest.as_str()));
            assert!(there, "step {}: no image at {image_path}", step.id);
            let drive = format!("{storage}:vm-{vmid}-disk-0,{options},size=2252M");
            config(observed, node, vmid).keys.insert(disk.clone(), drive);
        }
        Action::Set { set, delete, revert, .. } => set_keys(observed, node, vmid, set, delete, revert),
        Action::Resize { disk, size_gb, .. } => resize(config(observed, node, vmid), disk, size_gb * GIB),
        Action::Bake(_) | Action::Attach { .. } => {}
        Action::ConvertTemplate { .. } => {
            let config = config(observed, node, vmid);
            config.keys.insert("template".into(), "1".into());
            let disk = config.keys.get_mut("scsi0").unwrap();
            *disk = disk.replace("vm-", "base-");
        }
        Action::Clone { template, target, name, mark, storage, .. } => {
            let to = target.as_ref().map_or(node, PveName::as_str).to_owned();
            let source = config(observed, node, *template).clone();
            assert!(source.is_template() && source.lock().is_none(), "step {}: no template {template}", step.id);
            insert(observed, node, &to, vmid, cloned(source, vmid, name, mark, storage));
        }
        Action::Start { .. } => {
            power(observed, node, vmid, true);
            let config = config(observed, node, vmid);
            take_pending(config);
            config.cloudinit.clear();
        }
        Action::Shutdown { .. } => {
            power(observed, node, vmid, false);
            take_pending(config(observed, node, vmid));
        }
        Action::Destroy { .. } => {
            facts(observed, node).running.remove(&vmid);
            super::build::realm(observed, node).guests.remove(&vmid);
        }
        Action::Ready(_) => assert!(facts(observed, node).running.contains(&vmid), "step {} waits for ever", step.id),
    }
}

fn vm<'o>(observed: &'o mut Observed, node: &str, vmid: Vmid) -> &'o mut Vm {
    match super::build::realm(observed, node).guests.get_mut(&vmid) {
        Some(Guest::Vm(vm)) => {
            assert_eq!(vm.node.as_str(), node, "VM {vmid}");
            vm
        }
        Some(Guest::Container(_)) | None => panic!("there is no VM {vmid} for {node}"),
    }
}

fn config<'o>(observed: &'o mut Observed, node: &str, vmid: Vmid) -> &'o mut VmConfig {
    vm(observed, node, vmid).config.as_mut().unwrap()
}

fn insert(observed: &mut Observed, by: &str, node: &str, vmid: Vmid, config: VmConfig) {
    let vm = Vm { vmid, node: node.into(), config: Some(config), power: Power::Stopped };
    let before = super::build::realm(observed, by).guests.insert(vmid, Guest::Vm(Box::new(vm)));
    assert!(before.is_none(), "VMID {vmid} is taken on {node}");
}

fn power(observed: &mut Observed, node: &str, vmid: Vmid, on: bool) {
    let running = &mut facts(observed, node).running;
    let changed = if on { running.insert(vmid) } else { running.remove(&vmid) };
    assert!(changed, "VM {vmid} is {} already", if on { "running" } else { "stopped" });
    vm(observed, node, vmid).power = if on { Power::Running } else { Power::Stopped };
}

fn take_pending(config: &mut VmConfig) {
    let pending = std::mem::take(&mut config.pending);
    config.keys.extend(pending);
    for key in std::mem::take(&mut config.pending_delete) {
        config.keys.remove(&key);
    }
}

fn put_settings(config: &mut VmConfig, set: &Settings, vmid: Vmid) {
    for (key, setting) in set {
        match setting {
            Setting::Description(mark) => config.description = mark.put_into(&config.description),
            Setting::Text(_) | Setting::SshKeys(_) | Setting::Net { .. } | Setting::Tags(_) => {
                let value = value(config.get(key), setting, vmid);
                config.keys.insert(key.clone(), value);
            }
        }
    }
}

fn value(current: Option<&str>, setting: &Setting, vmid: Vmid) -> String {
    match setting {
        Setting::Text(text) if text.ends_with(":cloudinit") => {
            format!("{},media=cdrom", text.replace("cloudinit", &format!("vm-{vmid}-cloudinit")))
        }
        Setting::Text(text) => text.clone(),
        Setting::SshKeys(keys) => pvekube::pve::sshkeys::encode(keys),
        Setting::Net { model, bridge, vlan } => {
            let fresh = Net::parse(&format!("{model}=BC:24:11:00:00:{:02X}", vmid.0 % 256)).unwrap();
            let net = current.and_then(|text| Net::parse(text).ok()).unwrap_or(fresh);
            net.with(model, bridge, *vlan).to_string()
        }
        Setting::Tags(tags) => {
            let mut all = property::tags(current.unwrap_or_default());
            all.extend(tags.iter().cloned());
            property::joined_tags(&all)
        }
        Setting::Description(mark) => mark.to_string(),
    }
}

fn set_keys(
    observed: &mut Observed,
    node: &str,
    vmid: Vmid,
    set: &Settings,
    delete: &BTreeSet<String>,
    revert: &BTreeMap<String, Option<String>>,
) {
    let running = facts(observed, node).running.contains(&vmid);
    let config = config(observed, node, vmid);
    assert_eq!(config.lock(), None, "VM {vmid} is locked");
    for key in revert.keys() {
        config.pending.remove(key);
        config.pending_delete.remove(key);
    }
    delete.iter().for_each(|key| drop(config.keys.remove(key)));
    let mut later: BTreeMap<String, Setting> = BTreeMap::new();
    let mut now = Settings::new();
    for (key, setting) in set {
        let waits = running && AT_START.contains(&key.as_str());
        if waits {
            later.insert(key.clone(), setting.clone())
        } else {
            now.insert(key.clone(), setting.clone())
        };
        if running && CLOUD_INIT.contains(&key.as_str()) {
            let old = config.get(key).unwrap_or_default().to_owned();
            config.cloudinit.entry(key.clone()).or_insert(old);
        }
    }
    let mac = config.get("net0").and_then(|net| Net::parse(net).ok()).and_then(|net| net.mac);
    put_settings(config, &now, vmid);
    let after = config.get("net0").and_then(|net| Net::parse(net).ok()).and_then(|net| net.mac);
    assert!(mac.is_none() || mac == after, "the MAC of VM {vmid} changed");
    for (key, setting) in later {
        config.pending.insert(key.clone(), value(config.next(&key), &setting, vmid));
    }
    if !running {
        set.keys().for_each(|key| drop(config.pending.remove(key)));
        take_pending(config);
    }
}

fn resize(config: &mut VmConfig, disk: &str, bytes: u64) {
    let mut drive = Drive::parse(config.get(disk).unwrap()).unwrap();
    if drive.size_bytes().unwrap() < bytes {
        drive.options.set("size", pvekube::pve::size::format(bytes));
        config.keys.insert(disk.to_owned(), drive.to_string());
    }
}

fn cloned(source: VmConfig, vmid: Vmid, name: &MachineName, mark: &Mark, storage: &StorageName) -> VmConfig {
    let mut config = VmConfig { description: mark.to_string(), ..source };
    config.keys.remove("template");
    config.keys.insert("name".into(), name.to_string());
    let mut drive = Drive::parse(config.get("scsi0").unwrap()).unwrap();
    drive.volume = format!("{storage}:vm-{vmid}-disk-0");
    config.keys.insert("scsi0".into(), drive.to_string());
    if let Some(net) = config.keys.get_mut("net0") {
        let mut parsed = Net::parse(net).unwrap();
        parsed.mac = Some(format!("BC:24:11:01:{:02X}:{:02X}", vmid.0 / 256 % 256, vmid.0 % 256));
        *net = parsed.to_string();
    }
    config
}
