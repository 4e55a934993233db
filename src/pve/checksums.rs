//! Checksum lists beside images: `SHA256SUMS`, `SHA512SUMS`, `CHECKSUM`, in GNU's and BSD's style.

use std::collections::BTreeSet;

use crate::model::ids::ImageDigest;

/// Names shown when the wanted one is not listed.
const SHOWN_NAMES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    #[error("it lists no checksums at all")]
    Empty,
    #[error("it has no entry for {file}; it lists {}", names(listed))]
    NoEntry { file: String, listed: BTreeSet<String> },
    #[error("it has two different checksums for {file}")]
    Ambiguous { file: String },
    #[error("it has only MD5 or SHA-1 checksums for {file}; SHA-256 or SHA-512 is needed")]
    Weak { file: String },
    #[error("the image URL `{url}` names no file")]
    NoFile { url: String },
}

/// The image's digest according to a checksum list. Where both are there, SHA-512 is taken.
pub fn find(list: &str, image_url: &str) -> Result<ImageDigest, ChecksumError> {
    let file = file_name(image_url).ok_or_else(|| ChecksumError::NoFile { url: image_url.to_owned() })?;
    let entries: Vec<Entry> = list.lines().filter_map(entry).collect();
    if entries.is_empty() {
        return Err(ChecksumError::Empty);
    }
    let alone = entries.len() == 1;
    let own: Vec<&Entry> =
        entries.iter().filter(|entry| entry.file == file || (alone && entry.file.is_empty())).collect();
    if own.is_empty() {
        let listed = entries.into_iter().map(|entry| entry.file).filter(|name| !name.is_empty()).collect();
        return Err(ChecksumError::NoEntry { file, listed });
    }
    for length in [128, 64] {
        let found: BTreeSet<&str> =
            own.iter().map(|entry| entry.hex.as_str()).filter(|hex| hex.len() == length).collect();
        let algorithm = if length == 128 { "sha512" } else { "sha256" };
        match found.len() {
            0 => {}
            1 => {
                let digest = found.first().and_then(|hex| format!("{algorithm}-{hex}").parse().ok());
                return digest.ok_or(ChecksumError::Weak { file });
            }
            _ => return Err(ChecksumError::Ambiguous { file }),
        }
    }
    Err(ChecksumError::Weak { file })
}

/// The file that a URL names, percent-decoded, without query.
pub fn file_name(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let (_, after_scheme) = path.split_once("://").unwrap_or(("", path));
    let (_, name) = after_scheme.rsplit_once('/')?;
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

struct Entry {
    /// Without folders; empty in a list that is nothing but one digest.
    file: String,
    hex: String,
}

/// `HEX  NAME`, `HEX *NAME` (GNU), `SHA256 (NAME) = HEX` (BSD), or `HEX` alone.
fn entry(line: &str) -> Option<Entry> {
    let line = line.trim();
    let (name, hex) = match line.split_once(" (") {
        Some((_, rest)) if line.contains(") = ") => rest.rsplit_once(") = ")?,
        _ => {
            let (hex, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (name.trim_start().trim_start_matches('*'), hex)
        }
    };
    let hex = hex.trim().to_ascii_lowercase();
    let is_digest = [32, 40, 56, 64, 96, 128].contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let file = name.rsplit('/').next().unwrap_or_default().trim().to_owned();
    is_digest.then_some(Entry { file, hex })
}

fn names(listed: &BTreeSet<String>) -> String {
    let mut shown: Vec<&str> = listed.iter().take(SHOWN_NAMES).map(String::as_str).collect();
    let more = format!("{} more", listed.len().saturating_sub(SHOWN_NAMES));
    if listed.len() > SHOWN_NAMES {
        shown.push(&more);
    }
    if shown.is_empty() { "nothing by name".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "https://cloud.example/jammy/current/jammy-server-cloudimg-amd64.img?x=1";

    fn hex(digit: &str, length: usize) -> String {
        digit.repeat(length)
    }

    fn is(list: &str, wanted: &str) {
        assert_eq!(find(list, URL).map(|digest| digest.to_string()).as_deref(), Ok(wanted), "{list}");
    }

    #[test]
    fn styles() {
        let (a, b, long) = (hex("a", 64), hex("b", 64), hex("c", 128));
        let name = "jammy-server-cloudimg-amd64.img";
        let wanted = format!("sha256-{a}");
        is(&format!("{b} *other.img\n{a} *{name}\n"), &wanted);
        is(&format!("{a}  {name}\r\n"), &wanted);
        is(&format!("{}  ./sub/{name}\n", a.to_uppercase()), &wanted);
        is(&format!("# {name}: 5 bytes\nSHA256 ({name}) = {a}\nSHA256 (other) = {b}\n"), &wanted);
        is(&format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{a} {name}\n"), &wanted);
        is(&format!("{a}\n"), &wanted);
        is(&format!("{a} {name}\nSHA512 ({name}) = {long}\n"), &format!("sha512-{long}"));
        is(&format!("{a} {name}\n{a} *{name}\n"), &wanted);
    }

    #[test]
    fn faults_say_what_there_is() {
        let error = |list: &str| find(list, URL).unwrap_err().to_string();
        let a = hex("a", 64);
        assert_eq!(
            error(&format!("{a} *noble.img\n{a} *jammy.img\n")),
            "it has no entry for jammy-server-cloudimg-amd64.img; it lists jammy.img, noble.img"
        );
        let many: String = (0..20).map(|n| format!("{a} n{n:02}\n")).collect();
        assert!(error(&many).ends_with("n07, 12 more"), "{}", error(&many));
        let name = "jammy-server-cloudimg-amd64.img";
        assert!(error(&format!("{a} {name}\n{} {name}\n", hex("b", 64))).contains("two different"));
        assert!(error(&format!("{} {name}\n", hex("a", 32))).contains("only MD5"));
        assert_eq!(error("<html>not found</html>"), "it lists no checksums at all");
        assert_eq!(find(&a, "https://host/").unwrap_err(), ChecksumError::NoFile { url: "https://host/".to_owned() });
        assert_eq!(find(&a, "https://host").unwrap_err(), ChecksumError::NoFile { url: "https://host".to_owned() });
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_an_error(list in "(\\PC|\\n|[0-9a-f]{64}  x\\n){0,8}", url in "\\PC{0,20}") {
            let _ = find(&list, &url);
        }
    }
}
