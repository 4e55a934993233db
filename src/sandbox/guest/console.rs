//! The serial console: lines with their moments, and what a late reader gets.

use super::{Boot, GuestFault, Pause, Running};

/// systemd's words; it says them again at each newline, as cloud images lock the root account.
const EMERGENCY: &str = "You are in emergency mode. After logging in, type \"journalctl -xb\" to view system logs.";

impl Boot {
    /// Everything the guest prints, with guest milliseconds; sorted by time.
    pub fn console_lines(&self) -> Vec<(u64, String)> {
        let times = self.timeline();
        let mut lines = vec![(200, "SeaBIOS (version rel-1.17.0-0-gb52ca86e094d-prebuilt.qemu.org)".to_owned())];
        if self.has(&GuestFault::Starved) {
            return Vec::new();
        }
        if !times.bootable {
            lines.push((900, "No bootable device.  Retrying in 1 seconds.".to_owned()));
            return lines;
        }
        lines.push((600, "Booting from Hard Disk...".to_owned()));
        lines.push((
            times.kernel,
            "[    0.000000] Linux version 5.15.0-161-generic (buildd@lcy02-amd64-051)".to_owned(),
        ));
        lines.push((2_500, "[    1.024518] EXT4-fs (sda1): mounted filesystem with ordered data mode".to_owned()));
        if self.has(&GuestFault::KernelPanics) {
            let why = "[    1.512200] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
            lines.push((3_000, why.to_owned()));
            lines.push((3_100, "[    1.612400] Rebooting in 1 seconds..".to_owned()));
            return lines;
        }
        if self.has(&GuestFault::BootHangs) {
            lines.push((5_000, "[    3.551234] random: crng init done".to_owned()));
            return lines;
        }
        if self.has(&GuestFault::EmergencyShell) {
            lines.push((5_000, "[FAILED] Failed to mount /boot/efi.".to_owned()));
            lines.push((6_000, EMERGENCY.to_owned()));
            return lines;
        }
        lines.push((4_500, "[  OK  ] Reached target Local File Systems.".to_owned()));
        if let Some((at, Pause::IoError)) = times.pauses {
            lines.push((at, "[    6.913377] blk_update_request: I/O error, dev sda, sector 2048".to_owned()));
        }
        self.add_cloud_init_lines(&mut lines);
        if let Some(at) = times.sshd {
            lines.push((at, "[  OK  ] Started OpenBSD Secure Shell server.".to_owned()));
        }
        if let Some(at) = times.agent {
            lines.push((at, "[  OK  ] Started QEMU Guest Agent.".to_owned()));
        }
        if let Some(at) = times.bake_report.filter(|_| self.bake().is_some_and(|bake| bake.reports)) {
            match self.bake_result() {
                Ok(()) => lines.push((at, "pvekube-bake: ok".to_owned())),
                Err((what, said)) => {
                    lines.push((at.saturating_sub(1), format!("pvekube-bake| {said}")));
                    lines.push((at, format!("pvekube-bake: failed: {what}")));
                }
            }
        }
        if let Some(at) = times.powers_off {
            lines.push((at.saturating_sub(800), "[  OK  ] Reached target System Power Off.".to_owned()));
            lines.push((at, "[   31.204411] reboot: Power down".to_owned()));
        }
        let silent_from = times.crashes.or(times.pauses.map(|(at, _)| at + 1));
        lines.retain(|(when, _)| silent_from.is_none_or(|at| *when < at));
        lines.sort();
        lines
    }

    fn bake(&self) -> Option<&super::seed::Bake> {
        self.seed.as_ref()?.bake.as_ref()
    }

    fn add_cloud_init_lines(&self, lines: &mut Vec<(u64, String)>) {
        let times = self.timeline();
        let mut say = |at: u64, text: &str| lines.push((at, text.to_owned()));
        if let Some(at) = times.network {
            say(at.saturating_sub(1_500), "cloud-init[512]: Cloud-init v. 24.4.1 running 'init-local'");
            say(at, "cloud-init[560]: Cloud-init v. 24.4.1 running 'init'");
            match self.global_addresses().first() {
                Some((_, address)) => say(at + 100, &format!("ci-info: |  eth0  | True | {address} | global |")),
                None if self.network_source().is_some_and(|seed| seed.nics.iter().any(|nic| nic.dhcp4)) => {
                    say(at + 100, "systemd-networkd-wait-online[520]: eth0: dhcp4 timed out");
                }
                None => say(at + 100, "ci-info: |  eth0  | False |  .  | . | . |"),
            }
        }
        if let Some(at) = times.packages {
            say(at, "cloud-init[801]: Cloud-init v. 24.4.1 running 'modules:final'");
            for package in self.missing_packages() {
                let text = if self.packages_reachable() { "Setting up" } else { "E: Unable to locate package" };
                say(at + 1_000, &format!("cloud-init[801]: {text} {package}"));
            }
        }
        for fault in &self.faults {
            if let (GuestFault::CloudInitFails { module, message }, Some(at)) = (fault, times.cloud_init_done) {
                say(
                    at.saturating_sub(500),
                    &format!("cloud-init[801]: [WARNING]: Running module {module} failed: {message}"),
                );
            }
        }
        if let Some(at) = times.cloud_init_done {
            say(at, "cloud-init[801]: Cloud-init v. 24.4.1 finished. Datasource DataSourceNoCloud [seed=/dev/sr0]");
        }
    }

    /// What appears between two moments (Unix milliseconds), the first excluded: lines end in CR LF as on a terminal.
    pub fn console_between(&self, from_ms: u64, until_ms: u64) -> String {
        let (from, until) = (self.elapsed(from_ms), self.elapsed(until_ms));
        let lines = self.console_lines();
        let rounds = self.boots_again_every_ms().map_or(0..=0, |every| from / every..=until / every);
        let every = self.boots_again_every_ms().unwrap_or(0);
        let all = rounds.flat_map(|round| lines.iter().map(move |(at, line)| (round * every + at, line)));
        all.filter(|(at, _)| *at > from && *at <= until).map(|(_, line)| format!("{line}\r\n")).collect()
    }

    /// SeaBIOS that finds nothing starts again after a second (PVE's `reboot-timeout=1000`), and so do cloud images
    /// after a panic.
    fn boots_again_every_ms(&self) -> Option<u64> {
        match (self.timeline().bootable, self.has(&GuestFault::KernelPanics)) {
            _ if self.has(&GuestFault::Starved) => None,
            (false, _) => Some(2_000),
            (true, true) => Some(4_500),
            (true, false) => None,
        }
    }

    /// What a reader sees that connects late, sends a newline and reads until `until_ms`: QEMU keeps nothing of before
    /// (observed §11), a getty that waits answers with its prompt.
    pub fn console_after_newline(&self, from_ms: u64, until_ms: u64) -> String {
        let mut text = self.console_between(from_ms, until_ms);
        let prompt = self.timeline().login_prompt.is_some_and(|at| self.elapsed(until_ms) >= at);
        if prompt && self.running(until_ms) == Running::Yes {
            let host = self.disk_at(until_ms).instance.map(|instance| instance.hostname).unwrap_or_default();
            text.push_str(&format!("\r\n{host} login: "));
        }
        if self.has(&GuestFault::EmergencyShell) && self.elapsed(until_ms) >= 6_000 {
            text.push_str(&format!("\r\nReloading system manager configuration.\r\n{EMERGENCY}\r\n"));
        }
        text
    }

    /// CPU seconds that the guest has used: a hanging boot burns them, an idle one does not.
    pub fn cpu_seconds(&self, now_ms: u64) -> u64 {
        let elapsed = self.elapsed(now_ms) / 1_000;
        if self.has(&GuestFault::Starved) {
            return elapsed / 300;
        }
        let busy = self.has(&GuestFault::BootHangs) || self.boots_again_every_ms().is_some();
        if busy { elapsed } else { elapsed.min(14) + elapsed / 50 }
    }
}
