//! What `ssh` prints when it cannot connect → our sentence and the next step.
//!
//! OpenSSH gives no codes, only texts (crates.md A3): this is the one place that reads them.

use openssh::Error;

use super::{RemoteError, RemoteErrorKind};
use crate::model::ids::NodeName;

/// Why a connection could not be made: nothing ran.
pub(crate) fn not_connected(node: &NodeName, host: &str, error: &Error) -> RemoteError {
    let text = plain(error);
    let (sentence, hint) = match error {
        Error::Connect(cause) if cause.kind() == std::io::ErrorKind::NotFound && !text.contains("identity") => (
            "there is no `ssh` program on this machine".to_owned(),
            "install OpenSSH's client (Debian, Ubuntu: apt install openssh-client)".to_owned(),
        ),
        _ => reason(host, &text),
    };
    RemoteError { node: node.clone(), kind: RemoteErrorKind::Unreachable, sentence, hint, detail: text }
}

/// The key of the config can't be read: ssh would silently take its default keys instead.
pub(crate) fn no_key_file(node: &NodeName, file: &str, why: &str) -> RemoteError {
    let (sentence, hint) = no_key(file);
    let detail = format!("{file}: {why}");
    RemoteError { node: node.clone(), kind: RemoteErrorKind::Unreachable, sentence, hint, detail }
}

/// It answers, but the login does not come to an end.
pub(crate) fn stalled(node: &NodeName, host: &str, limit: std::time::Duration) -> RemoteError {
    RemoteError {
        node: node.clone(),
        kind: RemoteErrorKind::Unreachable,
        sentence: format!("the login to {host} did not come to an end within {} s", limit.as_secs()),
        hint: format!("see where it stops: ssh -v {host} true"),
        detail: String::new(),
    }
}

fn no_key(file: &str) -> (String, String) {
    (
        format!("the key file {file} does not exist or can't be read"),
        "correct ssh_private_key_path in config.yaml (with init: --key), or make the key: ssh-keygen -t ed25519"
            .to_owned(),
    )
}

/// The request was certainly not begun.
pub(crate) fn not_started(node: &NodeName, error: &Error) -> RemoteError {
    let text = plain(error);
    let (sentence, hint) = if is_session_refused(error) {
        (
            "sshd opens no further session on our connection".to_owned(),
            "raise MaxSessions in the node's sshd_config (pvekube uses up to 4), or end other sessions".to_owned(),
        )
    } else {
        ("the connection broke before the request was sent".to_owned(), "run it again".to_owned())
    };
    RemoteError { node: node.clone(), kind: RemoteErrorKind::NotStarted, sentence, hint, detail: text }
}

/// The connection went while a request ran: it may or may not have happened.
pub(crate) fn lost(node: &NodeName, what: &str, detail: impl Into<String>) -> RemoteError {
    RemoteError {
        node: node.clone(),
        kind: RemoteErrorKind::Unknown,
        sentence: format!("the connection was lost during `{what}`; it may or may not have happened"),
        hint: "run it again: what happened is read from the node".to_owned(),
        detail: detail.into(),
    }
}

/// sshd had no free session (`MaxSessions`): the command never started, so trying again is safe (crates.md A2).
pub(crate) fn is_session_refused(error: &Error) -> bool {
    matches!(error, Error::SshMux(_)) && plain(error).contains("Session open refused by peer")
}

/// The master is gone: a new connection is needed.
pub(crate) fn is_disconnected(error: &Error) -> bool {
    matches!(error, Error::Disconnected | Error::SshMux(_) | Error::Master(_)) && !is_session_refused(error)
}

/// sshd sheds load (`MaxStartups`) before anything is said: the one connect error that is worth another try.
pub(crate) fn is_shed(error: &Error) -> bool {
    let text = plain(error);
    matches!(error, Error::Connect(_)) && text.contains("kex_exchange_identification") && !is_jump(&text)
}

/// The connection went through a jump host's ssh, whose own words nobody keeps.
fn is_jump(text: &str) -> bool {
    text.contains("UNKNOWN port 65535")
}

/// The error with its causes, without carriage returns.
pub(crate) fn plain(error: &Error) -> String {
    let mut text = match error {
        // Its own words say nothing, its cause says all.
        Error::Connect(cause) => cause.to_string(),
        other => other.to_string(),
    };
    let mut cause = match error {
        Error::Connect(_) => None,
        other => std::error::Error::source(other),
    };
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace('\r', "").trim().to_owned()
}

/// The sentence and the hint for a text of `ssh`. Order matters: a later text may be part of an earlier case's.
fn reason(host: &str, text: &str) -> (String, String) {
    identity_problem(host, text)
        .or_else(|| host_key_problem(host, text))
        .or_else(|| network_problem(host, text))
        .unwrap_or_else(|| {
            let said = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("ssh failed and said nothing");
            (format!("{host}: {said}"), format!("try it by hand: ssh {host} true"))
        })
}

/// Changed, unknown, revoked host keys; faults in ssh_config.
fn host_key_problem(host: &str, text: &str) -> Option<(String, String)> {
    if text.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let fingerprint = word_with(text, "SHA256:").unwrap_or_else(|| "of unknown fingerprint".to_owned());
        let place = line_with(text, "Offending ")
            .and_then(|line| line.split_once(" in ").map(|(_, place)| place.to_owned()))
            .unwrap_or_else(|| "known_hosts".to_owned());
        return Some((
            format!("{host} shows another host key than before: {}", fingerprint.trim_end_matches('.')),
            format!("if the node was reinstalled, remove the old key at {place}; if not, somebody may be in between"),
        ));
    }
    if text.contains("host key is known for") {
        let kind = text.split_whitespace().nth(1).unwrap_or("SSH").to_owned();
        let port = text.split("]:").nth(1).and_then(|rest| rest.split_whitespace().next());
        let port = port.map_or(String::new(), |port| format!("-p {port} "));
        return Some((
            format!("the host key of {host} is not known, and `known_hosts: strict` is set"),
            format!(
                "pin it: compare `ssh-keyscan {port}{host}` ({kind}) with /etc/ssh/*.pub on the node's console and add it \
                 to ~/.ssh/known_hosts; or take it as it comes: `ssh: {{known_hosts: accept-new}}` in config.yaml (with \
                 init: --accept-new-host-keys)"
            ),
        ));
    }
    if text.contains("Host key verification failed") {
        return Some((
            format!("the host key of {host} was not accepted"),
            format!("see what ssh says: ssh -v {host} true"),
        ));
    }
    if text.contains("bad configuration option") || text.contains("Bad configuration option") {
        let place = line_with(text, ": line ").unwrap_or_else(|| text.lines().next().unwrap_or_default().to_owned());
        return Some((
            format!("ssh refuses its configuration: {place}"),
            "mend that line: ssh takes no host at all from a file with a fault in it".to_owned(),
        ));
    }
    None
}

/// Keys: missing, unreadable for others, refused by the node.
fn identity_problem(host: &str, text: &str) -> Option<(String, String)> {
    if text.contains("UNPROTECTED PRIVATE KEY FILE") || text.contains("bad permissions") {
        let file = quoted(text, "Load key ").or_else(|| quoted(text, "Permissions ")).unwrap_or_default();
        return Some((format!("ssh does not use the key {file}: others can read it"), format!("chmod 600 {file}")));
    }
    if let Some(line) = line_with(text, "no such identity: ") {
        let file = line.trim_start_matches("no such identity: ").split(": ").next().unwrap_or_default().to_owned();
        return Some(no_key(&file));
    }
    if text.contains("Too many authentication failures") {
        return Some((
            format!("{host} closed the connection: too many keys were offered"),
            "set ssh_private_key_path, so that only this key is offered".to_owned(),
        ));
    }
    if text.contains("Permission denied (") {
        let who = line_with(text, "Permission denied (")
            .and_then(|line| line.split_once(": ").map(|(who, _)| who.to_owned()))
            .unwrap_or_else(|| host.to_owned());
        return Some((
            format!("{who} accepts none of our keys"),
            "put the public key into the node's authorized_keys (ssh-copy-id); if the key has a passphrase, load it first: \
             ssh-add"
                .to_owned(),
        ));
    }
    None
}

/// Names, routes, ports, silence.
fn network_problem(host: &str, text: &str) -> Option<(String, String)> {
    if let Some(line) = line_with(text, "Could not resolve hostname") {
        let name = line.split("hostname ").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or(host).to_owned();
        return Some((
            format!("the name {name} cannot be resolved"),
            "check the host, your DNS and ~/.ssh/config".to_owned(),
        ));
    }
    if text.contains("timed out during banner exchange") {
        return Some((
            format!("{host} accepts the connection, but no SSH server answers on it"),
            "check what listens on that port; a node under heavy load or a proxy in between looks like this, too"
                .to_owned(),
        ));
    }
    if is_jump(text) {
        return Some((
            format!("the way to {host} failed at its jump host (ProxyJump or ProxyCommand in ssh_config)"),
            format!("see where: ssh -v {host} true"),
        ));
    }
    if text.contains("kex_exchange_identification") || text.contains("Connection closed by remote host") {
        return Some((
            format!("{host} closed the connection before logging in"),
            "its sshd may be overloaded (MaxStartups) or refuse this address; try again in a minute".to_owned(),
        ));
    }
    let line = line_with(text, "connect to host ")?;
    let (target, why) = line.split_once("connect to host ")?.1.split_once(": ")?;
    let target = target.to_owned();
    Some(match why {
        "Connection refused" => (
            format!("{target} refuses the connection"),
            "the host is up, but no SSH server listens on that port: check the port and sshd on the node".to_owned(),
        ),
        "Connection timed out" | "Operation timed out" => {
            (format!("{target} does not answer"), "check that the host is up and no firewall is in between".to_owned())
        }
        other => (
            format!("{target}: {}", lower_first(other)),
            "check that the host is up and reachable from here".to_owned(),
        ),
    })
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn line_with(text: &str, wanted: &str) -> Option<String> {
    text.lines().find(|line| line.contains(wanted)).map(|line| line.trim().to_owned())
}

fn word_with(text: &str, prefix: &str) -> Option<String> {
    text.split_whitespace().find(|word| word.starts_with(prefix)).map(str::to_owned)
}

/// What stands in quotes after `before`: `Load key "/k": …`, `Permissions 0644 for '/k' are too open.`
fn quoted(text: &str, before: &str) -> Option<String> {
    let rest = &text[text.find(before)? + before.len()..];
    let quote = rest.chars().find(|letter| matches!(letter, '"' | '\''))?;
    rest.split(quote).nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests;
