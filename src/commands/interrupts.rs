//! Ctrl-C, SIGTERM and SIGHUP as the levels that `execute` knows.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::execute::Interrupt;
use crate::ui::Ui;

/// The streams of the three signals; none where this process may not listen to them.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Option<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [Ok(interrupt), Ok(terminate), Ok(hangup)] = kinds.map(signal) else { return None };
        Some(Self([interrupt, terminate, hangup]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Catches the signals from now on: the first asks to finish, the second to leave.
pub fn catch(ui: &Ui) -> watch::Receiver<Interrupt> {
    let (level, receiver) = watch::channel(Interrupt::None);
    let ui = ui.clone();
    tokio::spawn(async move {
        let Some(mut signals) = Signals::listen() else { return };
        signals.next().await;
        ui.warn(if ui.is_asking() {
            "\nApply cancelled."
        } else {
            "Interrupt received: nothing new starts, what runs on the nodes is awaited. Once more to leave now."
        });
        level.send_replace(Interrupt::Finish);
        signals.next().await;
        level.send_replace(Interrupt::Leave);
    });
    receiver
}

/// Resolves at the first signal that `catch` has seen.
pub async fn first(mut level: watch::Receiver<Interrupt>) {
    if level.wait_for(|now| *now >= Interrupt::Finish).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves at a signal, without a word; for commands that only read, which simply stop.
pub async fn signalled() {
    match Signals::listen() {
        Some(mut signals) => signals.next().await,
        None => std::future::pending().await,
    }
}
