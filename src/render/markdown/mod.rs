//! A plan as a pull-request comment: summary first, what stands in the way, then folded details and pictures.
//!
//! Never longer than a GitHub comment may be. Names and messages come from nodes and files: nothing in them is taken for
//! markup, a mention or a link.

mod escape;
mod mermaid;

use super::checks::{Group, group};
use super::digest::plan_digest;
use super::line::Look;
use super::text::{PlanView, changes_text, missing_consent, summary_line};
use super::values::duration;
use crate::model::plan::{Change, ChangeAction, Target, Verdict};
use escape::{code, fence, text};

/// A GitHub comment holds this many characters (peers.md §3.2); counted in bytes here, which is never more.
pub const LIMIT: usize = 65_536;
/// The parts' shares; together with the fixed words they stay below [`LIMIT`].
const NAMES: usize = 6_000;
const VERDICTS: usize = 16_000;
const CHANGES: usize = 24_000;
const PICTURE: usize = 7_000;
/// Of one line: a description may be 8 KiB long.
const LINE: usize = 600;

/// The comment. Its first line is hidden and names the cluster and the plan's digest, so that a job finds its own
/// comment again, and what was approved.
pub fn plan_markdown(view: &PlanView<'_>) -> String {
    let plan = view.plan;
    let digest = plan_digest(plan);
    let cluster = plan.cluster.as_str().replace("--", "");
    let mut out = format!("<!-- pvekube-plan cluster={} digest={digest} -->\n", text(&cluster));
    let sandbox = if view.sandbox { " on simulated nodes (sandbox)" } else { "" };
    out.push_str(&format!("### pvekube plan for {}{sandbox}\n\n", code(plan.cluster.as_str())));
    out.push_str(&format!("**{}**\n\n", text(&summary_line(plan))));
    if let Some(age) = view.observation_age_s {
        out.push_str(&format!("Planned from an observation of {} ago; no node was contacted.\n\n", duration(age)));
    }
    names(&mut out, plan.changes.iter());
    verdicts(&mut out, view);
    let changes = changes_text(&PlanView { look: Look { width: 100, color: false }, ..*view });
    folded(&mut out, "Changes, field by field", &bounded(changes.lines().map(as_diff), CHANGES), "diff");
    folded_picture(&mut out, "Placement", mermaid::placement(plan));
    folded_picture(&mut out, "Steps", mermaid::steps(plan));
    out.push_str(&format!("Plan digest {}", code(&digest[..16])));
    if plan.has_changes() && plan.refusals().next().is_none() {
        let flags = view.flags.iter().cloned().chain(missing_consent(plan));
        let flags: String = flags.map(|flag| format!(" {flag}")).collect();
        out.push_str(&format!("; to apply exactly this: {}", code(&format!("pvekube apply --expect {digest}{flags}"))));
    }
    out.push('\n');
    debug_assert!(out.len() <= LIMIT, "the parts' shares are too large: {}", out.len());
    out
}

/// Which machines and templates, by what is done to them.
fn names<'a>(out: &mut String, changes: impl Iterator<Item = &'a Change> + Clone) {
    let actions = [
        (ChangeAction::Create, "add"),
        (ChangeAction::Update, "change"),
        (ChangeAction::Resume, "finish"),
        (ChangeAction::Replace, "replace"),
        (ChangeAction::Delete, "**destroy**"),
    ];
    let mut lines = Vec::new();
    for (action, word) in actions {
        let named: Vec<String> = changes
            .clone()
            .filter(|change| change.action == action)
            .map(|change| {
                let name = match &change.target {
                    Target::Template { name } => name.as_str(),
                    Target::Machine { name, .. } => name.as_str(),
                };
                format!("{} on {}", code(name), text(change.node.as_str()))
            })
            .collect();
        if !named.is_empty() {
            lines.push(format!("- {word}: {}", named.join(", ")));
        }
    }
    if lines.is_empty() {
        return;
    }
    // A line of many names is cut between two of them.
    let share = NAMES / lines.len();
    for line in lines {
        let cut = cut_list(&line, share);
        out.push_str(&cut);
        out.push('\n');
    }
    out.push('\n');
}

/// At most `share` bytes, cut at a comma with a word about it.
fn cut_list(line: &str, share: usize) -> String {
    if line.len() <= share {
        return line.to_owned();
    }
    let mut end = share.saturating_sub(24);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let kept = line[..end].rsplit_once(", ").map_or(&line[..end], |(kept, _)| kept);
    let left = line[kept.len()..].matches(", ").count();
    format!("{kept}, … and {left} more")
}

/// Failed checks, hazards, what is unknown, warnings, notes: each a line of a list, never folded.
fn verdicts(out: &mut String, view: &PlanView<'_>) {
    let plan = view.plan;
    let mut lines = Vec::new();
    let of = |verdict: Verdict| group(plan.checks.iter().filter(move |check| check.verdict == verdict)).into_iter();
    lines.extend(of(Verdict::Failed).map(|group| check_line("❌ check failed", &group)));
    lines.extend(plan.hazards.iter().map(|hazard| {
        let (icon, consent) = if hazard.accepted {
            ("⚠️", "accepted".to_owned())
        } else {
            ("⛔", format!("needs {}", code(&format!("--accept {}", hazard.kind))))
        };
        format!("- {icon} hazard {}: {}; {consent}", code(hazard.kind.flag()), text(&hazard.message))
    }));
    lines.extend(of(Verdict::Unknown).map(|group| check_line("❔ unknown", &group)));
    lines.extend(of(Verdict::Warning).map(|group| check_line("⚠️ warning", &group)));
    lines.extend(plan.notes.iter().map(|note| format!("- ℹ️ {}", text(&note.text))));
    if lines.is_empty() {
        return;
    }
    out.push_str(&bounded(lines.into_iter(), VERDICTS));
    out.push('\n');
    if let Some(flags) = missing_consent(plan) {
        out.push_str(&format!("Apply refuses this plan without {}.\n\n", code(&flags)));
    }
}

fn check_line(word: &str, group: &Group<'_>) -> String {
    let check = group.first;
    let about = group.about.iter().copied().filter(|about| !about.is_empty()).collect::<Vec<_>>().join(", ");
    let about = if about.is_empty() { about } else { format!(" ({})", text(&about)) };
    let places: Vec<String> = group.places.iter().map(|place| code(place)).collect();
    let place = if places.is_empty() { String::new() } else { format!(" at {}", places.join(", ")) };
    let hint = if check.hint.is_empty() { String::new() } else { format!("<br>next: {}", text(&check.hint)) };
    format!("- {word} {}{about}{place}: {}{hint}", code(&check.id), text(&check.message))
}

/// Lines, each cut to a bearable length, as many as fit the share; then a word about the rest.
fn bounded(lines: impl Iterator<Item = String>, share: usize) -> String {
    let mut out = String::new();
    let mut left_out = 0;
    for line in lines {
        let line = cut_line(line);
        if left_out > 0 || out.len() + line.len() + 60 > share {
            left_out += 1;
        } else {
            out.push_str(&line);
            out.push('\n');
        }
    }
    if left_out > 0 {
        out.push_str(&format!("… {left_out} more lines; `pvekube plan` shows them all\n"));
    }
    out
}

fn cut_line(line: String) -> String {
    if line.len() <= LINE {
        return line;
    }
    let mut end = LINE;
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &line[..end])
}

/// The symbol moves to the edge, where a diff's colours need it; `~` becomes `!`.
fn as_diff(line: &str) -> String {
    for (symbol, mark) in [("  + ", '+'), ("  - ", '-'), ("  ~ ", '!'), ("-/+ ", '!')] {
        if let Some(rest) = line.strip_prefix(symbol) {
            return format!("{mark}   {rest}");
        }
    }
    // Lines of a field's own diff stand deeper.
    match line.strip_prefix("        ") {
        Some(rest) if rest.starts_with('+') => format!("+       {}", &rest[1..]),
        Some(rest) if rest.starts_with('-') && !rest.starts_with("->") => format!("-       {}", &rest[1..]),
        Some(_) | None => line.to_owned(),
    }
}

fn folded(out: &mut String, title: &str, body: &str, language: &str) {
    if !body.trim().is_empty() {
        let fence = fence(body);
        out.push_str(&format!(
            "<details><summary>{title}</summary>\n\n{fence}{language}\n{body}{fence}\n\n</details>\n\n"
        ));
    }
}

fn folded_picture(out: &mut String, title: &str, picture: Option<String>) {
    let Some(picture) = picture else { return };
    if picture.len() <= PICTURE {
        folded(out, title, &picture, "mermaid");
    } else {
        out.push_str(&format!("_{title}: too large for a picture here; see `pvekube plan`._\n\n"));
    }
}
