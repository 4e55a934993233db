//! The question before an apply. Only `yes` is a yes.

use std::io::BufRead;

use crate::render::Look;
use crate::render::line::{Line, Page, Tone};

/// The question and what it is about, as OpenTofu asks.
pub(super) fn text(question: &str, explanation: &str, look: Look) -> String {
    let mut page = Page::new();
    page.push(Line::new());
    page.push(Line::new().tone(Tone::Bold, question));
    if !explanation.is_empty() {
        page.push(Line::new().text("  ").text(explanation));
    }
    page.push("  Only 'yes' will be accepted to approve.");
    page.push(Line::new());
    page.finish(look)
}

/// What was typed, without its line end; empty at the end of input or when it can't be read.
pub(super) fn read_line(input: &mut impl BufRead) -> String {
    answer(input).unwrap_or_default()
}

/// As `read_line`; `None` at the end of input.
pub(super) fn answer(input: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match input.read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim().to_owned()),
    }
}

pub(super) fn is_yes(answer: &str) -> bool {
    answer == "yes"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_yes() {
        let said = |bytes: &[u8]| is_yes(&read_line(&mut &bytes[..]));
        assert!(said(b"yes\n") && said(b"yes\r\n") && said(b" yes"));
        for no in [&b""[..], b"\n", b"y\n", b"Yes\n", b"YES\n", b"yes please\n", b"\xff\n"] {
            assert!(!said(no), "{no:?}");
        }
    }
}
