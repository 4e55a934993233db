//! Folders under `/run/pvekube/ops`: what a name and a log say.

use super::frame::Section;
use crate::model::ids::{ClusterName, OperationName, Vmid};
use crate::model::observed::OperationSeen;

/// Log lines kept of an operation.
const TAIL_LINES: usize = 8;

/// Splits `<cluster>-<vmid>-<verb>-<nonce>`. Clusters and verbs may have dashes: the VMID is the last number before the
/// nonce. `None`: not one of our names.
pub fn parse_name(name: &str) -> Option<(ClusterName, Vmid, String)> {
    let (rest, nonce) = name.rsplit_once('-')?;
    let parts: Vec<&str> = rest.split('-').collect();
    let at = parts.iter().rposition(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))?;
    let (cluster, verb) = (parts[..at].join("-"), parts[at + 1..].join("-"));
    if cluster.is_empty() || verb.is_empty() || nonce.is_empty() {
        return None;
    }
    Some((ClusterName::new(cluster), Vmid(parts[at].parse().ok()?), verb))
}

/// The last lines of a log, without terminal controls; a carriage return ends a line as a newline does.
pub fn log_tail(log: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<String> = text.split(['\n', '\r']).map(plain).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
}

/// Without escape sequences and control characters.
pub fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            if chars.next_if_eq(&'[').is_some() {
                // A control sequence ends with its first byte in @…~.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            } else {
                chars.next();
            }
        } else if c == '\t' {
            out.push(' ');
        } else if !c.is_control() {
            out.push(c);
        }
    }
    out
}

/// Reads an `op` section.
pub(super) fn seen(section: &Section<'_>) -> Option<OperationSeen> {
    let [name, live, exit] = section.args.as_slice() else { return None };
    let (cluster, vmid, verb) = parse_name(name)?;
    Some(OperationSeen {
        name: OperationName::new(name.clone()),
        cluster,
        vmid,
        verb,
        live: live == "1",
        exit: exit.parse().ok(),
        tail: log_tail(section.content),
    })
}
