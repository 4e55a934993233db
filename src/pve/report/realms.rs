//! Which nodes share one space of VMIDs: members of one PVE cluster, or one standalone node alone.

use std::collections::{BTreeMap, BTreeSet};

use super::NodeReport;
use crate::model::desired::NodeTarget;
use crate::model::ids::{NodeName, PveName, RealmId};
use crate::pve::members::{Cluster, Members};

/// The answered nodes of one realm, by their PVE name.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    pub id: RealmId,
    pub cluster: Option<String>,
    pub nodes: BTreeMap<PveName, (NodeName, &'a NodeReport)>,
}

/// Two configured hosts that turned out to be one node: the second is not a node of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Twin {
    pub node: NodeName,
    pub of: NodeName,
}

/// Groups reports into realms, in the order of node names.
pub(super) fn group<'a>(
    targets: &BTreeMap<NodeName, NodeTarget>,
    reports: &BTreeMap<NodeName, &'a NodeReport>,
) -> (Vec<Group<'a>>, Vec<Twin>) {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut twins = Vec::new();
    for (name, report) in reports {
        let Ok(members) = &report.members else { continue };
        let Some(group) = groups.iter_mut().find(|group| belongs(group, members, report)) else {
            let host = targets.get(name).map_or_else(|| name.to_string(), |target| target.host.clone());
            groups.push(Group {
                id: RealmId::new(format!("node:{}@{host}", members.nodename)),
                cluster: members.cluster.as_ref().map(|cluster| cluster.name.clone()),
                nodes: BTreeMap::from([(members.nodename.clone(), (name.clone(), *report))]),
            });
            continue;
        };
        match group.nodes.get(&members.nodename) {
            Some((first, _)) => twins.push(Twin { node: name.clone(), of: first.clone() }),
            None => {
                group.nodes.insert(members.nodename.clone(), (name.clone(), *report));
            }
        }
    }
    name_clusters(&mut groups);
    (groups, twins)
}

/// `cluster:NAME`; two clusters of one name carry their members' names as well.
fn name_clusters(groups: &mut [Group<'_>]) {
    let names: Vec<_> = groups.iter().filter_map(|group| group.cluster.clone()).collect();
    for group in groups {
        let Some(name) = &group.cluster else { continue };
        let alone = names.iter().filter(|other| *other == name).count() == 1;
        group.id = if alone {
            RealmId::new(format!("cluster:{name}"))
        } else {
            let members: BTreeSet<String> =
                group.nodes.values().flat_map(|(node, report)| member_names(node, report)).collect();
            RealmId::new(format!("cluster:{name}/{}", members.into_iter().collect::<Vec<_>>().join("+")))
        };
    }
}

/// Members of a cluster, told apart by address where it is known: two clusters may have the same names throughout.
fn member_names(node: &NodeName, report: &NodeReport) -> Vec<String> {
    let Ok(Members { cluster: Some(cluster), .. }) = &report.members else { return vec![node.to_string()] };
    cluster.nodes.iter().map(|(name, node)| format!("{name}@{}", node.ip.as_deref().unwrap_or("?"))).collect()
}

fn belongs(group: &Group<'_>, members: &Members, report: &NodeReport) -> bool {
    group.nodes.values().any(|(_, other)| match (&other.members, &members.cluster) {
        (Ok(Members { cluster: Some(theirs), .. }), Some(ours)) => same_cluster(theirs, ours),
        (Ok(Members { cluster: None, nodename }), None) => *nodename == members.nodename && same_guests(other, report),
        (Ok(_) | Err(_), _) => false,
    })
}

/// The same name and the same nodes. Addresses may be missing, but must not contradict.
fn same_cluster(left: &Cluster, right: &Cluster) -> bool {
    left.name == right.name
        && left.nodes.len() == right.nodes.len()
        && left.nodes.iter().all(|(name, node)| {
            right.nodes.get(name).is_some_and(|other| {
                other.id == node.id && (other.ip.is_none() || node.ip.is_none() || other.ip == node.ip)
            })
        })
}

/// Standalone nodes of one name whose configs are byte for byte the same (they hold random ids) are one node.
fn same_guests(left: &NodeReport, right: &NodeReport) -> bool {
    let digests = |report: &NodeReport| -> Vec<_> {
        report.configs.iter().map(|(vmid, seen)| (*vmid, seen.config.as_ref().ok().map(|c| c.digest.clone()))).collect()
    };
    !left.configs.is_empty() && digests(left) == digests(right)
}

/// The configured node that a member without a report is: by address, else by name; only if there is no doubt.
pub(super) fn silent_member(
    member: &PveName,
    ip: Option<&str>,
    silent: &[&NodeTarget],
    realms_with_that_name: usize,
) -> Option<NodeName> {
    let by_address: Vec<_> = silent.iter().filter(|target| Some(target.host.as_str()) == ip).collect();
    if let [only] = by_address.as_slice() {
        return Some(only.name.clone());
    }
    let same = |text: &str| text.eq_ignore_ascii_case(member.as_str());
    let by_name: Vec<_> = silent
        .iter()
        .filter(|target| {
            let label = target.host.split('.').next().unwrap_or_default();
            let is_address = target.host.parse::<std::net::IpAddr>().is_ok();
            same(target.name.as_str()) || (!is_address && same(label))
        })
        .collect();
    match by_name.as_slice() {
        [only] if by_address.is_empty() && realms_with_that_name == 1 => Some(only.name.clone()),
        _ => None,
    }
}
