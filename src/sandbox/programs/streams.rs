//! A stand-in's own streams and signals.

use std::io::{Read, Write};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::sandbox::process::{Closed, Output, Sink, Stream};

struct Real;

impl Sink for Real {
    fn write(&self, stream: Stream, bytes: &[u8]) -> Result<(), Closed> {
        let wrote = match stream {
            Stream::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Stream::Stderr => std::io::stderr().lock().write_all(bytes),
        };
        // Rust ignores SIGPIPE: the error is how a closed pipe shows.
        wrote.map_err(|_| Closed)
    }
}

pub(super) fn real_output() -> Output {
    Output(Arc::new(Real))
}

pub(super) fn read_stdin() -> Vec<u8> {
    let mut bytes = Vec::new();
    // What could be read before an error is what the program got.
    let _ = std::io::stdin().read_to_end(&mut bytes);
    bytes
}

/// A failure of the sandbox itself, never of what it stands for.
pub(super) fn complain(text: &str) -> i32 {
    let _ = real_output().error(format!("sandbox: {text}"));
    125
}

/// Cancelled by SIGTERM, which the tools take as a request to clean up.
#[cfg(unix)]
pub(super) fn terminated() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    if let Ok(mut signals) = signal(SignalKind::terminate()) {
        let cancel = token.clone();
        tokio::spawn(async move {
            signals.recv().await;
            cancel.cancel();
        });
    }
    token
}

#[cfg(not(unix))]
pub(super) fn terminated() -> CancellationToken {
    CancellationToken::new()
}
