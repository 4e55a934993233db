//! The last line: `Plan: 3 to add, 1 to change, 0 to destroy; 3 templates to add.`

use crate::model::plan::{Count, Plan, Summary, Verdict};
use crate::render::line::{Line, Tone};
use crate::render::values::count;

/// The summary as plain text.
pub fn summary_line(plan: &Plan) -> String {
    summary(plan).plain()
}

pub(super) fn summary(plan: &Plan) -> Line {
    let failed = plan.refusals().count();
    let unknown = plan.checks.iter().filter(|check| check.verdict == Verdict::Unknown).count();
    if plan.has_changes() {
        Line::new().tone(Tone::Bold, "Plan: ").text(counts(&plan.summary()))
    } else if failed > 0 {
        Line::new().tone(Tone::Bad, format!("Nothing planned: {} failed.", count(failed, "check")))
    } else if unknown > 0 {
        let what = if unknown == 1 { "something is" } else { "several things are" };
        Line::new().tone(Tone::Bold, "No changes").text(format!(" as far as can be told: {what} unknown, see above."))
    } else {
        Line::new().tone(Tone::Bold, "No changes. ").text(nothing_to_do(plan))
    }
}

fn nothing_to_do(plan: &Plan) -> String {
    let machines = plan.unchanged.len();
    let all = match machines {
        0 => return "There is nothing to do.".to_owned(),
        1 => "The one machine is as the manifest asks".to_owned(),
        _ => format!("All {machines} machines are as the manifest asks"),
    };
    match plan.notes.iter().filter(|note| note.id == "pending-reboot").count() {
        0 => format!("{all}."),
        waiting if waiting == machines => format!("{all} once rebooted."),
        waiting => format!("{all}, {waiting} of them once rebooted."),
    }
}

fn counts(summary: &Summary) -> String {
    let Summary { machines, templates } = summary;
    let Count { add, change, destroy } = machines;
    let mut text = format!("{add} to add, {change} to change, {destroy} to destroy");
    let mut word = "templates";
    for (number, verb) in [(templates.add, "add"), (templates.change, "change"), (templates.destroy, "destroy")] {
        if number > 0 {
            let (separator, what) = match word {
                "" => (", ", String::new()),
                _ if number == 1 => ("; ", " template".to_owned()),
                _ => ("; ", format!(" {word}")),
            };
            text.push_str(&format!("{separator}{number}{what} to {verb}"));
            word = "";
        }
    }
    text.push('.');
    text
}
