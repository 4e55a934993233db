//! The causes that a diagnosis can name, and their words: what is wrong, why, what next. Pure.

use std::net::IpAddr;
use std::path::Path;

use super::{Evidence, duration};
use crate::execute::agent::CloudInitStatus;
use crate::model::plan::ExpectedAddress;
use crate::remote::LoginAnswer;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a machine did not become ready. The sandbox can show each (tests/execute/diagnosis.rs).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Cause { $($(#[$doc])* $name,)* }

        impl Cause {
            pub const ALL: &[Cause] = &[$(Cause::$name,)*];
        }
    };
}

causes! {
    /// Its QEMU process is not there any more.
    Gone,
    /// QEMU holds it still: its disk fails.
    IoError,
    /// Somebody suspended it.
    Suspended,
    /// QEMU's own fault, or a state that this version does not know.
    QemuFault,
    AgentNotConfigured,
    KernelPanic,
    EmergencyShell,
    NothingToBoot,
    /// The guest is up, the agent is not.
    AgentNotRunning,
    /// Its QEMU hardly gets to run.
    HardlyAnyCpu,
    StillBooting,
    /// It answered a ping, and not what it was asked then.
    AgentFails,
    /// The guest asks for an address, nobody answers.
    NoLease,
    /// The guest asks nobody.
    NothingSent,
    /// No address, and the node could not be asked for more.
    NoAddress,
    /// The declared address was not set.
    AddressNotSet,
    OtherAddress,
    CloudInitFailed,
    CloudInitRuns,
    PortClosed,
    /// Another host key than the guest agent told.
    HostKeyOther,
    /// Another host key than last time, and the agent tells none.
    HostKeyChanged,
    KeyRefused,
    OddShell,
    /// The time was up before a login was tried.
    NotTried,
}

/// What is wrong, for the first line.
pub(super) fn what(cause: Cause, evidence: &Evidence) -> String {
    let after = duration(evidence.waited_s);
    match cause {
        Cause::Gone => format!("stopped while it was waited for ({after})"),
        Cause::IoError | Cause::Suspended | Cause::QemuFault => {
            let status = evidence.node.qemu_status.as_deref().unwrap_or("held still");
            format!("is {status}, not running ({after})")
        }
        Cause::AgentNotConfigured
        | Cause::KernelPanic
        | Cause::EmergencyShell
        | Cause::NothingToBoot
        | Cause::AgentNotRunning
        | Cause::HardlyAnyCpu
        | Cause::StillBooting => format!("has no guest agent after {after}"),
        Cause::AgentFails => format!("has a guest agent that does not tell what it is asked, after {after}"),
        Cause::NoLease | Cause::NothingSent | Cause::NoAddress | Cause::AddressNotSet => {
            format!("has no address after {after}")
        }
        Cause::OtherAddress => format!("has another address than the manifest declares, after {after}"),
        Cause::CloudInitFailed => format!("failed in cloud-init after {after}"),
        Cause::CloudInitRuns => format!("is still in cloud-init after {after}"),
        Cause::PortClosed => format!("does not answer on its SSH port after {after}"),
        Cause::HostKeyOther | Cause::HostKeyChanged | Cause::KeyRefused | Cause::OddShell | Cause::NotTried => {
            format!("does not let us log in after {after}")
        }
    }
}

/// The one sentence of cause.
pub(super) fn why(cause: Cause, evidence: &Evidence) -> String {
    let mac = evidence.mac.as_deref().unwrap_or("its network card").to_uppercase();
    let bridge = evidence.bridge.as_deref().unwrap_or("its bridge");
    let said = login_words(evidence);
    match cause {
        Cause::Gone => "its QEMU process is gone: the guest powered itself off, crashed, or somebody stopped it".into(),
        Cause::IoError => "QEMU paused it for an I/O error: its storage is full or failing".into(),
        Cause::Suspended => "it is paused: somebody suspended it (`qm suspend`)".into(),
        Cause::QemuFault => "QEMU stopped it for a fault of its own or of the node's KVM".into(),
        Cause::AgentNotConfigured => {
            "the VM's config has no `agent: enabled=1`, so the node can't ask its guest".into()
        }
        Cause::KernelPanic => "the guest does not boot: its console shows a kernel panic".into(),
        Cause::EmergencyShell => "the guest does not boot: its console shows the emergency shell".into(),
        Cause::NothingToBoot => "the guest has nothing to boot from".into(),
        Cause::AgentNotRunning => {
            "the guest is up (its console asks for a login), but the agent does not run in it: it is not installed or not enabled"
                .into()
        }
        Cause::HardlyAnyCpu => {
            "the guest has hardly used any CPU: it hangs before its kernel starts, or the node is overloaded".into()
        }
        Cause::StillBooting => "the guest is still booting, or the agent is not installed in it".into(),
        Cause::AgentFails => {
            let said = evidence.agent_said.as_deref().unwrap_or("no answer");
            format!("the agent answered at first, and then not what it was asked: {said}")
        }
        Cause::NoLease => format!("no DHCP lease on {bridge}: {mac} is seen there, but no server answered it"),
        Cause::NothingSent => format!(
            "no DHCP lease on {bridge}: {mac} was never seen there, so the guest sends nothing or the VLAN is wrong"
        ),
        Cause::NoAddress => format!("no DHCP lease on {bridge} for {mac}; the node could not be asked for more"),
        Cause::AddressNotSet => format!(
            "cloud-init has not set {} on {mac}: the guest did not read its cloud-init drive, or still boots",
            declared(evidence)
        ),
        Cause::OtherAddress => {
            let has: Vec<String> = evidence.addresses.iter().map(IpAddr::to_string).collect();
            let declared = declared(evidence);
            format!("net0 has {}, not {declared}: something in the guest configures its network by itself", has.join(", "))
        }
        Cause::CloudInitFailed => cloud_init_error(evidence),
        Cause::CloudInitRuns => {
            "cloud-init has not finished: a package mirror that can't be reached is the usual reason".into()
        }
        Cause::PortClosed => format!(
            "nothing answers there: sshd does not run, or a firewall between here and the machine is in the way ({said})"
        ),
        Cause::HostKeyOther => format!(
            "its host key is not the one that the guest agent told: another machine answers at this address, or keys were made anew ({said})"
        ),
        Cause::HostKeyChanged => format!(
            "its host key is not the one that was seen there before, and its agent tells none: another machine answers at this address, or keys were made anew ({said})"
        ),
        Cause::KeyRefused => format!("it refused every key that was offered ({}): {said}", offered(evidence)),
        Cause::OddShell => format!("the login went through, but `echo ok` did not answer `ok`: {said}"),
        Cause::NotTried => "the time was up before the login could be tried".into(),
    }
}

/// What to do now.
pub(super) fn next(cause: Cause, evidence: &Evidence) -> String {
    let vmid = evidence.vmid;
    match cause {
        Cause::Gone => {
            "look at the lines above and at the VM's console, then run apply again: it starts the machine".into()
        }
        Cause::IoError => format!(
            "free space on its storage (`pvesm status`), go on with `qm resume {vmid}` on its node, then run apply again"
        ),
        Cause::Suspended => format!("go on with `qm resume {vmid}` on its node, then run apply again"),
        Cause::QemuFault => format!(
            "look at the node's journal, switch it off with `qm stop {vmid}` there, then run apply again: it starts the machine"
        ),
        Cause::AgentNotConfigured => {
            "run apply again: it sets the agent; the VM then needs a stop and a start".into()
        }
        Cause::KernelPanic | Cause::EmergencyShell => {
            "look at the VM's console; delete and re-create the machine with --replace".into()
        }
        Cause::NothingToBoot => "look at the template's disk; was the image a bootable one?".into(),
        Cause::AgentNotRunning => {
            "bake the template (`vm_template.bake`), or use an image that has qemu-guest-agent; then --replace the machine"
                .into()
        }
        Cause::HardlyAnyCpu => {
            "look at the VM's console and at the node's load; a longer readiness_check.timeout_seconds may do".into()
        }
        Cause::StillBooting | Cause::CloudInitRuns | Cause::NotTried => {
            "run apply again: it goes on waiting; or raise readiness_check.timeout_seconds".into()
        }
        Cause::AgentFails => {
            "look at the VM's console and, in the guest, at `systemctl status qemu-guest-agent`; then run apply again".into()
        }
        Cause::NoLease | Cause::NothingSent | Cause::NoAddress => {
            "look for that MAC on your DHCP server, or give the machine a static address; then run apply again".into()
        }
        Cause::AddressNotSet => {
            "look at /var/log/cloud-init.log in the guest; an image without cloud-init can't take a static address".into()
        }
        Cause::OtherAddress => {
            "look for DHCP or netplan settings of the image's own; or correct the manifest's address".into()
        }
        Cause::CloudInitFailed => {
            "look at /var/log/cloud-init.log in the guest; then --replace the machine".into()
        }
        Cause::PortClosed => "if this computer has no route to the machines, set readiness_check.ssh: via_node".into(),
        Cause::HostKeyOther => "look for a second machine with this address".into(),
        Cause::HostKeyChanged => format!(
            "look for a second machine with this address; if there is none: {}",
            forget(evidence.known_as.as_deref(), evidence.known_hosts.as_deref())
        ),
        Cause::KeyRefused => {
            "see that cloud_init.ssh_public_key belongs to readiness_check.ssh_private_key_path".into()
        }
        Cause::OddShell => "look at the user's shell and its start files in the guest".into(),
    }
}

fn declared(evidence: &Evidence) -> String {
    match &evidence.expected {
        ExpectedAddress::Static(cidr) => cidr.address.to_string(),
        ExpectedAddress::Dhcp => "an address".to_owned(),
    }
}

fn cloud_init_error(evidence: &Evidence) -> String {
    let Some(CloudInitStatus::Failed(errors)) = &evidence.cloud_init else {
        return "cloud-init reports an error".to_owned();
    };
    let first = errors.first().map_or("no details", String::as_str);
    let module = module(first).map(|module| format!(" in module {module}")).unwrap_or_default();
    format!("cloud-init reports an error{module}: {first}")
}

/// `('scripts_user', RuntimeError(…))` and `('runcmd', …)` name the module first.
fn module(error: &str) -> Option<&str> {
    error.trim_start().strip_prefix("('")?.split('\'').next()
}

/// ssh's own words at the last attempt.
fn login_words(evidence: &Evidence) -> &str {
    match &evidence.login {
        Some(
            LoginAnswer::PortClosed { detail }
            | LoginAnswer::HostKeyChanged { detail }
            | LoginAnswer::KeyRefused { detail, .. }
            | LoginAnswer::Odd { detail },
        ) => detail,
        Some(LoginAnswer::Ok | LoginAnswer::PortOk) | None => "",
    }
}

fn offered(evidence: &Evidence) -> String {
    match &evidence.login {
        Some(LoginAnswer::KeyRefused { offered, .. }) if !offered.is_empty() => offered.join(", "),
        _ => "none".to_owned(),
    }
}

/// The command that makes ssh forget what it saw at an address.
fn forget(known_as: Option<&str>, known_hosts: Option<&Path>) -> String {
    let file = known_hosts.map(|path| format!(" -f '{}'", path.display())).unwrap_or_default();
    format!("ssh-keygen -R '{}'{file}", known_as.unwrap_or("ADDRESS"))
}
