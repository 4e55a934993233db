//! Room on nodes and storages, counted over the whole plan. An exact fit fits.

use std::collections::BTreeMap;

use crate::model::desired::Desired;
use crate::model::ids::{NodeName, RealmId, StorageName};
use crate::model::observed::{Guest, NodeFacts, Realm, StorageDef, Vm};
use crate::model::vm_config::VmConfig;
use crate::pve::property::{self, Drive};

use super::survey::{Site, Survey};

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const MIB: u64 = 1 << 20;

/// Left to the Proxmox host itself: its daemons, corosync and page cache take between one and two GiB on a node
/// without ZFS; a node that swaps because of its guests takes all of them down.
pub(crate) const HOST_RESERVE_BYTES: u64 = 2 * GIB;

/// What a clone of a cloud image takes on thin storage at first: a minimal Ubuntu or Debian root file system is 1.5 to
/// 2.5 GiB, and a bake adds packages. Files tell nothing nearer; a template disk that is smaller is the bound.
const THIN_CLONE_BYTES: u64 = 4 * GIB;

/// Default of `memory:` when the key is missing (PVE, in MiB).
const DEFAULT_MEMORY_MB: u64 = 512;

/// A storage's room: one for all nodes when shared, else one a node.
pub(crate) type StoreKey = (RealmId, Option<NodeName>);

#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// MemTotal × overcommit − reserve.
    pub(crate) memory_limit: u64,
    pub(crate) memory_used: u64,
    /// VMs that are no templates.
    pub(crate) vms: usize,
    pub(crate) store: Option<StoreKey>,
}

#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) total: u64,
    pub(crate) used: u64,
    pub(crate) thin: bool,
    /// What this plan takes for certain: whole disks where thick, used bytes where thin.
    pub(crate) planned: u64,
    /// Sum of the sizes of every disk there, with those planned.
    pub(crate) provisioned: u64,
    /// Sizes that this plan adds, for the table.
    pub(crate) added: u64,
}

impl Room {
    pub(crate) fn memory_free(&self) -> u64 {
        self.memory_limit.saturating_sub(self.memory_used)
    }
}

impl Store {
    pub(crate) fn free(&self) -> u64 {
        self.total.saturating_sub(self.used).saturating_sub(self.planned)
    }

    /// Bytes that a new disk of `disk_bytes`, cloned from a template of `template_bytes`, takes at once.
    pub(crate) fn cost(&self, disk_bytes: u64, template_bytes: u64) -> u64 {
        if self.thin { template_bytes.min(disk_bytes).min(THIN_CLONE_BYTES) } else { disk_bytes }
    }

    pub(crate) fn take(&mut self, disk_bytes: u64, template_bytes: u64) {
        self.planned = self.planned.saturating_add(self.cost(disk_bytes, template_bytes));
        self.provisioned = self.provisioned.saturating_add(disk_bytes);
        self.added = self.added.saturating_add(disk_bytes);
    }
}

/// Memory that a VM is configured with, in bytes: now or at its next start, whichever is more.
pub(crate) fn vm_memory_bytes(config: &VmConfig) -> u64 {
    let megabytes = |value: Option<&str>| value.and_then(property::memory_mb).unwrap_or(DEFAULT_MEMORY_MB);
    megabytes(config.get("memory")).max(megabytes(config.next("memory"))).saturating_mul(MIB)
}

pub(crate) fn is_onboot(config: &VmConfig) -> bool {
    config.get("onboot").and_then(property::boolean).unwrap_or(false)
}

/// A template, or one in the making (by a template's mark): it never runs for long and is no VM to count.
pub(crate) fn counts_as_vm(vm: &Vm) -> bool {
    let marked = vm.mark().is_some_and(|mark| mark.subject == crate::model::mark::MarkSubject::Template);
    !marked && !vm.config.as_ref().is_some_and(VmConfig::is_template)
}

/// The room of a node that answered, with what is there now.
pub(crate) fn room(desired: &Desired, site: &Site<'_>, facts: &NodeFacts) -> Room {
    let mut used: u64 = 0;
    let mut vms = 0;
    for (vmid, guest) in site.guests() {
        match guest {
            Guest::Vm(vm) if counts_as_vm(vm) => {
                vms += 1;
                let Some(config) = &vm.config else { continue };
                let ours = vm.mark().is_some_and(|mark| mark.cluster == desired.cluster);
                if ours || facts.running.contains(&vmid) || is_onboot(config) {
                    used = used.saturating_add(vm_memory_bytes(config));
                }
            }
            Guest::Vm(_) => {}
            Guest::Container(container) => {
                // Where nobody could tell whether it runs, it may.
                if container.running != Some(false) {
                    used = used.saturating_add(container.memory_bytes.unwrap_or(0));
                }
            }
        }
    }
    Room {
        memory_limit: memory_limit(facts.memory_bytes, desired.limits.memory_overcommit),
        memory_used: used,
        vms,
        store: store_key(desired, site),
    }
}

pub(crate) fn memory_limit(total: u64, overcommit: f64) -> u64 {
    // f64 holds whole bytes exactly up to 8 PiB; a nonsensical factor saturates.
    ((total as f64 * overcommit) as u64).saturating_sub(HOST_RESERVE_BYTES)
}

/// Which store the configured storage is for a node; `None` when it is not there or its size is unknown.
pub(crate) fn store_key(desired: &Desired, site: &Site<'_>) -> Option<StoreKey> {
    let (realm_id, realm) = site.realm?;
    let definition = realm.storages.get(&desired.template.storage)?;
    site.facts?.storages.get(&desired.template.storage)?;
    let node = if definition.shared { None } else { Some(site.target.name.clone()) };
    Some((realm_id.clone(), node))
}

/// Every store of the configured storage that a node which answered has a sample of.
pub(crate) fn stores(survey: &Survey<'_>) -> BTreeMap<StoreKey, Store> {
    let mut stores = BTreeMap::new();
    for site in survey.sites.values() {
        let (Some(key), Some(facts), Some((_, realm))) = (store_key(survey.desired, site), site.facts, site.realm)
        else {
            continue;
        };
        let storage = &survey.desired.template.storage;
        let (Some(sample), Some(definition)) = (facts.storages.get(storage), realm.storages.get(storage)) else {
            continue;
        };
        let store = stores.entry(key).or_insert_with(|| Store {
            total: sample.total_bytes,
            used: sample.used_bytes,
            thin: definition.thin,
            planned: 0,
            provisioned: provisioned(realm, definition, storage, site),
            added: 0,
        });
        // Members may differ by the age of their samples: the fuller one is the safer one, whatever the order.
        store.used = store.used.max(sample.used_bytes);
        store.total = store.total.min(sample.total_bytes);
    }
    stores
}

fn provisioned(realm: &Realm, definition: &StorageDef, storage: &StorageName, site: &Site<'_>) -> u64 {
    let there = |vm: &&Vm| definition.shared || Some(&vm.node) == site.pve_name;
    let configs = realm.guests.values().filter_map(Guest::vm).filter(there).filter_map(|vm| vm.config.as_ref());
    configs.flat_map(|config| disks_on(config, storage)).fold(0, u64::saturating_add)
}

/// Sizes of a VM's disks on a storage, in bytes.
pub(crate) fn disks_on<'c>(config: &'c VmConfig, storage: &'c StorageName) -> impl Iterator<Item = u64> + 'c {
    config.keys.iter().filter(|(key, _)| property::is_disk_key(&config.keys, key)).filter_map(move |(_, value)| {
        let drive = Drive::parse(value).ok()?;
        if drive.storage() == Some(storage.as_str()) { drive.size_bytes() } else { None }
    })
}

/// `12.5 GiB`, for people.
pub(crate) fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}
