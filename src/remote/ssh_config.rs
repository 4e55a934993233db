//! Our own ssh_config for one run: our settings first (the first value wins), then the user's.
//!
//! Not the builder of `openssh`: its options do not apply to jump hosts, and some that matter it does not have (A4).

use std::path::Path;

use crate::model::desired::{KnownHosts, SshSettings};

/// Seconds between keep-alives; a connection that misses [`MISSED`] is given up, so a dead one is noticed after 30 to 40 s.
/// sshd answers them itself, whatever the node's storage or pmxcfs do; a node too busy even for that costs a new login.
pub(crate) const KEEP_ALIVE_S: u32 = 10;
const MISSED: u32 = 3;

/// The file's text. `ssh` expands `~` in an `Include` itself (by the passwd entry, not by `$HOME`).
pub(crate) fn text(settings: &SshSettings) -> String {
    let checking = match settings.known_hosts {
        KnownHosts::Strict => "yes",
        KnownHosts::AcceptNew => "accept-new",
    };
    let includes = match &settings.config_file {
        Some(file) => include(file),
        None => "Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n".to_owned(),
    };
    format!(
        "# Written by pvekube for one run.\n\
         Host *\n\
        \x20 BatchMode yes\n\
        \x20 ConnectTimeout {timeout}\n\
        \x20 ServerAliveInterval {KEEP_ALIVE_S}\n\
        \x20 ServerAliveCountMax {MISSED}\n\
        \x20 StrictHostKeyChecking {checking}\n\
        \x20 LogLevel INFO\n\
        \x20 ClearAllForwardings yes\n\
        \x20 ForwardAgent no\n\
        \x20 ForwardX11 no\n\
        \x20 PermitLocalCommand no\n\
        \x20 RequestTTY no\n\
        \x20 RemoteCommand none\n\
        \x20 EscapeChar none\n\
        \x20 {includes}",
        timeout = settings.connect_timeout_s.max(1),
    )
}

/// `Include` takes patterns: what is special in one is escaped. A relative path would be one below ~/.ssh.
fn include(file: &Path) -> String {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut path = String::new();
    for letter in file.to_string_lossy().chars() {
        if matches!(letter, '*' | '?' | '[' | ']') {
            path.push('\\');
        }
        path.push(letter);
    }
    format!("Include \"{path}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config_file: Option<&str>) -> SshSettings {
        SshSettings {
            user: "root".to_owned(),
            private_key: None,
            config_file: config_file.map(Into::into),
            known_hosts: KnownHosts::Strict,
            connect_timeout_s: 7,
            sudo: false,
        }
    }

    /// Asks the real `ssh` what it makes of a configuration.
    fn effective(user_config: &str, key: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("their [own] config");
        std::fs::write(&theirs, user_config).unwrap();
        let ours = folder.path().join("config");
        std::fs::write(&ours, text(&settings(theirs.to_str()))).unwrap();
        let said = std::process::Command::new("ssh").arg("-G").arg("-F").arg(&ours).arg("pve1").output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let said = String::from_utf8(said.stdout).unwrap();
        said.lines().find_map(|line| line.strip_prefix(&format!("{key} "))).unwrap_or_default().to_owned()
    }

    #[test]
    fn what_the_user_sets_for_a_host_holds() {
        let config = "Host pve1\n  HostName 10.1.2.3\n  Port 2222\n  User admin\n  ProxyJump bastion\n";
        assert_eq!(effective(config, "hostname"), "10.1.2.3");
        assert_eq!(effective(config, "port"), "2222");
        assert_eq!(effective(config, "user"), "admin");
        assert_eq!(effective(config, "proxyjump"), "bastion");
    }

    /// The node lets another apply in after its patience: by then we must have given the connection up, too.
    #[test]
    fn a_vanished_network_is_noticed_as_soon_as_on_the_node() {
        let theirs = "Host *\n  ServerAliveInterval 60\n  ServerAliveCountMax 99\n";
        let number = |key| effective(theirs, key).parse::<u64>().unwrap();
        let (interval, missed) = (number("serveraliveinterval"), number("serveralivecountmax"));
        assert!(interval * (missed + 1) < crate::remote::lock::PATIENCE_S, "{interval} s, {missed} missed");
    }

    #[test]
    fn relative_file_is_relative_to_us() {
        let text = text(&settings(Some("ssh_config")));
        let here = std::env::current_dir().unwrap();
        assert!(text.contains(&format!("Include \"{}/ssh_config\"", here.display())), "{text}");
    }

    #[test]
    fn what_would_break_us_is_ours() {
        let config = "Host *\n  LogLevel QUIET\n  RequestTTY force\n  RemoteCommand tmux\n  LocalForward 8006 x:8006\n  \
                      StrictHostKeyChecking no\n  ConnectTimeout 300\n  BatchMode no\n";
        assert_eq!(effective(config, "loglevel"), "INFO");
        assert_eq!(effective(config, "requesttty"), "false");
        assert_eq!(effective(config, "stricthostkeychecking"), "true");
        assert_eq!(effective(config, "connecttimeout"), "7");
        assert_eq!(effective(config, "batchmode"), "yes");
        assert_eq!(effective(config, "clearallforwardings"), "yes");
        assert_eq!(effective(config, "remotecommand"), "");
    }
}
