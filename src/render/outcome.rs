//! What came of an apply: failures first, then the machines, then the counts.

use std::collections::BTreeMap;

use super::failure;
use super::layout::{Table, paragraph};
use super::line::{Line, Look, Page, Tone};
use super::steps::{same_resource, subject_text};
use super::values::{count, duration};
use crate::model::outcome::{MachineReport, Outcome, Stage, StepReport, StepResult};
use crate::model::plan::{Change, ChangeAction, Count, Plan, StepId, Summary, Target};

/// The whole report, each line ending in a newline; the last line is the counts.
pub fn outcome_text(plan: &Plan, outcome: &Outcome, look: Look) -> String {
    let mut page = Page::new();
    for failed in failures(outcome) {
        page.gap();
        failure::push(&mut page, look, failed);
    }
    page.gap();
    skipped(&mut page, look, plan, outcome);
    left_running(&mut page, look, plan, outcome);
    if !outcome.machines.is_empty() {
        page.gap();
        page.push(ready(outcome));
        page.gap();
        page.extend(machine_table(&outcome.machines));
    }
    page.gap();
    page.push(last_line(plan, outcome));
    page.finish(look)
}

/// Those that belong to no step, then those of steps in order; one that several steps report is told once.
pub(crate) fn failures(outcome: &Outcome) -> Vec<&crate::model::outcome::Failure> {
    let of_steps = outcome.steps.values().filter_map(|report| match &report.result {
        StepResult::Failed(failure) => Some(failure),
        StepResult::Done | StepResult::Skipped { .. } | StepResult::NotStarted | StepResult::LeftRunning => None,
    });
    let mut told = Vec::new();
    for failure in outcome.failures.iter().chain(of_steps) {
        if !told.contains(&failure) {
            told.push(failure);
        }
    }
    told
}

/// Machines and templates that were not tried, by what they waited for.
fn skipped(page: &mut Page, look: Look, plan: &Plan, outcome: &Outcome) {
    let mut by_cause: BTreeMap<StepId, Vec<String>> = BTreeMap::new();
    for (id, report) in &outcome.steps {
        if let StepResult::Skipped { because } = report.result {
            let name = name_of(plan, *id, report);
            let names = by_cause.entry(because).or_default();
            // A machine whose own step failed is not also told as skipped.
            let own = outcome.steps.get(&because).is_some_and(|cause| name_of(plan, because, cause) == name);
            if !own && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    for (because, names) in by_cause.into_iter().filter(|(_, names)| !names.is_empty()) {
        let cause = outcome.steps.get(&because);
        let said = match cause {
            Some(report) => format!("{} (its {} failed)", name_of(plan, because, report), report.verb),
            None => "a step that failed".to_owned(),
        };
        let text = format!("{}, because of {said}", names.join(", "));
        paragraph(page, look.columns(), Line::new().tone(Tone::Warn, "skipped: "), Tone::Plain, &text, 2);
    }
}

/// What goes on, or did not begin, when it was interrupted.
fn left_running(page: &mut Page, look: Look, plan: &Plan, outcome: &Outcome) {
    let said = |wanted: &StepResult| {
        let steps = outcome.steps.iter().filter(|(_, report)| report.result == *wanted);
        let words: Vec<String> = steps
            .map(|(id, report)| format!("{} of {} on {}", report.verb, name_of(plan, *id, report), report.node))
            .collect();
        words
    };
    let running = said(&StepResult::LeftRunning);
    if !running.is_empty() {
        let text = format!("{}; the next apply attaches to it", running.join(", "));
        paragraph(page, look.columns(), Line::new().tone(Tone::Warn, "still running: "), Tone::Plain, &text, 2);
    }
    let not_started = said(&StepResult::NotStarted).len();
    if not_started > 0 {
        let text = format!("{}; run apply again to go on", count(not_started, "step"));
        paragraph(page, look.columns(), Line::new().tone(Tone::Warn, "not started: "), Tone::Plain, &text, 2);
    }
}

fn name_of(plan: &Plan, id: StepId, report: &StepReport) -> String {
    match plan.steps.iter().find(|step| step.id == id) {
        Some(step) => subject_text(&step.subject, step.vmid),
        None => match &report.subject {
            Target::Template { name } => format!("template {name}"),
            Target::Machine { name, .. } => name.to_string(),
        },
    }
}

/// ` MACHINE  NODE  VMID  ADDRESS  READY AFTER`.
pub fn machine_table(machines: &[MachineReport]) -> Vec<Line> {
    let mut table = Table::new();
    let head = |text: &str| Line::new().tone(Tone::Dim, text);
    let titles = ["MACHINE", "NODE", "VMID", "ADDRESS", "READY AFTER"].map(head);
    table.row(" ".into(), titles.to_vec(), None);
    for machine in machines {
        let after = match (machine.ready, machine.stages_s.values().copied().reduce(f64::max)) {
            (true, Some(seconds)) => Line::new().tone(Tone::Good, duration(seconds)),
            (true, None) => Line::new().tone(Tone::Good, "ready"),
            // Perhaps nobody asked its agent.
            (false, _) if machine.stage == Stage::Running => Line::new().tone(Tone::Warn, "running, not ready"),
            (false, _) => Line::new().tone(Tone::Warn, stage_text(machine.stage)),
        };
        let address = machine.address.map(|address| address.to_string()).unwrap_or_else(|| "-".to_owned());
        let cells = vec![
            Line::new().text(machine.name.as_str()),
            Line::new().text(machine.node.as_str()),
            Line::new().text(machine.vmid.to_string()),
            Line::new().text(address),
            after,
        ];
        table.row(" ".into(), cells, None);
    }
    let mut page = Page::new();
    // Never narrower than its cells: a table that is cut can't be used.
    table.draw(&mut page, usize::MAX / 2);
    page.lines().to_vec()
}

/// How far a machine that is not ready has come.
pub fn stage_text(stage: Stage) -> &'static str {
    match stage {
        Stage::Unknown => "unknown",
        Stage::Absent => "absent",
        Stage::Stopped => "stopped",
        Stage::Running => "running, agent silent",
        Stage::Agent => "agent up, no address",
        Stage::Address => "address, cloud-init not done",
        Stage::CloudInit => "cloud-init done, port closed",
        Stage::Port => "port open, no login",
        Stage::Login => "ready",
    }
}

fn last_line(plan: &Plan, outcome: &Outcome) -> Line {
    let Applied { head, counts, .. } = applied(plan, outcome);
    let tone = if outcome.is_success() { Tone::Good } else { Tone::Bad };
    Line::new().tone(tone, head).text(format!(" {counts}."))
}

/// `3 machines ready in 2 min 11 s (critical path 2 min 6 s)`.
fn ready(outcome: &Outcome) -> Line {
    let ready = outcome.machines.iter().filter(|machine| machine.ready).count();
    let machines = match (ready, outcome.machines.len()) {
        (ready, all) if ready == all => format!("{} ready", count(all, "machine")),
        (ready, all) => format!("{ready} of {all} machines ready"),
    };
    let critical = match outcome.critical_path_s {
        seconds if seconds > 0.0 => format!(" (critical path {})", duration(seconds)),
        _ => String::new(),
    };
    Line::new().tone(Tone::Bold, format!("{machines} in {}{critical}", duration(outcome.elapsed_s)))
}

/// What was done of a plan.
pub(crate) struct Applied {
    pub(crate) summary: Summary,
    /// `Apply complete!`
    pub(crate) head: &'static str,
    /// `3 added, 1 of 2 changed, 0 destroyed; templates: 3 added`.
    pub(crate) counts: String,
}

/// Counts a change as done when every step of its resource is.
pub(crate) fn applied(plan: &Plan, outcome: &Outcome) -> Applied {
    let changes = plan.changes.iter().filter(|change| is_done(plan, outcome, change)).cloned().collect();
    let summary = Plan { changes, ..plan.clone() }.summary();
    let planned = plan.summary();
    let head = if outcome.is_success() {
        "Apply complete!"
    } else if outcome.interrupted {
        "Apply interrupted:"
    } else {
        "Apply incomplete:"
    };
    let mut counts = parts(&summary.machines, &planned.machines, true).join(", ");
    let templates = parts(&summary.templates, &planned.templates, false);
    if !templates.is_empty() {
        counts.push_str(&format!("; templates: {}", templates.join(", ")));
    }
    Applied { summary, head, counts }
}

/// `3 added`, `1 of 2 changed`, …; with `all`, also those of which nothing was planned.
fn parts(done: &Count, planned: &Count, all: bool) -> Vec<String> {
    [
        (done.add, planned.add, "added"),
        (done.change, planned.change, "changed"),
        (done.destroy, planned.destroy, "destroyed"),
    ]
    .into_iter()
    .filter(|(_, planned, _)| all || *planned > 0)
    .map(
        |(done, planned, word)| {
            if done == planned { format!("{done} {word}") } else { format!("{done} of {planned} {word}") }
        },
    )
    .collect()
}

/// Every step of the change's resource is done.
fn is_done(plan: &Plan, outcome: &Outcome, change: &Change) -> bool {
    let mut steps = {
        let own = (&change.target, &change.node);
        plan.steps.iter().filter(move |step| same_resource(own, (&step.subject, &step.node)))
    };
    change.action != ChangeAction::None
        && steps.all(|step| outcome.steps.get(&step.id).is_some_and(|report| report.result == StepResult::Done))
}
