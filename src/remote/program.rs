//! The fixed shell programs of `programs/`, and the frame around each: how one is sent, and how its answer is told from
//! whatever else a login shell prints.
//!
//! A program goes in on stdin, its values as positional parameters (quoted by `openssh`), its further input after it on
//! stdin. The frame reads exactly the program's length, so that dash does not swallow the input, and runs it only if its
//! last line arrived: a connection that breaks early runs nothing, never half a program.

use super::Answer;

/// Runs a program that comes on stdin. `$1` nonce, `$2` length of the program, then the program's own parameters. One
/// line: within quotes a csh, which may be the login shell, takes no line break.
const FRAME: &str = concat!(
    r#"printf '@@%s begin\n' "$1"; printf '@@%s begin\n' "$1" >&2; "#,
    r#"program=$(head -c "$2"); nonce=$1; shift 2; "#,
    r#"case $program in *'# end of program') (eval "$program"); code=$? ;; *) code=incomplete ;; esac; "#,
    r#"printf '\n@@%s rc=%s\n' "$nonce" "$code"; printf '\n@@%s end\n' "$nonce" >&2"#,
);

/// The one line that programs take their root folder and PATH from. On a node `PVEKUBE_ROOT` is unset and ROOT is empty;
/// an end-to-end test's sshd sets it (`SetEnv`). The locale: anything else mangles text for good (pve-observed §6).
const HEADER: &str = concat!(
    r#"ROOT="${PVEKUBE_ROOT-}"; PATH="${ROOT:+$ROOT/usr/sbin:$ROOT/usr/bin:}/usr/sbin:/usr/bin:/sbin:/bin"; "#,
    "LC_ALL=C.UTF-8; export ROOT PATH LC_ALL\n"
);

const LAST_LINE: &str = "\n# end of program";

macro_rules! programs {
    ($($name:ident = $file:literal $(after $part:literal)?;)*) => {
        $(pub(crate) const $name: Program = Program {
            name: $file,
            body: concat!(
                $(include_str!(concat!("programs/", $part, ".sh")),)?
                include_str!(concat!("programs/", $file, ".sh")),
            ),
        };)*
        #[cfg(test)]
        const ALL: &[Program] = &[$($name),*];
    };
}

programs! {
    DIAGNOSE = "diagnose";
    FOLLOW = "follow";
    FORGET = "forget";
    IMAGE = "image";
    LOCK = "lock";
    OBSERVE = "observe" after "report";
    OPERATION = "operation";
    OWNER = "owner";
    PUT = "put";
    REMOVE = "remove";
    START = "start";
    STATUS = "status";
    VM = "vm" after "report";
    VOLUMES = "volumes";
}

const COMMON: &str = include_str!("programs/common.sh");

/// One of the fixed programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// For messages.
    pub(crate) name: &'static str,
    body: &'static str,
}

impl Program {
    /// The whole text as a node runs it.
    pub(crate) fn text(&self) -> String {
        format!("{HEADER}{COMMON}{}{LAST_LINE}", self.body)
    }
}

/// The remote command's words for a program of `length` bytes.
pub(crate) fn command(sudo: bool, nonce: &str, length: usize, parameters: &[&str]) -> Vec<String> {
    let sudo: &[&str] = if sudo { &["sudo", "-n"] } else { &[] };
    let length = length.to_string();
    let fixed = ["sh", "-c", FRAME, "pvekube", nonce, &length];
    sudo.iter().chain(&fixed).chain(parameters).map(|word| (*word).to_owned()).collect()
}

/// Random, so that no output can look like a frame by accident or on purpose: 16 hex digits.
pub(crate) fn nonce() -> String {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's only source of randomness: the keys of its hasher.
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}

/// What came of a program, read from its output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framed {
    Whole(Answer),
    /// The program did not arrive whole and was not run.
    NotRun,
    /// The frame began, but its end is missing: the program ran, nobody knows how far.
    Cut,
    /// The frame did not begin.
    NoFrame,
}

/// Cuts the answer out of what the remote command printed.
pub(crate) fn unframe(nonce: &str, stdout: &[u8], stderr: &[u8]) -> Framed {
    let begin = format!("@@{nonce} begin\n");
    let Some(start) = find(stdout, begin.as_bytes()) else { return Framed::NoFrame };
    let stdout = &stdout[start + begin.len()..];
    let trailer = format!("\n@@{nonce} rc=");
    let Some(end) = find_last(stdout, trailer.as_bytes()) else { return Framed::Cut };
    let code = &stdout[end + trailer.len()..];
    let Some(code) = code.strip_suffix(b"\n").and_then(|code| std::str::from_utf8(code).ok()) else {
        return Framed::Cut;
    };
    match code.parse() {
        Ok(exit) => Framed::Whole(Answer { exit, stdout: stdout[..end].to_vec(), stderr: between(nonce, stderr) }),
        Err(_) if code == "incomplete" => Framed::NotRun,
        Err(_) => Framed::Cut,
    }
}

/// stderr between the frame's marks; as much as there is when one is missing.
fn between(nonce: &str, stderr: &[u8]) -> Vec<u8> {
    let begin = format!("@@{nonce} begin\n");
    let stderr = find(stderr, begin.as_bytes()).map_or(stderr, |start| &stderr[start + begin.len()..]);
    let end = format!("\n@@{nonce} end\n");
    find_last(stderr, end.as_bytes()).map_or(stderr, |end| &stderr[..end]).to_vec()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn find_last(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).rposition(|window| window == wanted)
}

/// Arguments as the runner of an operation reads them: for each its length in bytes, a newline, its bytes. `None` when
/// one holds a NUL byte, which no argument can.
pub(crate) fn encode_argv<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in words {
        if word.contains('\0') {
            return None;
        }
        bytes.extend_from_slice(format!("{}\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
