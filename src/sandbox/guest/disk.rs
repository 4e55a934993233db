//! What a guest's disk holds: the lineage from image through bake and clone to the machine's own boots.
//!
//! A volume's content is either an image file's bytes (right after an import) or a `Disk` as JSON; copying a volume copies it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::seed::Seed;
use super::{Boot, GuestFault, Running};

/// Marks a content of ours in an image file or a volume.
pub const MAGIC: &str = "{\"pvekube-sandbox-disk\":1,";

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
        let magic = MAGIC.as_bytes();
        let Some(start) = content.windows(magic.len()).position(|window| window == magic) else {
            return Disk::default();
        };
        let mut values = serde_json::Deserializer::from_slice(&content[start..]).into_iter::<Disk>();
        values.next().and_then(Result::ok).unwrap_or_default()
    }

    /// As a volume's content.
    pub fn write(&self) -> Vec<u8> {
        let body = serde_json::to_string(self).unwrap_or_default();
        let rest = body.strip_prefix('{').unwrap_or("}");
        format!("{MAGIC}{rest}").into_bytes()
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
        if reached(times.cloud_init_done) && self.packages_reachable() {
            disk.packages.extend(self.missing_packages());
        }
        if reached(times.bake_report) {
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

    /// What the bake says on the console: `ok`, or `failed: …`.
    pub fn bake_result(&self) -> String {
        let failed = self.faults.iter().find_map(|fault| match fault {
            GuestFault::BakeFails { message } => Some(message.clone()),
            GuestFault::CloudInitFails { module, message } => Some(format!("{module}: {message}")),
            GuestFault::AgentSilent => Some("qemu-guest-agent is not running".to_owned()),
            GuestFault::AgentError
            | GuestFault::ExecForbidden
            | GuestFault::BootHangs
            | GuestFault::SlowBoot
            | GuestFault::NoLease
            | GuestFault::OtherAddress
            | GuestFault::PortClosed
            | GuestFault::HostKeyChanged
            | GuestFault::KeyRefused
            | GuestFault::Crashes
            | GuestFault::IoError
            | GuestFault::NoPackages
            | GuestFault::BakeHangs
            | GuestFault::Containers => None,
        });
        if let Some(message) = failed {
            return format!("failed: {message}");
        }
        let missing = self.missing_packages();
        if !missing.is_empty() && !self.packages_reachable() {
            return "failed: package_update_upgrade_install".to_owned();
        }
        "ok".to_owned()
    }

    /// The disk as it is when QEMU is stopped now, or ended by itself before now.
    pub fn final_disk(&self, now_ms: u64) -> Disk {
        match self.running(now_ms) {
            Running::PoweredOff(at) | Running::Crashed(at) => self.disk_at(at.min(now_ms)),
            Running::Yes | Running::Paused => self.disk_at(now_ms),
        }
    }
}
