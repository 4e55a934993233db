//! Reports of all nodes → [`Observed`]. Unknown is not absent: what nobody could tell is a value here.

use std::collections::BTreeMap;

use super::realms::{self, Group, Twin};
use super::{Mount, NodeReport, silence};
use crate::model::desired::NodeTarget;
use crate::model::ids::{NodeName, PveName, RealmId, Vmid};
use crate::model::observed::{
    Container, Guest, Member, NodeFacts, NodeState, Observed, Power, PveVersion, Realm, Silence, Upstream, Vm,
};
use crate::pve::members::{ClusterNode, GuestKind, Members};

/// Puts together what all configured nodes answered. A node without an entry in `answers` counts as silent.
/// `taken_at`: Unix seconds by the controller's clock.
pub fn assemble(
    targets: &[NodeTarget],
    answers: BTreeMap<NodeName, Result<NodeReport, Silence>>,
    upstream: Upstream,
    taken_at: i64,
) -> Observed {
    let targets: BTreeMap<NodeName, NodeTarget> = targets.iter().map(|t| (t.name.clone(), t.clone())).collect();
    let mut silences: BTreeMap<NodeName, Silence> = BTreeMap::new();
    let mut reports: BTreeMap<NodeName, &NodeReport> = BTreeMap::new();
    for name in targets.keys() {
        match answers.get(name) {
            Some(Ok(report)) => match silence::of(report) {
                Some(silence) => drop(silences.insert(name.clone(), silence)),
                None => drop(reports.insert(name.clone(), report)),
            },
            Some(Err(silence)) => drop(silences.insert(name.clone(), silence.clone())),
            None => drop(silences.insert(name.clone(), not_asked())),
        }
    }
    let (groups, twins) = realms::group(&targets, &reports);
    for twin in &twins {
        silences.insert(twin.node.clone(), is_twin(twin));
    }
    let silent: Vec<&NodeTarget> = targets.values().filter(|t| silences.contains_key(&t.name)).collect();
    let silent: Vec<&NodeTarget> =
        silent.into_iter().filter(|t| !twins.iter().any(|twin| twin.node == t.name)).collect();
    let realms = groups.iter().map(|group| (group.id.clone(), realm(group, &groups, &silent))).collect();
    let mut nodes: BTreeMap<NodeName, NodeState> =
        silences.into_iter().map(|(name, silence)| (name, NodeState::Silent(silence))).collect();
    for group in &groups {
        for (pve_name, (name, report)) in &group.nodes {
            let state = match is_cut_off(group, report) {
                true => NodeState::Silent(silence::cut_off()),
                false => NodeState::Answered(Box::new(facts(&group.id, pve_name, report))),
            };
            nodes.insert(name.clone(), state);
        }
    }
    Observed { taken_at, nodes, realms, upstream }
}

fn not_asked() -> Silence {
    Silence { reason: "it was not asked".to_owned(), hint: String::new(), detail: String::new() }
}

fn is_twin(twin: &Twin) -> Silence {
    Silence {
        reason: format!("it is the same Proxmox VE node as {}", twin.of),
        hint: format!("take {} or {} out of `proxmox_nodes`", twin.node, twin.of),
        detail: String::new(),
    }
}

fn facts(realm: &RealmId, pve_name: &PveName, report: &NodeReport) -> NodeFacts {
    let mut storages = report.rrd.storages(pve_name, report.now);
    storages.extend(report.pvesm.iter().map(|(name, usage)| (name.clone(), *usage)));
    NodeFacts {
        realm: realm.clone(),
        pve_name: pve_name.clone(),
        version: report.version.clone().unwrap_or(PveVersion { major: 0, minor: 0, text: String::new() }),
        memory_bytes: report.memory_bytes.unwrap_or_default(),
        cpus: report.cpus.unwrap_or_default(),
        running: report.running.clone(),
        bridges: report.bridges.clone(),
        storages,
        nameservers: report.nameservers.clone(),
        searchdomain: report.searchdomain.clone(),
        images: report.images.clone(),
        image_parts: report.image_parts.clone(),
        snippets: report.snippets.clone(),
        image_space_bytes: report.image_space_bytes,
        operations: report.operations.clone(),
        missing_programs: report.missing_programs.clone(),
    }
}

/// Quorate by both signs: `.members`, and the mode of `/etc/pve/local`.
fn is_quorate(report: &NodeReport) -> bool {
    let says = report.members.as_ref().is_ok_and(|m| m.cluster.as_ref().is_none_or(|cluster| cluster.quorate));
    says && report.mount == Mount::Mounted { writable: true }
}

/// On the wrong side of a split: others of its cluster have the quorum that it lacks.
fn is_cut_off(group: &Group<'_>, report: &NodeReport) -> bool {
    !is_quorate(report) && group.nodes.values().any(|(_, other)| is_quorate(other))
}

/// The tree was read whole: every listed VM's file, at the node where the list has it.
fn is_whole(report: &NodeReport) -> bool {
    report.torn.is_none()
        && report.vmlist.as_ref().is_ok_and(|list| {
            list.guests.iter().all(|(vmid, listed)| match listed.kind {
                GuestKind::Qemu => report.configs.get(vmid).is_some_and(|seen| seen.node == listed.node),
                GuestKind::Lxc => true,
            })
        })
}

fn realm(group: &Group<'_>, groups: &[Group<'_>], silent: &[&NodeTarget]) -> Realm {
    let quorate: Vec<&NodeReport> = group.nodes.values().map(|(_, r)| *r).filter(|r| is_quorate(r)).collect();
    let any: Vec<&NodeReport> = group.nodes.values().map(|(_, report)| *report).collect();
    let candidates = if quorate.is_empty() { &any } else { &quorate };
    let whole = candidates.iter().find(|report| is_whole(report));
    let Some(primary) = whole.or_else(|| candidates.first()) else { return empty() };
    let mut guests = guests(group, primary);
    // A guest that another quorate member lists was made or removed this moment: it exists as far as anyone can tell.
    for report in &quorate {
        for (vmid, guest) in self::guests(group, report) {
            guests.entry(vmid).or_insert_with(|| unread(guest));
        }
    }
    Realm {
        cluster: group.cluster.clone(),
        quorate: !quorate.is_empty(),
        members: members(group, groups, primary, silent),
        guests,
        existence_known: !quorate.is_empty() && whole.is_some(),
        storages: primary.storage_defs.clone(),
        pools: primary.pools.clone(),
        ha: primary.ha.clone(),
        next_id: primary.datacenter.next_id,
    }
}

fn empty() -> Realm {
    Realm {
        cluster: None,
        quorate: false,
        members: BTreeMap::new(),
        guests: BTreeMap::new(),
        existence_known: false,
        storages: BTreeMap::new(),
        pools: BTreeMap::new(),
        ha: BTreeMap::new(),
        next_id: None,
    }
}

fn unread(guest: Guest) -> Guest {
    match guest {
        Guest::Vm(vm) => Guest::Vm(Box::new(Vm { config: None, ..*vm })),
        Guest::Container(container) => Guest::Container(container),
    }
}

/// Guests as one report lists them. `.vmlist` says what exists and where; a config that does not fit is unread.
fn guests(group: &Group<'_>, report: &NodeReport) -> BTreeMap<Vmid, Guest> {
    let mut guests = BTreeMap::new();
    let Ok(list) = &report.vmlist else {
        // Without the list the files themselves are all there is; existence is then not known for certain.
        for (vmid, seen) in &report.configs {
            guests.insert(*vmid, vm(group, report, *vmid, &seen.node));
        }
        for (vmid, node) in &report.containers {
            guests.insert(*vmid, container(report, *vmid, node));
        }
        return guests;
    };
    for (vmid, listed) in &list.guests {
        let guest = match listed.kind {
            GuestKind::Qemu => vm(group, report, *vmid, &listed.node),
            GuestKind::Lxc => container(report, *vmid, &listed.node),
        };
        guests.insert(*vmid, guest);
    }
    guests
}

fn vm(group: &Group<'_>, report: &NodeReport, vmid: Vmid, node: &PveName) -> Guest {
    let config = report.configs.get(&vmid).filter(|seen| seen.node == *node);
    let power = match group.nodes.get(node) {
        Some((_, own)) if is_cut_off(group, own) => Power::Unknown,
        Some((_, own)) if own.running.contains(&vmid) => Power::Running,
        Some(_) => Power::Stopped,
        None => Power::Unknown,
    };
    let config = config.and_then(|seen| seen.config.clone().ok());
    Guest::Vm(Box::new(Vm { vmid, node: node.clone(), config, power }))
}

fn container(report: &NodeReport, vmid: Vmid, node: &PveName) -> Guest {
    let sample = report.rrd.guest(vmid, report.now);
    Guest::Container(Container {
        node: node.clone(),
        memory_bytes: sample.map(|sample| sample.memory_bytes).or_else(|| report.container_memory.get(&vmid).copied()),
        running: sample.map(|sample| sample.running),
    })
}

fn members(
    group: &Group<'_>,
    groups: &[Group<'_>],
    primary: &NodeReport,
    silent: &[&NodeTarget],
) -> BTreeMap<PveName, Member> {
    let configured = |name: &PveName| group.nodes.get(name).map(|(node, _)| node.clone());
    let Ok(Members { cluster: Some(cluster), .. }) = &primary.members else {
        let own = group
            .nodes
            .keys()
            .map(|name| (name.clone(), Member { online: true, address: None, node: configured(name) }));
        return own.collect();
    };
    let member = |(name, node): (&PveName, &ClusterNode)| {
        let same_name = groups.iter().filter(|other| has_member(other, name)).count();
        let found = configured(name).or_else(|| realms::silent_member(name, node.ip.as_deref(), silent, same_name));
        (name.clone(), Member { online: node.online, address: node.ip.clone(), node: found })
    };
    cluster.nodes.iter().map(member).collect()
}

fn has_member(group: &Group<'_>, name: &PveName) -> bool {
    group.nodes.values().any(|(_, report)| match &report.members {
        Ok(Members { cluster: Some(cluster), .. }) => cluster.nodes.contains_key(name),
        Ok(Members { cluster: None, nodename }) => nodename == name,
        Err(_) => false,
    })
}
