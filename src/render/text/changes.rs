//! Machines that exist: updated, replaced, finished, deleted or left alone.

use super::{PlanView, creates, fields, heading, name, subject, symbol};
use crate::model::ids::Role;
use crate::model::plan::{Action, Change, ChangeAction, Effect, HazardKind, Plan, Target};
use crate::render::layout::Table;
use crate::render::line::{Line, Page, Tone};
use crate::render::values::count;

/// One change with its fields.
pub(super) fn single(page: &mut Page, view: &PlanView<'_>, change: &Change) {
    let place = format!("VM {} on {}", change.vmid, change.node);
    let said = match change.action {
        ChangeAction::Create => format!("will be created ({place})"),
        ChangeAction::Update => format!("({place}) will be updated in-place{}", reboot(view.plan, change)),
        ChangeAction::Resume => format!("({place}) will be finished"),
        ChangeAction::Replace => format!("({place}) must be replaced"),
        ChangeAction::Delete => format!("({place}) will be destroyed"),
        ChangeAction::None => format!("({place}) is left as it is"),
    };
    heading(page, view, &format!("{} {said}", subject(change)));
    if change.action != ChangeAction::Update && !change.reason.is_empty() {
        heading(page, view, &format!("(because {})", change.reason));
    }
    if change.fields.is_empty() {
        row(page, view, change);
        return;
    }
    fields::draw(page, view, &change.fields, change.action != ChangeAction::Create);
    if change.unchanged_fields > 0 {
        let hidden = format!("      ({} hidden)", count(change.unchanged_fields, "unchanged field"));
        page.push(Line::new().tone(Tone::Dim, hidden));
    }
}

/// What a change that can't happen live means for the machine.
fn reboot(plan: &Plan, change: &Change) -> String {
    let Target::Machine { role, .. } = &change.target else { return String::new() };
    let stops =
        plan.steps.iter().any(|step| step.subject == change.target && matches!(step.action, Action::Shutdown { .. }));
    if stops {
        return ", with a reboot".to_owned();
    }
    if !change.fields.iter().any(|field| field.effect == Effect::Reboot) {
        return String::new();
    }
    let kind = match role {
        Role::Master => HazardKind::RebootMasters,
        Role::Worker => HazardKind::RebootWorkers,
    };
    format!("; part of it takes effect at its next reboot (--accept {kind} reboots it now)")
}

/// A change without fields: where it is, in one line.
fn row(page: &mut Page, view: &PlanView<'_>, change: &Change) {
    let mut table = Table::new();
    table.row(symbol(change.action).text("  "), cells(change), change.why_node.clone().map(|why| (Tone::Dim, why)));
    table.draw(page, view.look.columns());
}

pub(super) fn deletes(page: &mut Page, view: &PlanView<'_>, changes: &[&Change]) {
    let one_reason = changes.iter().all(|change| change.reason == changes[0].reason);
    let because = match changes.first() {
        Some(first) if one_reason && !first.reason.is_empty() => format!(" (because {})", first.reason),
        Some(_) | None => String::new(),
    };
    heading(page, view, &format!("{} will be destroyed{because}", count(changes.len(), "machine")));
    let mut table = Table::new();
    for change in changes {
        let reason = (!one_reason).then(|| (Tone::Dim, change.reason.clone()));
        table.row(symbol(change.action).text("  "), cells(change), reason);
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
