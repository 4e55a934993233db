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

/// `effects`: say when each takes effect; of no interest for what is new altogether.
pub(super) fn draw(page: &mut Page, view: &PlanView<'_>, fields: &[FieldChange], effects: bool) {
    let names = fields.iter().map(|field| field.field.width()).max().unwrap_or(0).max(NAME_WIDTH);
    for field in fields {
        let values = Values::of(field);
        let start = edge(field).text(&field.field).pad_to(EDGE + names + 2);
        let comment = comment(field, effects);
        if values.several_lines() {
            page.push(start.join(comment));
            diff(page, &values);
        } else {
            single(page, view.look.columns(), start, &values, comment);
        }
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
fn single(page: &mut Page, columns: usize, start: Line, values: &Values, comment: Line) {
    let indent = start.width();
    let line = start.clone().text(values.arrow());
    let whole = if comment.is_empty() { line.clone() } else { line.clone().text("   ").join(comment.clone()) };
    if whole.width() <= columns {
        page.push(whole);
        return;
    }
    if line.width() <= columns || values.old.is_none() {
        page.push(line);
    } else {
        page.push(start.text(quoted(&values.old)));
        page.push(Line::new().text(" ".repeat(indent - 3)).text("-> ").text(quoted(&values.new)));
    }
    if !comment.is_empty() {
        page.push(Line::new().text(" ".repeat(indent)).join(comment));
    }
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
fn comment(field: &FieldChange, effects: bool) -> Line {
    let effect = effects.then_some(match field.effect {
        Effect::Live => "live",
        Effect::NextBoot => "at next boot",
        Effect::Reboot => "reboot",
        Effect::Recreate => "forces replacement",
    });
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
