//! Runs a plan: scheduler, locks, operations, read-back, readiness. Decides nothing that the plan has not decided.
