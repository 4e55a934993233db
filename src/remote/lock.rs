//! Our side of an apply lock: heartbeats with numbers, and the certainty that follows from their echoes.
//!
//! The holder on the node gives up after [`PATIENCE_S`] without a beat. We call the lock held only as long as that can't
//! have happened yet, counted from when the last *echoed* beat was sent: a frozen network makes us stop before the node
//! lets somebody else in.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::exchange::Stream;

/// Seconds that the node waits for a beat.
pub(crate) const PATIENCE_S: u64 = 45;
const BEAT: Duration = Duration::from_secs(15);
/// How long after a beat that came back the lock is held for certain: patience less what clocks and queues may eat.
const CERTAIN: Duration = Duration::from_secs(PATIENCE_S - 10);

/// What the node says first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First {
    Held { previous: String },
    Busy { owner: String },
}

pub(crate) fn first(line: &str) -> Option<First> {
    let (word, rest) = line.split_once(' ')?;
    let rest = rest.trim().to_owned();
    match word {
        "held" => Some(First::Held { previous: rest }),
        "busy" => Some(First::Busy { owner: rest }),
        _ => None,
    }
}

/// Beats until released; `held` turns false when the lock is lost or not certain any more.
pub(crate) async fn drive(
    mut stream: Stream,
    held: watch::Sender<bool>,
    mut released: mpsc::Receiver<()>,
    end: CancellationToken,
) {
    let mut beat = tokio::time::interval(BEAT);
    let mut sent: Vec<(u64, Instant)> = Vec::new();
    let mut number = 0;
    let mut certain_until = Instant::now() + CERTAIN;
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = released.recv() => break,
            () = tokio::time::sleep_until(certain_until) => break,
            _ = beat.tick() => {
                number += 1;
                sent.push((number, Instant::now()));
                if stream.send(&number.to_string()).await.is_err() {
                    break;
                }
            }
            line = stream.line() => {
                let Some(line) = line else { break };
                let echoed = line.strip_prefix("beat ").and_then(|number| number.parse::<u64>().ok());
                if let Some((_, at)) = sent.iter().find(|(number, _)| Some(*number) == echoed) {
                    certain_until = *at + CERTAIN;
                    sent.retain(|(number, _)| Some(*number) > echoed);
                }
            }
        }
    }
    // Nobody may listen any more.
    let _ = held.send(false);
    stream.finish().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_tells_who_holds_it() {
        assert_eq!(first("held "), Some(First::Held { previous: String::new() }));
        assert_eq!(first("held 00ff"), Some(First::Held { previous: "00ff".to_owned() }));
        assert_eq!(first("busy ci@runner-7 pid 4 "), Some(First::Busy { owner: "ci@runner-7 pid 4".to_owned() }));
        assert_eq!(first("flock: oops"), None);
    }

    #[test]
    fn we_stop_before_the_node_lets_another_in() {
        assert!(CERTAIN + BEAT / 3 <= Duration::from_secs(PATIENCE_S));
        assert!(BEAT * 2 <= CERTAIN, "one lost beat must not lose the lock");
    }
}
