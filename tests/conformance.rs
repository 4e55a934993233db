//! The sandbox against recordings of real Proxmox VE nodes: every recorded command is run again, file by file in its
//! order, and must answer alike: exit code, text, JSON, config files (`tests/fixtures/transcripts`, README there).
//!
//! What is not replayed is listed with a reason in `not-replayed.tsv`; the list and the count are `docs/sandbox.md`'s
//! beginning. `UPDATE_DOCS=1` writes it; N may only grow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "conformance/between.rs"]
mod between;
#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/idioms.rs"]
mod idioms;
#[path = "conformance/programs.rs"]
mod programs;
#[path = "conformance/recorded.rs"]
mod recorded;
#[path = "conformance/replay.rs"]
mod replay;
#[path = "conformance/report.rs"]
mod report;
#[path = "conformance/shell.rs"]
mod shell;
#[path = "conformance/traps.rs"]
mod traps;
#[path = "conformance/words.rs"]
mod words;

/// Runs every file; files that share a world follow one another.
#[tokio::test(start_paused = true)]
async fn recorded_commands_answer_as_they_did() {
    let mut outcomes = Vec::new();
    for world in replay::worlds() {
        outcomes.extend(replay::run(&world).await);
    }
    report::check(&outcomes);
}
