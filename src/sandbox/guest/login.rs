//! What a client finds that connects to the guest by SSH.

use super::{Boot, GuestFault, Running, keys};

/// What sshd in the guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nothing listens.
    Closed,
    Open {
        host_keys: Vec<String>,
    },
}

impl Boot {
    /// The port's answer at a moment.
    pub fn door(&self, now_ms: u64) -> Door {
        let up = self.timeline().sshd.is_some_and(|at| self.elapsed(now_ms) >= at);
        // sshd does not start without host keys.
        let host_keys = self.shown_keys(now_ms);
        if up && self.running(now_ms) == Running::Yes && !host_keys.is_empty() {
            Door::Open { host_keys }
        } else {
            Door::Closed
        }
    }

    /// Whether the guest lets this user in with one of these public keys.
    pub fn lets_in(&self, now_ms: u64, user: &str, public_keys: &[String]) -> bool {
        let disk = self.disk_at(now_ms);
        let known_user = disk.instance.as_ref().is_some_and(|instance| instance.user == user);
        known_user
            && !self.has(&GuestFault::KeyRefused)
            && disk
                .authorized_keys
                .iter()
                .any(|key| public_keys.iter().any(|offered| keys::bare(offered) == keys::bare(key)))
    }
}
