//! Runs a plan after consent, with progress and a report; shared by every verb that changes something.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::inventory::{list, live};
use super::session::{self, Session};
use super::{Stop, files, identity, interrupts, known_hosts, local_image, login_keys, look, saved};
use crate::cli::{Global, Running, TextOrJson};
use crate::error::{Exit, Fault};
use crate::execute::{self, ApplyOptions, Interrupt, LoginKeys};
use crate::inventory;
use crate::model::observed::Observed;
use crate::model::outcome::{Event, MachineReport, Outcome};
use crate::model::plan::{Action, Plan};
use crate::render::saved::{Moved, outdated, stale};
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
            "run it on a terminal, or add --auto-approve; for apply, a saved plan (pvekube plan --out FILE) is consent as well",
        ));
    }
    Ok(())
}

/// What is written at the end is tried before anything begins.
///
/// `plan`: a saved one, which is read as the inputs are.
pub fn can_write(global: &Global, running: &Running, plan: Option<&PathBuf>) -> Result<(), Fault> {
    let inputs: Vec<_> = session::input_paths(global).into_iter().chain(plan.cloned()).collect();
    let files = [&running.inventory, &running.timeline, &running.known_hosts];
    files.into_iter().flatten().try_for_each(|path| files::can_write(path, &inputs))
}

/// An apply that was carried out, or one that could not begin: these things have moved since it was planned.
pub enum Attempt<T> {
    Over(T),
    Outdated(Vec<Moved>),
}

/// How a run ended, and the last plan that it made.
pub struct Done {
    pub exit: Exit,
    pub observed: Observed,
    pub plan: Plan,
}

/// A template, and a machine that is cloned from it. More would be another run's doing.
const ATTACHED_ROUNDS: u32 = 3;

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

    /// Plans, shows, refuses what must not run, asks, runs, reports; and all of it again where the plan could not begin
    /// because what it rests on has moved, or where it had to wait for what an earlier run had begun.
    ///
    /// `make` plans; `before_running` is called after the first consent and before the first change (verbs that edit the
    /// manifest).
    pub async fn go(
        &self,
        mut observed: Observed,
        make: impl Fn(&Observed) -> Result<Plan, Stop>,
        before_running: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<Done, Stop> {
        let mut before_running = Some(before_running);
        let mut attached = 0;
        loop {
            let plan = make(&observed)?;
            match self.once(&observed, &plan, &mut before_running).await? {
                Attempt::Over(Exit::Success) if self.waits_for_earlier(&plan) && attached < ATTACHED_ROUNDS => {
                    attached += 1;
                    // What follows from it is planned now.
                    self.ui.talk("What an earlier run had begun is done; planning what is left.");
                }
                Attempt::Over(exit) => return Ok(Done { exit, observed, plan }),
                Attempt::Outdated(moved) => self.ui.warn(&outdated(&moved)),
            }
            let Some(now) = self.look().await? else { return Ok(Done { exit: Exit::Interrupted, observed, plan }) };
            observed = now;
        }
    }

    /// A saved plan is carried out as it is, and no other in its place.
    fn waits_for_earlier(&self, plan: &Plan) -> bool {
        self.approval != Approval::SavedPlan
            && plan.steps.iter().any(|step| matches!(step.action, Action::Attach { .. }))
    }

    async fn once(
        &self,
        observed: &Observed,
        plan: &Plan,
        before_running: &mut Option<impl FnOnce() -> Result<(), Fault>>,
    ) -> Result<Attempt<Exit>, Stop> {
        if self.running.format == TextOrJson::Text {
            let view = PlanView { sandbox: self.session.sandbox.is_some(), ..PlanView::new(plan, self.ui.look()) };
            self.ui.data(&plan_text(&view))?;
        }
        refuse(plan)?;
        let held_back: Vec<&str> = plan.held_back().map(|check| check.about.as_str()).collect();
        let incomplete = if held_back.is_empty() { Exit::Success } else { Exit::Failure };
        let changes = plan.has_changes();
        if changes {
            login_keys::warn_of_none(self.ui, plan, &self.session.loaded.desired).await;
        }
        if changes && self.approval == Approval::Ask {
            let ask = self.ui.confirm("Do you want to perform these actions?", "pvekube will do what is shown above.");
            match self.unless_interrupted(ask).await {
                None => return Ok(Attempt::Over(Exit::Interrupted)),
                Some(true) => {}
                Some(false) => {
                    self.ui.warn("Apply cancelled.");
                    return Ok(Attempt::Over(Exit::Failure));
                }
            }
        }
        if let Some(before_running) = before_running.take() {
            before_running()?;
        }
        if !changes {
            self.write_inventory().await?;
            return Ok(Attempt::Over(incomplete));
        }
        let attempt = self.carry_out(observed, plan).await?;
        if matches!(attempt, Attempt::Over(Exit::Success)) && !held_back.is_empty() {
            let names = held_back.join(", ");
            self.ui.warn(&format!("Held back, as not everything about them is known: {names}."));
            return Ok(Attempt::Over(incomplete));
        }
        Ok(attempt)
    }

    /// Runs a plan that needs no consent any more, reports, and writes what was asked for.
    pub async fn carry_out(&self, observed: &Observed, plan: &Plan) -> Result<Attempt<Exit>, Stop> {
        let outcome = match self.execute(observed, plan).await? {
            Attempt::Over(outcome) => outcome,
            Attempt::Outdated(moved) => return Ok(Attempt::Outdated(moved)),
        };
        let exit = self.report(plan, &outcome)?;
        if !outcome.interrupted {
            self.write_inventory().await?;
        }
        Ok(Attempt::Over(exit))
    }

    async fn execute(&self, observed: &Observed, plan: &Plan) -> Result<Attempt<Outcome>, Stop> {
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
        let attempt = self.with_locks(observed, plan, options, events).await;
        // The executor has dropped its sender: the picture ends by itself.
        let _ = drawing.await;
        attempt
    }

    /// Nothing runs that is older than its locks: who had to wait, for another apply or for an answer, looks again.
    async fn with_locks(
        &self,
        observed: &Observed,
        plan: &Plan,
        options: ApplyOptions,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Attempt<Outcome>, Stop> {
        let nodes = &self.session.nodes;
        let locks = match execute::lock(plan, observed, nodes.as_ref(), &options, events, &self.interrupt).await {
            Ok(locks) => locks,
            Err(outcome) => return Ok(Attempt::Over(outcome)),
        };
        if locks.waited() || self.approval == Approval::Ask {
            let moved = saved::moved_since(self.session, plan, observed, &look::silently(self.session).await?);
            match self.approval {
                _ if moved.is_empty() => {}
                Approval::Ask | Approval::Given => return Ok(Attempt::Outdated(moved)),
                Approval::SavedPlan => return Err(stale(&moved).into()),
            }
        }
        let desired = &self.session.loaded.desired;
        let outcome =
            execute::apply(plan, desired, observed, Arc::clone(nodes), options, locks, self.interrupt.clone()).await;
        Ok(Attempt::Over(outcome))
    }

    fn report(&self, plan: &Plan, outcome: &Outcome) -> Result<Exit, Stop> {
        match self.running.format {
            TextOrJson::Text => self.ui.data(&render::outcome::outcome_text(plan, outcome, self.ui.look()))?,
            TextOrJson::Json => self.ui.json_end(plan, outcome),
        }
        let made = outcome.is_success() && outcome.machines.iter().any(|machine| machine.ready);
        if made && self.running.format == TextOrJson::Text && self.running.inventory.is_none() {
            let sandbox = self.session.sandbox.as_ref().map(|folder| format!(" --sandbox={}", folder.display()));
            let sandbox = sandbox.unwrap_or_default().replace("=.pvekube-sandbox", "");
            self.ui.talk(&format!("Next: pvekube inventory{sandbox} --format ansible > inventory.yaml"));
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

    /// The same from machines that were looked at already.
    pub fn write_inventory_of(&self, machines: &[MachineReport], keys: LoginKeys) -> Result<(), Stop> {
        let Some(path) = &self.running.inventory else { return Ok(()) };
        let desired = &self.session.loaded.desired;
        let list = list(desired, machines, self.known_hosts()?, &keys);
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
