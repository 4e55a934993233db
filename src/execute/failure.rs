//! Failures of steps: what, where, why, what next.

use crate::model::outcome::Failure;
use crate::remote::{RemoteError, RemoteErrorKind};

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum StepError {
    Failed(Box<Failure>),
    /// Its operation goes on on the node; the next run attaches.
    LeftRunning,
    /// An interrupt or a lost lock came before it touched anything.
    NotStarted,
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        StepError::Failed(Box::new(failure))
    }
}

/// A failure without evidence yet; node and command are filled in where they are known.
pub(super) fn failure(id: &str, summary: impl Into<String>, next: impl Into<String>) -> Failure {
    Failure {
        id: id.to_owned(),
        summary: summary.into(),
        evidence: Vec::new(),
        cause: None,
        next: next.into(),
        node: None,
        command: None,
    }
}

/// A node that could not be asked, in the transport's own words.
pub(super) fn unreachable(error: &RemoteError) -> Failure {
    let id = match error.kind {
        RemoteErrorKind::Unreachable => "node-unreachable",
        RemoteErrorKind::NotStarted | RemoteErrorKind::Unknown => "connection-lost",
        RemoteErrorKind::Refused => "node-refused",
    };
    let mut failure = failure(id, format!("{}: {}", error.node, error.sentence), error.hint.clone());
    failure.evidence = error.detail.lines().map(str::to_owned).collect();
    failure.node = Some(error.node.clone());
    failure
}

impl From<Box<Failure>> for StepError {
    fn from(failure: Box<Failure>) -> Self {
        StepError::Failed(failure)
    }
}

impl From<RemoteError> for StepError {
    fn from(error: RemoteError) -> Self {
        unreachable(&error).into()
    }
}

/// Evidence from a command's output: its last lines without progress, blank lines and control characters.
pub(super) fn last_lines<'a>(text: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = text
        .into_iter()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>().trim_end().to_owned())
        .filter(|line| !line.is_empty() && !is_progress(line))
        .collect();
    lines.drain(..lines.len().saturating_sub(count));
    lines
}

fn is_progress(line: &str) -> bool {
    line.starts_with("transferred ") && line.ends_with("%)")
}
