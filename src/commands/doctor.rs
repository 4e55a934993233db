//! `pvekube doctor`: every check on every node, green and red.

use super::{Stop, look, session};
use crate::cli::{Doctor as Args, Global, TextOrJson};
use crate::error::Exit;
use crate::model::plan::{Check, Verdict};
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::render::checks;
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let observed = look::look(ui, &session).await;
    session.nodes.close().await;
    let observed = observed?;
    let desired = &session.loaded.desired;
    let plan = planner::plan(desired, &observed, &PlanOptions::default());
    // Every node, also those that nothing is to be done on; then what stands against the machines.
    let mut found = planner::doctor(desired, &observed);
    let said = |check: &Check, found: &[Check]| found.iter().any(|one| one.id == check.id && one.about == check.about);
    for check in plan.checks {
        if !said(&check, &found) {
            found.push(check);
        }
    }
    match args.format {
        TextOrJson::Text => ui.data(&checks::checks_text(&found, ui.look()))?,
        TextOrJson::Json => ui.data(&checks::checks_json(&found))?,
    }
    Ok(if found.iter().any(|check| check.verdict == Verdict::Failed) { Exit::Failure } else { Exit::Success })
}
