//! Carries a plan out: over SSH, in order, watching what really happens.

pub mod schedule;
