//! The `sshkeys` value of a config: public keys, URL-encoded (contract §6, [c-set-and-errors/conf-file-cloudinit]).

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

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

    #[test]
    fn order_and_trailing_newline_mean_nothing() {
        assert_eq!(lines("a%20x%0Ab%20y"), lines("b%20y%0A%0A%20a%20x%0A"));
        assert_ne!(lines("a"), lines("b"));
        assert!(lines(" ").is_empty());
    }
}
