//! Runs a plan after consent, with progress and a report; shared by every verb that changes something.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{mpsc, watch};

use super::inventory::live;
use super::session::Session;
use super::{Stop, files, interrupts, login_keys};
use crate::cli::{Running, TextOrJson};
use crate::error::{Exit, Fault};
use crate::execute::{self, ApplyOptions, Interrupt, LocalImage, LocalImageAsk};
use crate::image::{Download, ImageCache};
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

/// Shows the plan, refuses what must not run, asks, runs, reports.
pub async fn plan(
    ui: &Ui,
    session: &Session,
    observed: &Observed,
    plan: &Plan,
    running: &Running,
    approval: Approval,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Exit, Stop> {
    plan_after(ui, session, observed, plan, running, approval, interrupt, || Ok(())).await
}

/// As `plan`; `before_running` is called after consent and before the first change (verbs that edit the manifest).
#[allow(clippy::too_many_arguments)] // one call site each; a struct would only rename them
pub async fn plan_after(
    ui: &Ui,
    session: &Session,
    observed: &Observed,
    plan: &Plan,
    running: &Running,
    approval: Approval,
    interrupt: watch::Receiver<Interrupt>,
    before_running: impl FnOnce() -> Result<(), Fault>,
) -> Result<Exit, Stop> {
    if running.format == TextOrJson::Text {
        let view = PlanView { sandbox: session.sandbox.is_some(), ..PlanView::new(plan, ui.look()) };
        ui.data(&plan_text(&view))?;
    }
    refuse(plan)?;
    let held_back: Vec<&str> = plan.held_back().map(|check| check.about.as_str()).collect();
    let incomplete = if held_back.is_empty() { Exit::Success } else { Exit::Failure };
    if !plan.has_changes() {
        before_running()?;
        write_inventory(ui, session, running).await?;
        return Ok(incomplete);
    }
    login_keys::warn_of_none(ui, plan, &session.loaded.desired).await;
    if approval == Approval::Ask {
        let yes = tokio::select! {
            yes = ui.confirm("Do you want to perform these actions?", "pvekube will do what is shown above.") => yes,
            () = interrupts::first(interrupt.clone()) => return Ok(Exit::Interrupted),
        };
        if !yes {
            ui.warn("Apply cancelled.");
            return Ok(Exit::Failure);
        }
    }
    before_running()?;
    let exit = carry_out(ui, session, observed, plan, running, interrupt).await?;
    if exit == Exit::Success && !held_back.is_empty() {
        ui.warn(&format!("Held back, as not everything about them is known: {}.", held_back.join(", ")));
        return Ok(incomplete);
    }
    Ok(exit)
}

/// Runs a plan that needs no consent any more, reports, and writes what was asked for.
pub async fn carry_out(
    ui: &Ui,
    session: &Session,
    observed: &Observed,
    plan: &Plan,
    running: &Running,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Exit, Stop> {
    let outcome = execute(ui, session, observed, plan, running, interrupt).await?;
    let exit = report(ui, plan, &outcome, running)?;
    if !outcome.interrupted {
        write_inventory(ui, session, running).await?;
    }
    Ok(exit)
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

async fn execute(
    ui: &Ui,
    session: &Session,
    observed: &Observed,
    plan: &Plan,
    running: &Running,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Outcome, Stop> {
    let desired = &session.loaded.desired;
    let options = ApplyOptions {
        owner: owner(),
        seed: seed(),
        lock_timeout_s: u32::try_from(running.lock_timeout.as_secs()).unwrap_or(u32::MAX),
        wait: !running.no_wait,
        hooks: !running.no_hooks,
        keys: login_keys::find(desired).await,
        known_hosts: Some(known_hosts(session, running.known_hosts.as_deref())?),
        local_image: Some(local_image()),
    };
    let (events, receiver) = mpsc::unbounded_channel();
    let style = match running.format {
        TextOrJson::Text => ProgressStyle::Text,
        TextOrJson::Json => ProgressStyle::Json,
    };
    let drawing = tokio::spawn({
        let (ui, plan) = (ui.clone(), plan.clone());
        async move { ui.show_progress(&plan, style, receiver).await }
    });
    let outcome = execute::apply(plan, desired, observed, Arc::clone(&session.nodes), options, events, interrupt).await;
    // The executor has dropped its sender: the picture ends by itself.
    let _ = drawing.await;
    Ok(outcome)
}

/// `--inventory FILE`: every machine, not just those that this run had to do with.
async fn write_inventory(ui: &Ui, session: &Session, running: &Running) -> Result<(), Stop> {
    let Some(path) = &running.inventory else { return Ok(()) };
    let list = live(ui, session, known_hosts(session, running.known_hosts.as_deref())?).await?;
    Ok(files::write_atomically(path, inventory::ansible(&list).as_bytes(), files::Readers::Everybody)?)
}

fn report(ui: &Ui, plan: &Plan, outcome: &Outcome, running: &Running) -> Result<Exit, Stop> {
    match running.format {
        TextOrJson::Text => ui.data(&render::outcome::outcome_text(plan, outcome, ui.look()))?,
        TextOrJson::Json => ui.json_end(plan, outcome),
    }
    if let Some(path) = &running.timeline {
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

/// The cluster's own known_hosts: the flag, the sandbox's folder, or the user's state folder.
pub fn known_hosts(session: &Session, flag: Option<&std::path::Path>) -> Result<std::path::PathBuf, Fault> {
    use etcetera::BaseStrategy as _;
    if let Some(path) = flag {
        return Ok(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    }
    let cluster = session.loaded.desired.cluster.as_str();
    if let Some(dir) = &session.sandbox {
        // Other programs read the path from an inventory: it must not depend on where they run.
        return Ok(std::path::absolute(dir).unwrap_or_else(|_| dir.clone()).join("known_hosts"));
    }
    let base = etcetera::base_strategy::Xdg::new().map_err(|error| {
        Fault::new(
            "no-home",
            format!("there is no home folder for the machines' host keys: {error}"),
            "give --known-hosts FILE",
        )
    })?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("pvekube").join(cluster).join("known_hosts"))
}

/// `download: controller`: fetched once to the user's cache, verified, then streamed to each node.
fn local_image() -> LocalImage {
    Arc::new(|ask: LocalImageAsk| Box::pin(fetch_image(ask)))
}

/// In a thread of its own: `ureq` blocks.
async fn fetch_image(ask: LocalImageAsk) -> Result<PathBuf, String> {
    use etcetera::BaseStrategy as _;
    let base = etcetera::base_strategy::Xdg::new().map_err(|error| format!("there is no cache folder: {error}"))?;
    let cache = ImageCache::new(base.cache_dir().join("pvekube").join("images"));
    let fetch = move || {
        let download = Download { url: ask.url, digest: ask.digest };
        let tell = |done: u64, all: Option<u64>| {
            if let Some(all) = all.filter(|all| *all > 0) {
                #[allow(clippy::cast_precision_loss)] // a percentage
                let _ = ask.progress.send(done as f32 / all as f32 * 100.0);
            }
        };
        cache.fetch(&download, &tell, &AtomicBool::new(false)).map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(fetch).await.map_err(|error| error.to_string())?
}

/// Who runs this, for whoever finds the lock taken.
pub fn owner() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() {
        std::env::var("HOSTNAME").unwrap_or_else(|_| "unknown-host".to_owned())
    } else {
        host.trim().to_owned()
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("{user}@{host} pid {} since {now}", std::process::id())
}

/// Names operations apart from those of any other run.
pub fn seed() -> u64 {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // only needs to differ
    let low = nanos as u64;
    low ^ (u64::from(std::process::id()) << 32)
}
