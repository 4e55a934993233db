//! Machines that exist: updated, replaced, finished, deleted or left alone.

use super::fields::{self, Effects};
use super::{PlanView, creates, heading, name, subject, symbol};
use crate::model::plan::{Action, Change, ChangeAction, Plan};
use crate::render::layout::Table;
use crate::render::line::{Line, Page, Tone};
use crate::render::steps::same_resource;
use crate::render::values::count;

/// One change with its fields.
pub(super) fn single(page: &mut Page, view: &PlanView<'_>, change: &Change) {
    let place = format!("VM {} on {}", change.vmid, change.node);
    let power = Power::of(view.plan, change);
    let said = match change.action {
        ChangeAction::Create => format!("will be created ({place})"),
        ChangeAction::Update => format!("({place}) will be {}", power.update(change)),
        ChangeAction::Resume => format!("({place}) will be {}", power.resume()),
        ChangeAction::Replace => format!("({place}) must be replaced"),
        ChangeAction::Delete => format!("({place}) will be destroyed"),
        ChangeAction::None => format!("({place}) is left as it is"),
    };
    heading(page, view, &format!("{} {said}", subject(change)));
    let told = change.action == ChangeAction::Update || matches!(power, Power::Started);
    if !told && !change.reason.is_empty() {
        heading(page, view, &format!("(because {})", change.reason));
    }
    if change.fields.is_empty() {
        row(page, view, change);
        return;
    }
    let effects = match (change.action, power) {
        (ChangeAction::Create | ChangeAction::Replace, _) => Effects::Hidden,
        (_, Power::Rebooted) => Effects::Rebooted,
        (_, Power::Kept | Power::Started | Power::Stopped) => Effects::Shown,
    };
    if effects != Effects::Hidden || view.verbose {
        fields::draw(page, view, &change.fields, effects);
    } else {
        row(page, view, change);
    }
    if change.unchanged_fields > 0 {
        let hidden = format!("      ({} hidden)", count(change.unchanged_fields, "unchanged field"));
        page.push(Line::new().tone(Tone::Dim, hidden));
    }
}

/// What the steps do to a machine's power.
#[derive(Clone, Copy)]
enum Power {
    Kept,
    Started,
    Stopped,
    Rebooted,
}

impl Power {
    fn of(plan: &Plan, change: &Change) -> Self {
        let mut steps = {
            let own = (&change.target, &change.node);
            plan.steps.iter().filter(move |step| same_resource(own, (&step.subject, &step.node)))
        };
        let has = |found: fn(&Action) -> bool| steps.clone().any(|step| found(&step.action));
        let (starts, stops) = (
            has(|action| matches!(action, Action::Start { .. })),
            has(|action| matches!(action, Action::Shutdown { .. })),
        );
        // A machine that is cloned or configured first is more than started.
        let only_started = steps.all(|step| matches!(step.action, Action::Start { .. } | Action::Ready(_)));
        match (starts, stops) {
            (true, true) => Power::Rebooted,
            (false, true) => Power::Stopped,
            (true, false) if only_started || change.action == ChangeAction::Update => Power::Started,
            (true | false, false) => Power::Kept,
        }
    }

    fn update(self, change: &Change) -> &'static str {
        match (self, change.fields.is_empty()) {
            (Power::Kept, _) => "updated in-place",
            (Power::Started, false) => "updated and started",
            (Power::Stopped, false) => "updated and shut down",
            (Power::Rebooted, false) => "updated, with a reboot",
            (Power::Started, true) => "started",
            (Power::Stopped, true) => "shut down",
            (Power::Rebooted, true) => "rebooted, for what waits for it",
        }
    }

    fn resume(self) -> &'static str {
        match self {
            Power::Started => "started: it is stopped",
            Power::Kept | Power::Stopped | Power::Rebooted => "finished",
        }
    }
}

/// A change without fields: where it is, in one line.
fn row(page: &mut Page, view: &PlanView<'_>, change: &Change) {
    let mut table = Table::new();
    table.row(symbol(change.action).text("  "), cells(change), change.why_node.clone().map(|why| (Tone::Dim, why)));
    table.draw(page, view.look.columns());
}

/// Machines that are destroyed and made again.
pub(super) fn replaces(page: &mut Page, view: &PlanView<'_>, changes: &[&Change]) {
    with_reasons(page, view, changes, "must be replaced");
}

pub(super) fn deletes(page: &mut Page, view: &PlanView<'_>, changes: &[&Change]) {
    with_reasons(page, view, changes, "will be destroyed");
}

/// A table, with the reason in its heading when all share it, else beside each.
fn with_reasons(page: &mut Page, view: &PlanView<'_>, changes: &[&Change], verb: &str) {
    let one_reason = changes.iter().all(|change| change.reason == changes[0].reason);
    let because = match changes.first() {
        Some(first) if one_reason && !first.reason.is_empty() => format!(" (because {})", first.reason),
        Some(_) | None => String::new(),
    };
    heading(page, view, &format!("{} {verb}{because}", count(changes.len(), "machine")));
    let mut table = Table::new();
    for change in changes {
        let said = if one_reason { change.why_node.clone() } else { Some(change.reason.clone()) };
        table.row(symbol(change.action).text("  "), cells(change), said.map(|text| (Tone::Dim, text)));
    }
    table.draw(page, view.look.columns());
}

fn cells(change: &Change) -> Vec<Line> {
    let address = change.spec.as_ref().map(|spec| creates::addresses(&spec.network)).unwrap_or_default();
    vec![
        Line::new().text(name(&change.target)),
        Line::new().text(change.node.as_str()),
        Line::new().text(change.vmid.to_string()),
        Line::new().text(address),
    ]
}

/// Machines that nothing is done to, and the reason that they share.
pub(super) fn left_alone(page: &mut Page, view: &PlanView<'_>, reason: &str, changes: &[&Change]) {
    if let [only] = changes {
        let place = format!("(VM {} on {})", only.vmid, only.node);
        heading(page, view, &format!("{} {place}: {reason}", subject(only)));
        return;
    }
    heading(page, view, &format!("{}: {reason}", count(changes.len(), "machine")));
    let mut table = Table::new();
    for change in changes {
        table.row("      ".into(), cells(change), None);
    }
    table.draw(page, view.look.columns());
}
