//! Styled text: spans, lines, pages. Colour is decided at the very end, so that both forms have the same characters.
//!
//! Text from nodes and files ends up here, so every control character is escaped on its way in: a VM's name can't
//! clear the screen, nor turn the reading direction around.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use crate::error::text::acts;
pub use crate::error::text::printable;

/// How output is to look. Widths below 40 are taken as 40.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    pub color: bool,
}

impl Look {
    /// 80 columns, no colour: for files and tests.
    pub const PLAIN: Look = Look { width: 80, color: false };

    pub(crate) fn columns(self) -> usize {
        self.width.max(40)
    }
}

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Bold,
    Dim,
    Add,
    Change,
    Remove,
    Good,
    Warn,
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Tone::Plain => Style::new(),
            Tone::Bold => Style::new().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Add | Tone::Good => color(AnsiColor::Green),
            Tone::Change | Tone::Warn => color(AnsiColor::Yellow),
            Tone::Remove => color(AnsiColor::Red),
            Tone::Bad => color(AnsiColor::Red).bold(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    text: String,
    tone: Tone,
}

/// One line: spans in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    spans: Vec<Span>,
}

impl Line {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds plain text.
    #[must_use]
    pub fn text(self, text: impl AsRef<str>) -> Self {
        self.tone(Tone::Plain, text)
    }

    #[must_use]
    pub fn tone(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        let text = printable(text.as_ref());
        if !text.is_empty() {
            self.spans.push(Span { text, tone });
        }
        self
    }

    #[must_use]
    pub fn join(mut self, other: Line) -> Self {
        self.spans.extend(other.spans);
        self
    }

    /// Spaces up to `columns`; nothing when it is already as wide.
    #[must_use]
    pub fn pad_to(self, columns: usize) -> Self {
        let missing = columns.saturating_sub(self.width());
        self.text(" ".repeat(missing))
    }

    /// Terminal columns.
    pub fn width(&self) -> usize {
        self.spans.iter().map(|span| span.text.width()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The characters alone.
    pub fn plain(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }

    /// Cut to at most `columns`, with `…` where something is missing.
    #[must_use]
    pub fn cut(mut self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mut left = columns.saturating_sub(1);
        let mut kept = Vec::new();
        for mut span in self.spans.drain(..) {
            let width = span.text.width();
            if width <= left {
                left -= width;
                kept.push(span);
                continue;
            }
            span.text = cut_text(&span.text, left);
            span.text.push('…');
            kept.push(span);
            break;
        }
        Line { spans: kept }
    }

    /// The line as it goes to a stream, without trailing spaces and without a newline.
    pub fn to_text(&self, color: bool) -> String {
        let mut out = String::new();
        let mut end = self.plain().trim_end().len();
        for span in &self.spans {
            let text = &span.text[..span.text.len().min(end)];
            end -= text.len();
            let style = span.tone.style();
            if text.is_empty() {
            } else if color && span.tone != Tone::Plain {
                // Writing to a String can't fail.
                let _ = write!(out, "{style}{text}{style:#}");
            } else {
                out.push_str(text);
            }
        }
        out
    }
}

fn cut_text(text: &str, columns: usize) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if kept.as_str().width() > columns {
            kept.pop();
            break;
        }
    }
    kept
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Line::new().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Line::new().text(text)
    }
}

/// Lines under each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    lines: Vec<Line>,
}

impl Page {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, line: impl Into<Line>) {
        self.lines.push(line.into());
    }

    pub fn extend(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.lines.extend(lines);
    }

    /// An empty line, unless the page is empty or already ends in one.
    pub fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Line::new());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The whole text; each line ends in a newline.
    pub fn finish(&self, look: Look) -> String {
        let mut out = String::new();
        for line in &self.lines {
            out.push_str(&line.to_text(look.color));
            out.push('\n');
        }
        out
    }
}

/// JSON in which nothing acts on a terminal: what JSON leaves as it is within its strings (control characters from U+007F
/// on, those that change direction) is written as `\\u…`, the same string to whoever reads it.
pub(crate) fn printable_json(json: &str) -> String {
    let acts = |c: char| c != '\n' && acts(c);
    if !json.chars().any(acts) {
        return json.to_owned();
    }
    json.chars().map(|c| if acts(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_adds_no_characters_and_no_trailing_spaces() {
        let line = Line::new().tone(Tone::Add, "+").text("  x   ").tone(Tone::Dim, "   ");
        assert_eq!(line.to_text(false), "+  x");
        assert_eq!(anstream::adapter::strip_str(&line.to_text(true)).to_string(), "+  x");
        assert!(line.to_text(true).contains("\u{1b}[32m+"));
    }

    #[test]
    fn a_name_can_not_act_on_the_terminal() {
        let line = Line::new().text("a\u{1b}[2Jb\rc\u{202e}d");
        assert_eq!(line.to_text(false), "a\\u{1b}[2Jb\\rc\\u{202e}d");
    }

    #[test]
    fn json_can_not_act_on_the_terminal_and_says_the_same() {
        let value = serde_json::json!({ "name": "a\u{9b}2J\u{202e}b\u{7f}\u{1b}[2Jé\n" });
        let text = printable_json(&format!("{value:#}\n"));
        assert_eq!(text, "{\n  \"name\": \"a\\u009b2J\\u202eb\\u007f\\u001b[2Jé\\n\"\n}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn cuts_by_columns_not_bytes() {
        let line = Line::new().tone(Tone::Add, "日本").text("語です");
        assert_eq!(line.clone().cut(6).plain(), "日本…");
        assert_eq!(line.clone().cut(10).plain(), "日本語です");
        assert_eq!(line.cut(0).plain(), "…");
    }
}
