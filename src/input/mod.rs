//! Files → `Desired`, or all the problems at once.
pub mod edit;
