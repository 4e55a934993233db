//! Whole applies in the sandbox, in memory and simulated time: what was planned is there afterwards, and planning again
//! finds nothing to do; whatever is cut off in the middle, the next apply converges.
#![allow(clippy::unwrap_used, reason = "tests: a panic is a failed test")]

#[path = "execute/apply.rs"]
mod apply;
#[path = "execute/causes.rs"]
mod causes;
#[path = "execute/changes.rs"]
mod changes;
#[path = "execute/chaos.rs"]
mod chaos;
#[path = "execute/cluster.rs"]
mod cluster;
#[path = "execute/crash.rs"]
mod crash;
#[path = "execute/diagnosis.rs"]
mod diagnosis;
#[path = "execute/fields.rs"]
mod fields;
#[path = "execute/found.rs"]
mod found;
