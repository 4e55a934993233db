//! pvekube makes a Proxmox VE cluster hold exactly the Kubernetes VMs that a git-tracked manifest asks for.
//!
//! ```text
//! cluster.yaml ─ input ─> Desired ──┐
//! config.yaml  ─┘                   ├─ planner::plan ─> Plan ─┬─ render ─> ui (stdout)
//! nodes ─ Remote ─ observe ─> Observed ┘      (pure)          └─ execute ─ Remote ─> nodes
//! ```
//!
//! Imports go down only; `tests/layers.rs` holds the table of `docs/architecture.md`.

pub mod cli;
pub mod commands;
pub mod error;
pub mod execute;
pub mod image;
pub mod input;
pub mod inventory;
pub mod model;
pub mod observe;
pub mod planner;
pub mod pve;
pub mod remote;
pub mod render;
pub mod sandbox;
pub mod ui;
