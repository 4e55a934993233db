//! Wrapping and tables, by terminal columns.

use unicode_width::UnicodeWidthStr as _;

use super::line::{Line, Page, Tone};

/// Between two columns of a table; less where the rows would not fit.
const GAP: usize = 3;
/// A last column narrower than this goes on a line of its own.
const NARROWEST_LAST_COLUMN: usize = 24;

/// `text` in lines of at most `columns`, broken at spaces. A word that is wider stays whole: a command or path that is
/// cut can't be copied.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    wrap_after(text, 0, columns)
}

/// As [`wrap`], where `used` columns of the first line are taken.
fn wrap_after(text: &str, used: usize, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut edge = used;
    for word in words(text) {
        let width = word.as_str().width();
        if !line.is_empty() && edge + 1 + width > columns {
            lines.push(std::mem::take(&mut line));
            edge = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            edge += 1;
        }
        line.push_str(&word);
        edge += width;
    }
    lines.push(line);
    lines
}

/// Words, where a flag and its value are one: `--accept replace` is copied whole.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut after_flag = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(flag) if after_flag => {
                flag.push(' ');
                flag.push_str(word);
                after_flag = false;
            }
            Some(_) | None => {
                after_flag =
                    word.trim_start_matches('(').starts_with("--") && !word.ends_with([',', ';', '.', ')', ':']);
                words.push(word.to_owned());
            }
        }
    }
    words
}

/// `prefix` and then `text`, wrapped; following lines are indented by `indent` columns.
pub fn paragraph(page: &mut Page, columns: usize, prefix: Line, tone: Tone, text: &str, indent: usize) {
    let room = columns.saturating_sub(indent).max(20);
    let used = prefix.width().saturating_sub(indent);
    let mut prefix = Some(prefix);
    for line in wrap_after(text, used, room) {
        let start = prefix.take().unwrap_or_else(|| Line::new().text(" ".repeat(indent)));
        page.push(start.tone(tone, line));
    }
}

/// Items in lines of at most `columns`, three columns apart; an item is never broken.
pub fn side_by_side(items: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.as_str().width() + GAP + item.as_str().width() <= columns => {
                line.push_str(&" ".repeat(GAP));
                line.push_str(item);
            }
            Some(_) | None => lines.push(item.clone()),
        }
    }
    lines
}

/// Rows of cells under each other. Each row has a prefix (its symbol) of its own; the last column wraps.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    prefix: Line,
    cells: Vec<Line>,
    /// The last column: its tone and text.
    last: Option<(Tone, String)>,
}

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn row(&mut self, prefix: Line, cells: Vec<Line>, last: Option<(Tone, String)>) {
        self.rows.push(Row { prefix, cells, last });
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Columns that are empty in every row take no room.
    pub fn draw(&self, page: &mut Page, columns: usize) {
        let prefix = self.rows.iter().map(|row| row.prefix.width()).max().unwrap_or(0);
        let count = self.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..count)
            .map(|index| self.rows.iter().filter_map(|row| row.cells.get(index)).map(Line::width).max().unwrap_or(0))
            .collect();
        let fill: usize = widths.iter().sum();
        let gaps = widths.iter().filter(|width| **width > 0).count();
        let longest =
            self.rows.iter().filter_map(|row| row.last.as_ref()).map(|(_, text)| text.width()).max().unwrap_or(0);
        let wanted = longest.min(NARROWEST_LAST_COLUMN);
        // A narrower gap where that keeps the last column beside the others, or the others within the width.
        let beside = (2..=GAP).rev().find(|gap| prefix + fill + gap * gaps + wanted <= columns);
        let within = || (1..=GAP).rev().find(|gap| prefix + fill + gap * gaps.saturating_sub(1) <= columns);
        let gap = beside.or_else(within).unwrap_or(1);
        let before_last = prefix + fill + gap * gaps;
        let room = columns.saturating_sub(before_last);
        for row in &self.rows {
            let mut line = row.prefix.clone().pad_to(prefix);
            let mut edge = prefix;
            for (index, width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
                line = line.join(row.cells.get(index).cloned().unwrap_or_default());
                edge += width + gap;
                line = line.pad_to(edge);
            }
            let Some((tone, text)) = &row.last else {
                page.push(line);
                continue;
            };
            if room >= NARROWEST_LAST_COLUMN.min(text.width()) {
                paragraph(page, columns, line, *tone, text, before_last);
            } else {
                page.push(line);
                let indent = prefix + 2;
                paragraph(page, columns, Line::new().text(" ".repeat(indent)), *tone, text, indent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Look;

    #[test]
    fn wraps_at_spaces_and_keeps_long_words_whole() {
        assert_eq!(wrap("a bb ccc dddddddddd e", 6), ["a bb", "ccc", "dddddddddd", "e"]);
        assert_eq!(wrap("", 6), [""]);
    }

    #[test]
    fn a_paragraph_hangs_under_its_prefix() {
        let mut page = Page::new();
        paragraph(&mut page, 40, "! check: ".into(), Tone::Plain, "one two three four five six seven eight nine", 2);
        let text = page.finish(Look::PLAIN);
        assert_eq!(text, "! check: one two three four five six\n  seven eight nine\n");
    }

    #[test]
    fn a_last_column_without_room_goes_below() {
        let mut table = Table::new();
        table.row(
            "+ ".into(),
            vec!["a-very-long-machine-name".into(), "pve1".into()],
            Some((Tone::Dim, "because of this and that".into())),
        );
        let mut page = Page::new();
        table.draw(&mut page, 40);
        assert_eq!(page.finish(Look::PLAIN), "+ a-very-long-machine-name   pve1\n    because of this and that\n");
    }
}
