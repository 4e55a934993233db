//! `pvekube doctor`: every check on every node, green and red.

use super::{Stop, login_keys, look, session};
use crate::cli::{Doctor as Args, Global, TextOrJson};
use crate::error::Exit;
use crate::model::desired::SshCheck;
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
    if desired.readiness.ssh != SshCheck::Off {
        found.push(login_key(login_keys::find(desired).await.is_empty()));
    }
    match args.format {
        TextOrJson::Text => ui.data(&checks::checks_text(&found, ui.look()))?,
        TextOrJson::Json => ui.data(&checks::checks_json(&found))?,
    }
    Ok(if found.iter().any(|check| check.verdict == Verdict::Failed) { Exit::Failure } else { Exit::Success })
}

/// Not the planner's: the same plan must come of the same files on every computer.
fn login_key(missing: bool) -> Check {
    let (verdict, message, hint) = if missing {
        let message = "no private key at hand for the machines' public keys: readiness ends at a matching host key";
        (Verdict::Warning, message, "add it to the SSH agent, or set `readiness_check.ssh_private_key_path`")
    } else {
        (Verdict::Passed, "a private key for the machines is at hand", "")
    };
    let (id, about) = ("login-key".to_owned(), "readiness".to_owned());
    Check { id, verdict, about, message: message.to_owned(), hint: hint.to_owned(), place: None }
}
