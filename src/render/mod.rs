//! `Plan` and the rest as text, JSON and markdown: pure functions to strings.
//!
//! Every text function takes a [`Look`] (how wide, coloured or not) and gives the same characters with and without
//! colour. Nothing here prints (`ui` does) and nothing decides (`planner` did).

pub mod answered;
pub mod checks;
pub mod digest;
pub mod explain;
mod failure;
pub mod fault;
pub mod github;
pub mod json;
pub mod layout;
pub mod line;
pub mod markdown;
pub mod observation;
pub mod outcome;
pub mod progress;
pub mod saved;
pub mod status;
pub mod steps;
pub mod text;
pub mod timeline;
pub mod values;

pub use line::Look;
