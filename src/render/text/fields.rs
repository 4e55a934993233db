//! Fields of one change: `~   memory_mb   8192 -> 16384   # reboot`.

use unicode_width::UnicodeWidthStr as _;

use super::PlanView;
use crate::model::plan::{Effect, FieldChange};
use crate::render::line::{Line, Page, Tone};
use crate::render::values::{sensitive, unified_diff};

/// Columns of a field's symbol.
const EDGE: usize = 6;
/// Columns that names take at least, so that blocks look alike.
const NAME_WIDTH: usize = 12;

/// Whether and how fields say when they take effect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effects {
    /// Of no interest: all is new.
    Hidden,
    /// The machine stays up.
    Shown,
    /// The machine is stopped and started by this plan.
    Rebooted,
}

pub(super) fn draw(page: &mut Page, view: &PlanView<'_>, fields: &[FieldChange], effects: Effects) {
    let columns = view.look.columns();
    let names = fields.iter().map(|field| field.field.width()).max().unwrap_or(0).max(NAME_WIDTH);
    let rows: Vec<Row> = fields.iter().map(|field| Row::of(field, names, effects)).collect();
    // Comments stand under each other where all have room.
    let edge = rows.iter().map(Row::edge).max().unwrap_or(0);
    let aligned = rows.iter().all(|row| row.values.several_lines() || edge + row.comment.width() <= columns);
    let edge = if aligned { edge } else { 0 };
    for row in &rows {
        if row.values.several_lines() {
            page.push(row.start.clone().join(row.comment.clone()));
            diff(page, &row.values);
        } else {
            single(page, columns, row, edge);
        }
    }
}

/// One field: its symbol and name, its values, when it takes effect.
struct Row {
    start: Line,
    values: Values,
    comment: Line,
}

impl Row {
    fn of(field: &FieldChange, names: usize, effects: Effects) -> Self {
        let start = edge(field).text(&field.field).pad_to(EDGE + names + 2);
        Self { start, values: Values::of(field), comment: comment(field, effects) }
    }

    /// Where its comment would begin.
    fn edge(&self) -> usize {
        if self.values.several_lines() { 0 } else { self.start.width() + self.values.arrow().width() + 3 }
    }
}

/// What may be shown of a field's two values.
struct Values {
    old: Option<String>,
    new: Option<String>,
}

impl Values {
    fn of(field: &FieldChange) -> Self {
        let shown = |value: &Option<String>| {
            value.as_deref().map(|value| if field.sensitive { sensitive(value) } else { value.trim_end().to_owned() })
        };
        Self { old: shown(&field.old), new: shown(&field.new) }
    }

    fn several_lines(&self) -> bool {
        [&self.old, &self.new].into_iter().flatten().any(|text| text.contains('\n'))
    }

    /// In one line: `8192 -> 16384`, or the new value alone.
    fn arrow(&self) -> String {
        match &self.old {
            None => quoted(&self.new),
            Some(_) => format!("{} -> {}", quoted(&self.old), quoted(&self.new)),
        }
    }
}

fn quoted(value: &Option<String>) -> String {
    match value {
        None => "null".to_owned(),
        Some(text) if text.is_empty() => "\"\"".to_owned(),
        Some(text) => text.clone(),
    }
}

/// One line where it fits; else the values under each other, so that the difference is seen, and the comment below.
fn single(page: &mut Page, columns: usize, row: &Row, edge: usize) {
    let Row { start, values, comment } = row;
    let line = start.clone().text(values.arrow());
    if comment.is_empty() {
        page.push(line);
        return;
    }
    for commented in [line.clone().pad_to(edge), line.clone().text("   ")] {
        if commented.width() >= line.width() + 3 && commented.width() + comment.width() <= columns {
            page.push(commented.join(comment.clone()));
            return;
        }
    }
    let indent = start.width();
    if line.width() <= columns || values.old.is_none() {
        page.push(line);
    } else {
        page.push(start.clone().text(quoted(&values.old)));
        page.push(Line::new().text(" ".repeat(indent - 3)).text("-> ").text(quoted(&values.new)));
    }
    page.push(Line::new().text(" ".repeat(indent)).join(comment.clone()));
}

fn edge(field: &FieldChange) -> Line {
    let line = match (&field.old, &field.new) {
        (None, _) => Line::new().tone(Tone::Add, "  +"),
        (Some(_), None) => Line::new().tone(Tone::Remove, "  -"),
        (Some(_), Some(_)) => Line::new().tone(Tone::Change, "  ~"),
    };
    line.pad_to(EDGE)
}

/// `# live; the guest grows it at its next boot`.
fn comment(field: &FieldChange, effects: Effects) -> Line {
    let effect = match (field.effect, effects) {
        (_, Effects::Hidden) => None,
        (Effect::Live, _) => Some("live"),
        (Effect::NextBoot | Effect::Reboot, Effects::Rebooted) => Some("by the reboot"),
        (Effect::NextBoot | Effect::Reboot, Effects::Shown) => Some("at its next reboot"),
        (Effect::Recreate, _) => Some("forces replacement"),
    };
    let said: Vec<&str> = effect.into_iter().chain(field.comment.as_deref()).collect();
    if said.is_empty() { Line::new() } else { Line::new().tone(Tone::Dim, format!("# {}", said.join("; "))) }
}

fn diff(page: &mut Page, values: &Values) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for line in unified_diff(&text(&values.old), &text(&values.new)) {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Tone::Add,
            Some(b'-') => Tone::Remove,
            Some(_) | None => Tone::Dim,
        };
        page.push(Line::new().text(" ".repeat(EDGE + 2)).tone(tone, line));
    }
}
