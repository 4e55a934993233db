//! A VM's config file as data. Its grammar is `pve::conf`'s business (contract §1.6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One `/etc/pve/nodes/N/qemu-server/ID.conf`. Values are the file's text, not yet parsed as property strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmConfig {
    /// The `#` lines, decoded, joined by newlines.
    pub description: String,
    /// The main section: what is in effect (on a running VM) or will be (on a stopped one).
    pub keys: BTreeMap<String, String>,
    /// `[PENDING]`: applied at the next start.
    pub pending: BTreeMap<String, String>,
    /// `delete:` in `[PENDING]`.
    pub pending_delete: BTreeSet<String>,
    /// `[special:cloudinit]`: the values that the cloud-init drive was last written with, where they differ now.
    pub cloudinit: BTreeMap<String, String>,
    /// Snapshot section names.
    pub snapshots: Vec<String>,
    /// SHA-1 of the file's bytes: what `qm set --digest` compares with (observed §5).
    pub digest: String,
}

impl VmConfig {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// The value that the next start will see: pending over main.
    pub fn next(&self, key: &str) -> Option<&str> {
        if self.pending_delete.contains(key) {
            return None;
        }
        self.pending.get(key).or_else(|| self.keys.get(key)).map(String::as_str)
    }

    pub fn is_template(&self) -> bool {
        self.get("template") == Some("1")
    }

    pub fn lock(&self) -> Option<&str> {
        self.get("lock")
    }

    /// The lock of a config that is nothing else: `create`, `clone` or `destroyed` is at work on it, or was killed. Nobody
    /// can tell from it whose it is. (`qm clone` notes itself as the description until its first drive is copied, Qemu.pm
    /// `clone_vm`.)
    pub fn only_lock(&self) -> Option<&str> {
        let bare = matches!(self.description.trim(), "" | "qmclone temporary file");
        self.lock().filter(|_| bare && self.keys.len() == 1)
    }

    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty() || !self.pending_delete.is_empty()
    }
}
