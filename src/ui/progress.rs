//! Shows a running apply: a picture on a terminal, timed lines elsewhere, JSON lines where a program listens.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};

use super::Ui;
use crate::model::outcome::{Event, Outcome};
use crate::model::plan::Plan;
use crate::render::Look;
use crate::render::progress::{Progress, Stream};

/// How often the picture is drawn anew: often enough for a clock of seconds, cheap over a slow line.
const REDRAW: Duration = Duration::from_millis(200);
/// After this long without a line, a log says what still runs: CI systems end jobs that say nothing.
const SILENCE_S: f64 = 30.0;
/// Rows of a terminal that does not say how high it is.
const USUAL_HEIGHT: usize = 24;

/// How a running apply is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A picture on a terminal, timed lines elsewhere; on stderr.
    Text,
    /// JSON lines on stdout, in the shape of OpenTofu's machine-readable UI.
    Json,
}

impl Ui {
    /// Shows the events until their senders are gone. Leaves nothing of the picture behind.
    pub async fn show_progress(&self, plan: &Plan, style: ProgressStyle, events: UnboundedReceiver<Event>) {
        match style {
            ProgressStyle::Json => self.json_lines(plan, events).await,
            ProgressStyle::Text if self.quiet => drain(events).await,
            ProgressStyle::Text if self.live => self.picture(plan, events).await,
            ProgressStyle::Text => self.timed_lines(plan, events).await,
        }
    }

    /// The stream's last lines: each failure, and what was done.
    pub fn json_end(&self, plan: &Plan, outcome: &Outcome) {
        self.json(Stream::new(plan).end(outcome, &now()));
    }

    async fn picture(&self, plan: &Plan, mut events: UnboundedReceiver<Event>) {
        let mut progress = Progress::new(plan);
        let mut clock = Clock::new();
        let mut redraw = interval(REDRAW);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => {
                        clock.hear(&event);
                        progress.take(&event);
                    }
                    None => break,
                },
                _ = redraw.tick() => {
                    let (width, height) = super::terminal_size().unwrap_or((self.err.width, USUAL_HEIGHT));
                    // One column and one row stay free, so that no terminal wraps or scrolls.
                    let look = Look { width: width.saturating_sub(1), ..self.err };
                    let picture = progress.picture(clock.now_s(), look, height.saturating_sub(2));
                    self.lock().draw(picture);
                }
            }
        }
        self.lock().draw(String::new());
    }

    async fn timed_lines(&self, plan: &Plan, mut events: UnboundedReceiver<Event>) {
        let mut progress = Progress::new(plan);
        let mut clock = Clock::new();
        let mut last_s = 0.0;
        let mut tick = interval(Duration::from_secs(1));
        loop {
            let line = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => {
                        clock.hear(&event);
                        let line = progress.line(&event);
                        progress.take(&event);
                        line
                    }
                    None => break,
                },
                _ = tick.tick() => {
                    let silent = clock.now_s() - last_s >= SILENCE_S;
                    if silent { progress.still(clock.now_s()) } else { None }
                }
            };
            if let Some(line) = line {
                last_s = clock.now_s();
                self.talk(&line.to_text(self.err.color));
            }
        }
    }

    async fn json_lines(&self, plan: &Plan, mut events: UnboundedReceiver<Event>) {
        let mut stream = Stream::new(plan);
        self.json(stream.begin(&now()));
        while let Some(event) = events.recv().await {
            self.json(stream.event(&event, &now()));
        }
    }

    fn json(&self, lines: Vec<String>) {
        // An apply goes on when nobody can be told of it; the report at the end says that stdout failed.
        let _ = self.data(&lines.concat());
    }
}

async fn drain(mut events: UnboundedReceiver<Event>) {
    while events.recv().await.is_some() {}
}

/// Seconds since the apply began, by its events' own time and this machine's clock since the last of them.
struct Clock {
    heard: Instant,
    at_s: f64,
}

impl Clock {
    fn new() -> Self {
        Self { heard: Instant::now(), at_s: 0.0 }
    }

    fn hear(&mut self, event: &Event) {
        *self = Self { heard: Instant::now(), at_s: event.at_s.max(self.at_s) };
    }

    fn now_s(&self) -> f64 {
        self.at_s + self.heard.elapsed().as_secs_f64()
    }
}

/// RFC 3339, UTC, milliseconds.
fn now() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.3}")
}
