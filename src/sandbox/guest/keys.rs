//! Host keys: well-formed public keys, derived from what the disk holds. Nobody can prove to own them; nothing in a
//! simulated world asks for that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{Boot, GuestFault};

impl Boot {
    /// Lines of `/etc/ssh/ssh_host_*_key.pub`, once there are any.
    pub fn host_keys(&self, now_ms: u64) -> Vec<String> {
        let disk = self.disk_at(now_ms);
        let Some(origin) = &disk.host_keys else { return Vec::new() };
        if !self.host_keys.is_empty() {
            return self.host_keys.clone();
        }
        let host = disk.instance.map(|instance| instance.hostname).unwrap_or_default();
        vec![format!("ssh-ed25519 {} root@{host}", ed25519(origin))]
    }

    /// What sshd shows to a client.
    pub(crate) fn shown_keys(&self, now_ms: u64) -> Vec<String> {
        let keys = self.host_keys(now_ms);
        if self.has(&GuestFault::HostKeyChanged) {
            keys.iter().map(|key| format!("ssh-ed25519 {}", ed25519(key))).collect()
        } else {
            keys
        }
    }
}

/// The blob of an ed25519 public key: its type and 32 bytes, each with its length before it (RFC 8709).
fn ed25519(origin: &str) -> String {
    let mut blob = Vec::new();
    for part in [b"ssh-ed25519".as_slice(), Sha256::digest(origin).as_slice()] {
        blob.extend(u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
        blob.extend(part);
    }
    STANDARD.encode(blob)
}

/// Type and blob of a key line, without its comment: what two keys are compared by.
pub(crate) fn bare(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
