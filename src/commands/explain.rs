//! `pvekube explain`: why a machine is on this node, with this id, address and template.

use super::{Stop, look, planning, session};
use crate::cli::{Explain as Args, Global, TextOrJson};
use crate::error::{Exit, Fault};
use crate::model::ids::MachineName;
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::render::explain::{explain_json, explain_text};
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let desired = &session.loaded.desired;
    let observed = look::look(ui, &session).await;
    session.nodes.close().await;
    let observed = observed?;
    let plan = planner::plan(desired, &observed, &PlanOptions::default());
    let name = MachineName::new(&args.machine);
    let Some(explanation) = planner::explain::explain(desired, &observed, &plan, &name) else {
        let fault: Fault = planning::unknown_machine("explain", &args.machine, desired);
        return Err(fault.into());
    };
    match args.format {
        TextOrJson::Text => ui.data(&explain_text(&explanation, ui.look()))?,
        TextOrJson::Json => ui.data(&explain_json(&explanation))?,
    }
    Ok(Exit::Success)
}
