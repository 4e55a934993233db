//! The same plans in every format, read by people as snapshots and held to rules by properties.

#![allow(clippy::unwrap_used, reason = "a sample that can not be made is a failed test")]

mod apply;
mod json;
mod observed;
mod samples;
mod saved;
mod scenarios;
mod text;
