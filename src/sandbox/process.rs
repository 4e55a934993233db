//! How a stand-in program runs: its arguments, its two output streams, how it may end.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

/// One call of a program on a node.
#[derive(Clone, Debug)]
pub struct Process {
    /// Program first: `["qm", "list"]`.
    pub argv: Vec<String>,
    pub stdin: Vec<u8>,
    /// `LC_ALL`, or else `LANG`; empty: Perl takes bytes over 127 as U+FFFD (observed §6).
    pub locale: String,
    pub out: Output,
    /// Cancelled: SIGTERM, which cleans up. Dropping the future is SIGKILL, which does not.
    pub terminate: CancellationToken,
}

impl Process {
    /// A call in a UTF-8 locale with nothing on stdin.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>, out: Output) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Vec::new(),
            locale: "C.UTF-8".into(),
            out,
            terminate: CancellationToken::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// The other end of the pipe is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Where a program's output goes, as it appears.
pub trait Sink: Send + Sync {
    fn write(&self, stream: Stream, bytes: &[u8]) -> Result<(), Closed>;
}

/// A program's two streams.
#[derive(Clone)]
pub struct Output(pub Arc<dyn Sink>);

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

impl Output {
    /// One line on stdout.
    pub fn line(&self, text: impl AsRef<str>) -> Result<(), Closed> {
        self.0.write(Stream::Stdout, format!("{}\n", text.as_ref()).as_bytes())
    }

    pub fn text(&self, text: impl AsRef<str>) -> Result<(), Closed> {
        self.0.write(Stream::Stdout, text.as_ref().as_bytes())
    }

    /// One line on stderr.
    pub fn error(&self, text: impl AsRef<str>) -> Result<(), Closed> {
        self.0.write(Stream::Stderr, format!("{}\n", text.as_ref()).as_bytes())
    }
}

/// A sink that keeps everything.
#[derive(Debug, Default)]
pub struct Captured(Mutex<(Vec<u8>, Vec<u8>)>);

impl Captured {
    pub fn new() -> (Arc<Self>, Output) {
        let captured = Arc::new(Self::default());
        (captured.clone(), Output(captured))
    }

    /// (stdout, stderr) so far.
    pub fn take(&self) -> (Vec<u8>, Vec<u8>) {
        std::mem::take(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

impl Sink for Captured {
    fn write(&self, stream: Stream, bytes: &[u8]) -> Result<(), Closed> {
        let mut kept = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match stream {
            Stream::Stdout => kept.0.extend_from_slice(bytes),
            Stream::Stderr => kept.1.extend_from_slice(bytes),
        }
        Ok(())
    }
}
