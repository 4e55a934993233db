//! A machine as wanted against its VM's config: what to set, what to drop, what waits for a boot.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::Machine;
use crate::model::observed::{NodeFacts, Power};
use crate::model::plan::{Effect, FieldChange, Setting, Settings};
use crate::model::vm_config::VmConfig;
use crate::pve::property;

use super::capacity::GIB;
use super::survey::Found;
use super::{fields, settings};

#[derive(Clone, Debug, Default)]
pub(crate) struct Diff {
    pub(crate) fields: Vec<FieldChange>,
    pub(crate) unchanged: usize,
    pub(crate) set: Settings,
    pub(crate) delete: BTreeSet<String>,
    /// With the values in effect.
    pub(crate) revert: BTreeMap<String, Option<String>>,
    pub(crate) grow: Option<Grow>,
    /// Bytes that the disk has where less is wanted.
    pub(crate) shrink_from: Option<u64>,
    pub(crate) no_disk: bool,
    /// Set already, in effect at the next boot.
    pub(crate) waiting: Vec<FieldChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grow {
    pub(crate) disk: String,
    pub(crate) from_bytes: u64,
    pub(crate) to_gb: u64,
}

impl Grow {
    pub(crate) fn to_bytes(&self) -> u64 {
        self.to_gb.saturating_mul(GIB)
    }
}

impl Diff {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.set.is_empty() && self.delete.is_empty() && self.revert.is_empty()
    }

    pub(crate) fn needs_set(&self) -> bool {
        !(self.set.is_empty() && self.delete.is_empty() && self.revert.is_empty())
    }

    /// Something is or will be set that only a boot brings into effect.
    pub(crate) fn wants_boot(&self) -> bool {
        !self.waiting.is_empty()
            || self.fields.iter().any(|field| matches!(field.effect, Effect::Reboot | Effect::NextBoot))
    }
}

/// Whether the clone has never been configured: the template carries no ipconfig0, so neither does a fresh clone.
pub(crate) fn is_fresh(found: &Found<'_>) -> bool {
    found.vm.power != Power::Running && found.config.get("ipconfig0").is_none()
}

pub(crate) fn diff(machine: &Machine, found: &Found<'_>, facts: &NodeFacts) -> Diff {
    let running = found.vm.power == Power::Running;
    let config = found.config;
    let mut diff = Diff::default();
    for (key, wanted) in &wanted(machine, found, facts) {
        compare(key, wanted, config, running, &mut diff);
    }
    if machine.startup.trim().is_empty() {
        drop_key("startup", config, &mut diff);
    }
    compare_disk(machine, config, &mut diff);
    diff.fields.sort_by(|a, b| a.field.cmp(&b.field));
    diff.waiting.sort_by(|a, b| a.field.cmp(&b.field));
    diff
}

/// What a new machine would be given, and its name; DNS that the user did not give stays as it is.
fn wanted(machine: &Machine, found: &Found<'_>, facts: &NodeFacts) -> Settings {
    let mut wanted = settings::machine(machine, facts);
    wanted.insert("name".to_owned(), settings::text(&machine.name));
    if !is_fresh(found) {
        if machine.cloud_init.nameservers.is_empty() {
            wanted.remove("nameserver");
        }
        if machine.cloud_init.searchdomain.is_none() {
            wanted.remove("searchdomain");
        }
    }
    wanted
}

fn compare(key: &str, wanted: &Setting, config: &VmConfig, running: bool, diff: &mut Diff) {
    let now = fields::satisfied(key, config.get(key), wanted);
    let next = fields::satisfied(key, config.next(key), wanted);
    let effect = fields::effect(key, config, running);
    if now && !next {
        // Somebody's pending value would undo it at the next start.
        let mut changes = fields::changes(key, config.next(key), wanted, Effect::Live);
        changes.iter_mut().for_each(|change| change.comment = Some("a pending change is dropped".to_owned()));
        diff.fields.append(&mut changes);
        diff.revert.insert(key.to_owned(), config.get(key).map(str::to_owned));
        return;
    }
    if next && (running || now) {
        diff.unchanged += 1;
        if running && !now {
            diff.waiting.extend(fields::changes(key, config.get(key), wanted, Effect::Reboot));
        } else if running && waits_for_cloud_init(key, wanted, config) {
            let old = config.cloudinit.get(key).map(String::as_str);
            diff.waiting.extend(fields::changes(key, old, wanted, Effect::NextBoot));
        }
        return;
    }
    // Also a pending value on a stopped VM, what a failed `qm set` leaves (observed §6): set for good.
    diff.fields.extend(fields::changes(key, config.get(key), wanted, effect));
    diff.set.insert(key.to_owned(), fields::merged(key, config.next(key), wanted));
}

/// `[special:cloudinit]` keeps the values that the running guest was started with, where they differ now.
fn waits_for_cloud_init(key: &str, wanted: &Setting, config: &VmConfig) -> bool {
    if !fields::CLOUD_INIT_KEYS.contains(&key) && key != "name" {
        return false;
    }
    let added = config.cloudinit.get("added").is_some_and(|list| list.split([',', ' ']).any(|word| word.trim() == key));
    let old = config.cloudinit.get(key);
    added || old.is_some_and(|old| !fields::satisfied(key, Some(old), wanted))
}

fn drop_key(key: &str, config: &VmConfig, diff: &mut Diff) {
    match config.next(key) {
        None => diff.unchanged += 1,
        Some(old) => {
            diff.fields.push(FieldChange {
                field: fields::field_name(key).to_owned(),
                old: Some(fields::shown_value(key, old)),
                new: None,
                effect: Effect::Live,
                comment: None,
                sensitive: false,
            });
            diff.delete.insert(key.to_owned());
        }
    }
}

/// The first disk of `boot:`; it grows only.
fn compare_disk(machine: &Machine, config: &VmConfig, diff: &mut Diff) {
    let Some((disk, drive)) = property::first_boot_disk(&config.keys) else {
        diff.no_disk = true;
        return;
    };
    let wanted = machine.disk_gb.saturating_mul(GIB);
    match drive.size_bytes() {
        Some(have) if have < wanted => {
            diff.fields.push(FieldChange {
                field: "disk_gb".to_owned(),
                old: Some(shown_gb(have)),
                new: Some(machine.disk_gb.to_string()),
                effect: Effect::Live,
                comment: Some("the guest grows its file system at its next boot".to_owned()),
                sensitive: false,
            });
            diff.grow = Some(Grow { disk, from_bytes: have, to_gb: machine.disk_gb });
        }
        Some(have) if have > wanted => diff.shrink_from = Some(have),
        // A config without `size=` says nothing; `qm disk rescan` would add it.
        Some(_) | None => diff.unchanged += 1,
    }
}

/// `80`, or `1.5` where it is no whole number of GiB.
pub(crate) fn shown_gb(bytes: u64) -> String {
    if bytes.is_multiple_of(GIB) { (bytes / GIB).to_string() } else { format!("{:.1}", bytes as f64 / GIB as f64) }
}
