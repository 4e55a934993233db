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

/// Which beats went out, and until when those that came back make the lock certain.
#[derive(Debug)]
struct Certainty {
    sent: Vec<(u64, Instant)>,
    next: u64,
    until: Instant,
}

impl Certainty {
    /// The node has just said that we hold it.
    fn new(asked_at: Instant) -> Self {
        Self { sent: Vec::new(), next: 1, until: asked_at + CERTAIN }
    }

    /// The number of the beat that goes out now.
    fn beat(&mut self, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.sent.push((number, now));
        number
    }

    /// A line of the holder: `beat N` says that it heard N, so it waits at least from when N was sent.
    fn hear(&mut self, line: &str) {
        let Some(echoed) = line.strip_prefix("beat ").and_then(|number| number.parse::<u64>().ok()) else { return };
        if let Some((_, at)) = self.sent.iter().find(|(number, _)| *number == echoed) {
            self.until = *at + CERTAIN;
            self.sent.retain(|(number, _)| *number > echoed);
        }
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
    let mut certainty = Certainty::new(Instant::now());
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = released.recv() => break,
            () = tokio::time::sleep_until(certainty.until) => break,
            _ = beat.tick() => {
                let number = certainty.beat(Instant::now());
                if stream.send(&number.to_string()).await.is_err() {
                    break;
                }
            }
            line = stream.line() => {
                let Some(line) = line else { break };
                certainty.hear(&line);
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
    fn echo_makes_certain_from_when_its_beat_was_sent() {
        let begin = Instant::now();
        let second = |s| begin + Duration::from_secs(s);
        let mut certainty = Certainty::new(begin);
        assert_eq!(certainty.until, second(35));
        let (one, two) = (certainty.beat(second(15)), certainty.beat(second(30)));
        certainty.hear(&format!("beat {one}"));
        assert_eq!(certainty.until, second(50), "not from when the echo came");
        certainty.hear("beat 99");
        certainty.hear("noise");
        assert_eq!(certainty.until, second(50));
        certainty.hear(&format!("beat {two}"));
        certainty.hear(&format!("beat {one}"));
        assert_eq!(certainty.until, second(65), "a late echo takes nothing back");
    }

    #[test]
    fn we_stop_before_the_node_lets_another_in() {
        assert!(CERTAIN + BEAT / 3 <= Duration::from_secs(PATIENCE_S));
        assert!(BEAT * 2 <= CERTAIN, "one lost beat must not lose the lock");
    }
}
