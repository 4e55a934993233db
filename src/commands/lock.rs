//! `pvekube lock show`: who holds the apply lock on each node.

use super::{Stop, session};
use crate::cli::Global;
use crate::error::{Exit, Fault};
use crate::remote::{Probe, Remote as _};
use crate::ui::Ui;

pub async fn show(ui: &Ui, global: &Global) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let desired = &session.loaded.desired;
    let probe = Probe::LockOwner { cluster: desired.cluster.clone() };
    let mut asked: Vec<_> = desired.nodes.iter().map(|target| target.name.clone()).collect();
    asked.sort();
    let mut faults = Vec::new();
    let width = asked.iter().map(|node| node.as_str().len()).max().unwrap_or(0);
    // A handful of nodes and a lock that is looked at by hand: one after the other is fast enough.
    for node in asked {
        let line = match session.nodes.probe(&node, &probe).await {
            Ok(answer) => {
                let owner = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
                if owner.is_empty() { "free".to_owned() } else { format!("held by {owner}") }
            }
            Err(error) => {
                let fault = Fault::new("node-unreachable", error.to_string(), error.hint);
                faults.push(if error.detail.is_empty() { fault } else { fault.with_detail(error.detail) });
                "unknown".to_owned()
            }
        };
        ui.data(&format!("{:width$}  {}\n", node.as_str(), crate::render::line::printable(&line)))?;
    }
    session.nodes.close().await;
    if faults.is_empty() { Ok(Exit::Success) } else { Err(Stop::Faults(faults)) }
}
