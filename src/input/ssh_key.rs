//! SSH public keys, and what people put in their place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::problem::shown;
use super::problem_id::ProblemId;

/// Key types of OpenSSH that a guest's sshd takes.
const TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A checked line `TYPE BASE64 [COMMENT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub line: String,
    /// Type and key without the comment: equal keys are one.
    pub identity: String,
}

/// What is wrong with a line; `secret`: the text must not be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadKey {
    pub id: ProblemId,
    pub message: String,
    pub help: String,
    pub secret: bool,
}

const SHOW_YOURS: &str = "put the one line there that `cat ~/.ssh/id_ed25519.pub` prints";

/// Checks one key. The placeholder of an example has a message of its own.
pub fn check(text: &str) -> Result<PublicKey, BadKey> {
    let line = text.trim();
    if line.contains("PRIVATE KEY") {
        return Err(BadKey {
            id: ProblemId::SshKeyPrivate,
            message: "this is a private key; a public one belongs here".to_owned(),
            help:
                "put the line of the `.pub` file here; if this file was ever shared or committed, make a new key pair"
                    .to_owned(),
            secret: true,
        });
    }
    let bad = |id: ProblemId, message: String, help: &str| BadKey { id, message, help: help.to_owned(), secret: false };
    let mut parts = line.split_whitespace();
    let (kind, blob) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if is_placeholder(line, blob) {
        return Err(bad(
            ProblemId::SshKeyPlaceholder,
            format!("`{}` is a placeholder, not a key", shown(line)),
            SHOW_YOURS,
        ));
    }
    let invalid = |message: String, help: &str| bad(ProblemId::SshKeyInvalid, message, help);
    if line.lines().count() > 1 {
        return Err(invalid(
            "there is more than one line here".to_owned(),
            "one key an element: several go to `ssh_public_keys`; if one key was broken over lines, join them",
        ));
    }
    if !TYPES.contains(&kind) {
        let message = match kind {
            "ssh-dss" => "DSA keys are refused by today's sshd".to_owned(),
            "" => "there is no key".to_owned(),
            _ if kind.starts_with(['~', '/', '.']) => {
                let message = format!("`{}` is a path, not a key", shown(kind));
                return Err(invalid(message, "a file is named with `ssh_public_key_file`"));
            }
            _ if kind.starts_with("AAAA") => "the key's type is missing before it".to_owned(),
            _ => format!("`{}` is no type of SSH key", shown(kind)),
        };
        return Err(invalid(message, SHOW_YOURS));
    }
    if line.chars().any(char::is_control) {
        return Err(invalid("the key's line has control characters".to_owned(), SHOW_YOURS));
    }
    let bytes = STANDARD.decode(blob).map_err(|_| {
        invalid(
            "the second word is not base64: the key was cut or changed".to_owned(),
            "copy the whole line again, without line breaks",
        )
    })?;
    let Some(fields) = fields(&bytes).filter(|fields| fields.len() > 1) else {
        return Err(invalid(
            "the key was cut: its data end too early".to_owned(),
            "copy the whole line again, without line breaks",
        ));
    };
    if fields[0] != kind.as_bytes() {
        let inner = shown(&String::from_utf8_lossy(fields[0]));
        return Err(invalid(
            format!("the line says {kind}, but the key inside is {inner}"),
            "copy the whole line again",
        ));
    }
    Ok(PublicKey { line: line.to_owned(), identity: format!("{kind} {blob}") })
}

/// `AAAAB3NzaC1yc2EAAAADAQABAAABgQ...`, `<your key>`, `ssh-ed25519 AAAA... you@host`.
fn is_placeholder(line: &str, blob: &str) -> bool {
    let lower = line.to_lowercase();
    blob.contains("...")
        || blob.contains('…')
        || blob.chars().all(|c| matches!(c, 'A' | 'x' | 'X' | '.')) && !blob.is_empty()
        || (line.starts_with('<') && line.ends_with('>'))
        || ["your-key", "your_key", "your key", "changeme", "replace", "your public", "your ssh"]
            .iter()
            .any(|word| lower.contains(word) && STANDARD.decode(blob).is_err())
}

/// RFC 4253 §6.6: the blob is its type and the key's numbers, each with a 32-bit length before it, and nothing else.
fn fields(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        fields.push(field);
        bytes = rest;
    }
    Some(fields)
}

/// The keys of a `.pub` or `authorized_keys` text: each line a key; blank lines and comments are left out.
pub fn check_file(text: &str) -> Result<Vec<PublicKey>, BadKey> {
    if text.contains("PRIVATE KEY") {
        return check(text).map(|key| vec![key]);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::{ProblemId, check, check_file};

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj";

    #[test]
    fn comments_do_not_make_another_key() {
        let first = check(&format!("ssh-ed25519 {KEY} a@b")).unwrap();
        let second = check(&format!("  ssh-ed25519 {KEY}\n")).unwrap();
        assert_eq!(first.identity, second.identity);
        assert_eq!(second.line, format!("ssh-ed25519 {KEY}"));
    }

    /// A real key whose comment has a word of a placeholder is a key.
    #[test]
    fn a_comment_is_no_placeholder() {
        assert!(check(&format!("ssh-ed25519 {KEY} replace-me@example")).is_ok());
        assert_eq!(check("ssh-ed25519 YOUR_KEY_HERE").unwrap_err().id, ProblemId::SshKeyPlaceholder);
    }

    #[test]
    fn every_cut_of_a_key_is_noticed() {
        for length in 0..KEY.len() {
            assert!(check(&format!("ssh-ed25519 {}", &KEY[..length])).is_err(), "{length}");
        }
    }

    #[test]
    fn a_file_may_have_comments_and_several_keys() {
        let file = format!("# mine\n\nssh-ed25519 {KEY} a\nssh-ed25519 {KEY} b\n");
        assert_eq!(check_file(&file).map(|keys| keys.len()), Ok(2));
        assert!(check_file("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n").unwrap_err().secret);
    }
}
