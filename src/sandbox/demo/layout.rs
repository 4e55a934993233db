//! What a demo world must have so that a config can be planned and applied in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::model::desired::{Address, Desired, Network};
use crate::model::ids::{Cidr, NodeName};
use crate::sandbox::leases::{Range, network_name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutNode {
    /// As the config calls it.
    pub name: NodeName,
}

impl LayoutNode {
    /// A name that PVE could have given: the display name, in its alphabet.
    pub fn pve_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let text: String = self.name.as_str().chars().map(plain).collect();
        let trimmed = text.trim_matches('-');
        if trimmed.is_empty() { "pve".to_owned() } else { trimmed.to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub nodes: Vec<LayoutNode>,
    pub image_storages: BTreeSet<String>,
    pub snippet_storages: BTreeSet<String>,
    pub bridges: BTreeSet<String>,
    pub pools: BTreeSet<String>,
    pub dhcp: BTreeMap<String, Range>,
    /// Of each node.
    pub memory_mib: u64,
    pub storage_gib: u64,
    /// VMIDs that the user has plans for: nobody else's guests get them.
    pub reserved_vmids: BTreeSet<u32>,
}

/// A node of a homelab.
const MEMORY_MIB: u64 = 64 << 10;
const STORAGE_GIB: u64 = 800;

impl Layout {
    /// Nodes, storages, bridges and networks as the config and the manifest name them, large enough for what they ask.
    pub fn of(desired: &Desired) -> Layout {
        let template = &desired.template;
        let nodes: Vec<LayoutNode> = desired.nodes.iter().map(|node| LayoutNode { name: node.name.clone() }).collect();
        let networks: Vec<&Network> = desired
            .machines
            .iter()
            .map(|machine| &machine.network)
            .chain(template.bake.iter().map(|bake| &bake.network))
            .collect();
        let mut bridges: BTreeSet<String> = networks.iter().map(|network| network.bridge.to_string()).collect();
        bridges.insert(template.bridge.to_string());
        let count = nodes.len().max(1) as u64;
        let memory: u64 = desired.machines.iter().map(|machine| machine.memory_mb).sum();
        let disk: u64 = desired.machines.iter().map(|machine| machine.disk_gb).sum();
        let reserved = desired.machines.iter().filter_map(|machine| machine.vmid);
        Layout {
            nodes,
            image_storages: BTreeSet::from([template.storage.to_string()]),
            snippet_storages: BTreeSet::from([template.snippet_storage.to_string()]),
            bridges,
            pools: desired.pve_pool.iter().map(ToString::to_string).collect(),
            dhcp: dhcp_ranges(&networks),
            memory_mib: MEMORY_MIB.max((memory * 2 / count).next_multiple_of(1 << 10)),
            storage_gib: STORAGE_GIB.max(disk * 2 / count + 100),
            reserved_vmids: reserved
                .chain([template.id])
                .chain(template.ids.values().copied())
                .map(|id| id.0)
                .collect(),
        }
    }
}

/// Where machines have static addresses, DHCP hands out others of the same network.
fn dhcp_ranges(networks: &[&Network]) -> BTreeMap<String, Range> {
    let mut fixed: BTreeMap<String, Vec<Cidr>> = BTreeMap::new();
    for network in networks {
        if let Address::Static { address, .. } = &network.ipv4 {
            fixed.entry(network_name(network.bridge.as_str(), network.vlan)).or_default().push(*address);
        }
    }
    fixed.into_iter().filter_map(|(name, addresses)| Some((name, range_beside(&addresses)?))).collect()
}

/// A hundred addresses from .100 on, or what a smaller network has left above the static ones.
fn range_beside(addresses: &[Cidr]) -> Option<Range> {
    let numbers: Vec<u32> = addresses
        .iter()
        .filter_map(|cidr| match cidr.address {
            IpAddr::V4(address) => Some(u32::from(address)),
            IpAddr::V6(_) => None,
        })
        .collect();
    let prefix = addresses.first()?.prefix.min(30);
    let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
    let (lowest, highest) = (numbers.iter().min()?, numbers.iter().max()?);
    let (base, last) = (lowest & mask, (lowest & mask) | !mask);
    let usual = base + 100;
    let start = if usual + 100 < last && *highest < usual { usual } else { highest + 1 };
    let count = last.saturating_sub(start).min(100);
    let first = Cidr { address: IpAddr::V4(Ipv4Addr::from(start)), prefix };
    (count > 0).then_some(Range { first, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(addresses: &[&str]) -> Option<(String, u32)> {
        let cidrs: Vec<Cidr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        range_beside(&cidrs).map(|range| (range.first.to_string(), range.count))
    }

    #[test]
    fn dhcp_stays_out_of_the_way_of_static_addresses() {
        assert_eq!(range(&["10.0.0.11/24", "10.0.0.13/24"]), Some(("10.0.0.100/24".into(), 100)));
        assert_eq!(range(&["192.168.1.150/24"]), Some(("192.168.1.151/24".into(), 100)));
        assert_eq!(range(&["10.1.0.9/28"]), Some(("10.1.0.10/28".into(), 5)));
        assert_eq!(range(&["fd00::1/64"]), None);
    }

    #[test]
    fn display_names_become_names_of_nodes() {
        let name = |text: &str| LayoutNode { name: NodeName::new(text) }.pve_name();
        assert_eq!((name("pve-mac-mini"), name("Rack A/1")), ("pve-mac-mini".to_owned(), "rack-a-1".to_owned()));
    }
}
