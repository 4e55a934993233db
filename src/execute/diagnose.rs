//! Why a machine did not become ready: one sentence of cause from the evidence. Pure.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::agent::CloudInitStatus;
use super::failure::{failure, last_lines};
use crate::model::outcome::{Failure, Stage};
use crate::model::plan::ExpectedAddress;
use crate::remote::LoginAnswer;

/// What was seen while waiting, and what was asked when the time was up.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// `k8s-worker-2 (VM 104 on pve2)`.
    pub(super) subject: String,
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
    let (what, cause, next) = reason(evidence);
    let mut failure = failure("not-ready", format!("{} {what}", evidence.subject), next);
    failure.cause = Some(cause);
    failure.evidence = lines(evidence);
    failure
}

type Reason = (String, String, String);

fn reason(evidence: &Evidence) -> Reason {
    let after = duration(evidence.waited_s);
    if let Some(reason) = vm_reason(evidence, &after) {
        return reason;
    }
    match evidence.reached {
        Stage::Unknown | Stage::Absent | Stage::Stopped | Stage::Running => agent_reason(evidence, &after),
        Stage::Agent => address_reason(evidence, &after),
        Stage::Address => cloud_init_reason(evidence, &after),
        Stage::CloudInit | Stage::Port | Stage::Login => login_reason(evidence, &after),
    }
}

/// The VM itself is at fault, whatever stage it had reached.
fn vm_reason(evidence: &Evidence, after: &str) -> Option<Reason> {
    if !evidence.running {
        return Some((
            format!("stopped while it was waited for ({after})"),
            "its QEMU process is gone: the guest powered itself off, crashed, or somebody stopped it".to_owned(),
            "look at the lines above and at the VM's console, then run apply again: it starts the machine".to_owned(),
        ));
    }
    let status = evidence.node.qemu_status.as_deref()?;
    let cause = match status {
        "io-error" => "QEMU paused it for an I/O error: its storage is full or failing",
        "paused" | "suspended" | "prelaunch" => "it is paused: somebody suspended it, or its storage has a fault",
        "internal-error" => "QEMU stopped it for an internal error",
        "guest-panicked" => "its kernel panicked",
        _ => return None,
    };
    let next = "free space on the storage (`pvesm status`), then `qm resume` the VM, and run apply again";
    Some((format!("is {status}, not running ({after})"), cause.to_owned(), next.to_owned()))
}

fn agent_reason(evidence: &Evidence, after: &str) -> Reason {
    let what = format!("has no guest agent after {after}");
    if !evidence.agent_configured {
        return (
            what,
            "the VM's config has no `agent: enabled=1`, so the node can't ask its guest".to_owned(),
            "run apply again: it sets the agent; the VM then needs a stop and a start".to_owned(),
        );
    }
    let console = evidence.node.console.join("\n").to_lowercase();
    let (cause, next) = if console.contains("kernel panic") || console.contains("emergency mode") {
        (
            "the guest does not boot: its console shows a kernel panic or the emergency shell",
            "look at the VM's console; delete and re-create the machine with --replace",
        )
    } else if console.contains("no bootable device") || console.contains("boot failed") {
        ("the guest has nothing to boot from", "look at the template's disk; was the image a bootable one?")
    } else if console.contains("login:") {
        (
            "the guest is up (its console asks for a login), but the agent does not run in it: it is not installed or not enabled",
            "bake the template (`vm_template.bake`), or use an image that has qemu-guest-agent; then --replace the machine",
        )
    } else if evidence.node.cpu_s.is_some_and(|cpu| cpu < HARDLY_BOOTED_CPU_S) {
        (
            "the guest has hardly used any CPU: it hangs before its kernel starts, or the node is overloaded",
            "look at the VM's console and at the node's load; a longer readiness_check.timeout_seconds may do",
        )
    } else {
        (
            "the guest is still booting, or the agent is not installed in it",
            "run apply again: it goes on waiting; or raise readiness_check.timeout_seconds",
        )
    };
    (what, cause.to_owned(), next.to_owned())
}

fn address_reason(evidence: &Evidence, after: &str) -> Reason {
    let mac = evidence.mac.as_deref().unwrap_or("its network card").to_uppercase();
    let bridge = evidence.bridge.as_deref().unwrap_or("its bridge");
    match &evidence.expected {
        ExpectedAddress::Dhcp => {
            let seen = match evidence.node.mac_seen {
                Some(true) => format!("no DHCP lease on {bridge}: {mac} is seen there, but no server answered it"),
                Some(false) => format!(
                    "no DHCP lease on {bridge}: {mac} was never seen there, so the guest sends nothing or the VLAN is wrong"
                ),
                None => format!("no DHCP lease on {bridge}"),
            };
            let next =
                "look for that MAC on your DHCP server, or give the machine a static address; then run apply again";
            (format!("has no address after {after}"), seen, next.to_owned())
        }
        ExpectedAddress::Static(cidr) if evidence.addresses.is_empty() => (
            format!("has no address after {after}"),
            format!(
                "cloud-init has not set {} on {mac}: the guest did not read its cloud-init drive, or still boots",
                cidr.address
            ),
            "look at /var/log/cloud-init.log in the guest; an image without cloud-init can't take a static address"
                .to_owned(),
        ),
        ExpectedAddress::Static(cidr) => {
            let has: Vec<String> = evidence.addresses.iter().map(IpAddr::to_string).collect();
            (
                format!("has another address than the manifest declares, after {after}"),
                format!(
                    "net0 has {}, not {}: something in the guest configures its network by itself",
                    has.join(", "),
                    cidr.address
                ),
                "look for DHCP or netplan settings of the image's own; or correct the manifest's address".to_owned(),
            )
        }
    }
}

fn cloud_init_reason(evidence: &Evidence, after: &str) -> Reason {
    match &evidence.cloud_init {
        Some(CloudInitStatus::Failed(errors)) => {
            let first = errors.first().map_or("no details", String::as_str);
            let module = module(first).map(|module| format!(" in module {module}")).unwrap_or_default();
            (
                format!("failed in cloud-init after {after}"),
                format!("cloud-init reports an error{module}: {first}"),
                "look at /var/log/cloud-init.log in the guest; then --replace the machine".to_owned(),
            )
        }
        Some(
            CloudInitStatus::Running
            | CloudInitStatus::Silent(_)
            | CloudInitStatus::Untold(_)
            | CloudInitStatus::Done
            | CloudInitStatus::Degraded(_),
        )
        | None => (
            format!("is still in cloud-init after {after}"),
            "cloud-init has not finished: a package mirror that can't be reached is the usual reason".to_owned(),
            "run apply again: it goes on waiting; or raise readiness_check.timeout_seconds".to_owned(),
        ),
    }
}

/// `('scripts_user', RuntimeError(…))` and `('runcmd', …)` name the module first.
fn module(error: &str) -> Option<&str> {
    error.trim_start().strip_prefix("('")?.split('\'').next()
}

fn login_reason(evidence: &Evidence, after: &str) -> Reason {
    let what = format!("does not let us log in after {after}");
    match &evidence.login {
        Some(LoginAnswer::PortClosed { detail }) => (
            format!("does not answer on its SSH port after {after}"),
            format!(
                "nothing answers there: sshd does not run, or a firewall between here and the machine is in the way ({detail})"
            ),
            "if this computer has no route to the machines, set readiness_check.ssh: via_node".to_owned(),
        ),
        Some(LoginAnswer::HostKeyChanged { detail }) if evidence.accepts_first_key => (
            what,
            format!(
                "its host key is not the one that was seen there before, and its agent tells none: another machine answers at this address, or keys were made anew ({detail})"
            ),
            format!(
                "look for a second machine with this address; if there is none: {}",
                forget(evidence.known_as.as_deref(), evidence.known_hosts.as_deref())
            ),
        ),
        Some(LoginAnswer::HostKeyChanged { detail }) => (
            what,
            format!(
                "its host key is not the one that the guest agent told: another machine answers at this address, or keys were made anew ({detail})"
            ),
            "look for a second machine with this address".to_owned(),
        ),
        Some(LoginAnswer::KeyRefused { offered, detail }) => (
            what,
            format!(
                "it refused every key that was offered ({}): {detail}",
                if offered.is_empty() { "none".to_owned() } else { offered.join(", ") }
            ),
            "see that cloud_init.ssh_public_key belongs to readiness_check.ssh_private_key_path".to_owned(),
        ),
        Some(LoginAnswer::Odd { detail }) => (
            what,
            format!("the login went through, but `echo ok` did not answer `ok`: {detail}"),
            "look at the user's shell and its start files in the guest".to_owned(),
        ),
        Some(LoginAnswer::Ok | LoginAnswer::PortOk) | None => (
            what,
            "the time was up before the login could be tried".to_owned(),
            "run apply again: it goes on waiting; or raise readiness_check.timeout_seconds".to_owned(),
        ),
    }
}

/// The command that makes ssh forget what it saw at an address.
fn forget(known_as: Option<&str>, known_hosts: Option<&Path>) -> String {
    let file = known_hosts.map(|path| format!(" -f '{}'", path.display())).unwrap_or_default();
    format!("ssh-keygen -R '{}'{file}", known_as.unwrap_or("ADDRESS"))
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
