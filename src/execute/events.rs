//! Tells whoever listens what happens, with the time since apply began.

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::model::outcome::{Event, EventKind};
use crate::model::plan::StepId;

#[derive(Clone, Debug)]
pub(super) struct Events {
    began: Instant,
    sender: UnboundedSender<Event>,
}

impl Events {
    pub(super) fn new(sender: UnboundedSender<Event>) -> Self {
        Self { began: Instant::now(), sender }
    }

    /// Seconds since apply began.
    pub(super) fn now_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(super) fn step(&self, step: StepId, what: EventKind) {
        self.send(Some(step), what);
    }

    pub(super) fn notice(&self, text: impl Into<String>) {
        self.send(None, EventKind::Notice { text: text.into() });
    }

    fn send(&self, step: Option<StepId>, what: EventKind) {
        // Nobody listens any more: the apply goes on all the same.
        let _ = self.sender.send(Event { at_s: self.now_s(), step, what });
    }
}
