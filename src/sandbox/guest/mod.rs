//! Guests as functions of time: what a booted VM shows at a moment follows from its `Boot` record alone, so no process
//! has to run behind it. `qm start` writes the record, everything else reads it.
//!
//! Times are real-life seconds of a small cloud image on a plain host, multiplied by `Boot::pace` (‰).

pub mod agent;
pub mod console;
pub mod disk;
pub mod hypervisor;
pub mod keys;
pub mod login;
pub mod network;
pub mod seed;
pub(crate) mod store;
pub mod timeline;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::ids::Cidr;
use disk::Disk;
use seed::Seed;

/// One power-on of a VM: everything that decides what it will do. Written by `qm start` beside the pid file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    pub vmid: u32,
    pub name: String,
    /// Unix milliseconds.
    pub started_ms: u64,
    /// ‰ of the real durations: 1000 is lifelike, the demo is faster.
    pub pace: u32,
    /// `smbios1: uuid=…`: the machine id of a disk without one.
    pub uuid: String,
    /// What lies on the cloud-init drive; `None`: no drive.
    pub seed: Option<Seed>,
    /// The boot disk's content, and its size now.
    pub disk: Disk,
    pub disk_bytes: u64,
    /// MACs of net0, net1, …; lower case.
    pub macs: Vec<String>,
    /// What the network's DHCP servers would answer, by MAC. Absent: nobody answers.
    pub leases: BTreeMap<String, Cidr>,
    /// The `agent` option is enabled: a channel exists.
    pub agent_channel: bool,
    #[serde(default)]
    pub faults: BTreeSet<GuestFault>,
    /// Switched off by a shutdown request, at (Unix milliseconds).
    #[serde(default)]
    pub halts_ms: Option<u64>,
    /// Suspended by `qm suspend`.
    #[serde(default)]
    pub suspended: bool,
    /// Volume id of the boot disk: where the disk is written back to.
    #[serde(default)]
    pub volume: Option<String>,
    /// A real process stands for its QEMU.
    #[serde(default)]
    pub real_process: bool,
    /// Host keys of the machine that really listens (end-to-end tests); empty: made up from the disk.
    #[serde(default)]
    pub host_keys: Vec<String>,
}

/// How long a guest takes to go down when it is asked to.
const SHUTDOWN_MS: u64 = 3_000;

/// What a guest does wrong, by name of the VM (`faults.json`). Every cause that readiness can name has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestFault {
    /// Boots, but the agent's service never starts.
    AgentSilent,
    /// The agent answers every command with an error object.
    AgentError,
    /// `guest exec` is switched off in the guest.
    ExecForbidden,
    /// The kernel hangs before the network is up.
    BootHangs,
    /// QEMU gets no CPU to speak of: nothing in the guest ever happens.
    Starved,
    /// The kernel panics, and boots again a second later.
    KernelPanics,
    /// systemd gives up on a file system and asks for the root password.
    EmergencyShell,
    /// The disk holds nothing that could be booted.
    Unbootable,
    /// Ten times slower than others.
    SlowBoot,
    /// No DHCP server answers.
    NoLease,
    /// Nothing leaves its network card: a wrong VLAN, no driver, a cloud-init drive that nobody reads.
    NicSilent,
    /// Comes up with another address than the one that was declared.
    OtherAddress,
    /// A cloud-init module fails.
    CloudInitFails { module: String, message: String },
    /// sshd does not listen.
    PortClosed,
    /// sshd shows other host keys than the guest's files hold.
    HostKeyChanged,
    /// The login user has no keys.
    KeyRefused,
    /// The login user's shell says something of its own and does not run the command.
    OddShell,
    /// QEMU dies while the guest boots.
    Crashes,
    /// QEMU pauses the guest: its disk fails.
    IoError,
    /// QEMU stops the guest: KVM could not go on.
    InternalError,
    /// Somebody suspends the VM (`qm suspend`) while its guest boots.
    Suspended,
    /// Packages can't be had.
    NoPackages,
    /// The bake reports a failed command.
    BakeFails { message: String },
    /// The bake never ends.
    BakeHangs,
    /// Runs containers: docker0, a CNI bridge and their addresses.
    Containers,
}

/// Why QEMU holds a guest still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// `qm suspend`.
    Suspended,
    /// Its disk fails.
    IoError,
    /// KVM could not go on.
    InternalError,
}

impl Pause {
    /// As `qm status` says it.
    pub fn word(self) -> &'static str {
        match self {
            Pause::Suspended => "paused",
            Pause::IoError => "io-error",
            Pause::InternalError => "internal-error",
        }
    }
}

/// What QEMU does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    Yes,
    Paused(Pause),
    /// Powered itself off, at (Unix milliseconds).
    PoweredOff(u64),
    /// QEMU is gone, at (Unix milliseconds).
    Crashed(u64),
}

impl Boot {
    pub fn has(&self, fault: &GuestFault) -> bool {
        self.faults.contains(fault)
    }

    /// Milliseconds of guest time since power-on.
    pub(crate) fn elapsed(&self, now_ms: u64) -> u64 {
        let real = now_ms.saturating_sub(self.started_ms);
        let pace = u64::from(self.pace.max(1)) * if self.has(&GuestFault::SlowBoot) { 10 } else { 1 };
        real.saturating_mul(1000) / pace
    }

    /// The moment of a guest time, in Unix milliseconds.
    pub(crate) fn moment(&self, guest_ms: u64) -> u64 {
        let pace = u64::from(self.pace.max(1)) * if self.has(&GuestFault::SlowBoot) { 10 } else { 1 };
        self.started_ms.saturating_add(guest_ms.saturating_mul(pace).div_ceil(1000))
    }

    pub fn running(&self, now_ms: u64) -> Running {
        let times = self.timeline();
        let reached = |at: Option<u64>| at.map(|at| self.moment(at)).filter(|at| *at <= now_ms);
        let off = reached(times.powers_off).into_iter().chain(self.halts_ms.filter(|at| *at <= now_ms)).min();
        let held = times.pauses.filter(|(at, _)| self.moment(*at) <= now_ms).map(|(_, why)| why);
        match (reached(times.crashes), off, held) {
            (Some(at), _, _) => Running::Crashed(at),
            (None, Some(at), _) => Running::PoweredOff(at),
            (None, None, Some(why)) => Running::Paused(why),
            (None, None, None) if self.suspended => Running::Paused(Pause::Suspended),
            (None, None, None) => Running::Yes,
        }
    }

    /// When QEMU ends by itself, in Unix milliseconds.
    pub fn ends_at(&self) -> Option<u64> {
        let times = self.timeline();
        let own = times.crashes.or(times.powers_off).map(|at| self.moment(at));
        own.into_iter().chain(self.halts_ms).min()
    }

    /// When the guest has obeyed a shutdown request of now: `None` while it is too young or too broken to hear it.
    pub fn would_halt_at(&self, now_ms: u64) -> Option<u64> {
        let hears = self.timeline().network.is_some_and(|at| self.elapsed(now_ms) >= at);
        let pace = u64::from(self.pace.max(1));
        (hears && self.running(now_ms) == Running::Yes).then(|| now_ms + SHUTDOWN_MS * pace / 1000)
    }
}

/// A small number that depends on all parts alone (FNV-1a): jitter, derived keys.
pub(crate) fn mix(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // FNV's low bits are weak for short inputs: fold the high ones in.
    hash ^ (hash >> 29)
}
