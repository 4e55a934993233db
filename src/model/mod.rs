//! Plain data that every layer speaks: what is wanted, what was seen, what will be done, what came of it.
//!
//! Nothing here decides, reads or prints; `planner` decides, `observe` and `execute` do IO, `render` prints.

pub mod desired;
pub mod ids;
pub mod mark;
pub mod observed;
pub mod outcome;
pub mod plan;
pub mod vm_config;
