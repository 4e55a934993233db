//! The last line: `Plan: 3 to add, 1 to change, 0 to destroy; 3 templates to add.`

use super::verdicts::missing_consent;
use crate::model::plan::{Count, Plan, Summary};
use crate::render::line::{Line, Tone};
use crate::render::values::count;

/// The summary as plain text.
pub fn summary_line(plan: &Plan) -> String {
    summary(plan).plain()
}

pub(super) fn summary(plan: &Plan) -> Line {
    let failed = plan.refusals().count();
    let said = if plan.has_changes() {
        Line::new().tone(Tone::Bold, "Plan: ").text(counts(&plan.summary()))
    } else {
        Line::new().tone(Tone::Bold, "No changes. ").text(nothing_to_do(plan, failed))
    };
    match (failed, missing_consent(plan)) {
        (0, None) => said,
        (0, Some(flags)) => said.tone(Tone::Bad, format!(" Apply needs {flags}.")),
        (_, None) => said.tone(Tone::Bad, refused(failed)),
        (_, Some(flags)) => said.tone(Tone::Bad, refused(failed)).tone(Tone::Bad, format!(" It also needs {flags}.")),
    }
}

fn refused(failed: usize) -> String {
    format!(" Apply refuses it: {} failed.", count(failed, "check"))
}

fn nothing_to_do(plan: &Plan, failed: usize) -> String {
    match plan.unchanged.len() {
        _ if failed > 0 => "Nothing could be planned.".to_owned(),
        0 => "The manifest asks for no machines, and there are none.".to_owned(),
        1 => "The one machine is as the manifest asks.".to_owned(),
        machines => format!("All {machines} machines are as the manifest asks."),
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
