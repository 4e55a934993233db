//! Verbs that edit the manifest and then apply: the edit shown as a diff, written whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use similar::{ChangeTag, TextDiff};

use super::run::{self, Approval, Run};
use super::session::{self, Session};
use super::{Stop, files, interrupts};
use crate::cli::{Edit, Global, TextOrJson};
use crate::error::{Exit, Fault};
use crate::input::{self, Loaded};
use crate::model::desired::{Desired, Machine};
use crate::model::ids::{MachineId, MachineName, Pool};
use crate::model::mark::MarkSubject;
use crate::model::observed::Observed;
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::ui::Ui;

/// The manifest as it is and as it will be.
pub struct Edited {
    old: Loaded,
    new: Loaded,
}

/// Loads both files for an edit; the built-in examples can't be edited.
pub fn load(global: &Global) -> Result<Loaded, Stop> {
    if !session::manifest_path(global).exists() {
        return Err(Fault::new(
            "no-manifest",
            format!("{} does not exist, and this command edits it", session::manifest_path(global).display()),
            "write one with `pvekube init`, or start from cluster.example.yaml",
        )
        .into());
    }
    session::load(global)
}

/// The numbers that a pool has now.
pub fn numbers(desired: &Desired, pool: &Pool) -> BTreeSet<u32> {
    desired.machines.iter().filter(|machine| machine.id.pool == *pool).map(|machine| machine.id.number).collect()
}

/// Parses the new text as any manifest; what the edit broke, or what was asked wrongly, is a problem with a place.
pub fn parse(old: Loaded, text: String) -> Result<Edited, Stop> {
    // Lines are those of a text that no file has yet.
    let manifest = input::SourceFile { name: format!("{} (as edited)", old.manifest.name), text };
    let new = input::parse(&old.config, &manifest, &input::Env::current())?;
    Ok(Edited { old, new })
}

pub fn impossible(reason: impl Into<String>, manifest: &str) -> Fault {
    Fault::new(
        "manifest-edit",
        format!("{manifest} can't be edited: {}", reason.into()),
        "edit the file by hand, then: pvekube apply",
    )
}

/// What follows from an edit.
pub struct Reach {
    /// Machines that the edit adds, changes or takes out.
    pub only: Vec<MachineName>,
    /// Of these pools also what an earlier run has left undone: machines that are missing, or too many.
    pub pools: Vec<Pool>,
    pub prune: bool,
}

/// Shows the edit, asks, writes the file, applies just these machines.
///
/// Consent is asked once, for the edit and the plan together; a plan that is refused leaves the file as it was.
pub async fn go(ui: &Ui, global: &Global, edit: &Edit, edited: Edited, reach: Reach) -> Result<Exit, Stop> {
    refuse_side_effects(&edited, &reach.only)?;
    let path = session::manifest_path(global);
    let diff = diff(&edited.old.manifest.name, &edited.old.manifest.text, &edited.new.manifest.text);
    match edit.running.format {
        TextOrJson::Text => ui.data(&diff)?,
        // Data is one JSON object a line.
        TextOrJson::Json => ui.talk(diff.trim_end()),
    }
    if edit.no_apply {
        write(ui, &path, &edited)?;
        ui.talk(&format!("Next: {}", next_apply(&edited, &reach)));
        return Ok(Exit::Success);
    }
    let approval = if edit.auto_approve { Approval::Given } else { Approval::Ask };
    run::can_approve(ui, approval, edit.running.format)?;
    run::can_write(global, &edit.running, None)?;
    let session = session::with(global, edited.new.clone())?;
    let done = apply(ui, &session, &path, edit, approval, &edited, reach).await;
    session.nodes.close().await;
    done
}

async fn apply(
    ui: &Ui,
    session: &Session,
    path: &Path,
    edit: &Edit,
    approval: Approval,
    edited: &Edited,
    reach: Reach,
) -> Result<Exit, Stop> {
    let run = Run { ui, session, running: &edit.running, approval, interrupt: interrupts::catch(ui) };
    let Some(observed) = run.look().await? else { return Ok(Exit::Interrupted) };
    let desired = &session.loaded.desired;
    let there = |subject: MarkSubject| match subject {
        MarkSubject::Machine(id) => Some(id),
        MarkSubject::Template => None,
    };
    let there = observed.managed(&desired.cluster).filter_map(|(_, _, _, mark)| there(mark.subject));
    let there: BTreeSet<MachineId> = there.collect();
    let wanted: BTreeSet<MachineId> = desired.machines.iter().map(|machine| machine.id.clone()).collect();
    let undone = wanted.symmetric_difference(&there).filter(|id| reach.pools.contains(&id.pool));
    let named = |ids: &BTreeSet<MachineId>, name: &MachineName| ids.iter().any(|id| id.name(&desired.cluster) == *name);
    // One that was never made needs no plan to be taken out of the manifest.
    let own = reach.only.into_iter().filter(|name| named(&wanted, name) || named(&there, name));
    let only: BTreeSet<MachineName> = own.chain(undone.map(|id| id.name(&desired.cluster))).collect();
    if only.is_empty() {
        write(ui, path, edited)?;
        ui.talk("No machine has to be changed for it.");
        return Ok(Exit::Success);
    }
    let prune = reach.prune;
    let options = PlanOptions { only, prune, accept: edit.accept.iter().copied().collect(), ..PlanOptions::default() };
    let make = |observed: &Observed| Ok(planner::plan(desired, observed, &options));
    let before_running = || write(ui, path, edited);
    Ok(run.go(observed, make, before_running).await?.exit)
}

/// What applies an edit that was not applied at once.
fn next_apply(edited: &Edited, reach: &Reach) -> String {
    let new = &edited.new.desired.machines;
    let gone: Vec<&str> = reach
        .only
        .iter()
        .filter(|name| new.iter().all(|machine| machine.name != **name))
        .map(MachineName::as_str)
        .collect();
    if gone.is_empty() {
        "pvekube apply".to_owned()
    } else {
        format!("pvekube apply --prune --only {}", gone.join(","))
    }
}

fn write(ui: &Ui, path: &Path, edited: &Edited) -> Result<(), Fault> {
    let text = &edited.new.manifest.text;
    if *text == edited.old.manifest.text {
        return Ok(());
    }
    files::write_atomically(path, text.as_bytes(), files::Readers::Everybody)?;
    ui.talk(&format!("{} is changed.", path.display()));
    Ok(())
}

/// The edit must reach the named machines only: a YAML alias, say, may tie two pools together.
fn refuse_side_effects(edited: &Edited, only: &[MachineName]) -> Result<(), Fault> {
    let others = |desired: &Desired| -> BTreeMap<MachineName, Machine> {
        let others = desired.machines.iter().filter(|machine| !only.contains(&machine.name));
        // Lines move; that is no change.
        others.map(|machine| (machine.name.clone(), Machine { place: None, ..machine.clone() })).collect()
    };
    let (old, new) = (others(&edited.old.desired), others(&edited.new.desired));
    let moved = old.keys().chain(new.keys()).find(|name| old.get(*name) != new.get(*name));
    match moved {
        None => Ok(()),
        Some(name) => {
            let reason = format!("the edit would change {name} too (is there a YAML alias?)");
            Err(impossible(reason, &edited.old.manifest.name))
        }
    }
}

/// A unified diff with three lines around each change.
fn diff(name: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    if diff.iter_all_changes().all(|change| change.tag() == ChangeTag::Equal) {
        return format!("{name} stays as it is.\n");
    }
    diff.unified_diff().header(name, &format!("{name} (edited)")).to_string()
}
