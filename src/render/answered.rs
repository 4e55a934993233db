//! Who answered: `3 nodes answered in 0.4 s: pve1 pve2 pve3 (cluster "home", quorate, PVE 9.2)`.

use std::collections::BTreeSet;

use super::line::printable;
use super::values::{count, duration};
use crate::model::observed::{NodeState, Observed};

/// One line for the nodes that answered, one more for each that did not.
pub fn answered(observed: &Observed, seconds: f64, sandbox: bool) -> String {
    let mut answered = Vec::new();
    let mut silent = Vec::new();
    let mut versions = BTreeSet::new();
    for (name, state) in &observed.nodes {
        match state {
            NodeState::Answered(facts) => {
                answered.push(name.as_str());
                versions.insert(format!("{}.{}", facts.version.major, facts.version.minor));
            }
            NodeState::Silent(silence) => {
                silent.push(format!("  {name} did not answer: {}", printable(&silence.reason)))
            }
        }
    }
    let mut about: Vec<String> = observed
        .realms
        .values()
        .map(|realm| match &realm.cluster {
            Some(name) => {
                format!("cluster {:?}, {}", printable(name), if realm.quorate { "quorate" } else { "no quorum" })
            }
            None => "standalone".to_owned(),
        })
        .collect();
    about.dedup();
    if !versions.is_empty() {
        about.push(format!("PVE {}", versions.into_iter().collect::<Vec<_>>().join(" and ")));
    }
    if sandbox {
        about.push("sandbox".to_owned());
    }
    let mut lines = vec![format!(
        "{} answered in {}: {} ({})",
        count(answered.len(), "node"),
        duration(seconds),
        answered.join(" "),
        about.join(", ")
    )];
    if answered.is_empty() {
        lines = vec![format!("no node answered within {}", duration(seconds))];
    }
    lines.extend(silent);
    lines.join("\n")
}
