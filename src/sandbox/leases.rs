//! The DHCP servers of a world's networks: one address a MAC, for good, handed out in an order that the MACs decide.
//!
//! `/networks.json` may give the range of a network (`vmbr0`, or `vmbr0.20` for VLAN 20) as its first address with the
//! prefix length and a count; else it is 100 addresses from 10.0.0.100/24 on, or from 10.0.<VLAN mod 256>.100/24.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::fs::Fs;
use super::guest::mix;
use crate::model::ids::Cidr;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub first: Cidr,
    pub count: u32,
}

const NETWORKS_FILE: &str = "/networks.json";
const LEASES_FILE: &str = "/leases.json";

/// By network, then by MAC (lower case).
type Leases = BTreeMap<String, BTreeMap<String, Cidr>>;

/// The name of the network that a NIC is in.
pub fn network_name(bridge: &str, vlan: Option<u16>) -> String {
    vlan.map_or_else(|| bridge.to_owned(), |vlan| format!("{bridge}.{vlan}"))
}

pub fn set_range(fs: &Fs, network: &str, range: Range) -> io::Result<()> {
    let mut all: BTreeMap<String, Range> = read_json(fs, NETWORKS_FILE);
    all.insert(network.to_owned(), range);
    fs.write(NETWORKS_FILE, serde_json::to_vec_pretty(&all)?)
}

fn range_of(fs: &Fs, network: &str) -> Range {
    let all: BTreeMap<String, Range> = read_json(fs, NETWORKS_FILE);
    all.get(network).cloned().unwrap_or_else(|| {
        let vlan: u16 = network.rsplit_once('.').and_then(|(_, vlan)| vlan.parse().ok()).unwrap_or(0);
        let third = vlan.to_be_bytes()[1];
        let first = Cidr { address: IpAddr::V4(Ipv4Addr::new(10, 0, third, 100)), prefix: 24 };
        Range { first, count: 100 }
    })
}

/// The address of a MAC; `None` when the range is used up.
pub fn lease(fs: &Fs, network: &str, mac: &str) -> io::Result<Option<Cidr>> {
    fs.exclusively("/leases.lock", || {
        let mut leases: Leases = read_json(fs, LEASES_FILE);
        if let Some(known) = leases.get(network).and_then(|of| of.get(mac)) {
            return Ok(Some(*known));
        }
        let range = range_of(fs, network);
        let taken: BTreeSet<Cidr> = leases.get(network).into_iter().flat_map(BTreeMap::values).copied().collect();
        let start = u32::try_from(mix(&[mac]) % u64::from(range.count.max(1))).unwrap_or(0);
        let free = (0..range.count)
            .filter_map(|step| nth(range.first, (start + step) % range.count))
            .find(|address| !taken.contains(address));
        if let Some(address) = free {
            leases.entry(network.to_owned()).or_default().insert(mac.to_owned(), address);
            fs.write(LEASES_FILE, serde_json::to_vec_pretty(&leases)?)?;
        }
        Ok(free)
    })?
}

fn nth(first: Cidr, index: u32) -> Option<Cidr> {
    let IpAddr::V4(address) = first.address else { return None };
    let address = Ipv4Addr::from(u32::from(address).checked_add(index)?);
    Some(Cidr { address: IpAddr::V4(address), prefix: first.prefix })
}

fn read_json<T: Default + serde::de::DeserializeOwned>(fs: &Fs, path: &str) -> T {
    fs.read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mac_keeps_its_own_address_and_a_full_range_gives_none() {
        let fs = Fs::memory();
        let first: Cidr = "192.168.7.20/24".parse().unwrap();
        set_range(&fs, "vmbr0.7", Range { first, count: 3 }).unwrap();
        let ask = |mac: &str| lease(&fs, "vmbr0.7", mac).unwrap();
        let all: BTreeSet<_> = ["bc:24:11:00:00:01", "bc:24:11:00:00:02", "bc:24:11:00:00:03"].map(ask).into();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|address| address.is_some_and(|cidr| cidr.to_string().starts_with("192.168.7.2"))));
        assert_eq!(ask("bc:24:11:00:00:04"), None);
        assert!(all.contains(&ask("bc:24:11:00:00:02")));
        assert_eq!(network_name("vmbr1", Some(20)), "vmbr1.20");
        assert!(lease(&fs, "vmbr1.20", "bc:24:11:00:00:01").unwrap().unwrap().to_string().starts_with("10.0.20.1"));
    }
}
