//! Text with a part of it replaced, and where lines and values begin and end.

use std::ops::Range;

use crate::input::yaml::{Entry, Kind, Node};

pub(super) fn replace(text: &str, range: Range<usize>, with: &str) -> String {
    [&text[..range.start], with, &text[range.end..]].concat()
}

pub(super) fn insert(text: &str, at: usize, new: &str) -> String {
    replace(text, at..at, new)
}

/// Another value for a key that is there; an anchor before it, and all around it, stays.
pub(super) fn set_value(text: &str, entry: &Entry, value: &str) -> String {
    let end = entry_end(text, entry);
    if entry.value.span.is_empty() {
        return insert(text, end, &format!(" {value}"));
    }
    replace(text, entry.value.span.start..end, value)
}

/// Where a value's last byte is, whatever follows it on its line.
pub(super) fn end(text: &str, node: &Node) -> usize {
    if node.is_alias(text) || is_flow(text, node) {
        return node.span.end;
    }
    match &node.kind {
        Kind::Map(entries) => entries.last().map_or(node.span.end, |last| entry_end(text, last)),
        Kind::List(items) => items.last().map_or(node.span.end, |last| end(text, last)),
        // A block scalar reaches over the line breaks behind it.
        Kind::Scalar { .. } => text[..node.span.end].trim_end().len().max(node.span.start),
    }
}

pub(super) fn entry_end(text: &str, entry: &Entry) -> usize {
    if entry.value.span.is_empty() {
        let key = entry.key.span.end;
        return text[key..].find(':').map_or(key, |colon| key + colon + 1);
    }
    end(text, &entry.value)
}

/// In brackets.
pub(super) fn is_flow(text: &str, node: &Node) -> bool {
    let at = &text[node.span.start..];
    match &node.kind {
        Kind::Map(_) => at.starts_with('{'),
        // A block list begins where its first element does, which may have brackets.
        Kind::List(items) => {
            at.starts_with('[') && items.first().is_none_or(|first| first.span.start > node.span.start)
        }
        Kind::Scalar { .. } => false,
    }
}

pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The start of the next line, or the end of the text.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

pub(super) fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// What stands before it on its line, where that is nothing but space.
pub(super) fn indent(text: &str, at: usize) -> Option<&str> {
    let before = &text[line_start(text, at)..at];
    // A byte order mark is no text.
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    before.trim_start_matches([' ', '\t']).is_empty().then_some(before)
}

/// A new line behind the one at `at`.
pub(super) fn line_after(text: &str, at: usize, line: &str) -> String {
    let (place, newline) = (next_line(text, at), newline(text));
    if text[..place].ends_with('\n') {
        insert(text, place, &format!("{line}{newline}"))
    } else {
        insert(text, place, &format!("{newline}{line}"))
    }
}

/// Without the lines from `start` to `end`; the last line of a text without a line break at its end leaves none.
pub(super) fn without_lines(text: &str, start: usize, end: usize) -> String {
    let (start, end) = (line_start(text, start), next_line(text, end));
    let before = &text[..start];
    let before =
        if text[..end].ends_with('\n') { before } else { before.strip_suffix(newline(text)).unwrap_or(before) };
    [before, &text[end..]].concat()
}

/// Nothing but space, or a comment, up to the end of the line.
pub(super) fn ends_line(text: &str, at: usize) -> bool {
    let rest = text[at..next_line(text, at)].trim();
    rest.is_empty() || rest.starts_with('#')
}
