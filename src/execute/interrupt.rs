//! What Ctrl-C asks of a running apply.

use tokio::sync::watch;

/// Set by whoever catches the signals; only ever rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interrupt {
    #[default]
    None,
    /// Nothing new starts; running operations are awaited.
    Finish,
    /// Leave now; operations go on on their nodes and the next run attaches.
    Leave,
}

/// Waits until the interrupt has reached `level`; for ever if it never does.
pub(super) async fn reached(interrupt: &watch::Receiver<Interrupt>, level: Interrupt) {
    let mut interrupt = interrupt.clone();
    if interrupt.wait_for(|now| *now >= level).await.is_err() {
        std::future::pending::<()>().await;
    }
}
