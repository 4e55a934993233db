//! The planner from outside: `plan()` over built clusters, by situation, and its properties over generated ones.
#![allow(clippy::unwrap_used, reason = "builders for tests: a panic is a failed test")]

mod blind;
mod build;
mod changes;
mod checker;
mod create;
mod docs;
mod generate;
mod images;
mod model;
mod nodes;
mod places;
mod power;
mod properties;
mod removal;
mod resume;
mod sound;
mod templates;
