//! The executor against a scripted cluster, under simulated time.

mod fake;
mod faults;
mod order;
mod qm;
mod readiness;
mod setup;
