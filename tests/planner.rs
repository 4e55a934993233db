//! The planner from outside: `plan()` over built clusters, by situation, and its properties over generated ones.
#![allow(clippy::unwrap_used, dead_code, reason = "builders for tests: a panic is a failed test")]

#[path = "planner/build.rs"]
mod build;
#[path = "planner/create.rs"]
mod create;
