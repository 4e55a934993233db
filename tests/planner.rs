//! The planner from outside: `plan()` over built clusters, by situation, and its properties over generated ones.
#![allow(clippy::unwrap_used, reason = "builders for tests: a panic is a failed test")]

#[path = "planner/blind.rs"]
mod blind;
#[path = "planner/build.rs"]
mod build;
#[path = "planner/changes.rs"]
mod changes;
#[path = "planner/checker.rs"]
mod checker;
#[path = "planner/create.rs"]
mod create;
#[path = "planner/docs.rs"]
mod docs;
#[path = "planner/generate.rs"]
mod generate;
#[path = "planner/model.rs"]
mod model;
#[path = "planner/places.rs"]
mod places;
#[path = "planner/properties.rs"]
mod properties;
#[path = "planner/removal.rs"]
mod removal;
#[path = "planner/templates.rs"]
mod templates;
