//! What can be broken on purpose. A directory world keeps this in a file, so that stand-ins in other processes see it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::guest::GuestFault;

/// Everything empty: nothing is broken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Nodes that are down. Their realm's other members still have their files; with a minority left there is no quorum.
    pub offline: BTreeSet<String>,
    /// Realms that have lost their quorum though their nodes are up.
    pub no_quorum: BTreeSet<String>,
    /// Nodes whose pmxcfs is not mounted: `/etc/pve` is an empty folder there.
    pub pmxcfs_unmounted: BTreeSet<String>,
    /// Nodes without the caller's locale: Perl warns on stderr.
    pub locale_missing: BTreeSet<String>,
    /// (node/storage) that have no room whatever their size.
    pub storage_full: BTreeSet<String>,
    /// VMIDs whose guest agent does not answer, comes late, or answers with an error object.
    pub agent: BTreeMap<u32, AgentFault>,
    /// VMIDs whose guest ignores a shutdown request.
    pub deaf_to_shutdown: BTreeSet<u32>,
    /// VMIDs whose `qm template` fails inside its worker (which exits 0).
    pub template_fails: BTreeSet<u32>,
    /// Nodes whose pvestatd sends nothing any more.
    pub silent_statd: BTreeSet<String>,
    /// Nodes whose downloads fail.
    pub downloads: BTreeMap<String, DownloadFault>,
    /// Guests by the VM's name (any VM: `*`) that do something wrong, from their next start on.
    pub guests: BTreeMap<String, BTreeSet<GuestFault>>,
    /// How many times longer work on a node takes.
    pub slow: BTreeMap<String, f64>,
}

/// How a download on a node fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadFault {
    Unreachable,
    NotFound,
    Truncated,
    WrongBytes,
    DiskFull,
}

impl Faults {
    /// What a guest of this name does wrong.
    pub fn guests_of(&self, name: &str) -> BTreeSet<GuestFault> {
        [name, "*"].into_iter().filter_map(|key| self.guests.get(key)).flatten().cloned().collect()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentFault {
    /// Never there.
    Absent,
    /// There only so many seconds after the start.
    LateBy(f64),
    /// Answers every command with `{"error": …}`, which the tools hand on with exit code 0 (contract §7).
    ErrorObject,
}
