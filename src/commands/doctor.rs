//! `pvekube doctor`: every check on every node, green and red.

use super::{Stop, look, session};
use crate::cli::{Doctor as Args, Global, TextOrJson};
use crate::error::Exit;
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::render::{checks, json};
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let observed = look::look(ui, &session).await;
    session.nodes.close().await;
    let plan = planner::plan(&session.loaded.desired, &observed, &PlanOptions::default());
    match args.format {
        TextOrJson::Text => ui.data(&checks::checks_text(&plan, ui.look()))?,
        TextOrJson::Json => ui.data(&json::checks_json(&plan))?,
    }
    Ok(if plan.refusals().next().is_some() { Exit::Failure } else { Exit::Success })
}
