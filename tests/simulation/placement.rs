//! P7, by the planner tests' independent judge.

#[path = "../planner/checker.rs"]
mod checker;

pub use checker::check;
use pvekube::model::desired::Desired;
use pvekube::model::observed::Observed;

pub struct Case {
    pub desired: Desired,
    pub observed: Observed,
}

/// The judge looks for them beside itself.
mod build {
    pub const GIB: u64 = 1 << 30;
}
mod generate {
    pub use super::Case;
}
