//! Errors for people: what, where, why, what to do next; and their exit code.

mod faults;
pub mod text;

use std::fmt;

pub use faults::{FAULTS, FaultInfo};

/// Exit codes, documented in `docs/ci.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success = 0,
    Failure = 1,
    Changes = 2,
    Interrupted = 130,
}

/// One error as it is printed: `error[id]: summary`, indented detail lines, `next:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable kebab-case id, listed in `docs/troubleshooting.md`.
    pub id: &'static str,
    pub summary: String,
    pub detail: Vec<String>,
    pub next: String,
}

impl Fault {
    pub fn new(id: &'static str, summary: impl Into<String>, next: impl Into<String>) -> Self {
        Self { id, summary: summary.into(), detail: Vec::new(), next: next.into() }
    }

    pub fn with_detail(mut self, line: impl Into<String>) -> Self {
        self.detail.push(line.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl std::error::Error for Fault {}
