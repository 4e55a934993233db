//! `pvekube status`: the machines as they are now. 0: all of the manifest are ready; 2: not all. Machines that the manifest
//! no longer lists are shown and count for nothing.

use std::sync::Arc;
use std::time::Duration;

use super::session::{self, Session};
use super::{Stop, interrupts, known_hosts, login_keys, look};
use crate::cli::{Global, Status as Args, StatusFormat};
use crate::error::Exit;
use crate::execute::{self, GlanceOptions};
use crate::model::observed::Observed;
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::render::status;
use crate::ui::Ui;

/// Between two looks of `--watch`: a look costs each node a few Perl starts.
const PAUSE: Duration = Duration::from_secs(5);

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let done = tokio::select! {
        done = watch(ui, &session, args) => done,
        () = interrupts::signalled() => Ok(Exit::Interrupted),
    };
    session.nodes.close().await;
    done
}

async fn watch(ui: &Ui, session: &Session, args: &Args) -> Result<Exit, Stop> {
    let options = GlanceOptions {
        keys: login_keys::find(&session.loaded.desired).await,
        known_hosts: Some(known_hosts::path(session, args.known_hosts.as_deref())?),
    };
    let (mut shown, exit) = once(ui, session, args, look::look(ui, session).await?, &options).await;
    ui.data(&shown)?;
    if !args.watch {
        return Ok(exit);
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = match look::silently(session).await {
            Ok(observed) => once(ui, session, args, observed, &options).await.0,
            Err(stop) => {
                // Nodes may come back: said once, and looked at again.
                if !shown.is_empty() {
                    super::report(ui, &stop);
                }
                shown.clear();
                continue;
            }
        };
        if now != shown {
            ui.talk(&jiff::Zoned::now().strftime("\n%H:%M:%S").to_string());
            ui.data(&now)?;
            shown = now;
        }
    }
}

async fn once(ui: &Ui, session: &Session, args: &Args, observed: Observed, options: &GlanceOptions) -> (String, Exit) {
    let desired = &session.loaded.desired;
    let machines = execute::glance(desired, &observed, Arc::clone(&session.nodes), options.clone()).await;
    let plan = planner::plan(desired, &observed, &PlanOptions::default());
    let rows = status::rows(&desired.machines, &plan, &observed, &machines);
    let extra = status::extra_rows(&desired.machines, &plan, &observed);
    let text = match args.format {
        StatusFormat::Text => status::status_text(&rows, &extra, false, ui.look()),
        StatusFormat::Wide => status::status_text(&rows, &extra, true, ui.look()),
        StatusFormat::Json => status::status_json(&rows, &extra),
    };
    (text, if status::all_ready(&rows) { Exit::Success } else { Exit::Changes })
}
