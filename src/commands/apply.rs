//! `pvekube apply`: show the plan, ask, run it; or exactly a saved plan.

use std::sync::Arc;

use super::run::{self, Approval, Attempt, Run};
use super::session::{self, Session};
use super::{Stop, interrupts, login_keys, planning, saved};
use crate::cli::{Apply as Args, Global, Planning, TextOrJson};
use crate::error::{Exit, Fault};
use crate::execute::{self, GlanceOptions};
use crate::model::observed::Observed;
use crate::model::outcome::{MachineReport, Stage};
use crate::model::plan::Plan;
use crate::planner;
use crate::remote::Remote as _;
use crate::render::outcome::stage_text;
use crate::render::saved::{expect, expected_digest, outdated};
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    refuse_contradictions(args)?;
    let approval = match (&args.plan, args.auto_approve) {
        (Some(_), _) => Approval::SavedPlan,
        (None, true) => Approval::Given,
        (None, false) => Approval::Ask,
    };
    run::can_approve(ui, approval, args.running.format)?;
    run::can_write(global, &args.running, args.plan.as_ref())?;
    let session = session::open(global)?;
    let done = go(ui, &session, args, approval).await;
    session.nodes.close().await;
    done
}

async fn go(ui: &Ui, session: &Session, args: &Args, approval: Approval) -> Result<Exit, Stop> {
    // Names are checked before any node is contacted.
    let options = planning::options(&args.planning, &session.loaded.desired)?;
    let document = args.plan.as_deref().map(|path| saved::read(session, path)).transpose()?;
    let run = Run { ui, session, running: &args.running, approval, interrupt: interrupts::catch(ui) };
    let Some(mut observed) = run.look().await? else { return Ok(Exit::Interrupted) };
    let make = |observed: &Observed| {
        let plan = match &document {
            Some(document) => saved::plan_if_fresh(session, observed, document)?,
            None => planner::plan(&session.loaded.desired, observed, &options),
        };
        if let Some(expected) = &args.expect {
            expect(&plan, expected)?;
        }
        Ok(plan)
    };
    loop {
        let done = run.go(observed, make, || Ok(())).await?;
        if done.exit != Exit::Success || done.plan.has_changes() || args.running.no_wait {
            return Ok(done.exit);
        }
        match wait_for_the_rest(&run, &done.observed, &done.plan).await? {
            Attempt::Over(exit) => return Ok(exit),
            Attempt::Outdated(moved) => ui.warn(&outdated(&moved)),
        }
        let Some(now) = run.look().await? else { return Ok(Exit::Interrupted) };
        observed = now;
    }
}

/// Nothing is to be changed, but an earlier run may have given up waiting, or was killed while it did: success is every machine
/// being ready, so it goes on waiting where that one stopped.
async fn wait_for_the_rest(run: &Run<'_>, observed: &Observed, plan: &Plan) -> Result<Attempt<Exit>, Stop> {
    let desired = &run.session.loaded.desired;
    let keys = login_keys::find(desired).await;
    let options = GlanceOptions { keys: keys.clone(), known_hosts: Some(run.known_hosts()?) };
    let glance = execute::glance(desired, observed, Arc::clone(&run.session.nodes), options);
    let Some(machines) = run.unless_interrupted(glance).await else { return Ok(Attempt::Over(Exit::Interrupted)) };
    // An adopted machine has no image in its mark: whether it has an agent is its operator's business.
    let ours =
        |vmid| observed.managed(&desired.cluster).any(|(_, _, vm, mark)| vm.vmid == vmid && mark.image.is_some());
    let left = |machine: &&MachineReport| {
        let runs = !matches!(machine.stage, Stage::Unknown | Stage::Absent | Stage::Stopped);
        !machine.ready && runs && plan.unchanged.contains(&machine.name) && ours(machine.vmid)
    };
    let waiting: Vec<&MachineReport> = machines.iter().filter(left).collect();
    if waiting.is_empty() {
        // Some may have become ready since the one that is written was made.
        run.write_inventory_of(&machines, keys)?;
        return Ok(Attempt::Over(Exit::Success));
    }
    for machine in &waiting {
        run.ui.talk(&format!("{} is not ready yet ({}); waiting for it.", machine.name, stage_text(machine.stage)));
    }
    let names = waiting.iter().map(|machine| machine.name.clone()).collect();
    run.carry_out(observed, &planner::readiness(desired, observed, &names)).await
}

/// What `apply FILE` doesn't take: the file says it all.
fn refuse_contradictions(args: &Args) -> Result<(), Fault> {
    if args.plan.is_some() && args.planning != Planning::default() {
        return Err(Fault::new(
            "plan-options",
            "a saved plan is applied as it is: --prune, --only, --replace, --replace-outdated, --without-node and --accept can't change it",
            "give them to `pvekube plan --out FILE` and apply that file",
        ));
    }
    if let Some(digest) = &args.expect {
        expected_digest(digest)?;
    }
    if args.running.format == TextOrJson::Json && args.plan.is_none() && !args.auto_approve {
        return Err(Fault::new(
            "needs-approval",
            "--format json asks nothing",
            "add --auto-approve, or apply a saved plan",
        ));
    }
    Ok(())
}
