//! Runs a plan after consent, with progress and a report; shared by every verb that changes something.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::inventory::live;
use super::session::Session;
use super::{Stop, files, identity, interrupts, known_hosts, local_image, login_keys, look};
use crate::cli::{Running, TextOrJson};
use crate::error::{Exit, Fault};
use crate::execute::{self, ApplyOptions, Interrupt};
use crate::inventory;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::plan::Plan;
use crate::render::text::{PlanView, plan_text};
use crate::render::{self, timeline};
use crate::ui::{ProgressStyle, Ui};

/// Who has said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    Ask,
    /// `--auto-approve`.
    Given,
    /// Whoever saved the plan and hands it over.
    SavedPlan,
}

/// Without a terminal nobody can say yes: refused before any node is contacted (peers.md §3.1).
pub fn can_approve(ui: &Ui, approval: Approval, format: TextOrJson) -> Result<(), Fault> {
    if approval == Approval::Ask && (!ui.can_ask() || format == TextOrJson::Json) {
        return Err(Fault::new(
            "needs-approval",
            "there is no terminal to ask on, and no consent was given; no node was contacted",
            "run it on a terminal, or add --auto-approve; a saved plan (pvekube plan --out FILE) is applied without a question",
        ));
    }
    Ok(())
}

/// What is written at the end is tried before anything begins.
pub fn can_write(running: &Running) -> Result<(), Fault> {
    let files = [&running.inventory, &running.timeline, &running.known_hosts];
    files.into_iter().flatten().try_for_each(|path| files::can_write(path))
}

/// What a run keeps from its first look to its report.
pub struct Run<'a> {
    pub ui: &'a Ui,
    pub session: &'a Session,
    pub running: &'a Running,
    pub approval: Approval,
    pub interrupt: watch::Receiver<Interrupt>,
}

impl Run<'_> {
    /// Asks every node. `None`: a signal came first; nothing had begun, so there is nothing to wait for.
    pub async fn look(&self) -> Result<Option<Observed>, Stop> {
        self.unless_interrupted(look::look(self.ui, self.session)).await.transpose()
    }

    /// `None`: a signal came first.
    pub async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = interrupts::first(self.interrupt.clone()) => None,
        }
    }

    /// Shows the plan, refuses what must not run, asks, runs, reports.
    pub async fn plan(&self, observed: &Observed, plan: &Plan) -> Result<Exit, Stop> {
        self.plan_after(observed, plan, || Ok(())).await
    }

    /// As `plan`; `before_running` is called after consent and before the first change (verbs that edit the manifest).
    pub async fn plan_after(
        &self,
        observed: &Observed,
        plan: &Plan,
        before_running: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<Exit, Stop> {
        if self.running.format == TextOrJson::Text {
            let view = PlanView { sandbox: self.session.sandbox.is_some(), ..PlanView::new(plan, self.ui.look()) };
            self.ui.data(&plan_text(&view))?;
        }
        refuse(plan)?;
        let held_back: Vec<&str> = plan.held_back().map(|check| check.about.as_str()).collect();
        let incomplete = if held_back.is_empty() { Exit::Success } else { Exit::Failure };
        if !plan.has_changes() {
            before_running()?;
            self.write_inventory().await?;
            return Ok(incomplete);
        }
        login_keys::warn_of_none(self.ui, plan, &self.session.loaded.desired).await;
        if self.approval == Approval::Ask {
            let ask = self.ui.confirm("Do you want to perform these actions?", "pvekube will do what is shown above.");
            match self.unless_interrupted(ask).await {
                None => return Ok(Exit::Interrupted),
                Some(true) => {}
                Some(false) => {
                    self.ui.warn("Apply cancelled.");
                    return Ok(Exit::Failure);
                }
            }
        }
        before_running()?;
        let exit = self.carry_out(observed, plan).await?;
        if exit == Exit::Success && !held_back.is_empty() {
            let names = held_back.join(", ");
            self.ui.warn(&format!("Held back, as not everything about them is known: {names}."));
            return Ok(incomplete);
        }
        Ok(exit)
    }

    /// Runs a plan that needs no consent any more, reports, and writes what was asked for.
    pub async fn carry_out(&self, observed: &Observed, plan: &Plan) -> Result<Exit, Stop> {
        let outcome = self.execute(observed, plan).await?;
        let exit = self.report(plan, &outcome)?;
        if !outcome.interrupted {
            self.write_inventory().await?;
        }
        Ok(exit)
    }

    async fn execute(&self, observed: &Observed, plan: &Plan) -> Result<Outcome, Stop> {
        let (running, desired) = (self.running, &self.session.loaded.desired);
        let options = ApplyOptions {
            owner: identity::owner(),
            seed: identity::seed(),
            lock_timeout_s: u32::try_from(running.lock_timeout.as_secs()).unwrap_or(u32::MAX),
            wait: !running.no_wait,
            hooks: !running.no_hooks,
            keys: login_keys::find(desired).await,
            known_hosts: Some(self.known_hosts()?),
            local_image: Some(local_image::fetch()),
        };
        let (events, receiver) = mpsc::unbounded_channel();
        let style = match running.format {
            TextOrJson::Text => ProgressStyle::Text,
            TextOrJson::Json => ProgressStyle::Json,
        };
        let drawing = tokio::spawn({
            let (ui, plan) = (self.ui.clone(), plan.clone());
            async move { ui.show_progress(&plan, style, receiver).await }
        });
        let nodes = Arc::clone(&self.session.nodes);
        let outcome = execute::apply(plan, desired, observed, nodes, options, events, self.interrupt.clone()).await;
        // The executor has dropped its sender: the picture ends by itself.
        let _ = drawing.await;
        Ok(outcome)
    }

    fn report(&self, plan: &Plan, outcome: &Outcome) -> Result<Exit, Stop> {
        match self.running.format {
            TextOrJson::Text => self.ui.data(&render::outcome::outcome_text(plan, outcome, self.ui.look()))?,
            TextOrJson::Json => self.ui.json_end(plan, outcome),
        }
        if let Some(path) = &self.running.timeline {
            files::write_atomically(path, timeline::svg(plan, outcome).as_bytes(), files::Readers::Everybody)?;
        }
        Ok(if outcome.interrupted {
            Exit::Interrupted
        } else if outcome.is_success() {
            Exit::Success
        } else {
            Exit::Failure
        })
    }

    /// `--inventory FILE`: every machine, not just those that this run had to do with.
    async fn write_inventory(&self) -> Result<(), Stop> {
        let Some(path) = &self.running.inventory else { return Ok(()) };
        let list = live(self.ui, self.session, self.known_hosts()?).await?;
        Ok(files::write_atomically(path, inventory::ansible(&list).as_bytes(), files::Readers::Everybody)?)
    }

    pub fn known_hosts(&self) -> Result<PathBuf, Fault> {
        known_hosts::path(self.session, self.running.known_hosts.as_deref())
    }
}

/// Failed checks and hazards that nobody accepted: nothing was changed.
fn refuse(plan: &Plan) -> Result<(), Stop> {
    let refusals: Vec<String> = plan.refusals().map(|check| format!("{}: {}", check.id, check.message)).collect();
    if !refusals.is_empty() {
        let mut fault = Fault::new(
            "checks-failed",
            format!(
                "{} must be mended first; nothing was changed",
                render::values::count(refusals.len(), "failed check")
            ),
            "see the checks above, each with its remedy",
        );
        fault.detail = refusals;
        return Err(fault.into());
    }
    let hazards: Vec<_> = plan.unaccepted().collect();
    if let Some(first) = hazards.first() {
        let flags = hazards.iter().map(|hazard| hazard.kind.flag()).collect::<Vec<_>>().join(",");
        let mut fault = Fault::new(
            "hazard",
            if hazards.len() == 1 {
                format!("{}; nothing was changed", first.message)
            } else {
                format!("{} hazards need consent; nothing was changed", hazards.len())
            },
            format!("if you want this, add: --accept {flags}"),
        );
        fault.detail = hazards.iter().map(|hazard| format!("{}: {}", hazard.kind, hazard.message)).collect();
        return Err(fault.into());
    }
    Ok(())
}
