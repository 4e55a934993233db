//! `pvekube validate`: both files, all problems; nothing is contacted.

use super::{Stop, session};
use crate::cli::{Global, TextOrJson, Validate};
use crate::error::Exit;
use crate::input::{Record, Severity};
use crate::model::desired::Place;
use crate::render::{self, github};
use crate::ui::Ui;

pub fn run(ui: &Ui, global: &Global, args: &Validate) -> Result<Exit, Stop> {
    let loaded = session::load(global);
    let problems = match &loaded {
        Ok(_) => None,
        Err(Stop::Problems(problems)) => Some(problems),
        Err(Stop::Faults(_)) => return loaded.map(|_| Exit::Success),
    };
    if args.github {
        let records = problems.map(|problems| problems.records()).unwrap_or_default();
        ui.data(&records.iter().map(annotation).collect::<String>())?;
    }
    match args.format {
        TextOrJson::Json => {
            let list = problems.map_or_else(|| serde_json::json!([]), |problems| serde_json::json!(problems.records()));
            let document = serde_json::json!({"valid": problems.is_none(), "problems": list});
            ui.data(&render::json::pretty(&document))?;
            Ok(if problems.is_none() { Exit::Success } else { Exit::Failure })
        }
        TextOrJson::Text => {
            let loaded = loaded?;
            let desired = &loaded.desired;
            ui.data(&format!(
                "{} and {} are valid: cluster {:?} with {} on {}.\n",
                loaded.config.name,
                loaded.manifest.name,
                desired.cluster.as_str(),
                render::values::count(desired.machines.len(), "machine"),
                render::values::count(desired.nodes.len(), "node"),
            ))?;
            Ok(Exit::Success)
        }
    }
}

/// One line that GitHub shows beside the fault's line.
fn annotation(record: &Record) -> String {
    let level = match record.severity {
        Severity::Error => github::Level::Error,
        Severity::Warning => github::Level::Warning,
    };
    let place = record.file.as_ref().map(|file| Place {
        file: file.clone(),
        line: record.line.unwrap_or(1),
        column: record.column.unwrap_or(1),
    });
    let message = [std::slice::from_ref(&record.message), record.help.as_slice()].concat().join("\n");
    github::annotation(level, &format!("pvekube {}", record.id), &message, place.as_ref())
}
