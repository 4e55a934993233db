//! Every cause that a diagnosis can name is a fault of the sandbox, and a whole apply names it: one row each.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pvekube::execute::{ApplyOptions, Cause};
use pvekube::model::outcome::{Failure, Stage};
use pvekube::sandbox::guest::GuestFault;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::process::{Captured, Process};
use pvekube::sandbox::remote::{Conditions, Moment, Weather};
use pvekube::sandbox::tools;
use tokio::time::Instant;

use crate::cluster::{Applied, Cluster, KEY, ONE_WORKER, options};
use crate::diagnosis::{STATIC, failure};

/// How a cause is brought about, and what is said then.
struct Row {
    manifest: &'static str,
    faults: Vec<GuestFault>,
    /// Something that happens to the VM or the node beside it.
    beside: Beside,
    /// The time-out runs out so long after this stage, in seconds. (Without: as configured.)
    ends_after: Option<(Stage, u32)>,
    /// In the sentence of cause, and in no other row's.
    says: &'static str,
    /// In the evidence, the sentence or the advice.
    also: Vec<&'static str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// An administrator takes the agent out of the config right before the first start.
    AgentTakenOut,
    /// The node can't be asked for evidence.
    NodeSilentInTheEnd,
    /// It was ready once; then a known_hosts file has another key of it, and it starts again.
    AnotherKeyKnown,
}

fn guest(fault: GuestFault, says: &'static str) -> Row {
    let (beside, ends_after) = (Beside::Nothing, None);
    Row { manifest: ONE_WORKER, faults: vec![fault], beside, ends_after, says, also: Vec::new() }
}

/// One row for each cause: a new one does not compile without.
fn row(cause: Cause) -> Row {
    use GuestFault as Fault;
    match cause {
        Cause::Gone => Row {
            also: vec!["qemu: KVM: entry failed, hardware error 0x80000021", "qemu: kvm: terminating on a fault"],
            ..guest(Fault::Crashes, "QEMU process is gone")
        },
        Cause::IoError => {
            Row { also: vec!["pvesm status", "qm resume 100"], ..guest(Fault::IoError, "for an I/O error") }
        }
        Cause::Suspended => Row { also: vec!["qm resume 100"], ..guest(Fault::Suspended, "somebody suspended it") },
        Cause::QemuFault => {
            Row { also: vec!["internal-error"], ..guest(Fault::InternalError, "fault of its own or of the node's KVM") }
        }
        Cause::AgentNotConfigured => Row {
            faults: Vec::new(),
            beside: Beside::AgentTakenOut,
            ..guest(Fault::AgentSilent, "no `agent: enabled=1`")
        },
        Cause::KernelPanic => {
            Row { also: vec!["console: [    1.512200] Kernel panic"], ..guest(Fault::KernelPanics, "a kernel panic") }
        }
        Cause::EmergencyShell => Row {
            also: vec!["console: You are in emergency mode"],
            ..guest(Fault::EmergencyShell, "the emergency shell")
        },
        Cause::NothingToBoot => Row {
            also: vec!["console: No bootable device.", "was the image a bootable one"],
            ..guest(Fault::Unbootable, "nothing to boot from")
        },
        Cause::AgentNotRunning => Row {
            also: vec!["console: k8s-worker-1 login:", "not installed or not enabled"],
            ..guest(Fault::AgentSilent, "its console asks for a login")
        },
        Cause::HardlyAnyCpu => {
            Row { also: vec!["QEMU has used 1 s of CPU time"], ..guest(Fault::Starved, "hardly used any CPU") }
        }
        Cause::StillBooting => guest(Fault::BootHangs, "the guest is still booting"),
        Cause::AgentFails => Row {
            also: vec!["GenericError The command guest-network-get-interfaces has failed"],
            ..guest(Fault::AgentError, "answered at first")
        },
        Cause::NoLease => Row {
            also: vec!["no DHCP lease on vmbr0: BC:24:11:", "net0 bc:24:11:"],
            ..guest(Fault::NoLease, "is seen there, but no server answered it")
        },
        Cause::NothingSent => {
            Row { also: vec!["no DHCP lease on vmbr0: BC:24:11:"], ..guest(Fault::NicSilent, "was never seen there") }
        }
        Cause::NoAddress => {
            Row { beside: Beside::NodeSilentInTheEnd, ..guest(Fault::NicSilent, "could not be asked for more") }
        }
        Cause::AddressNotSet => Row {
            manifest: STATIC,
            also: vec!["has not set 10.0.0.31 on BC:24:11:"],
            ..guest(Fault::NicSilent, "did not read its cloud-init drive")
        },
        Cause::OtherAddress => Row {
            manifest: STATIC,
            also: vec!["net0 has 10.0.0.81, not 10.0.0.31"],
            ..guest(Fault::OtherAddress, "configures its network by itself")
        },
        Cause::CloudInitFailed => {
            let fault = Fault::CloudInitFails { module: "runcmd".into(), message: "exit status 1".into() };
            Row { also: vec!["in module runcmd", "exit status 1"], ..guest(fault, "cloud-init reports an error") }
        }
        Cause::CloudInitRuns => {
            Row { ends_after: Some((Stage::Address, 10)), ..guest(Fault::SlowBoot, "cloud-init has not finished") }
        }
        Cause::PortClosed => Row {
            also: vec!["Connection refused", "via_node"],
            ..guest(Fault::PortClosed, "nothing answers there: sshd does not run")
        },
        Cause::HostKeyOther => guest(Fault::HostKeyChanged, "host key is not the one that the guest agent told"),
        Cause::HostKeyChanged => Row {
            manifest: STATIC,
            beside: Beside::AnotherKeyKnown,
            also: vec!["ssh-keygen -R '10.0.0.31' -f '"],
            ..guest(Fault::ExecForbidden, "host key is not the one that was seen there before")
        },
        Cause::KeyRefused => Row { also: vec![KEY], ..guest(Fault::KeyRefused, "refused every key that was offered") },
        Cause::OddShell => Row {
            also: vec!["This account is currently not available."],
            ..guest(Fault::OddShell, "did not answer `ok`")
        },
        Cause::NotTried => Row {
            ends_after: Some((Stage::CloudInit, 7)),
            ..guest(Fault::ExecForbidden, "before the login could be tried")
        },
    }
}

/// What an administrator does, or what befalls the node, at the VM's first start.
#[derive(Debug)]
struct AtTheStart {
    takes_agent_out: bool,
    /// Seconds after the start from which on the node's answers to questions are lost.
    silent_after_s: Option<u64>,
    started: Mutex<Option<Instant>>,
}

impl Conditions for AtTheStart {
    fn weather(&self, _: &str, request: &'static str) -> Weather {
        let started = *self.started.lock().unwrap();
        let silent = self.silent_after_s.zip(started).is_some_and(|(s, at)| at.elapsed() > Duration::from_secs(s));
        if silent && request == "probe" { Weather::Refused } else { Weather::Fair }
    }

    fn program(&self, node: &SandboxNode, argv: &[String], moment: Moment) {
        if moment != Moment::Before || argv[..2] != ["qm", "start"] || argv[2] != "100" {
            return;
        }
        *self.started.lock().unwrap() = Some(Instant::now());
        if self.takes_agent_out {
            let text = node.read_text(&node.conf_path(100)).unwrap();
            let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("agent:")).collect();
            node.pve_write(&node.conf_path(100), kept.join("\n") + "\n").unwrap();
        }
    }
}

fn cluster(row: &Row) -> Cluster {
    let mut cluster = Cluster::new(row.manifest);
    let faults = row.faults.iter().cloned().collect();
    cluster.world.change_faults(|all| drop(all.guests.insert("k8s-worker-1".into(), faults))).unwrap();
    let timeout_s = u64::from(cluster.desired.readiness.timeout_s);
    let conditions = AtTheStart {
        takes_agent_out: row.beside == Beside::AgentTakenOut,
        silent_after_s: (row.beside == Beside::NodeSilentInTheEnd).then_some(timeout_s - 5),
        started: Mutex::default(),
    };
    cluster = cluster.with_conditions(Arc::new(conditions));
    cluster
}

/// Seconds from a machine's start until it reached a stage: the same in every world that begins alike.
async fn seconds_until(row: &Row, stage: Stage) -> u32 {
    let applied = cluster(row).apply().await;
    let stages = &applied.outcome.machines[0].stages_s;
    (stages[&stage] - stages[&Stage::Running]).ceil() as u32
}

async fn fails(row: &Row, known_hosts: &Path) -> Applied {
    let mut cluster = cluster(row);
    if let Some((stage, later_s)) = row.ends_after {
        cluster.desired.readiness.timeout_s = seconds_until(row, stage).await + later_s;
    }
    let options = ApplyOptions { known_hosts: Some(known_hosts.to_owned()), ..options() };
    let first = cluster.apply_with(options.clone()).await;
    if row.beside != Beside::AnotherKeyKnown {
        return first;
    }
    assert!(first.outcome.is_success(), "{}", first.failures());
    std::fs::write(known_hosts, "10.0.0.31 ssh-ed25519 AAAAanother\n").unwrap();
    let (_, out) = Captured::new();
    tools::run(&cluster.world.node("pve1").unwrap(), &Process::new(["qm", "stop", "100"], out)).await;
    cluster.apply_with(options).await
}

fn whole(failure: &Failure) -> String {
    let cause = failure.cause.iter();
    cause
        .chain(&failure.evidence)
        .chain([&failure.summary, &failure.next])
        .fold(String::new(), |all, text| all + text + "\n")
}

#[tokio::test(start_paused = true)]
async fn every_cause_is_a_fault_that_an_apply_names() {
    let folder = tempfile::tempdir().unwrap();
    for cause in Cause::ALL.iter().copied() {
        let row_of_cause = row(cause);
        let applied = fails(&row_of_cause, &folder.path().join(format!("{cause:?}"))).await;
        let failure = failure(&applied);
        let sentence = failure.cause.as_deref().unwrap_or_default();
        assert_eq!(failure.id, "not-ready", "{cause:?}: {failure:#?}");
        assert!(failure.summary.starts_with("k8s-worker-1 (VM 100 on pve1) "), "{failure:#?}");
        for other in Cause::ALL.iter().copied() {
            assert_eq!(sentence.contains(row(other).says), other == cause, "{cause:?}, {other:?}: {failure:#?}");
        }
        for words in row_of_cause.also {
            assert!(whole(failure).contains(words), "{cause:?}: {words:?} in {failure:#?}");
        }
        assert!(!failure.next.is_empty() && !applied.outcome.machines[0].ready);
    }
}
