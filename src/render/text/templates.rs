//! Templates: one block for those that are made alike, the nodes side by side.

use super::fields::{self, Effects};
use super::{PlanView, heading, symbol};
use crate::model::plan::{Change, ChangeAction, TemplateNote};
use crate::render::layout::{paragraph, side_by_side};
use crate::render::line::{Line, Page, Tone};
use crate::render::values::count;

/// What templates of one block have in common.
#[derive(PartialEq)]
pub(super) struct Looks<'a> {
    reason: &'a str,
    note: Option<&'a TemplateNote>,
}

pub(super) fn looks(change: &Change) -> Looks<'_> {
    Looks { reason: &change.reason, note: change.template.as_ref() }
}

pub(super) fn draw(page: &mut Page, view: &PlanView<'_>, action: ChangeAction, name: &str, changes: &[&Change]) {
    let note = changes.first().and_then(|change| change.template.as_ref());
    let verb = match action {
        ChangeAction::Create => "will be created",
        ChangeAction::Update => "will be updated in-place",
        ChangeAction::Replace => "must be replaced",
        ChangeAction::Delete => "will be destroyed",
        ChangeAction::Resume => "will be finished",
        ChangeAction::None => "is left alone",
    };
    let storage = match note {
        Some(note) if note.storage_local && changes.len() > 1 => format!(" ({} is local to each)", note.storage),
        Some(note) if note.storage_local => format!(" ({} is local to it)", note.storage),
        Some(note) => format!(" ({} is shared)", note.storage),
        None => String::new(),
    };
    let nodes = count(changes.len(), "node");
    heading(page, view, &format!("template \"{name}\" {verb} on {nodes}{storage}"));
    because(page, view, action, changes);
    places(page, view, action, changes);
    if let Some(note) = note.filter(|_| action != ChangeAction::Delete) {
        origin(page, view, note);
    }
    if view.verbose
        && let Some(first) = changes.first()
    {
        fields::draw(page, view, &first.fields, Effects::Hidden);
    }
}

/// The reason, where the heading does not already say it all.
fn because(page: &mut Page, view: &PlanView<'_>, action: ChangeAction, changes: &[&Change]) {
    let reason = changes.first().map(|change| change.reason.as_str()).unwrap_or_default();
    if action != ChangeAction::Create && !reason.is_empty() {
        heading(page, view, &format!("(because {reason})"));
    }
}

/// `pve1 9000   pve2 9001`, as many side by side as there is room for.
fn places(page: &mut Page, view: &PlanView<'_>, action: ChangeAction, changes: &[&Change]) {
    let places: Vec<String> = changes.iter().map(|change| format!("{} {}", change.node, change.vmid)).collect();
    for line in side_by_side(&places, view.look.columns() - 6) {
        page.push(symbol(action).text("  ").text(line));
    }
}

/// Where its disk comes from and what is put into it.
fn origin(page: &mut Page, view: &PlanView<'_>, note: &TemplateNote) {
    let file = note.image_url.rsplit('/').next().unwrap_or(&note.image_url);
    let digest = match &note.digest {
        Some(digest) => format!("{} ({})", digest.short(), note.digest_source),
        None => "digest unknown".to_owned(),
    };
    let image: Vec<&str> = [file, &digest, &note.image_way].into_iter().filter(|text| !text.is_empty()).collect();
    let mut said = vec![("image", image.join(", "))];
    if let Some(bake) = &note.bake {
        said.push(("bake", bake.clone()));
    }
    for (key, value) in said {
        let prefix = Line::new().text("      ").tone(Tone::Dim, key).pad_to(14);
        paragraph(page, view.look.columns(), prefix, Tone::Plain, &value, 14);
    }
}
