//! `/etc/pve/.rrd`: what each node's pvestatd sent last, with the time it was taken.
//!
//! One line a resource, `KEY:VALUE:VALUE…`. Families: `pve2-node`, `pve2-storage`, `pve2.3-vm` up to PVE 8, `pve-node-9.0`,
//! `pve-storage-9.0`, `pve-vm-9.0` from 9 on (contract §1.3, API2Tools.pm `get_rrd_key`). After an upgrade both may be
//! there for a while [a-info/rrd-file]; entries of a dead node stay five minutes: the age decides.

use std::collections::BTreeMap;

use crate::model::ids::{PveName, StorageName, Vmid};
use crate::model::observed::StorageUse;

/// Older storage samples say nothing: pvestatd sends every 10 s, twelve missed ones mean that it hangs or its node is gone.
pub const STORAGE_FRESH_S: i64 = 120;

/// Guest samples are kept by PVE for 300 s (status.c); configured memory changes slowly, so that is fresh enough.
pub const GUEST_FRESH_S: i64 = 300;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rrd {
    storages: BTreeMap<(PveName, StorageName), Sample<StorageUse>>,
    guests: BTreeMap<Vmid, Sample<GuestSample>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample<T> {
    at: i64,
    value: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestSample {
    pub running: bool,
    /// Configured memory.
    pub memory_bytes: u64,
}

/// Reads the file. Lines that don't parse are skipped: they are another node's, or a later PVE's.
pub fn parse(bytes: &[u8]) -> Rrd {
    let mut rrd = Rrd::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        let _unknown = rrd.read_line(line);
    }
    rrd
}

impl Rrd {
    /// A node's storage at the time `now` of that node's clock; none without a fresh sample.
    pub fn storage(&self, node: &PveName, storage: &StorageName, now: i64) -> Option<StorageUse> {
        let sample = self.storages.get(&(node.clone(), storage.clone()))?;
        (now - sample.at <= STORAGE_FRESH_S).then_some(sample.value)
    }

    /// Every storage of a node with a fresh sample.
    pub fn storages(&self, node: &PveName, now: i64) -> BTreeMap<StorageName, StorageUse> {
        let fresh = |((at, name), sample): (&(PveName, StorageName), &Sample<StorageUse>)| {
            (at == node && now - sample.at <= STORAGE_FRESH_S).then(|| (name.clone(), sample.value))
        };
        self.storages.iter().filter_map(fresh).collect()
    }

    pub fn guest(&self, vmid: Vmid, now: i64) -> Option<GuestSample> {
        let sample = self.guests.get(&vmid)?;
        (now - sample.at <= GUEST_FRESH_S).then_some(sample.value)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (key, values) = line.split_once(':')?;
        let (family, id) = key.split_once('/')?;
        let values: Vec<&str> = values.split(':').collect();
        match kind(family)? {
            Kind::Storage => {
                let (node, storage) = id.split_once('/')?;
                let value = StorageUse { total_bytes: number(&values, 1)?, used_bytes: number(&values, 2)? };
                let sample = Sample { at: values.first()?.parse().ok()?, value };
                keep_newest(&mut self.storages, (PveName::new(node), StorageName::new(storage)), sample);
            }
            Kind::Guest => {
                // uptime:name:status:template:ctime:maxcpu:cpu:maxmem:…; a name has no colon (contract §3).
                let value = GuestSample { running: *values.get(2)? == "running", memory_bytes: number(&values, 7)? };
                let sample = Sample { at: values.get(4)?.parse().ok()?, value };
                keep_newest(&mut self.guests, Vmid(id.parse().ok()?), sample);
            }
        }
        Some(())
    }
}

enum Kind {
    Storage,
    Guest,
}

/// `pve2-storage`, `pve-storage-9.0`, `pve2.3-vm`, `pve-vm-9.0`, and such of a later version.
fn kind(family: &str) -> Option<Kind> {
    let mut parts = family.split('-');
    if !parts.next()?.starts_with("pve") {
        return None;
    }
    match parts.next()? {
        "storage" => Some(Kind::Storage),
        "vm" => Some(Kind::Guest),
        _ => None,
    }
}

/// Perl prints the sizes of very large file systems as `1.2e+15` (Tools.pm `df`).
fn number(values: &[&str], at: usize) -> Option<u64> {
    let text = values.get(at)?;
    let rounded = || text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    text.parse().ok().or_else(|| rounded().map(|number| number as u64))
}

fn keep_newest<K: Ord, T>(map: &mut BTreeMap<K, Sample<T>>, key: K, sample: Sample<T>) {
    match map.get(&key) {
        Some(old) if old.at >= sample.at => {}
        Some(_) | None => {
            map.insert(key, sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &[u8] = include_bytes!("../../tests/fixtures/pve/rrd.txt");

    #[test]
    fn the_newer_of_two_families_counts() {
        let rrd = parse(RECORDED);
        let (node, lvm) = ("pve1".into(), "local-lvm".into());
        let now = 1_795_347_013;
        assert_eq!(rrd.storage(&node, &lvm, now).unwrap().used_bytes, 20_208_201_728);
        assert_eq!(rrd.storage(&node, &lvm, now + STORAGE_FRESH_S + 1), None, "an old sample says nothing");
        assert_eq!(rrd.storage(&"pve2".into(), &lvm, now), None);
        let names: Vec<_> = rrd.storages(&node, now).into_keys().map(|name| name.to_string()).collect();
        assert_eq!(names, ["local", "local-lvm", "tiny"]);
    }

    #[test]
    fn families_of_pve_8() {
        let rrd = parse(b"pve2-storage/a/s:1000:500:100\npve2.3-vm/105:33:ct:running:0:1000:2:0.1:1073741824:5:U:U\n");
        assert_eq!(rrd.storage(&"a".into(), &"s".into(), 1000).unwrap().total_bytes, 500);
        let guest = rrd.guest(Vmid(105), 1299).unwrap();
        assert_eq!(guest, GuestSample { running: true, memory_bytes: 1 << 30 });
        assert_eq!(rrd.guest(Vmid(105), 1301), None);
    }

    #[test]
    fn a_petabyte_is_a_number_too() {
        let rrd = parse(b"pve2-storage/a/s:1000:1.5e+15:1000.5\n");
        let expected = StorageUse { total_bytes: 1_500_000_000_000_000, used_bytes: 1000 };
        assert_eq!(rrd.storage(&"a".into(), &"s".into(), 1000), Some(expected));
    }

    #[test]
    fn odd_lines_are_skipped() {
        assert_eq!(
            parse(b"x\npve-vm-9.0/abc:1\npve-storage-9.0/a/b:U:U:U\n\xff\xfe:1\npve-vm-9.0/1:2:3\n"),
            Rrd::default()
        );
    }
}
