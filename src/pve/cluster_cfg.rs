//! Small files that a whole cluster shares: `datacenter.cfg`, `user.cfg` (pools), `ha/resources.cfg`.

use std::collections::{BTreeMap, BTreeSet};

use super::property::Properties;
use super::section_config;
use crate::model::ids::{PoolName, Vmid};

/// What we use of `datacenter.cfg`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datacenter {
    /// `next-id`: [lower, upper), upper exclusive (contract §1.4). PVE's defaults fill a missing half.
    pub next_id: Option<(u32, u32)>,
    /// `tag-style: case-sensitive=1`: tags then keep their case (contract §3).
    pub tags_case_sensitive: bool,
}

/// Reads `datacenter.cfg`: `key: value` lines.
pub fn parse_datacenter(bytes: &[u8]) -> Datacenter {
    let mut datacenter = Datacenter::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let Ok(properties) = Properties::parse(value.trim(), None) else { continue };
        match key.trim() {
            "next-id" => {
                let bound = |name: &str, default: u32| properties.get(name).map_or(Some(default), |n| n.parse().ok());
                datacenter.next_id = bound("lower", 100).zip(bound("upper", 1_000_000));
            }
            "tag-style" => datacenter.tags_case_sensitive = properties.get("case-sensitive") == Some("1"),
            _ => {}
        }
    }
    datacenter
}

/// Pools of `user.cfg` with their guests: `pool:NAME:comment:VMID,VMID:storages:` [i-golden/pool-after].
pub fn parse_pools(bytes: &[u8]) -> BTreeMap<PoolName, BTreeSet<Vmid>> {
    let mut pools = BTreeMap::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let mut fields = line.trim().split(':');
        let (Some("pool"), Some(name)) = (fields.next(), fields.next()) else { continue };
        let guests = fields.nth(1).unwrap_or_default().split([',', ';', ' ']);
        pools.insert(PoolName::new(name), guests.filter_map(|id| id.parse().ok().map(Vmid)).collect());
    }
    pools
}

/// HA-managed VMs and the state asked of HA; PVE's default is `started`.
pub fn parse_ha(bytes: &[u8]) -> BTreeMap<Vmid, String> {
    let sections = section_config::parse(bytes).into_iter().filter(|section| section.kind == "vm");
    sections
        .filter_map(|section| {
            let state = section.keys.get("state").cloned().unwrap_or_else(|| "started".to_owned());
            Some((Vmid(section.id.parse().ok()?), state))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datacenter() {
        let parsed = parse_datacenter(
            b"keyboard: de\nnext-id: lower=200,upper=300\ntag-style: case-sensitive=1,ordering=config\n",
        );
        assert_eq!(parsed, Datacenter { next_id: Some((200, 300)), tags_case_sensitive: true });
        assert_eq!(parse_datacenter(b"next-id: upper=5000").next_id, Some((100, 5000)));
        assert_eq!(parse_datacenter(b"next-id: upper=x\n\xff"), Datacenter::default());
    }

    #[test]
    fn pools() {
        let pools = parse_pools(include_bytes!("../../tests/fixtures/pve/user.cfg"));
        assert_eq!(pools, BTreeMap::from([("kubernetes".into(), BTreeSet::from([Vmid(201)]))]));
        let nested = parse_pools(b"pool:a/b:a comment:100,x,101:local:\npool:empty::::\nuser:root@pam:1:0::::::\n");
        assert_eq!(nested[&"a/b".into()].len(), 2);
        assert!(nested[&"empty".into()].is_empty());
    }

    #[test]
    fn ha() {
        let ha = parse_ha(b"vm: 101\n\tstate stopped\n\tgroup g\n\nct: 102\n\tstate started\n\nvm: 103\n");
        let states: Vec<_> = ha.iter().map(|(vmid, state)| (vmid.0, state.as_str())).collect();
        assert_eq!(states, [(101, "stopped"), (103, "started")]);
    }
}
