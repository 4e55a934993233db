//! The state of one VM, read from its files after every change: what decides whether a step succeeded.

use std::time::Duration;

use tokio::time::sleep;

use super::diagnose::NodeEvidence;
use super::failure::{StepError, failure};
use super::run::StepRun;
use crate::model::ids::PveName;
use crate::model::mark::Mark;
use crate::model::observed::OperationSeen;
use crate::model::outcome::Failure;
use crate::model::vm_config::VmConfig;
use crate::pve::property::{Properties, boolean};
use crate::pve::report::{Mount, ReportError, VmReport, parse_vm};
use crate::remote::{Answer, Probe, Remote};

/// A config that is written to just while it is read is read again, this often.
pub(super) const TORN_READS: u32 = 10;

/// One VM as its node shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// `None`: there is no such VM.
    pub(super) config: Option<VmConfig>,
    /// Its config lies on another node than the step's: it was migrated.
    pub(super) elsewhere: Option<PveName>,
    pub(super) running: bool,
    pub(super) operations: Vec<OperationSeen>,
}

impl Seen {
    /// The config, if it carries this mark: the same cluster, the same machine or template, its own VMID. (The image and
    /// recipe in a mark say where the disk came from, not whose it is.)
    pub(super) fn marked(&self, mark: &Mark, subject: &str) -> Result<&VmConfig, Box<Failure>> {
        let next = "run plan to see what is there now";
        let Some(config) = &self.config else {
            return Err(failure("vm-gone", format!("{subject} does not exist any more"), next).into());
        };
        if let Some(node) = &self.elsewhere {
            let next = "run apply again: it plans with the VM where it is now";
            return Err(failure("vm-moved", format!("{subject} is on {node} now; nothing was done to it"), next).into());
        }
        match Mark::find(&config.description) {
            Some(found)
                if found.cluster == mark.cluster && found.subject == mark.subject && found.vmid == mark.vmid =>
            {
                Ok(config)
            }
            found => {
                let name = config.get("name").unwrap_or("no name");
                let mut failure = failure(
                    "not-ours",
                    format!("{subject} is not marked as ours (any more); nothing was done to it"),
                    next,
                );
                failure.evidence.push(match found {
                    Some(found) => format!("VM {} ({name}) is marked: {found}", mark.vmid),
                    None => format!("VM {} ({name}) has no mark of pvekube in its description", mark.vmid),
                });
                Err(failure.into())
            }
        }
    }

    pub(super) fn live_operation(&self) -> Option<&OperationSeen> {
        self.operations.iter().find(|operation| operation.live)
    }
}

impl<R: Remote> StepRun<R> {
    /// The step's VM as it is now. A read that a writer tore is made again.
    pub(super) async fn read_back(&self) -> Result<Seen, StepError> {
        let next = "run apply again";
        let unreadable = |why: String| {
            failure("unreadable", format!("{}: its state could not be read: {why}", self.subject()), next)
        };
        let mut why = String::new();
        for _ in 0..TORN_READS {
            let answer = self.home.probe(&Probe::Vm { vmid: self.step.vmid }).await?;
            let report = match nonce(&answer.stdout).map(|nonce| parse_vm(&nonce, self.step.vmid, &answer.stdout)) {
                Some(Ok(report)) => report,
                Some(Err(ReportError::Incomplete(torn))) => {
                    why = torn;
                    sleep(Duration::from_millis(500)).await;
                    continue;
                }
                Some(Err(ReportError::Odd(odd))) => return Err(unreadable(odd).into()),
                None => return Err(unreadable("the answer has no beginning".to_owned()).into()),
            };
            match report.mount {
                Mount::Mounted { .. } => {}
                Mount::Unmounted | Mount::Absent => {
                    return Err(unreadable("/etc/pve is not mounted (pve-cluster.service)".to_owned()).into());
                }
            }
            return self.seen(report).map_err(|why| unreadable(why).into());
        }
        Err(unreadable(why).into())
    }

    fn seen(&self, report: VmReport) -> Result<Seen, String> {
        let Some(found) = report.seen else {
            return Ok(Seen { config: None, elsewhere: None, running: report.running, operations: report.operations });
        };
        let here = self.run.observed.facts(self.home.name()).map(|facts| &facts.pve_name);
        let elsewhere = (here != Some(&found.node)).then_some(found.node);
        Ok(Seen { config: Some(found.config?), elsewhere, running: report.running, operations: report.operations })
    }
}

/// The nonce of an answer, from its first header.
pub(super) fn nonce(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let header = text.lines().find(|line| line.starts_with("@@") && line.contains(" begin"))?;
    header.strip_prefix("@@")?.split(' ').next().map(str::to_owned)
}

/// Whether the node can ask the guest's agent at all.
pub(super) fn agent_enabled(config: &VmConfig) -> bool {
    let Some(text) = config.get("agent") else { return false };
    let enabled = Properties::parse(text, Some("enabled")).ok().and_then(|agent| boolean(agent.get("enabled")?));
    enabled.unwrap_or(false)
}

/// The log in an answer to `Probe::Operation`: what follows the line `log`.
pub(super) fn operation_log(answer: &Answer) -> Vec<String> {
    let text = String::from_utf8_lossy(&answer.stdout);
    let log = text.split_once("\nlog\n").map_or("", |(_, log)| log);
    log.split(['\n', '\r']).map(str::to_owned).collect()
}

/// The answer to `Probe::Diagnose`: `KEY VALUE` lines, then `console` and what it showed.
pub(super) fn node_evidence(answer: &Answer, mac_asked: bool) -> NodeEvidence {
    let text = String::from_utf8_lossy(&answer.stdout);
    let mut evidence = NodeEvidence::default();
    let mut lines = text.lines();
    let mut mac_seen = false;
    for line in lines.by_ref() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("console", _) => break,
            ("status", status) => evidence.qemu_status = Some(status.trim().to_owned()),
            ("cpu", seconds) => evidence.cpu_s = seconds.trim().parse().ok(),
            ("neighbour" | "seen", _) => mac_seen = true,
            ("qemu-log", line) => evidence.qemu_log.push(line.to_owned()),
            _ => {}
        }
    }
    evidence.mac_seen = mac_asked.then_some(mac_seen);
    evidence.console = lines.map(str::to_owned).collect();
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_a_node_and_an_operations_log() {
        let answer = |text: &str| Answer { exit: 0, stdout: text.as_bytes().to_vec(), stderr: vec![] };
        let text = "qemu running\ncpu 12\nseen bc:24:11:0c:55:7f dev tap104i0\nconsole\n\nk8s-worker-2 login: ";
        let evidence = node_evidence(&answer(text), true);
        assert_eq!((evidence.cpu_s, evidence.mac_seen), (Some(12.0), Some(true)));
        assert_eq!(evidence.console, ["", "k8s-worker-2 login: "]);
        assert_eq!(operation_log(&answer("exit 255\nlive no\nlog\na\rb\nc")), ["a", "b", "c"]);
        assert!(operation_log(&answer("absent\n")).concat().is_empty());
    }
}
