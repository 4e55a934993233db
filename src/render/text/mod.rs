//! A plan as text: what will be done and why, so that a reviewer decides in a minute.
//!
//! Creates of one kind are a table, updates are their fields, what is left alone is one line; then the nodes before and
//! after, then what stands in the way. The summary is always the last line.

mod changes;
mod creates;
mod fields;
mod nodes;
mod summary;
mod templates;
mod verdicts;

pub use summary::summary_line;
pub use verdicts::missing_consent;

use super::line::{Line, Look, Page, Tone};
use super::values::duration;
use crate::model::plan::{Change, ChangeAction, Plan, Target};

/// A plan and how it is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct PlanView<'a> {
    pub plan: &'a Plan,
    pub look: Look,
    /// Said in the first line when the nodes are simulated.
    pub sandbox: bool,
    /// Age in seconds of the saved observation that the plan was made from; `None`: the nodes have just answered.
    pub observation_age_s: Option<f64>,
    /// Also every field of what is created.
    pub verbose: bool,
    /// The planning flags that it was made with: another plan comes of others.
    pub flags: &'a [String],
}

impl<'a> PlanView<'a> {
    pub fn new(plan: &'a Plan, look: Look) -> Self {
        Self { plan, look, sandbox: false, observation_age_s: None, verbose: false, flags: &[] }
    }
}

/// The whole plan, each line ending in a newline.
pub fn plan_text(view: &PlanView<'_>) -> String {
    let plan = view.plan;
    let mut page = Page::new();
    intro(&mut page, view);
    changes(&mut page, view);
    verdicts::notes(&mut page, view);
    verdicts::checks(&mut page, view);
    verdicts::hazards(&mut page, view);
    page.gap();
    verdicts::refusal(&mut page, view);
    page.push(summary::summary(plan));
    page.finish(view.look)
}

/// The changes alone and the nodes before and after, without what stands in the way and the summary.
pub(crate) fn changes_text(view: &PlanView<'_>) -> String {
    let mut page = Page::new();
    changes(&mut page, view);
    page.finish(view.look)
}

fn changes(page: &mut Page, view: &PlanView<'_>) {
    for block in blocks(&view.plan.changes) {
        page.gap();
        draw_block(page, view, &block);
    }
    if view.plan.has_changes() {
        nodes::draw(page, view);
    }
}

fn intro(page: &mut Page, view: &PlanView<'_>) {
    if let Some(age) = view.observation_age_s {
        let said = format!("Planned from an observation of {} ago; no node was contacted.", duration(age));
        page.push(Line::new().tone(Tone::Warn, said));
    }
    let sandbox = if view.sandbox { " on simulated nodes (sandbox)" } else { "" };
    if view.plan.has_changes() {
        page.gap();
        page.push(Line::new().tone(Tone::Bold, format!("pvekube will perform the following actions{sandbox}:")));
    } else if view.sandbox {
        page.push(Line::new().tone(Tone::Bold, format!("Planned{sandbox}.")));
    }
}

/// Changes that are shown together, in the plan's order of their first member.
struct Block<'a> {
    kind: BlockKind<'a>,
    changes: Vec<&'a Change>,
}

#[derive(PartialEq)]
enum BlockKind<'a> {
    Templates { action: ChangeAction, name: &'a str, looks: templates::Looks<'a> },
    Creates(creates::Kind<'a>),
    Deletes,
    Replaces,
    LeftAlone { reason: &'a str },
    Single,
}

fn blocks(changes: &[Change]) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for change in changes {
        let kind = kind_of(change);
        let same = blocks.iter_mut().find(|block| kind != BlockKind::Single && block.kind == kind);
        match same {
            Some(block) => block.changes.push(change),
            None => blocks.push(Block { kind, changes: vec![change] }),
        }
    }
    blocks
}

fn kind_of(change: &Change) -> BlockKind<'_> {
    match (&change.target, change.action) {
        (Target::Template { name }, action) if change.fields.is_empty() || action == ChangeAction::Create => {
            BlockKind::Templates { action, name, looks: templates::looks(change) }
        }
        (Target::Template { .. }, _) => BlockKind::Single,
        (Target::Machine { .. }, ChangeAction::Create) => match creates::kind(change) {
            Some(kind) => BlockKind::Creates(kind),
            None => BlockKind::Single,
        },
        (Target::Machine { .. }, ChangeAction::Delete) => BlockKind::Deletes,
        (Target::Machine { .. }, ChangeAction::Replace) if change.fields.iter().all(|field| field.old.is_none()) => {
            BlockKind::Replaces
        }
        (Target::Machine { .. }, ChangeAction::None) if change.fields.is_empty() => {
            BlockKind::LeftAlone { reason: &change.reason }
        }
        (
            Target::Machine { .. },
            ChangeAction::Update | ChangeAction::Replace | ChangeAction::Resume | ChangeAction::None,
        ) => BlockKind::Single,
    }
}

fn draw_block(page: &mut Page, view: &PlanView<'_>, block: &Block<'_>) {
    match &block.kind {
        BlockKind::Templates { action, name, .. } => templates::draw(page, view, *action, name, &block.changes),
        BlockKind::Creates(kind) => creates::draw(page, view, kind, &block.changes),
        BlockKind::Deletes => changes::deletes(page, view, &block.changes),
        BlockKind::Replaces => changes::replaces(page, view, &block.changes),
        BlockKind::LeftAlone { reason } => changes::left_alone(page, view, reason, &block.changes),
        BlockKind::Single => block.changes.iter().for_each(|change| changes::single(page, view, change)),
    }
}

/// `  # machine k8s-worker-4 …`: the heading of a block, wrapped.
fn heading(page: &mut Page, view: &PlanView<'_>, text: &str) {
    super::layout::paragraph(page, view.look.columns(), Line::new().tone(Tone::Bold, "  # "), Tone::Bold, text, 4);
}

/// The symbol of an action at the left edge, four columns wide.
fn symbol(action: ChangeAction) -> Line {
    let (tone, text) = match action {
        ChangeAction::Create => (Tone::Add, "  + "),
        ChangeAction::Update | ChangeAction::Resume => (Tone::Change, "  ~ "),
        ChangeAction::Replace => (Tone::Remove, "-/+ "),
        ChangeAction::Delete => (Tone::Remove, "  - "),
        ChangeAction::None => (Tone::Plain, "    "),
    };
    Line::new().tone(tone, text)
}

/// How people call a change's target.
fn subject(change: &Change) -> String {
    match &change.target {
        Target::Template { name } => format!("template \"{name}\""),
        Target::Machine { name, .. } => format!("machine {name}"),
    }
}

/// The name alone.
fn name(target: &Target) -> &str {
    match target {
        Target::Template { name } => name,
        Target::Machine { name, .. } => name.as_str(),
    }
}
