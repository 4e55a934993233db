//! One detached operation from its start to its end, and what its output says when it went wrong.
//!
//! The exit code and the log are evidence, never the judgement: `qm` exits 0 on some failures, and an operation may be
//! lost to a reboot. Whoever runs one reads the state afterwards.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::failure::{StepError, failure, last_lines, unreachable};
use super::follower::News;
use super::interrupt::{Interrupt, reached};
use super::progress::{copied, percent, without_clock};
use super::run::StepRun;
use crate::model::ids::OperationName;
use crate::model::outcome::Failure;
use crate::pve::errors;
use crate::pve::report::log_tail;
use crate::remote::{Operation, Probe, Remote, Work};

/// Lines of an operation's log that go into a report.
const EVIDENCE_LINES: usize = 8;
/// Lines read for it: a copy prints a hundred lines of progress behind the one that matters.
pub(super) const EVIDENCE_READ: u32 = 400;
/// Characters of a console line that are shown while a template is baked.
const BAKE_WIDTH: usize = 60;
/// How long a lock of PVE's own may stand in the way before the step fails: PVE's own time-outs are 1 to 60 s.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// An operation that is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: OperationName,
    /// `None`: its process was gone without an exit code (killed, node rebooted).
    pub(super) exit: Option<i32>,
    /// Its log's last lines; read when `exit` is not 0, and by `explained`.
    pub(super) log: Vec<String>,
    /// The command line for people.
    pub(super) command: String,
}

impl Ended {
    /// `qm` says that it never got a lock: nothing was begun (observed §5).
    pub(super) fn lock_timeout(&self) -> bool {
        self.log.iter().any(|line| {
            line.contains("got timeout") && line.contains("can't lock file")
                || line.contains("got lock request timeout")
        })
    }

    /// A VM that the command needs (a clone's template) is being backed up: nothing was begun.
    pub(super) fn backup_in_the_way(&self) -> bool {
        self.log.iter().any(|line| line.contains("VM is locked (backup)"))
    }

    /// The file was changed by somebody else between our read and the `qm set`.
    pub(super) fn checksum_mismatch(&self) -> bool {
        self.log.iter().any(|line| line.contains("checksum mismatch"))
    }

    /// A failure with the last lines of the log as evidence.
    pub(super) fn failure(&self, id: &str, summary: impl Into<String>, next: impl Into<String>) -> Failure {
        let mut failure = failure(id, summary, next);
        failure.evidence = last_lines(self.log.iter().map(String::as_str), EVIDENCE_LINES);
        failure.command = Some(self.command.clone());
        if self.exit.is_none() {
            failure.cause = Some("its process on the node is gone: killed, or the node was restarted".to_owned());
        } else if let Some(trouble) = errors::classify(self.log.iter().map(String::as_str)) {
            failure.cause = Some(trouble.to_string());
            failure.next = trouble.next().to_owned();
        }
        failure
    }
}

impl<R: Remote> StepRun<R> {
    /// `qm ARGS…` as an operation, named after `verb`.
    pub(super) async fn qm(&self, verb: &str, args: Vec<String>) -> Result<Ended, StepError> {
        self.operate(verb, Work::Qm { args }, Vec::new()).await
    }

    /// Starts an operation and follows it to its end.
    pub(super) async fn operate(
        &self,
        verb: &str,
        work: Work,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<Ended, StepError> {
        let nonce = self.run.random.hex(8);
        let name = OperationName::new(format!("{}-{}-{verb}-{nonce}", self.run.cluster, self.step.vmid));
        let command = work.command_line();
        let operation = Operation { name, work, files };
        self.node.start(&operation).await?;
        let exit = self.follow(&operation.name, verb).await?;
        let log = if exit == Some(0) { Vec::new() } else { self.log(&operation.name, EVIDENCE_READ).await? };
        Ok(Ended { name: operation.name, exit, log, command })
    }

    /// Waits for the end of an operation that runs: its exit code, or `None` when it is lost.
    pub(super) async fn follow(&self, name: &OperationName, verb: &str) -> Result<Option<i32>, StepError> {
        let mut news = self.node.follower.operation(name);
        loop {
            match news.recv().await {
                Some(News::Line(line)) => self.tell_progress(verb, &line),
                Some(News::Exited(exit)) => return Ok(Some(exit)),
                Some(News::Lost) => return Ok(None),
                Some(News::Gone(error)) => {
                    let mut failure = unreachable(&error);
                    failure.cause =
                        Some(format!("the {verb} may still run on the node; the next apply finds it there"));
                    return Err(failure.into());
                }
                None => return Err(StepError::LeftRunning),
            }
        }
    }

    /// With its log, when it did not do its work and exited 0 all the same: `qm disk resize` and `qm template` say only there
    /// what was wrong, be it a lock that they did not get (contract §0.1).
    pub(super) async fn explained(&self, ended: Ended) -> Result<Ended, StepError> {
        if ended.exit != Some(0) {
            return Ok(ended);
        }
        let log = self.log(&ended.name, EVIDENCE_READ).await?;
        Ok(Ended { log, ..ended })
    }

    /// Removes the folder of an operation whose effect has been verified. A node that can't be asked keeps it until the
    /// next run, which knows it as finished.
    pub(super) async fn settle(&self, ended: &Ended) {
        if let Err(error) = self.node.forget(&ended.name).await {
            self.run.events.notice(format!("operation {} stays in its folder: {error}", ended.name));
        }
    }

    /// The last lines of an operation's log.
    pub(super) async fn log(&self, name: &OperationName, lines: u32) -> Result<Vec<String>, StepError> {
        let answer = self.node.probe(&Probe::Operation { name: name.clone(), lines }).await?;
        Ok(super::read_back::operation_log(&answer))
    }

    /// Waits before a retry, unless an interrupt comes or the patience since `since` is used up (false).
    pub(super) async fn pause(&self, attempt: u32, since: Instant) -> bool {
        let pause = Duration::from_secs_f64(f64::from(2u32.pow(attempt.min(4))) * self.run.random.jitter());
        if since.elapsed() + pause > LOCK_PATIENCE {
            return false;
        }
        tokio::select! {
            biased;
            () = sleep(pause) => true,
            () = reached(&self.run.interrupt, Interrupt::Finish) => false,
        }
    }

    fn tell_progress(&self, verb: &str, line: &str) {
        let line = log_tail(line.as_bytes()).pop().unwrap_or_default();
        if verb == "bake" {
            self.progress(
                format!("baking: {}", without_clock(&line).chars().take(BAKE_WIDTH).collect::<String>()),
                None,
            );
            return;
        }
        let text = match (copied(&line), doing(verb)) {
            (Some(copied), Some(doing)) => format!("{doing}, {copied}"),
            (None, Some(doing)) => doing.to_owned(),
            (_, None) => return,
        };
        if let Some(percent) = percent(&line) {
            self.progress(text, Some(percent));
        }
    }
}

/// The word for a long copy, whose percentage is worth showing.
fn doing(verb: &str) -> Option<&'static str> {
    match verb {
        "clone" => Some("cloning"),
        "import" => Some("importing the image"),
        "fetch" => Some("downloading the image"),
        _ => None,
    }
}
