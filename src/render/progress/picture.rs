//! The live picture: a line for the whole, then machines and templates under their nodes.

use super::{Progress, Row, RowState};
use crate::render::line::{Line, Look, Page, Tone};
use crate::render::values::clock;

/// Columns of the bar.
const BAR: usize = 20;
/// How long a word about the whole run stays in the picture.
const NOTICE_S: f64 = 30.0;

impl Progress {
    /// At most `height` lines of at most the look's width. Where not all rows fit, those that wait or are done are
    /// counted instead.
    pub fn picture(&self, now_s: f64, look: Look, height: usize) -> String {
        let mut page = Page::new();
        page.push(self.head(now_s, look.width));
        let fresh = self.notice.as_ref().filter(|(at_s, _)| now_s - at_s < NOTICE_S);
        let notice = fresh.map(|(_, text)| Line::new().text(" ").tone(Tone::Warn, text).cut(look.width));
        let room = height.saturating_sub(1 + usize::from(notice.is_some())).max(1);
        let (shown, hidden) = self.choose(room);
        let nodes = self.rows.iter().map(|row| row.node.as_str().chars().count()).max().unwrap_or(0);
        let names = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let mut node = None;
        for row in shown {
            let label = if node == Some(&row.node) { "" } else { row.node.as_str() };
            node = Some(&row.node);
            let start = Line::new().text(" ").tone(Tone::Bold, label).pad_to(1 + nodes + 2);
            let start = start.text(&row.name).pad_to(1 + nodes + 2 + names + 2);
            page.push(self.row(start, row, now_s, look.width).cut(look.width));
        }
        page.extend(hidden.map(|text| Line::new().tone(Tone::Dim, text).cut(look.width)));
        page.extend(notice);
        page.finish(look)
    }

    fn head(&self, now_s: f64, width: usize) -> Line {
        let share = self.done(now_s);
        let full = ((share * BAR as f64) as usize).min(BAR);
        let percent = format!(" {:>3} %", (share * 100.0) as u32);
        let time = clock(now_s);
        let bar = Line::new().tone(Tone::Good, "█".repeat(full)).tone(Tone::Dim, "░".repeat(BAR - full));
        let right = Line::new().text(&time).text(" ").join(bar).text(&percent);
        let right = if width >= 60 { right } else { Line::new().text(time).text(percent) };
        let room = width.saturating_sub(right.width() + 1);
        Line::new().tone(Tone::Bold, &self.title).cut(room).pad_to(room + 1).join(right)
    }

    fn row(&self, start: Line, row: &Row, now_s: f64, width: usize) -> Line {
        match self.row_state(row) {
            RowState::Waiting(on) => start.tone(Tone::Dim, format!("· {on}")),
            RowState::Running { step, since_s } => {
                let time = clock(now_s - since_s.min(now_s));
                // The words are cut, not the clock.
                let room = width.saturating_sub(start.width() + 2 + 3 + time.len()).max(8);
                let words = Line::new().text(step.words()).cut(room);
                start.tone(Tone::Change, "◐ ").join(words).text("   ").tone(Tone::Dim, time)
            }
            RowState::Done { took_s } => {
                start.tone(Tone::Good, format!("✔ {} ", row.end)).tone(Tone::Dim, clock(took_s))
            }
            RowState::Failed { summary } => start.tone(Tone::Bad, "✗ ").text(summary),
            RowState::Skipped { because } => {
                let name = self.row_of(because).map_or("a step that failed", |row| row.name.as_str());
                start.tone(Tone::Dim, format!("– skipped: {name} failed"))
            }
        }
    }

    /// The rows to show, in their order, and what is said of the others.
    fn choose(&self, room: usize) -> (Vec<&Row>, Option<String>) {
        if self.rows.len() <= room {
            return (self.rows.iter().collect(), None);
        }
        let rank = |row: &Row| match self.row_state(row) {
            RowState::Failed { .. } => 0,
            RowState::Running { .. } => 1,
            RowState::Waiting(_) => 2,
            RowState::Skipped { .. } => 3,
            RowState::Done { .. } => 4,
        };
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|index| (rank(&self.rows[*index]), *index));
        let mut kept: Vec<usize> = order.iter().copied().take(room.saturating_sub(1)).collect();
        kept.sort_unstable();
        let rest: Vec<usize> =
            order.into_iter().skip(room.saturating_sub(1)).map(|index| rank(&self.rows[index])).collect();
        let said: Vec<String> = ["failed", "running", "waiting", "skipped", "done"]
            .iter()
            .enumerate()
            .map(|(rank, word)| (rest.iter().filter(|other| **other == rank).count(), word))
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{number} {word}"))
            .collect();
        (kept.into_iter().map(|index| &self.rows[index]).collect(), Some(format!(" … and {}", said.join(", "))))
    }
}
