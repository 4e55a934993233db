//! Texts of OpenSSH 9.2 as it printed them.

use std::io;

use super::*;

const CHANGED: &str = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
Someone could be eavesdropping on you right now (man-in-the-middle attack)!\r
It is also possible that a host key has just been changed.\r
The fingerprint for the ED25519 key sent by the remote host is
SHA256:Yy6Ww3fFwpkYzSzYHLdvLRkbt8NdyCqtOFNZLN5d4fI.\r
Please contact your system administrator.\r
Add correct host key in /home/op/.ssh/known_hosts to get rid of this message.\r
Offending ED25519 key in /home/op/.ssh/known_hosts:7\r
  remove with:\r
  ssh-keygen -f \"/home/op/.ssh/known_hosts\" -R \"pve1.lan\"\r
Host key for pve1.lan has changed and you have requested strict checking.\r
Host key verification failed.";

const OPEN_KEY: &str = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
Permissions 0644 for '/home/op/pve key' are too open.\r
It is required that your private key files are NOT accessible by others.\r
This private key will be ignored.\r
Load key \"/home/op/pve key\": bad permissions\r
root@pve1.lan: Permission denied (publickey).";

fn connect(kind: io::ErrorKind, text: &str) -> RemoteError {
    not_connected(&NodeName::new("pve1"), "pve1.lan", &Error::Connect(io::Error::new(kind, text)))
}

/// Sentence and hint of what ssh printed when it could not connect.
fn said(text: &str) -> (String, String) {
    let error = connect(io::ErrorKind::ConnectionAborted, text);
    assert_eq!(error.kind, RemoteErrorKind::Unreachable);
    assert!(!error.detail.contains('\r') && !error.hint.is_empty());
    (error.sentence, error.hint)
}

#[test]
fn network_faults_name_the_host_and_port() {
    for (text, sentence) in [
        ("connect to host pve1.lan port 2222: Connection refused", "pve1.lan port 2222 refuses the connection"),
        ("connect to host pve1.lan port 22: Connection timed out", "pve1.lan port 22 does not answer"),
        ("connect to host pve1.lan port 22: No route to host\r\n", "pve1.lan port 22: no route to host"),
        ("Could not resolve hostname pve1.lan: Name or service not known", "the name pve1.lan cannot be resolved"),
        (
            "Connection timed out during banner exchange\r\nConnection to 10.0.0.1 port 22 timed out",
            "pve1.lan accepts the connection, but no SSH server answers on it",
        ),
        (
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 10.0.0.1 port 22",
            "pve1.lan closed the connection before logging in",
        ),
        (
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535",
            "the way to pve1.lan failed at its jump host (ProxyJump or ProxyCommand in ssh_config)",
        ),
    ] {
        assert_eq!(said(text).0, sentence);
    }
}

#[test]
fn key_faults_name_the_file_and_the_remedy() {
    assert_eq!(said("root@pve1.lan: Permission denied (publickey).").0, "root@pve1.lan accepts none of our keys");
    assert_eq!(
        said(OPEN_KEY),
        (
            "ssh does not use the key /home/op/pve key: others can read it".to_owned(),
            "chmod 600 /home/op/pve key".to_owned()
        )
    );
    let missing = "no such identity: /home/op/pve.key: No such file or directory\r\nroot@pve1.lan: Permission denied (publickey).";
    assert_eq!(said(missing).0, "the key file /home/op/pve.key does not exist or can't be read");
}

#[test]
fn unknown_host_key_says_how_to_pin_it() {
    let (sentence, hint) = said(
        "No ED25519 host key is known for [pve1.lan]:2222 and you have requested strict checking.\r\n\
         Host key verification failed.",
    );
    assert_eq!(sentence, "the host key of pve1.lan is not known, and `known_hosts: strict` is set");
    assert!(
        hint.contains("ssh-keyscan -p 2222 pve1.lan") && hint.contains("ED25519") && hint.contains("accept-new"),
        "{hint}"
    );
}

#[test]
fn changed_host_key_says_which_key_and_which_line() {
    let (sentence, hint) = said(CHANGED);
    assert_eq!(
        sentence,
        "pve1.lan shows another host key than before: SHA256:Yy6Ww3fFwpkYzSzYHLdvLRkbt8NdyCqtOFNZLN5d4fI"
    );
    assert!(hint.contains("/home/op/.ssh/known_hosts:7"), "{hint}");
}

#[test]
fn fault_in_ssh_config_says_where() {
    let text = "/home/op/.ssh/config: line 2: Bad configuration option: blurb\r\n\
                /home/op/.ssh/config: terminating, 1 bad configuration options";
    assert_eq!(
        said(text).0,
        "ssh refuses its configuration: /home/op/.ssh/config: line 2: Bad configuration option: blurb"
    );
    let text = "/home/op/.ssh/config line 2: Bad port 'abc'.\r\n\
                /home/op/.ssh/config: terminating, 1 bad configuration options";
    assert_eq!(said(text).0, "ssh refuses its configuration: /home/op/.ssh/config line 2: Bad port 'abc'.");
}

#[test]
fn missing_ssh_program_is_told_from_a_missing_host() {
    let error = connect(io::ErrorKind::NotFound, "No such file or directory (os error 2)");
    assert_eq!(error.sentence, "there is no `ssh` program on this machine");
}

#[test]
fn anything_else_is_passed_on() {
    assert_eq!(said("something new\r\nof OpenSSH 12\r\n").0, "pve1.lan: of OpenSSH 12");
    assert_eq!(said("").0, "pve1.lan: ssh failed and said nothing");
}

#[test]
fn loss_in_the_middle_is_unknown() {
    let error = lost(&NodeName::new("pve1"), "start", "");
    assert_eq!(error.kind, RemoteErrorKind::Unknown);
    assert_eq!(error.to_string(), "pve1: the connection was lost during `start`; it may or may not have happened");
}

#[test]
fn only_shed_load_is_tried_again() {
    let error = |text: &str| Error::Connect(io::Error::other(text.to_owned()));
    assert!(is_shed(&error("kex_exchange_identification: read: Connection reset by peer")));
    assert!(!is_shed(&error(
        "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535"
    )));
    assert!(!is_shed(&error("root@pve1.lan: Permission denied (publickey).")));
}

proptest::proptest! {
    #[test]
    fn arbitrary_texts_never_panic(text in "(?s).{0,200}", head in "(connect to host |Load key |Offending |Could not resolve hostname )?") {
        let _ = said(&format!("{head}{text}"));
    }
}
