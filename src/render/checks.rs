//! Checks one by one, green and red: what `doctor` says of every node.

use super::json::{check_out, pretty};
use super::layout::paragraph;
use super::line::{Line, Look, Page, Tone};
use super::values::count;
use crate::model::plan::{Check, Verdict};

/// By what they are about, in the order given; the counts are the last line.
pub fn checks_text(checks: &[Check], look: Look) -> String {
    let mut page = Page::new();
    let mut subjects: Vec<&str> = Vec::new();
    for check in checks {
        if !subjects.contains(&check.about.as_str()) {
            subjects.push(&check.about);
        }
    }
    subjects.sort_unstable();
    let width = checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
    for subject in subjects {
        page.gap();
        page.push(Line::new().tone(Tone::Bold, if subject.is_empty() { "in general" } else { subject }));
        let mut own: Vec<&Check> = checks.iter().filter(|check| check.about == subject).collect();
        own.sort_by_key(|check| check.verdict);
        own.iter().for_each(|check| draw(&mut page, look, check, width));
    }
    page.gap();
    page.push(last_line(checks));
    page.finish(look)
}

/// Checks that say the same of several nodes or machines.
pub(super) struct Group<'a> {
    pub(super) first: &'a Check,
    pub(super) about: Vec<&'a str>,
    /// Each once.
    pub(super) places: Vec<String>,
}

/// Groups in the order of their first checks.
pub(super) fn group<'a>(checks: impl Iterator<Item = &'a Check>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let key = |check: &'a Check| (check.verdict, &check.id, &check.message, &check.hint);
    for check in checks {
        let at = groups.iter().position(|group| key(group.first) == key(check)).unwrap_or_else(|| {
            groups.push(Group { first: check, about: Vec::new(), places: Vec::new() });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.about.push(&check.about);
        if let Some(place) = check.place.as_ref().map(ToString::to_string).filter(|place| !group.places.contains(place))
        {
            group.places.push(place);
        }
    }
    groups
}

impl<'a> Group<'a> {
    /// What it is about, where the message does not name it already.
    pub(super) fn news(&self) -> Vec<&'a str> {
        let told = |about: &&str| !about.is_empty() && !self.first.message.contains(about);
        self.about.iter().copied().filter(told).collect()
    }
}

/// A JSON array of the checks as the plan's JSON has them, ending in a newline.
pub fn checks_json(checks: &[Check]) -> String {
    pretty(&checks.iter().map(check_out).collect::<Vec<_>>())
}

fn draw(page: &mut Page, look: Look, check: &Check, width: usize) {
    let (tone, symbol) = match check.verdict {
        Verdict::Failed => (Tone::Bad, "✗"),
        Verdict::Warning => (Tone::Warn, "!"),
        Verdict::Unknown => (Tone::Warn, "?"),
        Verdict::Passed => (Tone::Good, "✔"),
    };
    let indent = 4 + width + 2;
    let prefix = Line::new().text("  ").tone(tone, symbol).text(" ").text(&check.id).pad_to(indent);
    paragraph(page, look.columns(), prefix, Tone::Plain, &check.message, indent);
    if let Some(place) = &check.place {
        page.push(Line::new().text(" ".repeat(indent)).tone(Tone::Dim, "at: ").text(place.to_string()));
    }
    if !check.hint.is_empty() {
        let prefix = Line::new().text(" ".repeat(indent)).tone(Tone::Dim, "next: ");
        paragraph(page, look.columns(), prefix, Tone::Plain, &check.hint, indent + 2);
    }
}

fn last_line(checks: &[Check]) -> Line {
    let number = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let counts = [
        (number(Verdict::Passed), "passed", Tone::Good),
        (number(Verdict::Failed), "failed", Tone::Bad),
        (number(Verdict::Warning), "to be looked at", Tone::Warn),
        (number(Verdict::Unknown), "unknown", Tone::Warn),
    ];
    let mut line = Line::new().text(format!("{}: ", count(checks.len(), "check")));
    let told: Vec<_> = counts.into_iter().filter(|(number, word, _)| *number > 0 || *word == "passed").collect();
    for (index, (number, word, tone)) in told.iter().enumerate() {
        let separator = if index + 1 < told.len() { ", " } else { "." };
        line = line.tone(*tone, format!("{number} {word}")).text(separator);
    }
    line
}
