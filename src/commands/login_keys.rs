//! Which private keys may be tried on the machines: only those whose public half was put in (design §6).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::execute::LoginKeys;
use crate::model::desired::{Desired, SshCheck};
use crate::model::plan::{Action, Plan, Step};
use crate::ui::Ui;

/// Looks at `readiness_check.ssh_private_key_path`, the SSH agent and `ssh_private_key_path`, in this order.
pub async fn find(desired: &Desired) -> LoginKeys {
    let wanted: BTreeSet<String> = desired
        .machines
        .iter()
        .flat_map(|machine| machine.cloud_init.ssh_keys.lines().filter_map(public_half))
        .collect();
    let mut keys = LoginKeys::default();
    if wanted.is_empty() {
        return keys;
    }
    let candidates = [desired.readiness.private_key.as_ref(), desired.ssh.private_key.as_ref()];
    for path in candidates.into_iter().flatten() {
        if !keys.files.contains(path) && public_of_file(path).await.is_some_and(|key| wanted.contains(&key)) {
            keys.files.push(path.clone());
        }
    }
    keys.agent = public_of_agent().await.into_iter().filter(|key| wanted.contains(key)).collect();
    keys
}

/// Says before anything runs where readiness will end for want of a key.
///
/// Not part of the plan: the same plan must have the same digest on every computer.
pub async fn warn_of_none(ui: &Ui, plan: &Plan, desired: &Desired) {
    let logs_in = |step: &Step| matches!(&step.action, Action::Ready(ready) if ready.ssh != SshCheck::Off);
    if plan.steps.iter().any(logs_in) && find(desired).await.is_empty() {
        ui.talk(
            "No private key at hand for the machines' public keys: readiness ends at\n\
             \"host key matches on port 22\" (see readiness_check.ssh_private_key_path).",
        );
    }
}

/// Type and base64 of a public key line; its comment and options don't tell keys apart.
fn public_half(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|word| !is_key_type(word));
    let (kind, body) = (words.next()?, words.next()?);
    Some(format!("{kind} {body}"))
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
}

/// From the `.pub` file beside it, else from the private key itself (unless it has a passphrase).
async fn public_of_file(path: &Path) -> Option<String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    if !path.is_file() {
        return None;
    }
    if let Ok(text) = std::fs::read_to_string(PathBuf::from(beside)) {
        return text.lines().find_map(public_half);
    }
    let output = quiet("ssh-keygen").args(["-y", "-P", "", "-f"]).arg(path).output().await.ok()?;
    String::from_utf8_lossy(&output.stdout).lines().find_map(public_half)
}

async fn public_of_agent() -> Vec<String> {
    if std::env::var_os("SSH_AUTH_SOCK").is_none() {
        return Vec::new();
    }
    let Ok(output) = quiet("ssh-add").arg("-L").output().await else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(public_half).collect()
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_options_do_not_tell_keys_apart() {
        let plain = public_half("ssh-ed25519 AAAAC3Nz user@laptop");
        assert_eq!(plain.as_deref(), Some("ssh-ed25519 AAAAC3Nz"));
        assert_eq!(public_half("no-pty,command=\"x\" ssh-ed25519 AAAAC3Nz"), plain);
        assert_eq!(public_half("# a comment"), None);
        assert_eq!(public_half("ssh-ed25519"), None);
    }
}
