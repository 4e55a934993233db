//! The log's way to stderr: above the picture, line by line.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use super::streams::Streams;

/// Gives each log event a writer of its own; see [`super::Ui::log_writer`].
#[derive(Clone)]
pub struct LogWriter {
    streams: Arc<Mutex<Streams>>,
}

impl LogWriter {
    pub(super) fn new(streams: Arc<Mutex<Streams>>) -> Self {
        Self { streams }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogEvent;

    fn make_writer(&'a self) -> LogEvent {
        LogEvent { streams: Arc::clone(&self.streams), text: Vec::new() }
    }
}

/// One event, written whole when it is dropped.
pub struct LogEvent {
    streams: Arc<Mutex<Streams>>,
    text: Vec<u8>,
}

impl Write for LogEvent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogEvent {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.streams.lock().unwrap_or_else(PoisonError::into_inner).above(&self.text);
        }
    }
}
