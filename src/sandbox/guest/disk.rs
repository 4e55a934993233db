//! What a guest's disk holds: the lineage from image through bake and clone to the machine's own boots.
//!
//! It is what an image file says of itself (`image_server`), then what bake and boots made of it; copies carry it along.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::seed::Seed;
use super::{Boot, GuestFault, Running};

/// Before what is ours in an image file or a volume.
pub const MAGIC: &[u8] = b"\npvekube-sandbox-disk ";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Name of the image that it came from; empty: nothing bootable.
    pub image: String,
    #[serde(default)]
    pub packages: BTreeSet<String>,
    /// `None` or empty: taken from the firmware at the next boot.
    #[serde(default)]
    pub machine_id: Option<String>,
    /// What the host keys are derived from; `None`: there are none.
    #[serde(default)]
    pub host_keys: Option<String>,
    /// What cloud-init last set up.
    #[serde(default)]
    pub instance: Option<Seed>,
    /// Keys of every instance that ever ran on this disk: cloud-init adds, it never removes.
    #[serde(default)]
    pub authorized_keys: BTreeSet<String>,
    /// Size of the root file system, grown at each boot.
    #[serde(default)]
    pub root_bytes: u64,
}

impl Disk {
    /// The content of a volume or an image file. What is neither is a disk with nothing to boot.
    pub fn read(content: &[u8]) -> Disk {
        let Some(start) = content.windows(MAGIC.len()).position(|window| window == MAGIC) else {
            return Disk::default();
        };
        let mut values = serde_json::Deserializer::from_slice(&content[start + MAGIC.len()..]).into_iter::<Disk>();
        values.next().and_then(Result::ok).unwrap_or_default()
    }

    /// As a volume's content, or a part of an image file.
    pub fn write(&self) -> Vec<u8> {
        [MAGIC, &serde_json::to_vec(self).unwrap_or_default(), b"\n"].concat()
    }

    pub fn is_bootable(&self) -> bool {
        !self.image.is_empty()
    }
}

impl Boot {
    /// The disk as this boot has made it by `now_ms`; what is written back when the VM stops.
    pub fn disk_at(&self, now_ms: u64) -> Disk {
        let times = self.timeline();
        let elapsed = self.elapsed(now_ms);
        let reached = |at: Option<u64>| at.is_some_and(|at| elapsed >= at);
        let mut disk = self.disk.clone();
        if !reached(times.network) {
            return disk;
        }
        disk.root_bytes = disk.root_bytes.max(self.disk_bytes);
        if disk.machine_id.as_deref().unwrap_or_default().is_empty() {
            disk.machine_id = Some(self.uuid.replace('-', ""));
        }
        if let (true, Some(seed)) = (self.is_new_instance(), &self.seed) {
            disk.instance = Some(seed.clone());
            disk.host_keys = Some(format!("{} {} {}", self.uuid, seed.instance_id, self.started_ms));
            disk.authorized_keys.extend(seed.keys.iter().cloned());
        } else if disk.host_keys.is_none() {
            disk.host_keys = Some(format!("{} {}", self.uuid, self.started_ms));
        }
        let installed = if times.bake_report.is_some() { times.bake_report } else { times.cloud_init_done };
        if reached(installed) && self.packages_reachable() {
            disk.packages.extend(self.missing_packages().into_iter().filter(|name| !is_no_package(name)));
        }
        if reached(times.bake_report) && self.bake_result().is_ok() {
            self.clean(&mut disk);
        }
        disk
    }

    /// What the bake's script removes.
    fn clean(&self, disk: &mut Disk) {
        let Some(bake) = self.seed.as_ref().and_then(|seed| seed.bake.as_ref()) else { return };
        if bake.cleans_cloud_init {
            disk.instance = None;
        }
        if bake.cleans_machine_id {
            disk.machine_id = None;
        }
        if bake.cleans_host_keys {
            disk.host_keys = None;
        }
    }

    /// What the bake reports: `ok`, or what failed and the last lines that it printed (bake.sh).
    pub fn bake_result(&self) -> Result<(), (String, String)> {
        let failed = self.faults.iter().find_map(|fault| match fault {
            GuestFault::BakeFails { message } => Some((message.clone(), "it was told to fail".to_owned())),
            GuestFault::AgentSilent => {
                Some(("service qemu-guest-agent (exit 1)".to_owned(), "inactive (dead)".to_owned()))
            }
            GuestFault::CloudInitFails { .. }
            | GuestFault::AgentError
            | GuestFault::ExecForbidden
            | GuestFault::BootHangs
            | GuestFault::SlowBoot
            | GuestFault::NoLease
            | GuestFault::NicSilent
            | GuestFault::OtherAddress
            | GuestFault::PortClosed
            | GuestFault::HostKeyChanged
            | GuestFault::KeyRefused
            | GuestFault::Crashes
            | GuestFault::IoError
            | GuestFault::NoPackages
            | GuestFault::BakeHangs
            | GuestFault::Starved
            | GuestFault::KernelPanics
            | GuestFault::EmergencyShell
            | GuestFault::Unbootable
            | GuestFault::InternalError
            | GuestFault::Suspended
            | GuestFault::OddShell
            | GuestFault::Containers => None,
        });
        if let Some(failure) = failed {
            return Err(failure);
        }
        let unreachable = !self.packages_reachable();
        if let Some(package) = self.missing_packages().iter().find(|name| unreachable || is_no_package(name)) {
            let said = format!("E: Unable to locate package {package}");
            return Err((format!("package {package} (exit 100)"), said));
        }
        let commands = self.seed.iter().filter_map(|seed| seed.bake.as_ref()).flat_map(|bake| &bake.commands);
        for (number, command) in (1..).zip(commands) {
            // The guest runs no shell: commands that can only fail fail, all others succeed.
            if matches!(command.trim(), "false" | "exit 1") {
                return Err((format!("command {number} (exit 1)"), format!("+ {command}")));
            }
        }
        Ok(())
    }

    /// The disk as it is when QEMU is stopped now, or ended by itself before now.
    pub fn final_disk(&self, now_ms: u64) -> Disk {
        match self.running(now_ms) {
            Running::PoweredOff(at) | Running::Crashed(at) => self.disk_at(at.min(now_ms)),
            Running::Yes | Running::Paused(_) => self.disk_at(now_ms),
        }
    }
}

/// Names that no package archive of the sandbox has.
fn is_no_package(name: &str) -> bool {
    name.starts_with("no-such-") || name == "nonesuch"
}
