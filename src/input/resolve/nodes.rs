//! `proxmox_nodes` → nodes with unique names and hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::input::config::{Config, NodeEntry};
use crate::input::problem::{Faults, Problem, Span};
use crate::input::problem_id::ProblemId;
use crate::input::walk::At;
use crate::input::words::Host;
use crate::model::desired::NodeTarget;
use crate::model::ids::NodeName;

/// Proxmox's own clusters end at about 32 nodes.
const MOST_NODES: usize = 1000;

/// `None`: wrong, and noted.
pub(super) fn resolve(config: &Config, faults: &mut Faults) -> Option<Vec<NodeTarget>> {
    let list = config.proxmox_nodes.get()?;
    if list.is_empty() {
        let problem = Problem::new(ProblemId::MissingKey, list.key, "`proxmox_nodes` lists no host".to_owned());
        faults.add(problem.help("name at least one, such as `[pve1.lan]`"));
        return None;
    }
    if list.len() > MOST_NODES {
        let message = format!("`proxmox_nodes` lists {} hosts; at most {MOST_NODES} are planned at once", list.len());
        let problem = Problem::new(ProblemId::OutOfRange, list.key, message);
        faults.add(problem.help("split it into several configs"));
        return None;
    }
    let mut names: BTreeMap<String, Span> = BTreeMap::new();
    let mut hosts: BTreeMap<(String, Option<u16>), Span> = BTreeMap::new();
    let nodes: Vec<Option<NodeTarget>> = list
        .iter()
        .map(|entry| {
            let (node, host_span, name_span) = target(entry)?;
            let host_is_new = note_twice(
                &mut hosts,
                (node.host.to_lowercase(), node.port),
                host_span,
                || (format!("the host `{}` is listed twice", node.host), "remove one of the two".to_owned()),
                faults,
            );
            let name_is_new = !host_is_new
                || note_twice(
                    &mut names,
                    node.name.as_str().to_lowercase(),
                    name_span,
                    || {
                        let help = format!("give one a name: `{{host: {}, name: …}}`", node.host);
                        (format!("two nodes have the name `{}`", node.name), help)
                    },
                    faults,
                );
            (host_is_new && name_is_new).then_some(node)
        })
        .collect();
    nodes.into_iter().collect()
}

/// The node, and where its host and its name come from.
fn target(entry: &At<NodeEntry>) -> Option<(NodeTarget, Span, Span)> {
    match &entry.value {
        NodeEntry::Host(host) => {
            let node = NodeTarget {
                name: default_name(host),
                host: host.0.clone(),
                port: None,
                zone: None,
                schedulable: true,
            };
            Some((node, host.span, host.span))
        }
        NodeEntry::Section(section) => {
            let host = section.host.get()?;
            if section.name.is_bad() {
                return None;
            }
            let name = section.name.get();
            let node = NodeTarget {
                name: name.map_or_else(|| default_name(host), |name| NodeName::new(name.0.clone())),
                host: host.0.clone(),
                port: section.port.get().map(|port| port.u16()),
                zone: section.zone.get().map(|zone| zone.0.clone()),
                schedulable: section.schedulable.value,
            };
            Some((node, host.span, name.map_or(host.span, |name| name.span)))
        }
    }
}

/// The first label; an address has no labels.
fn default_name(host: &Host) -> NodeName {
    let name = match host.0.parse::<IpAddr>() {
        Ok(_) => host.0.as_str(),
        Err(_) => host.0.split('.').next().unwrap_or(&host.0),
    };
    NodeName::new(name)
}

/// Notes a problem when `key` was there before.
fn note_twice<K: Ord>(
    seen: &mut BTreeMap<K, Span>,
    key: K,
    span: Span,
    words: impl FnOnce() -> (String, String),
    faults: &mut Faults,
) -> bool {
    if let Some(first) = seen.get(&key) {
        let (message, help) = words();
        let problem = Problem::new(ProblemId::DuplicateNode, span, message);
        faults.add(problem.context(*first, "first here").help(help));
        return false;
    }
    seen.insert(key, span);
    true
}
