//! `pvekube destroy`: everything of this cluster, by its mark. The same path as any plan, with nothing desired.

use super::run::{self, Approval, Run};
use super::session::{self, Session};
use super::{Stop, interrupts};
use crate::cli::{Destroy as Args, Global};
use crate::error::Exit;
use crate::model::observed::Observed;
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let approval = if args.auto_approve { Approval::Given } else { Approval::Ask };
    run::can_approve(ui, approval, args.running.format)?;
    run::can_write(global, &args.running, None)?;
    let session = session::open(global)?;
    let done = go(ui, &session, args, approval).await;
    session.nodes.close().await;
    done
}

async fn go(ui: &Ui, session: &Session, args: &Args, approval: Approval) -> Result<Exit, Stop> {
    let options = PlanOptions {
        destroy: true,
        templates: args.templates,
        accept: args.accept.iter().copied().collect(),
        ..PlanOptions::default()
    };
    let run = Run { ui, session, running: &args.running, approval, interrupt: interrupts::catch(ui) };
    let Some(observed) = run.look().await? else { return Ok(Exit::Interrupted) };
    let make = |observed: &Observed| Ok(planner::plan(&session.loaded.desired, observed, &options));
    Ok(run.go(observed, make, || Ok(())).await?.exit)
}
