//! Streams, colour, prompt, progress: the only place that prints.
//!
//! Data goes to stdout, talk to stderr. A picture of a running apply may stand at the end of stderr; whatever else is
//! written there (talk, warnings, the log) goes above it.

pub mod color;
mod log;
mod progress;
mod prompt;
mod streams;

use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use color::ColorChoice;
pub use log::LogWriter;
pub use progress::ProgressStyle;

use crate::error::Fault;
use crate::render::Look;
use crate::render::fault::fault_text;
use streams::Streams;

/// Columns where there is no terminal to ask.
const WIDTH_OF_A_FILE: usize = 100;

/// Cheap to clone; all clones write to the same streams.
#[derive(Clone)]
pub struct Ui {
    streams: Arc<Mutex<Streams>>,
    out: Look,
    err: Look,
    quiet: bool,
    /// stderr is a terminal that a picture can be drawn on.
    live: bool,
    /// Somebody can answer a question.
    can_ask: bool,
    /// A question for consent is open.
    asking: Arc<AtomicBool>,
}

impl std::fmt::Debug for Ui {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ui").field("out", &self.out).field("err", &self.err).finish_non_exhaustive()
    }
}

impl Ui {
    /// The process's own streams. `quiet`: no talk.
    pub fn new(color: ColorChoice, quiet: bool) -> Self {
        let environment = color::Environment::read();
        let (out_terminal, err_terminal) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let width = |terminal: bool| {
            let asked = || terminal_size().filter(|_| terminal).map(|(width, _)| width);
            environment.columns.or_else(asked).unwrap_or(WIDTH_OF_A_FILE)
        };
        let look = |terminal: bool| Look { width: width(terminal), color: environment.colored(color, terminal) };
        Self {
            streams: Arc::new(Mutex::new(Streams::new(Box::new(std::io::stdout()), Box::new(std::io::stderr())))),
            out: look(out_terminal),
            err: look(err_terminal),
            quiet,
            live: err_terminal && !environment.dumb,
            can_ask: std::io::stdin().is_terminal() && err_terminal,
            asking: Arc::default(),
        }
    }

    /// Other streams, for tests: no terminal, nobody to ask.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, look: Look) -> Self {
        let streams = Arc::new(Mutex::new(Streams::new(out, err)));
        Self { streams, out: look, err: look, quiet: false, live: false, can_ask: false, asking: Arc::default() }
    }

    /// How text for stdout is to look.
    pub fn look(&self) -> Look {
        self.out
    }

    /// How text for stderr is to look.
    pub fn talk_look(&self) -> Look {
        self.err
    }

    /// Writes to stdout as it is. A reader that went away (`| head`) is no error; a full disk is.
    pub fn data(&self, text: &str) -> Result<(), Fault> {
        self.lock().data(text.as_bytes())
    }

    /// To stderr, unless quiet: what is going on, what comes next. A newline is added where there is none.
    pub fn talk(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// To stderr, quiet or not: warnings and reports.
    pub fn warn(&self, text: &str) {
        let mut text = text.to_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.lock().above(text.as_bytes());
    }

    pub fn fault(&self, fault: &Fault) {
        self.warn(&fault_text(fault, self.err));
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A terminal on both ends: without one, an apply that must ask is refused before any node is contacted.
    pub fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// Asks on the terminal; only `yes` is a yes. End of input is a no. May be dropped while it waits (Ctrl-C): the read
    /// then goes on in its own thread, which nobody awaits.
    pub async fn confirm(&self, question: &str, explanation: &str) -> bool {
        self.warn(&prompt::text(question, explanation, self.err));
        self.lock().above(b"  Enter a value: ");
        self.asking.store(true, Ordering::Relaxed);
        let read = tokio::task::spawn_blocking(|| prompt::read_line(&mut std::io::stdin().lock()));
        let answer = read.await.unwrap_or_default();
        self.asking.store(false, Ordering::Relaxed);
        self.lock().above(b"\n");
        prompt::is_yes(&answer)
    }

    /// Nothing has begun yet: somebody is asked whether it should.
    pub fn is_asking(&self) -> bool {
        self.asking.load(Ordering::Relaxed)
    }

    /// Asks for a line of text; `None` where nobody can answer, or the input ends (Ctrl-D).
    pub fn ask(&self, question: &str) -> Option<String> {
        if !self.can_ask {
            return None;
        }
        self.lock().above(format!("{question} ").as_bytes());
        let answer = prompt::answer(&mut std::io::stdin().lock());
        if answer.is_none() {
            self.lock().above(b"\n");
        }
        answer
    }

    /// For `tracing_subscriber`: log lines go to stderr, above the picture.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter::new(Arc::clone(&self.streams))
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        // A panic while writing leaves nothing half-done that matters here.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Columns and rows of the terminal that stderr or stdout is.
fn terminal_size() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size_of(std::io::stderr())
        .or_else(|| terminal_size::terminal_size_of(std::io::stdout()))?;
    Some((usize::from(width.0), usize::from(height.0)))
}

#[cfg(test)]
mod tests;
