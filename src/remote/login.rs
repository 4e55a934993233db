//! Whether a guest lets us in: TCP, host key, login, `echo ok`; by the `ssh` program itself, as the operator would.
//!
//! The operator's ssh_config is not read: its keys would be offered besides those that were put in. Over a node it goes
//! through that node's own connection (`-W` on its control socket), so its jump hosts, ports and keys apply there.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::session::Connections;
use super::{LoginAnswer, LoginAsk, RemoteError};

/// The name that expected host keys are filed under.
const ALIAS: &str = "machine";

pub(crate) async fn login(connections: &Connections, ask: &LoginAsk) -> LoginAnswer {
    match attempt(connections, ask).await {
        Ok(answer) => answer,
        Err(detail) => LoginAnswer::PortClosed { detail },
    }
}

/// `Err`: it was not reached, and why.
async fn attempt(connections: &Connections, ask: &LoginAsk) -> Result<LoginAnswer, String> {
    let local = |error: std::io::Error| format!("on this machine: {error}");
    // Lives until ssh has ended.
    let expected = if ask.host_keys.is_empty() { None } else { Some(expected_keys(ask).map_err(local)?) };
    let agent_keys = ask.agent.iter().map(|key| file_of(key)).collect::<Result<Vec<_>, _>>().map_err(local)?;
    let proxy = proxy(connections, ask).await.map_err(|error| error.to_string())?;
    let mut command = tokio::process::Command::new("ssh");
    command.args(arguments(ask, expected.as_ref(), &agent_keys, proxy.as_deref()));
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(Duration::from_secs(ask.timeout_s.max(1).into()), command.output()).await {
        Ok(output) => Ok(judge(ask, &output.map_err(local)?)),
        Err(_) => Err(format!("no answer within {} s", ask.timeout_s)),
    }
}

/// A public key of the agent's: ssh offers only what it is given a file of.
fn file_of(key: &str) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, format!("{key}\n").as_bytes())?;
    Ok(file)
}

/// A known_hosts file with exactly the expected keys.
fn expected_keys(ask: &LoginAsk) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    for key in &ask.host_keys {
        std::io::Write::write_all(&mut file, format!("{ALIAS} {}\n", key.trim()).as_bytes())?;
    }
    Ok(file)
}

/// The `ProxyCommand` through the node's master.
async fn proxy(connections: &Connections, ask: &LoginAsk) -> Result<Option<String>, RemoteError> {
    let Some(node) = &ask.via else { return Ok(None) };
    let session = connections.session(node).await?;
    let host = connections.host(node)?;
    let words = [
        "ssh".to_owned(),
        "-F".to_owned(),
        connections.config_file().display().to_string(),
        "-S".to_owned(),
        session.control_socket().display().to_string(),
        "-W".to_owned(),
    ];
    let words = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    Ok(Some(format!("{words} '[%h]:%p' -- {}", quoted(host))))
}

/// For the shell that runs a `ProxyCommand`, and for ssh, which replaces its `%` tokens first.
fn quoted(word: &str) -> String {
    format!("'{}'", plain(word).replace('\'', r"'\''"))
}

/// ssh replaces `%` tokens in many of its options.
fn plain(word: &str) -> String {
    word.replace('%', "%%")
}

fn arguments(
    ask: &LoginAsk,
    expected: Option<&NamedTempFile>,
    agent_keys: &[NamedTempFile],
    proxy: Option<&str>,
) -> Vec<String> {
    let known_hosts = match (expected, &ask.known_hosts) {
        (Some(file), _) => file.path().display().to_string(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => "/dev/null".to_owned(),
    };
    let mut options = vec![
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={}", ask.timeout_s.max(1)),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        // Quoted: a path may hold blanks.
        format!("UserKnownHostsFile=\"{}\"", plain(&known_hosts)),
        format!("StrictHostKeyChecking={}", if expected.is_some() { "yes" } else { "accept-new" }),
        "UpdateHostKeys=no".to_owned(),
        "ControlMaster=no".to_owned(),
        "ControlPath=none".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "ServerAliveInterval=5".to_owned(),
        // Names the keys that are offered.
        "LogLevel=DEBUG1".to_owned(),
    ];
    if expected.is_some() {
        options.push(format!("HostKeyAlias={ALIAS}"));
    }
    if ask.log_in {
        options.push("PreferredAuthentications=publickey".to_owned());
        options.push("IdentitiesOnly=yes".to_owned());
        let files = ask.keys.iter().map(PathBuf::as_path).chain(agent_keys.iter().map(NamedTempFile::path));
        options.extend(files.map(|file| format!("IdentityFile=\"{}\"", plain(&file.display().to_string()))));
        if ask.keys.is_empty() && agent_keys.is_empty() {
            options.push("IdentityFile=none".to_owned());
        }
    } else {
        options.push("PreferredAuthentications=none".to_owned());
        options.push("PubkeyAuthentication=no".to_owned());
    }
    if ask.agent.is_empty() || !ask.log_in {
        options.push("IdentityAgent=none".to_owned());
    }
    options.extend(proxy.map(|proxy| format!("ProxyCommand={proxy}")));
    let mut arguments = vec!["-F".to_owned(), "/dev/null".to_owned(), "-T".to_owned()];
    arguments.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
    arguments.extend(["-p".to_owned(), ask.port.to_string(), "-l".to_owned(), ask.user.clone(), "--".to_owned()]);
    arguments.extend([ask.address.to_string(), "echo ok".to_owned()]);
    arguments
}

/// What ssh said and how it ended → what that means.
fn judge(ask: &LoginAsk, output: &Output) -> LoginAnswer {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr).replace('\r', "");
    let detail = detail(&stderr);
    let has = |text: &str| stderr.contains(text);
    if output.status.code() != Some(255) {
        let answered = stdout.lines().rfind(|line| !line.trim().is_empty()).is_some_and(|line| line.trim() == "ok");
        return match (answered && output.status.success(), ask.log_in) {
            (_, false) => LoginAnswer::PortOk,
            (true, true) => LoginAnswer::Ok,
            (false, true) => LoginAnswer::Odd { detail: format!("{}\n{detail}", stdout.trim()).trim().to_owned() },
        };
    }
    if has("REMOTE HOST IDENTIFICATION HAS CHANGED")
        || has("Host key verification failed")
        || has("host key is known for")
    {
        LoginAnswer::HostKeyChanged { detail }
    } else if has("Permission denied (")
        || has("Too many authentication failures")
        || has("No more authentication methods")
    {
        if ask.log_in { LoginAnswer::KeyRefused { offered: offered(&stderr), detail } } else { LoginAnswer::PortOk }
    } else if has("Authenticated to ") || has("Authentication succeeded") {
        LoginAnswer::Odd { detail }
    } else {
        // Also a server that went in the middle: sshd restarts while a machine boots.
        LoginAnswer::PortClosed { detail }
    }
}

/// The keys that ssh offered: `~/.ssh/id_ed25519 ED25519 SHA256:…`.
fn offered(stderr: &str) -> Vec<String> {
    stderr
        .lines()
        .filter_map(|line| line.trim().strip_prefix("debug1: Offering public key: "))
        .map(str::to_owned)
        .collect()
}

/// ssh's words without its debugging.
fn detail(stderr: &str) -> String {
    let said = stderr.lines().filter(|line| {
        !line.starts_with("debug1: ")
            && !line.starts_with("OpenSSH_")
            && !line.starts_with("Authenticated to ")
            && !line.starts_with("Warning: Permanently added")
            && !line.starts_with("Transferred: ")
            && !line.starts_with("Bytes per second: ")
            && !line.trim().is_empty()
    });
    said.collect::<Vec<_>>().join("\n")
}
