//! The same in timed lines, one for each thing that happened: for logs and pipes.

use super::{Phase, Progress};
use crate::model::outcome::{Event, EventKind, NOT_WAITED};
use crate::model::plan::StepId;
use crate::render::line::{Line, Tone};
use crate::render::values::{clock, duration};

impl Progress {
    /// The line for an event, or nothing: one a stage, without percents. Call it before [`Progress::take`].
    pub fn line(&self, event: &Event) -> Option<Line> {
        let start = Line::new().tone(Tone::Dim, format!("[{:>5}] ", clock(event.at_s)));
        let subject =
            |id: StepId| self.row_of(id).map_or_else(String::new, |row| format!("{} {}: ", row.node, row.name));
        let Some(id) = event.step else {
            return match &event.what {
                EventKind::Notice { text } | EventKind::Found { text } => Some(start.tone(Tone::Warn, text)),
                EventKind::Started
                | EventKind::Progress { .. }
                | EventKind::Waiting { .. }
                | EventKind::Done
                | EventKind::Failed { .. }
                | EventKind::Skipped { .. } => None,
            };
        };
        let step = self.steps.get(&id)?;
        let start = start.text(subject(id));
        match &event.what {
            EventKind::Started => (step.is_long() && !step.tells_itself).then(|| start.text(step.verb)),
            EventKind::Progress { text, percent } => {
                // Of a step that tells itself nothing was said when it began.
                let known = !(step.tells_itself && matches!(step.phase, Phase::Running { text: None, .. }));
                let same = known && stage(text) == stage(&step.words());
                let news = text != NOT_WAITED && step.is_long() && percent.is_none() && !same;
                news.then(|| start.text(text))
            }
            EventKind::Waiting { .. } => None,
            EventKind::Done => {
                let took = step.started_s.map(|started| format!(" ({})", duration(event.at_s - started)));
                let done = if step.words() == NOT_WAITED { NOT_WAITED } else { step.done };
                Some(start.tone(Tone::Good, "✔ ").text(done).tone(Tone::Dim, took.unwrap_or_default()))
            }
            EventKind::Failed { summary } => Some(start.tone(Tone::Bad, "failed: ").text(summary)),
            EventKind::Skipped { because } => self.skipped(id, *because).map(|text| start.tone(Tone::Dim, text)),
            EventKind::Found { text } | EventKind::Notice { text } => Some(start.tone(Tone::Warn, text)),
        }
    }

    /// After a long silence: what still runs. Nothing when nothing does.
    pub fn still(&self, now_s: f64) -> Option<Line> {
        let running: Vec<String> = self
            .rows
            .iter()
            .filter_map(|row| {
                let step = self.states(row).into_iter().find(|step| matches!(step.phase, Phase::Running { .. }))?;
                Some(format!("{} ({})", row.name, step.words()))
            })
            .collect();
        if running.is_empty() {
            return None;
        }
        let start = Line::new().tone(Tone::Dim, format!("[{:>5}] ", clock(now_s)));
        Some(start.tone(Tone::Dim, format!("still running: {}", running.join(", "))))
    }

    /// Once a row, and not for the row that failed itself.
    fn skipped(&self, id: StepId, because: StepId) -> Option<String> {
        let (row, cause) = (self.row_of(id)?, self.row_of(because));
        let known =
            self.states(row).iter().any(|step| matches!(step.phase, Phase::Skipped { .. } | Phase::Failed { .. }));
        let name = cause.map_or("a step", |cause| cause.name.as_str());
        (!known && name != row.name).then(|| format!("skipped: {name} failed"))
    }
}

/// A step's words without what follows a colon: a baking template says every line of its console.
fn stage(words: &str) -> &str {
    words.split_once(": ").map_or(words, |(stage, _)| stage)
}
