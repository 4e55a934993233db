//! Plans in files: written by `plan --out`, applied by `apply FILE` exactly as they are, or refused with what moved.

use std::path::Path;

use super::session::Session;
use super::{Stop, files};
use crate::error::Fault;
use crate::input::SourceFile;
use crate::model::observed::Observed;
use crate::model::plan::Plan;
use crate::planner::{self, PlanOptions};
use crate::render::digest::bytes_digest;
use crate::render::saved::{Inputs, Moved, SavedPlan, fingerprint, moved, stale, unsound};

/// The file's text.
pub fn document(session: &Session, observed: &Observed, plan: &Plan, options: &PlanOptions, offline: bool) -> String {
    let rests_on = fingerprint(plan, observed, inputs(session));
    let saved = SavedPlan::new(plan, options, rests_on, jiff::Timestamp::now().as_second());
    SavedPlan { sandbox: session.sandbox.is_some(), offline, ..saved }.to_text()
}

/// A saved plan that may be applied here at all; what it rests on is compared when the nodes have answered.
pub fn read(session: &Session, path: &Path) -> Result<SavedPlan, Fault> {
    let name = path.display().to_string();
    let bytes = files::read(path).map_err(|error| {
        Fault::new(
            "saved-plan-unreadable",
            format!("{name} can't be read: {error}"),
            "make one with pvekube plan --out FILE",
        )
    })?;
    let saved = SavedPlan::from_bytes(&bytes, &name)?;
    saved.admits(&session.loaded.desired.cluster, session.sandbox.is_some())?;
    Ok(saved)
}

/// The saved plan, if everything that it rests on is as it was, and if it is a plan of these inputs at all.
pub fn plan_if_fresh(session: &Session, observed: &Observed, saved: &SavedPlan) -> Result<Plan, Stop> {
    let moved = moved(&saved.rests_on, &fingerprint(&saved.plan, observed, inputs(session)));
    if !moved.is_empty() {
        return Err(stale(&moved).into());
    }
    let faults = planner::unsound(&saved.plan, &session.loaded.desired, observed);
    if !faults.is_empty() {
        return Err(unsound(faults).into());
    }
    Ok(saved.plan.clone())
}

/// What has moved of that which `plan` rests on.
pub fn moved_since(session: &Session, plan: &Plan, then: &Observed, now: &Observed) -> Vec<Moved> {
    let print = |observed| fingerprint(plan, observed, inputs(session));
    moved(&print(then), &print(now))
}

fn inputs(session: &Session) -> Inputs {
    let digest = |file: &SourceFile| bytes_digest(file.text.as_bytes());
    let (config, manifest) = (&session.loaded.config, &session.loaded.manifest);
    Inputs::from([("config".to_owned(), digest(config)), ("manifest".to_owned(), digest(manifest))])
}
