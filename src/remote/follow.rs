//! Our side of a node's follower: requests in, events out, a beat so that a vanished client is noticed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exchange::Stream;
use super::{AgentAsk, Answer, FollowEvent, FollowRequest};
use crate::model::ids::{OperationName, Vmid};

/// How often the node looks at its operations, and how long it goes on when it hears nothing from us: seconds.
pub(crate) const PARAMETERS: [&str; 2] = ["0.3", "60"];
const BEAT: Duration = Duration::from_secs(15);

/// Carries requests and events until either side ends.
pub(crate) async fn drive(
    mut stream: Stream,
    mut requests: mpsc::UnboundedReceiver<FollowRequest>,
    events: mpsc::UnboundedSender<FollowEvent>,
    end: CancellationToken,
) {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            () = events.closed() => break,
            request = requests.recv() => {
                let Some(request) = request else { break };
                if stream.send(&request_line(&request)).await.is_err() {
                    break;
                }
            }
            _ = beat.tick() => {
                if stream.send("beat").await.is_err() {
                    break;
                }
            }
            line = stream.line() => {
                let Some(line) = line else { break };
                match parse(&line) {
                    Some(event) => {
                        if events.send(event).is_err() {
                            break;
                        }
                    }
                    None => tracing::warn!(line = %line.escape_debug(), "a follower's line is not understood"),
                }
            }
        }
    }
    // Events end first: nobody should wait for a node that has gone.
    drop(events);
    stream.finish().await;
}

fn request_line(request: &FollowRequest) -> String {
    match request {
        FollowRequest::Operation(name) => format!("operation {name}"),
        FollowRequest::Agent { vmid, ask } => format!("agent {vmid} {}", word(*ask)),
    }
}

fn word(ask: AgentAsk) -> &'static str {
    match ask {
        AgentAsk::Ping => "ping",
        AgentAsk::Interfaces => "interfaces",
        AgentAsk::CloudInit => "cloud-init",
        AgentAsk::HostKeys => "host-keys",
    }
}

/// One line of `follow.sh` as an event.
fn parse(line: &str) -> Option<FollowEvent> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["log", name, text] => {
            Some(FollowEvent::Log { operation: OperationName::new(name), line: shown(&decode(text)?) })
        }
        ["exited", name, code] => {
            Some(FollowEvent::Exited { operation: OperationName::new(name), exit: code.parse().ok()? })
        }
        ["lost", name] => Some(FollowEvent::Lost { operation: OperationName::new(name) }),
        ["agent", vmid, asked, code, stdout, stderr] => {
            let ask = [AgentAsk::Ping, AgentAsk::Interfaces, AgentAsk::CloudInit, AgentAsk::HostKeys]
                .into_iter()
                .find(|ask| word(*ask) == asked)?;
            let answer = Answer { exit: code.parse().ok()?, stdout: decode(stdout)?, stderr: decode(stderr)? };
            Some(FollowEvent::Agent { vmid: Vmid(vmid.parse().ok()?), ask, answer })
        }
        _ => None,
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A log's line for people: without escape sequences and control characters, so that it can't play with a terminal.
fn shown(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            // ESC [ parameters letter: colours and cursor movements of a console.
            '\u{1b}' if letters.as_str().starts_with('[') => {
                letters.by_ref().skip(1).find(|letter| ('@'..='~').contains(letter));
            }
            letter if letter.is_control() => plain.push(' '),
            letter => plain.push(letter),
        }
    }
    plain.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_become_events() {
        let operation = OperationName::new("k8s-101-clone-0f");
        assert_eq!(
            parse("log k8s-101-clone-0f NTQgJRs="),
            Some(FollowEvent::Log { operation: operation.clone(), line: "54 %".to_owned() })
        );
        assert_eq!(
            parse("exited k8s-101-clone-0f 255"),
            Some(FollowEvent::Exited { operation: operation.clone(), exit: 255 })
        );
        assert_eq!(parse("lost k8s-101-clone-0f"), Some(FollowEvent::Lost { operation }));
        assert_eq!(
            parse("agent 101 ping 0  "),
            Some(FollowEvent::Agent { vmid: Vmid(101), ask: AgentAsk::Ping, answer: Answer::default() })
        );
    }

    #[test]
    fn console_lines_are_shown_without_their_colours() {
        assert_eq!(shown(b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[1mssh\x1b[0m\t\x07"), "[  OK  ] Started ssh");
        assert_eq!(shown(b"cut \x1b[0;3"), "cut");
        assert_eq!(shown(b"\x1b]0;title\xff"), " ]0;title\u{fffd}");
    }

    #[test]
    fn every_question_has_its_own_word() {
        for ask in [AgentAsk::Ping, AgentAsk::Interfaces, AgentAsk::CloudInit, AgentAsk::HostKeys] {
            let line = format!("agent 7 {} 1  ", word(ask));
            assert!(matches!(parse(&line), Some(FollowEvent::Agent { ask: parsed, .. }) if parsed == ask), "{line}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(line in ".*") {
            let _ = parse(&line);
        }
    }
}
