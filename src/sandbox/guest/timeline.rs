//! When a guest does what: milliseconds of guest time since power-on. `None`: never.

use super::{Boot, GuestFault, Pause, mix};

/// The stages of one boot, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The boot loader finds nothing to boot.
    pub bootable: bool,
    pub kernel: u64,
    pub network: Option<u64>,
    pub sshd: Option<u64>,
    pub agent: Option<u64>,
    /// Packages are installed from here on; only where a vendor document asks for some that are missing.
    pub packages: Option<u64>,
    /// `cloud-init status` is no longer `running`.
    pub cloud_init_done: Option<u64>,
    pub login_prompt: Option<u64>,
    /// The bake's report appears on the console.
    pub bake_report: Option<u64>,
    pub powers_off: Option<u64>,
    pub crashes: Option<u64>,
    /// QEMU holds it still from then on.
    pub pauses: Option<(u64, Pause)>,
}

/// How long the package module tries before it gives up (observed §11: 190 s without a network).
const PACKAGES_GIVE_UP_MS: u64 = 190_000;
const PACKAGES_MS: u64 = 9_000;

impl Boot {
    pub fn timeline(&self) -> Timeline {
        let mut times = Timeline {
            bootable: self.disk.is_bootable() && !self.has(&GuestFault::Unbootable),
            kernel: 1_500,
            network: None,
            sshd: None,
            agent: None,
            packages: None,
            cloud_init_done: None,
            login_prompt: None,
            bake_report: None,
            powers_off: None,
            crashes: self.has(&GuestFault::Crashes).then_some(6_000),
            pauses: self.pause().map(|why| (7_000, why)),
        };
        let stuck = [GuestFault::BootHangs, GuestFault::Starved, GuestFault::KernelPanics, GuestFault::EmergencyShell];
        if !times.bootable || stuck.iter().any(|fault| self.has(fault)) {
            return times;
        }
        // Guests that start together don't come up together.
        let jitter = mix(&[&self.uuid, &self.name, &self.started_ms.to_string()]) % 3_000;
        times.network = Some(7_000 + jitter);
        times.sshd = (!self.has(&GuestFault::PortClosed)).then_some(11_000 + jitter);
        let installed = self.disk.packages.contains("qemu-guest-agent");
        if installed && self.agent_channel && !self.has(&GuestFault::AgentSilent) {
            times.agent = Some(13_000 + jitter);
        }
        times.login_prompt = Some(12_000 + jitter);
        self.add_cloud_init(&mut times, jitter);
        times
    }

    fn pause(&self) -> Option<Pause> {
        let faults = [
            (GuestFault::IoError, Pause::IoError),
            (GuestFault::InternalError, Pause::InternalError),
            (GuestFault::Suspended, Pause::Suspended),
        ];
        faults.into_iter().find(|(fault, _)| self.has(fault)).map(|(_, why)| why)
    }

    fn add_cloud_init(&self, times: &mut Timeline, jitter: u64) {
        let done = 18_000 + jitter;
        if !self.is_new_instance() {
            times.cloud_init_done = Some(done - 5_000);
            return;
        }
        let bake = self.seed.as_ref().and_then(|seed| seed.bake.as_ref());
        // The bake's own unit begins when cloud-init is done; else the package module is part of it.
        let packages = if bake.is_some() { done + 500 } else { done - 4_000 };
        let missing = self.missing_packages();
        let installs = match (missing.is_empty(), self.packages_reachable()) {
            (true, _) => 0,
            (false, true) => PACKAGES_MS,
            (false, false) => PACKAGES_GIVE_UP_MS,
        };
        if !missing.is_empty() {
            times.packages = Some(packages);
        }
        let installed = packages + installs;
        if missing.contains("qemu-guest-agent") && self.packages_reachable() && self.agent_channel {
            // Debian's package starts its service at once.
            times.agent = Some(installed - 1_000);
        }
        match bake {
            None => times.cloud_init_done = Some(done + installs),
            Some(_) => {
                times.cloud_init_done = Some(done);
                if !self.has(&GuestFault::BakeHangs) {
                    times.bake_report = Some(installed + 2_500);
                    times.powers_off = Some(installed + 4_500);
                }
            }
        }
    }

    /// Cloud-init sees another instance id than the one that it last set up.
    pub(crate) fn is_new_instance(&self) -> bool {
        let Some(seed) = &self.seed else { return false };
        self.disk.instance.as_ref().is_none_or(|instance| instance.instance_id != seed.instance_id)
    }

    /// Packages that the vendor document asks for and the disk lacks.
    pub(crate) fn missing_packages(&self) -> std::collections::BTreeSet<String> {
        let wanted = self.seed.iter().flat_map(|seed| seed.packages.iter());
        wanted.filter(|name| !self.disk.packages.contains(*name)).cloned().collect()
    }

    pub(crate) fn packages_reachable(&self) -> bool {
        !self.has(&GuestFault::NoPackages) && !self.global_addresses().is_empty()
    }
}
