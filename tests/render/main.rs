//! The same plans in every format, read by people as snapshots and held to rules by properties.

mod apply;
mod json;
mod samples;
mod scenarios;
mod text;
