//! What stands beside or in the way of a plan: notes, checks, hazards with the exact flags.

use super::PlanView;
use crate::model::plan::{ChangeAction, HazardKind, Plan, Target, Verdict};
use crate::render::checks::{Group, group};
use crate::render::layout::paragraph;
use crate::render::line::{Line, Page, Tone};
use crate::render::values::count;

/// Notes, without those about a machine that already has its own line.
pub(super) fn notes(page: &mut Page, view: &PlanView<'_>) {
    let told: Vec<_> = view
        .plan
        .changes
        .iter()
        .filter(|change| change.action == ChangeAction::None)
        .filter_map(|change| match &change.target {
            Target::Machine { name, .. } => Some(name),
            Target::Template { .. } => None,
        })
        .collect();
    page.gap();
    for note in &view.plan.notes {
        if note.machine.as_ref().is_some_and(|machine| told.contains(&machine)) {
            continue;
        }
        paragraph(page, view.look.columns(), Line::new().tone(Tone::Dim, "Note: "), Tone::Plain, &note.text, 6);
    }
}

/// Everything but the checks that passed.
pub(super) fn checks(page: &mut Page, view: &PlanView<'_>) {
    page.gap();
    let groups = group(view.plan.checks.iter().filter(|check| check.verdict != Verdict::Passed));
    for (index, group) in groups.iter().enumerate() {
        // Several with one remedy: it follows the last of them.
        let same = groups.get(index + 1).is_some_and(|next| next.first.hint == group.first.hint);
        draw_check(page, view.look.columns(), group, !same);
    }
}

fn draw_check(page: &mut Page, columns: usize, group: &Group<'_>, hint: bool) {
    let check = group.first;
    let (tone, word) = match check.verdict {
        Verdict::Failed => (Tone::Bad, "! failed"),
        Verdict::Warning => (Tone::Warn, "! warning"),
        Verdict::Unknown => (Tone::Warn, "? unknown"),
        Verdict::Passed => (Tone::Good, "✔ passed"),
    };
    let about = group.news();
    let message =
        if about.is_empty() { check.message.clone() } else { format!("{}: {}", about.join(", "), check.message) };
    let prefix = Line::new().tone(tone, format!("{word} {}: ", check.id));
    paragraph(page, columns, prefix, Tone::Plain, &message, 2);
    if !group.places.is_empty() {
        page.push(Line::new().text("  ").tone(Tone::Dim, "at: ").text(group.places.join(", ")));
    }
    if hint && !check.hint.is_empty() {
        paragraph(page, columns, Line::new().text("  ").tone(Tone::Dim, "next: "), Tone::Plain, &check.hint, 8);
    }
}

pub(super) fn hazards(page: &mut Page, view: &PlanView<'_>) {
    page.gap();
    for hazard in &view.plan.hazards {
        let (tone, needs) = if hazard.accepted {
            (Tone::Warn, "accepted".to_owned())
        } else {
            (Tone::Bad, format!("needs --accept {}", hazard.kind))
        };
        let prefix = Line::new().tone(tone, format!("! hazard {}: ", hazard.kind));
        paragraph(page, view.look.columns(), prefix, Tone::Plain, &format!("{}; {needs}", hazard.message), 2);
    }
}

/// Why apply refuses the plan, where no single line above says it all.
pub(super) fn refusal(page: &mut Page, view: &PlanView<'_>) {
    let failed = view.plan.refusals().count();
    let consent = missing_consent(view.plan).filter(|_| view.plan.unaccepted().count() > 1);
    let why = match (failed, consent) {
        (0, None) => return,
        (0, Some(flags)) => format!(" without {flags}"),
        (_, None) => format!(": {} failed", count(failed, "check")),
        (_, Some(flags)) => format!(": {} failed; it also needs {flags}", count(failed, "check")),
    };
    if view.plan.has_changes() {
        let text = format!("Apply refuses this plan{why}");
        paragraph(page, view.look.columns(), Line::new(), Tone::Bad, &text, 2);
    }
}

/// `--accept a,b` for the hazards that nobody has accepted; `None` when there are none.
pub fn missing_consent(plan: &Plan) -> Option<String> {
    let mut kinds: Vec<HazardKind> = plan.unaccepted().map(|hazard| hazard.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let flags: Vec<&str> = kinds.into_iter().map(HazardKind::flag).collect();
    if flags.is_empty() { None } else { Some(format!("--accept {}", flags.join(","))) }
}
