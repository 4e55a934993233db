//! The `sshkeys` value of a config: public keys, URL-encoded (contract §6, [c-set-and-errors/conf-file-cloudinit]).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use sha2::{Digest as _, Sha256};

/// PVE escapes all but `A-Za-z0-9-_.!~*'()`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The keys as a set of trimmed lines: order, blank lines and a trailing newline mean nothing.
pub fn lines(value: &str) -> BTreeSet<String> {
    key_lines(&decode(value))
}

/// The same of text that is not encoded (a manifest's keys).
pub fn key_lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

pub fn decode(value: &str) -> String {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// As `qm set --sshkeys FILE` stores a file's content.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, ESCAPED).to_string()
}

/// What people compare keys by: `ssh-ed25519 SHA256:n0mY… alice@laptop`, the fingerprint as `ssh-keygen -l`, `ssh-add -l`
/// and sshd's log have it; options that stand before the type stay. `None`: it is no public key.
pub fn label(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| is_key_type(word))?;
    let body = words.get(at + 1)?;
    let fingerprint = if is_fingerprint(body) {
        (*body).to_owned()
    } else {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(STANDARD.decode(body).ok()?)))
    };
    let (options, comment) = (&words[..at], &words[at + 2..]);
    let all = options.iter().copied().chain([words[at], fingerprint.as_str()]).chain(comment.iter().copied());
    Some(all.collect::<Vec<_>>().join(" "))
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|prefix| word.starts_with(prefix))
}

/// `SHA256:` and 43 base64 digits.
fn is_fingerprint(word: &str) -> bool {
    word.strip_prefix("SHA256:")
        .is_some_and(|rest| rest.len() == 43 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_value_round_trips() {
        let value =
            "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIE8hTws%2Fzw%2B9Od2vOwbKc0y%2FiWVPVbsz31PUidkEvA%2B5%20lab%0A";
        let text = decode(value);
        assert_eq!(text, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8hTws/zw+9Od2vOwbKc0y/iWVPVbsz31PUidkEvA+5 lab\n");
        assert_eq!(encode(&text), value);
    }

    /// As `ssh-keygen -lf` prints it for this key.
    #[test]
    fn labels_have_the_fingerprint_of_ssh_keygen() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIE8hTws/zw+9Od2vOwbKc0y/iWVPVbsz31PUidkEvA+5";
        let fingerprint = "SHA256:zFVMlnmRivV3CwlCtRX8l/eXOjsUnK2OKL94zucgw0c";
        assert_eq!(label(&format!("ssh-ed25519 {key} lab")).unwrap(), format!("ssh-ed25519 {fingerprint} lab"));
        let limited = label(&format!("restrict,command=\"date\" ssh-ed25519 {key}")).unwrap();
        assert_eq!(limited, format!("restrict,command=\"date\" ssh-ed25519 {fingerprint}"));
        assert_eq!(label(&limited), Some(limited.clone()), "hashed only once");
        assert_eq!(["hunter2", "ssh-ed25519", "ssh-rsa not-base64! x"].map(label), [None, None, None]);
    }

    #[test]
    fn order_and_trailing_newline_mean_nothing() {
        assert_eq!(lines("a%20x%0Ab%20y"), lines("b%20y%0A%0A%20a%20x%0A"));
        assert_ne!(lines("a"), lines("b"));
        assert!(lines(" ").is_empty());
    }
}
