//! Addresses of a guest, and what the agent says of its interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::seed::Seed;
use super::{Boot, GuestFault, mix};
use crate::model::ids::Cidr;

/// One interface as the agent lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    /// Lower case.
    pub mac: String,
    pub addresses: Vec<Cidr>,
}

impl Boot {
    /// What cloud-init configured the network from: a new instance's drive, else what it set up before.
    pub(crate) fn network_source(&self) -> Option<&Seed> {
        if self.is_new_instance() { self.seed.as_ref() } else { self.disk.instance.as_ref() }
    }

    /// Addresses that others can reach, once the network is up; in the order of the interfaces.
    pub fn global_addresses(&self) -> Vec<(String, Cidr)> {
        let Some(source) = self.network_source().filter(|_| !self.has(&GuestFault::NicSilent)) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for nic in source.nics.iter().filter(|nic| self.macs.contains(&nic.mac)) {
            for address in &nic.addresses {
                all.push((nic.mac.clone(), self.shifted(*address)));
            }
            if let (true, false, Some(lease)) = (nic.dhcp4, self.has(&GuestFault::NoLease), self.leases.get(&nic.mac)) {
                all.push((nic.mac.clone(), *lease));
            }
        }
        all
    }

    /// The declared address, or under the fault another one of the same network.
    fn shifted(&self, address: Cidr) -> Cidr {
        match address.address {
            IpAddr::V4(v4) if self.has(&GuestFault::OtherAddress) => {
                let [a, b, c, d] = v4.octets();
                let other = if d >= 200 { d - 50 } else { d + 50 };
                Cidr { address: IpAddr::V4(Ipv4Addr::new(a, b, c, other)), prefix: address.prefix }
            }
            IpAddr::V4(_) | IpAddr::V6(_) => address,
        }
    }

    /// All interfaces at a moment, as the agent sees them.
    pub fn interfaces(&self, now_ms: u64) -> Vec<Interface> {
        let up = self.timeline().network.is_some_and(|at| self.elapsed(now_ms) >= at);
        let global = if up { self.global_addresses() } else { Vec::new() };
        let mut all = vec![Interface {
            name: "lo".to_owned(),
            mac: "00:00:00:00:00:00".to_owned(),
            addresses: cidrs(&["127.0.0.1/8", "::1/128"]),
        }];
        for (index, mac) in self.macs.iter().enumerate() {
            let named = self.network_source().and_then(|seed| seed.nics.iter().find(|nic| nic.mac == *mac));
            let name = named.map_or_else(|| format!("eth{index}"), |nic| nic.name.clone());
            let mut addresses: Vec<Cidr> = global.iter().filter(|(of, _)| of == mac).map(|(_, cidr)| *cidr).collect();
            if up && named.is_some() && !self.has(&GuestFault::NicSilent) {
                addresses.extend(link_local(mac));
            }
            all.push(Interface { name, mac: mac.clone(), addresses });
        }
        if self.has(&GuestFault::Containers) {
            all.push(container_bridge("docker0", "172.17.0.1/16"));
            all.push(container_bridge("cni0", "10.244.0.1/24"));
        }
        all
    }
}

fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn container_bridge(name: &str, address: &str) -> Interface {
    let n = mix(&[name]).to_be_bytes();
    let mac = format!("02:42:{:02x}:{:02x}:{:02x}:{:02x}", n[0], n[1], n[2], n[3]);
    Interface { name: name.to_owned(), mac, addresses: cidrs(&[address]) }
}

/// The address that every interface gives itself: EUI-64 of its MAC.
fn link_local(mac: &str) -> Option<Cidr> {
    let mut octets = [0_u8; 6];
    let mut parts = mac.split(':');
    for octet in &mut octets {
        *octet = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    let [a, b, c, d, e, f] = octets;
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, word(a ^ 2, b), word(c, 0xff), word(0xfe, d), word(e, f));
    Some(Cidr { address: IpAddr::V6(address), prefix: 64 })
}

/// As `network-get-interfaces` returns it; an interface without an address has no `ip-addresses` (observed §2).
pub(crate) fn as_agent_json(interfaces: &[Interface]) -> Value {
    let entries = interfaces.iter().map(|interface| {
        let mut entry = json!({
            "hardware-address": interface.mac,
            "name": interface.name,
            "statistics": {
                "rx-bytes": 0, "rx-dropped": 0, "rx-errs": 0, "rx-packets": 0,
                "tx-bytes": 0, "tx-dropped": 0, "tx-errs": 0, "tx-packets": 0,
            },
        });
        if !interface.addresses.is_empty() {
            entry["ip-addresses"] = interface.addresses.iter().map(address_json).collect();
        }
        entry
    });
    Value::Array(entries.collect())
}

fn address_json(cidr: &Cidr) -> Value {
    let kind = if cidr.address.is_ipv4() { "ipv4" } else { "ipv6" };
    json!({"ip-address": cidr.address.to_string(), "ip-address-type": kind, "prefix": cidr.prefix})
}
