//! What may go wrong between pvekube and a node, and who watches what happens on the node.

use std::fmt;

use crate::sandbox::node::SandboxNode;

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weather {
    #[default]
    Fair,
    /// No connection; nothing runs.
    Refused,
    /// The connection goes before the request has run.
    LostBefore,
    /// It runs, but the answer is lost.
    LostAfter,
    /// It takes so many seconds more.
    Slow(f64),
    /// Nothing comes back; keep-alive ends the connection after a while. The request has not run.
    Frozen,
}

/// A moment in the life of a program on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After { exit: i32 },
}

/// Decides the weather and sees every mutating program. The simulation injects its faults and checks its invariants here.
pub trait Conditions: fmt::Debug + Send + Sync {
    fn weather(&self, node: &str, request: &'static str) -> Weather {
        let _ = (node, request);
        Weather::Fair
    }

    /// A program of an operation: right before it runs and right after it ended.
    fn program(&self, node: &SandboxNode, argv: &[String], moment: Moment) {
        let _ = (node, argv, moment);
    }
}

/// Nothing goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calm;

impl Conditions for Calm {}
