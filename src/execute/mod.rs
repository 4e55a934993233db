//! Carries a plan out: over SSH, in order, watching what really happens (design §6).
//!
//! ```text
//! lock ─ on every node, all or none
//! apply ─ keeps the locks
//!   └─ drive: the loop ─ schedule: which step next (pure)
//!        └─ step ─ template, machine, destroy, ready: one step each
//!             └─ mutate: look, change, look again ─ operation: detached command, followed to its end
//! ```
//! Nothing is decided here that a plan could decide, and nothing is believed that the state afterwards does not show.

mod agent;
mod destroy;
mod diagnose;
mod drive;
mod events;
mod failure;
mod follower;
mod glance;
mod hooks;
mod interrupt;
pub mod known_hosts;
mod lock;
mod machine;
mod meanwhile;
mod mutate;
mod node;
mod notes;
mod operation;
mod options;
mod progress;
mod quorum;
mod random;
mod read_back;
mod ready;
mod report;
mod run;
pub mod schedule;
mod step;
mod template;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

pub use diagnose::Cause;
pub use glance::{GlanceOptions, as_observed, glance};
pub use interrupt::Interrupt;
pub use notes::{NotesOf, write_notes};
pub use options::{ApplyOptions, LocalImage, LocalImageAsk, LocalImageFuture, LoginKeys};

use crate::model::desired::Desired;
use crate::model::ids::NodeName;
use crate::model::observed::{NodeState, Observed};
use crate::model::outcome::{Event, Outcome};
use crate::model::plan::Plan;
use crate::remote::{Lock, LockAsk, Remote};
use drive::Drive;
use events::Events;
use lock::LockState;
use node::Node;
use run::Run;
use schedule::{Schedule, Task, Widths};

/// The apply lock of every node that answered; free again when dropped.
#[derive(Debug)]
pub struct Locks {
    held: Vec<(NodeName, Lock)>,
    ask: LockAsk,
    events: Events,
    waited: bool,
}

impl Locks {
    /// Another apply held one of them when they were asked for: what was observed before may be history.
    pub fn waited(&self) -> bool {
        self.waited
    }
}

/// Takes the apply lock on every node, or on none: then the outcome of a plan of which nothing was begun.
pub async fn lock<R: Remote>(
    plan: &Plan,
    observed: &Observed,
    remote: &R,
    options: &ApplyOptions,
    events: UnboundedSender<Event>,
    interrupt: &watch::Receiver<Interrupt>,
) -> Result<Locks, Outcome> {
    let events = Events::new(events);
    let ask = LockAsk {
        cluster: plan.cluster.clone(),
        owner: options.owner.clone(),
        nonce: random::Random::new(options.seed ^ 0x6c6f_636b).hex(16),
        wait_s: options.lock_timeout_s,
    };
    let answered: Vec<_> = observed
        .nodes
        .iter()
        .filter(|(_, state)| matches!(state, NodeState::Answered(_)))
        .map(|(name, _)| name)
        .collect();
    let taken = tokio::select! {
        biased;
        taken = lock::take_all(remote, answered, &ask, &events) => taken,
        () = interrupt::reached(interrupt, Interrupt::Finish) => return Err(report::interrupted(plan, &events)),
    };
    match taken {
        Ok((held, waited)) => Ok(Locks { held, ask, events, waited }),
        Err(failure) => Err(report::refused(plan, *failure, &events)),
    }
}

/// Makes the cluster as the plan says, with its locks held. Dropping the future leaves the nodes' operations running: the
/// next run finds them.
///
/// Every failure is in the outcome; nothing is thrown. `interrupt` is what Ctrl-C asks (see [`Interrupt`]).
pub async fn apply<R: Remote>(
    plan: &Plan,
    desired: &Desired,
    observed: &Observed,
    remote: Arc<R>,
    options: ApplyOptions,
    locks: Locks,
    interrupt: watch::Receiver<Interrupt>,
) -> Outcome {
    let Locks { held, ask, events, waited: _ } = locks;
    // Aborted when this future ends or is dropped, which releases the locks.
    let mut keepers = JoinSet::new();
    let changed = Arc::new(Notify::new());
    let mut nodes = BTreeMap::new();
    for (name, lock) in held {
        let (state, lock_state) = watch::channel(LockState::Held);
        let (follower, session) = follower::session(remote.clone(), name.clone(), events.clone());
        keepers.spawn(session);
        keepers.spawn(lock::keep(
            remote.clone(),
            name.clone(),
            lock,
            ask.clone(),
            state,
            changed.clone(),
            events.clone(),
        ));
        nodes.insert(name.clone(), Arc::new(Node::new(name, remote.clone(), follower, lock_state, events.clone())));
    }
    let widths = Widths { per_node: desired.limits.per_node, clones_per_storage: desired.limits.clones_per_storage };
    let schedule = Schedule::new(plan.steps.iter().map(Task::from), widths);
    let run = Run::new(remote, plan, desired.clone(), observed.clone(), options, events, nodes, interrupt);
    let run = Arc::new(run);
    run.forget_finished().await;
    let steps = Drive::new(plan, run.clone(), schedule, changed).until_over().await;
    let outcome = report::outcome(plan, &run, steps);
    keepers.shutdown().await;
    outcome
}

#[cfg(test)]
mod tests;
