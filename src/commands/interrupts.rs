//! Ctrl-C, SIGTERM and SIGHUP as the levels that `execute` knows.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::execute::Interrupt;
use crate::ui::Ui;

/// Catches the signals from now on: the first asks to finish, the second to leave.
pub fn catch(ui: &Ui) -> watch::Receiver<Interrupt> {
    let (level, receiver) = watch::channel(Interrupt::None);
    let ui = ui.clone();
    tokio::spawn(async move {
        let streams = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = streams else { return };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            let before = *level.borrow();
            match before {
                Interrupt::None => {
                    ui.warn(
                        "Interrupt received: nothing new starts, what runs on the nodes is awaited. Once more to leave now.",
                    );
                    level.send_replace(Interrupt::Finish);
                }
                Interrupt::Finish | Interrupt::Leave => {
                    level.send_replace(Interrupt::Leave);
                }
            }
        }
    });
    receiver
}

/// Resolves at the first signal; for commands that only read, which may simply stop.
pub async fn first(mut level: watch::Receiver<Interrupt>) {
    if level.wait_for(|now| *now >= Interrupt::Finish).await.is_err() {
        std::future::pending::<()>().await;
    }
}
