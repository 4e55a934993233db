//! The same plans in every format, read by people as snapshots and held to rules by properties.

#![allow(clippy::unwrap_used, reason = "a sample that can not be made is a failed test")]

mod apply;
#[allow(dead_code, unused_imports, reason = "builders shared with the planner's tests")]
#[path = "../planner/build.rs"]
mod build;
mod everyday;
mod formats;
mod inventory;
mod json;
mod observed;
mod odd_text;
mod planned;
mod samples;
mod saved;
mod scenarios;
mod text;
