//! What GitHub Actions reads: annotations on lines of input files, outputs of a step. The step summary is the markdown.

use super::digest::plan_digest;
use super::line::printable;
use super::text::summary_line;
use crate::model::desired::Place;
use crate::model::plan::{Check, Plan, Verdict};

/// A workflow command on stdout: one line, which GitHub turns into an annotation.
pub fn annotation(level: Level, title: &str, message: &str, place: Option<&Place>) -> String {
    let word = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    let mut properties: Vec<String> = Vec::new();
    if let Some(Place { file, line, column }) = place {
        properties.push(format!("file={}", property(file)));
        properties.push(format!("line={line}"));
        properties.push(format!("col={column}"));
    }
    properties.push(format!("title={}", property(title)));
    format!("::{word} {}::{}\n", properties.join(","), data(message))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
    Notice,
}

/// Annotations of a plan: failed checks and hazards that nobody accepted are errors, warnings are warnings.
pub fn plan_annotations(plan: &Plan) -> String {
    let checks = plan.checks.iter().filter_map(|check| {
        let level = match check.verdict {
            Verdict::Failed => Level::Error,
            Verdict::Warning | Verdict::Unknown => Level::Warning,
            Verdict::Passed => return None,
        };
        Some(annotation(level, &format!("pvekube {}", check.id), &told(check), check.place.as_ref()))
    });
    let hazards = plan.unaccepted().map(|hazard| {
        let message = format!("{}; needs --accept {}", hazard.message, hazard.kind);
        annotation(Level::Error, &format!("pvekube hazard {}", hazard.kind), &message, None)
    });
    checks.chain(hazards).collect()
}

fn told(check: &Check) -> String {
    let about = if check.about.is_empty() || check.message.contains(&check.about) {
        String::new()
    } else {
        format!("{}: ", check.about)
    };
    let hint = if check.hint.is_empty() { String::new() } else { format!("\nnext: {}", check.hint) };
    format!("{about}{}{hint}", check.message)
}

/// Lines to append to `$GITHUB_OUTPUT`.
pub fn outputs(plan: &Plan) -> String {
    let summary = plan.summary();
    let pairs = [
        ("has_changes", plan.has_changes().to_string()),
        ("add", summary.machines.add.to_string()),
        ("change", summary.machines.change.to_string()),
        ("destroy", summary.machines.destroy.to_string()),
        ("templates_add", summary.templates.add.to_string()),
        ("templates_destroy", summary.templates.destroy.to_string()),
        ("failed_checks", plan.refusals().count().to_string()),
        ("unaccepted_hazards", plan.unaccepted().map(|hazard| hazard.kind.flag()).collect::<Vec<_>>().join(",")),
        ("digest", plan_digest(plan)),
        ("summary", summary_line(plan)),
    ];
    pairs.into_iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// `%`, CR and LF would end or change a command, other control characters the log that it stands in.
fn data(text: &str) -> String {
    printable(&text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"))
}

/// In a property, `:` and `,` too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
