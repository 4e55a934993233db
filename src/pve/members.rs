//! `/etc/pve/.members` and `/etc/pve/.vmlist`: who is in the cluster, which guests exist and where (contract §1.5).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::ids::{PveName, Vmid};

/// `.members`. A standalone node has no cluster [a-info/members-file].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    pub nodename: PveName,
    pub cluster: Option<Cluster>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    pub quorate: bool,
    pub nodes: BTreeMap<PveName, ClusterNode>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNode {
    pub id: u64,
    pub online: bool,
    /// Unknown until the node was seen once.
    pub ip: Option<String>,
}

/// `.vmlist`: every guest of the realm. Versions rise with each write of the guest's config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmList {
    pub guests: BTreeMap<Vmid, Listed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub node: PveName,
    pub kind: GuestKind,
    pub version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestKind {
    Qemu,
    Lxc,
}

#[derive(Deserialize)]
struct MembersFile {
    nodename: String,
    cluster: Option<ClusterPart>,
    #[serde(default)]
    nodelist: BTreeMap<String, NodePart>,
}

#[derive(Deserialize)]
struct ClusterPart {
    name: String,
    #[serde(default)]
    quorate: u64,
}

#[derive(Deserialize)]
struct NodePart {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    online: u64,
    ip: Option<String>,
}

/// Reads `.members`; an error says what is wrong with it.
pub fn parse_members(bytes: &[u8]) -> Result<Members, String> {
    let file: MembersFile = serde_json::from_slice(bytes).map_err(|error| format!(".members: {error}"))?;
    let nodes = file
        .nodelist
        .into_iter()
        .map(|(name, node)| (PveName::new(name), ClusterNode { id: node.id, online: node.online != 0, ip: node.ip }));
    let nodes: BTreeMap<_, _> = nodes.collect();
    let cluster = file.cluster.map(|part| Cluster { name: part.name, quorate: part.quorate != 0, nodes });
    Ok(Members { nodename: PveName::new(file.nodename), cluster })
}

#[derive(Deserialize)]
struct VmListFile {
    #[serde(default)]
    ids: BTreeMap<String, ListedPart>,
}

#[derive(Deserialize)]
struct ListedPart {
    node: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    version: u64,
}

/// Reads `.vmlist`. Without guests it has no `ids` at all [a-info/vmlist-file].
pub fn parse_vmlist(bytes: &[u8]) -> Result<VmList, String> {
    let file: VmListFile = serde_json::from_slice(bytes).map_err(|error| format!(".vmlist: {error}"))?;
    let mut guests = BTreeMap::new();
    for (id, part) in file.ids {
        let vmid = id.parse().map(Vmid).map_err(|_| format!(".vmlist: `{id}` is not a VMID"))?;
        let kind = match part.kind.as_str() {
            "qemu" => GuestKind::Qemu,
            "lxc" => GuestKind::Lxc,
            other => return Err(format!(".vmlist: {id} has the unknown type `{other}`")),
        };
        guests.insert(vmid, Listed { node: PveName::new(part.node), kind, version: part.version });
    }
    Ok(VmList { guests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standalone_has_no_cluster() {
        let members = parse_members(b"{\n\"nodename\": \"pve1\",\n\"version\": 0\n}\n").unwrap();
        assert_eq!(members, Members { nodename: "pve1".into(), cluster: None });
    }

    #[test]
    fn cluster_with_a_node_down() {
        let text = include_bytes!("../../tests/fixtures/pve/members-c3-down.json");
        let cluster = parse_members(text).unwrap().cluster.unwrap();
        assert!(cluster.quorate);
        let online: Vec<_> = cluster.nodes.values().map(|node| node.online).collect();
        assert_eq!(online, [true, true, false]);
        assert_eq!(cluster.nodes[&"c2".into()].ip.as_deref(), Some("10.77.0.14"));
        let lost = include_bytes!("../../tests/fixtures/pve/members-noquorum.json");
        assert!(!parse_members(lost).unwrap().cluster.unwrap().quorate);
    }

    #[test]
    fn vmlists() {
        assert_eq!(parse_vmlist(b"{\n\"version\": 0\n\n}\n").unwrap(), VmList::default());
        let list = parse_vmlist(include_bytes!("../../tests/fixtures/pve/vmlist.json")).unwrap();
        assert_eq!(list.guests.len(), 6);
        assert_eq!(list.guests[&Vmid(201)].node, "c3".into());
    }

    #[test]
    fn garbage_is_an_error() {
        for bytes in [&b""[..], b"[]", b"{", b"{\"nodename\": 5}", b"\xff"] {
            assert!(parse_members(bytes).is_err());
        }
        assert!(parse_vmlist(b"{\"ids\": {\"x\": {\"node\": \"a\", \"type\": \"qemu\"}}}").is_err());
        assert!(parse_vmlist(b"{\"ids\": {\"100\": {\"node\": \"a\", \"type\": \"jail\"}}}").is_err());
    }
}
