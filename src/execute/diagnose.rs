//! Why a machine did not become ready: one sentence of cause from the evidence. Pure.

mod cause;

use std::net::IpAddr;
use std::path::PathBuf;

pub use cause::Cause;

use super::agent::CloudInitStatus;
use super::failure::{failure, last_lines};
use crate::model::ids::Vmid;
use crate::model::outcome::{Failure, Stage};
use crate::model::plan::ExpectedAddress;
use crate::remote::LoginAnswer;

/// What was seen while waiting, and what was asked when the time was up.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// `k8s-worker-2 (VM 104 on pve2)`.
    pub(super) subject: String,
    pub(super) vmid: Vmid,
    /// The last stage that was reached.
    pub(super) reached: Stage,
    /// Seconds since waiting began.
    pub(super) waited_s: u64,
    pub(super) mac: Option<String>,
    pub(super) bridge: Option<String>,
    pub(super) expected: ExpectedAddress,
    /// Reachable addresses that net0 has.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) running: bool,
    pub(super) agent_configured: bool,
    /// The agent's last words, when it did not answer.
    pub(super) agent_said: Option<String>,
    pub(super) cloud_init: Option<CloudInitStatus>,
    pub(super) login: Option<LoginAnswer>,
    /// How known_hosts names it.
    pub(super) known_as: Option<String>,
    /// The agent told no host keys: the first one seen is taken, and kept in this file.
    pub(super) accepts_first_key: bool,
    pub(super) known_hosts: Option<PathBuf>,
    /// Asked on the node at the end.
    pub(super) node: NodeEvidence,
}

/// What the node told when asked for evidence; empty when it could not be asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeEvidence {
    /// QEMU's own state: `running`, `paused`, `io-error`, `internal-error`.
    pub(super) qemu_status: Option<String>,
    pub(super) cpu_s: Option<f64>,
    /// The MAC was seen on the bridge.
    pub(super) mac_seen: Option<bool>,
    /// What the serial console showed after a newline.
    pub(super) console: Vec<String>,
    /// QEMU's or the start task's last lines.
    pub(super) qemu_log: Vec<String>,
}

/// CPU seconds below which a guest has hardly begun to boot.
const HARDLY_BOOTED_CPU_S: f64 = 3.0;

pub(super) fn diagnose(evidence: &Evidence) -> Failure {
    let cause = cause(evidence);
    let summary = format!("{} {}", evidence.subject, cause::what(cause, evidence));
    let mut failure = failure("not-ready", summary, cause::next(cause, evidence));
    failure.cause = Some(cause::why(cause, evidence));
    failure.evidence = lines(evidence);
    failure
}

/// The VM itself is at fault, whatever stage it had reached; else what the stage after the last one waits for.
fn cause(evidence: &Evidence) -> Cause {
    if let Some(cause) = vm_cause(evidence) {
        return cause;
    }
    match evidence.reached {
        Stage::Unknown | Stage::Absent | Stage::Stopped | Stage::Running => agent_cause(evidence),
        Stage::Agent => address_cause(evidence),
        Stage::Address => match &evidence.cloud_init {
            Some(CloudInitStatus::Failed(_)) => Cause::CloudInitFailed,
            Some(CloudInitStatus::Silent(_)) => Cause::AgentFails,
            Some(
                CloudInitStatus::Running
                | CloudInitStatus::Untold(_)
                | CloudInitStatus::Done
                | CloudInitStatus::Degraded(_),
            )
            | None => Cause::CloudInitRuns,
        },
        Stage::CloudInit | Stage::Port | Stage::Login => login_cause(evidence),
    }
}

fn vm_cause(evidence: &Evidence) -> Option<Cause> {
    if !evidence.running {
        return Some(Cause::Gone);
    }
    match evidence.node.qemu_status.as_deref()? {
        "running" => None,
        "io-error" => Some(Cause::IoError),
        "paused" | "suspended" | "prelaunch" => Some(Cause::Suspended),
        // It ended between two questions.
        "stopped" | "shutdown" => Some(Cause::Gone),
        _ => Some(Cause::QemuFault),
    }
}

fn agent_cause(evidence: &Evidence) -> Cause {
    if !evidence.agent_configured {
        return Cause::AgentNotConfigured;
    }
    let console = evidence.node.console.join("\n").to_lowercase();
    let shows = |words: &[&str]| words.iter().any(|word| console.contains(word));
    if shows(&["kernel panic"]) {
        Cause::KernelPanic
    } else if shows(&["emergency mode"]) {
        Cause::EmergencyShell
    } else if shows(&["no bootable device", "boot failed"]) {
        Cause::NothingToBoot
    } else if shows(&["login:"]) {
        Cause::AgentNotRunning
    } else if evidence.node.cpu_s.is_some_and(|cpu| cpu < HARDLY_BOOTED_CPU_S) {
        Cause::HardlyAnyCpu
    } else {
        Cause::StillBooting
    }
}

fn address_cause(evidence: &Evidence) -> Cause {
    if evidence.agent_said.is_some() {
        return Cause::AgentFails;
    }
    match (&evidence.expected, evidence.node.mac_seen) {
        (ExpectedAddress::Dhcp, Some(true)) => Cause::NoLease,
        (ExpectedAddress::Dhcp, Some(false)) => Cause::NothingSent,
        (ExpectedAddress::Dhcp, None) => Cause::NoAddress,
        (ExpectedAddress::Static(_), _) if evidence.addresses.is_empty() => Cause::AddressNotSet,
        (ExpectedAddress::Static(_), _) => Cause::OtherAddress,
    }
}

fn login_cause(evidence: &Evidence) -> Cause {
    match &evidence.login {
        Some(LoginAnswer::PortClosed { .. }) => Cause::PortClosed,
        Some(LoginAnswer::HostKeyChanged { .. }) if evidence.accepts_first_key => Cause::HostKeyChanged,
        Some(LoginAnswer::HostKeyChanged { .. }) => Cause::HostKeyOther,
        Some(LoginAnswer::KeyRefused { .. }) => Cause::KeyRefused,
        Some(LoginAnswer::Odd { .. }) => Cause::OddShell,
        Some(LoginAnswer::Ok | LoginAnswer::PortOk) | None => Cause::NotTried,
    }
}

fn lines(evidence: &Evidence) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(said) = &evidence.agent_said {
        lines.push(format!("guest agent: {said}"));
    }
    if evidence.running
        && let Some(cpu_s) = evidence.node.cpu_s
    {
        lines.push(format!("QEMU has used {cpu_s:.0} s of CPU time"));
    }
    if evidence.reached >= Stage::Agent && evidence.reached < Stage::Address {
        let has: Vec<String> = evidence.addresses.iter().map(IpAddr::to_string).collect();
        let has = if has.is_empty() { "no address".to_owned() } else { has.join(", ") };
        lines.push(format!("net0 {} has {has}", evidence.mac.as_deref().unwrap_or("(no MAC)")));
    }
    if let Some(CloudInitStatus::Failed(errors) | CloudInitStatus::Degraded(errors)) = &evidence.cloud_init {
        lines.extend(errors.iter().map(|error| format!("cloud-init: {error}")));
    }
    let tail = |label: &str, text: &[String]| {
        last_lines(text.iter().map(String::as_str), 5)
            .into_iter()
            .map(|line| format!("{label}: {line}"))
            .collect::<Vec<_>>()
    };
    lines.extend(tail("qemu", &evidence.node.qemu_log));
    lines.extend(tail("console", &evidence.node.console));
    lines
}

/// `45 s`, `5 min`, `4 min 51 s`.
pub(super) fn duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, 0) => format!("{m} min"),
        (m, s) => format!("{m} min {s} s"),
    }
}

#[cfg(test)]
mod tests;
