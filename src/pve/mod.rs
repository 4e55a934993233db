//! What Proxmox VE's files and tools look like, pure: grammars, and argument lists built from the plan's actions.
//!
//! Facts come from the sources and from running nodes; `contract` and `observed` in the comments name the notes that
//! the project was built from, `[set/id]` a recorded command (`tests/fixtures/pve`).

pub mod checksums;
pub mod cloud_init;
pub mod cluster_cfg;
pub mod commands;
pub mod conf;
pub mod errors;
pub mod members;
pub mod property;
pub mod report;
pub mod rrd;
pub mod section_config;
pub mod size;
pub mod sshkeys;
pub mod storage_cfg;
