//! The machines as they are: node, VMID, address, readiness, image, drift.

mod extra;

use std::net::IpAddr;

use serde::Serialize;

pub use extra::{ExtraRow, extra_rows};

use super::json::pretty;
use super::layout::Table;
use super::line::{Line, Look, Page, Tone};
use super::outcome::stage_text;
use super::values::count;
use crate::model::desired::Machine;
use crate::model::ids::{MachineName, NodeName, Vmid};
use crate::model::mark::MarkSubject;
use crate::model::observed::{Observed, Power, Upstream, Vm};
use crate::model::outcome::{MachineReport, Stage};
use crate::model::plan::{Change, ChangeAction, Check, Plan, Target, Verdict};
use crate::pve::property::Properties;

/// One machine, for every format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusRow {
    pub name: MachineName,
    /// Where it is, or will be; none where neither can be told.
    pub node: Option<NodeName>,
    pub vmid: Option<Vmid>,
    pub address: Option<IpAddr>,
    /// Further addresses of net0.
    pub addresses: Vec<IpAddr>,
    pub ready: bool,
    pub stage: Stage,
    /// As read through the guest agent; empty when they could not be.
    pub host_keys: Vec<String>,
    pub power: Power,
    /// The manifest says `power: off`: stopped is as it should be.
    pub off_wanted: bool,
    /// The first digits of the image it was made from; none on adopted machines.
    pub image: Option<String>,
    /// Another image than upstream has now; none when either is unknown.
    pub image_outdated: Option<bool>,
    /// Seconds since its template was made, as PVE noted it; none when its config can't be read.
    pub template_age_s: Option<i64>,
    /// What the next apply would do to it.
    pub drift: Option<String>,
    /// The check that keeps anything from being planned for it. Neither: it is as the manifest asks.
    pub held: Option<String>,
}

impl StatusRow {
    /// Nothing is left to wait for.
    fn is_settled(&self) -> bool {
        self.ready || (self.off_wanted && self.power == Power::Stopped && self.stage == Stage::Stopped)
    }
}

/// A row for each machine of the manifest: what was probed, joined with what was seen and what would be planned.
pub fn rows(machines: &[Machine], plan: &Plan, observed: &Observed, reports: &[MachineReport]) -> Vec<StatusRow> {
    let row = |machine: &Machine| match reports.iter().find(|report| report.name == machine.name) {
        Some(report) => seen(machine, plan, observed, report),
        None => unseen(machine, plan),
    };
    machines.iter().map(row).collect()
}

fn seen(machine: &Machine, plan: &Plan, observed: &Observed, report: &MachineReport) -> StatusRow {
    let found = observed
        .managed(&plan.cluster)
        .find(|(_, _, vm, mark)| vm.vmid == report.vmid && mark.subject == MarkSubject::Machine(machine.id.clone()));
    let image = found.as_ref().and_then(|(_, _, _, mark)| mark.image.clone());
    let upstream = match &observed.upstream {
        Upstream::Known { digest, .. } => Some(digest),
        Upstream::Unknown { .. } => None,
    };
    StatusRow {
        name: machine.name.clone(),
        node: Some(report.node.clone()),
        vmid: Some(report.vmid),
        address: report.address,
        addresses: report.addresses.clone(),
        ready: report.ready,
        stage: report.stage,
        host_keys: report.host_keys.clone(),
        power: found.as_ref().map_or(Power::Unknown, |(_, _, vm, _)| vm.power),
        off_wanted: !machine.power,
        image_outdated: image.as_ref().zip(upstream).map(|(image, upstream)| image != upstream),
        image: image.map(|digest| digest.hex().chars().take(12).collect()),
        template_age_s: found
            .and_then(|(_, _, vm, _)| template_made(vm))
            .map(|made| observed.taken_at.saturating_sub(made).max(0)),
        drift: change_of(machine, plan).and_then(drift),
        held: held(machine, plan),
    }
}

/// When the template was made, in Unix seconds: a clone keeps its `meta` (observed §6).
fn template_made(vm: &Vm) -> Option<i64> {
    let meta = Properties::parse(vm.config.as_ref()?.get("meta")?, None).ok()?;
    meta.get("ctime")?.parse().ok()
}

/// Nothing with its mark was found: to be created, held back because it may exist unseen, or in the way of a check.
fn unseen(machine: &Machine, plan: &Plan) -> StatusRow {
    let change = change_of(machine, plan);
    let hidden = plan.held_back().any(|check| check.about == machine.name.as_str());
    StatusRow {
        name: machine.name.clone(),
        node: change.map(|change| change.node.clone()),
        vmid: change.map(|change| change.vmid),
        address: None,
        addresses: Vec::new(),
        ready: false,
        stage: if hidden { Stage::Unknown } else { Stage::Absent },
        host_keys: Vec::new(),
        power: if hidden { Power::Unknown } else { Power::Stopped },
        off_wanted: !machine.power,
        image: None,
        image_outdated: None,
        template_age_s: None,
        drift: change_of(machine, plan).and_then(drift),
        held: held(machine, plan),
    }
}

fn held(machine: &Machine, plan: &Plan) -> Option<String> {
    let of_it = |check: &&Check| {
        matches!(check.verdict, Verdict::Failed | Verdict::Unknown) && check.about == machine.name.as_str()
    };
    let check = plan.checks.iter().find(of_it)?;
    change_of(machine, plan).is_none().then(|| check.id.clone())
}

fn change_of<'p>(machine: &Machine, plan: &'p Plan) -> Option<&'p Change> {
    plan.changes.iter().find(|change| matches!(&change.target, Target::Machine { name, .. } if *name == machine.name))
}

/// `memory_mb, disk_gb differ`, `to be created`.
fn drift(change: &Change) -> Option<String> {
    let said = match change.action {
        ChangeAction::Create => "to be created".to_owned(),
        ChangeAction::Update if change.fields.is_empty() => change.reason.clone(),
        ChangeAction::Update => {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.field.as_str()).collect();
            format!("{} {}", fields.join(", "), if fields.len() == 1 { "differs" } else { "differ" })
        }
        ChangeAction::Replace => "to be replaced".to_owned(),
        ChangeAction::Delete => "to be destroyed".to_owned(),
        ChangeAction::Resume => change.reason.clone(),
        ChangeAction::None => return None,
    };
    Some(said)
}

/// All are ready, or off where the manifest wants that: exit 0, else 2.
pub fn all_ready(rows: &[StatusRow]) -> bool {
    rows.iter().all(StatusRow::is_settled)
}

/// A table; `wide` adds power, image with the age of the template made from it, and every address.
pub fn status_text(rows: &[StatusRow], extra: &[ExtraRow], wide: bool, look: Look) -> String {
    let mut table = Table::new();
    let mut titles = vec!["MACHINE", "NODE", "VMID", "ADDRESS", "STATE"];
    if wide {
        titles.extend(["POWER", "IMAGE"]);
    }
    let head = titles.into_iter().map(|title| Line::new().tone(Tone::Dim, title)).collect();
    let said = !extra.is_empty() || rows.iter().any(|row| row.drift.is_some() || row.held.is_some());
    table.row(" ".into(), head, said.then(|| (Tone::Dim, "DRIFT".to_owned())));
    for row in rows {
        let held = row.held.as_ref().map(|id| (Tone::Warn, format!("held: {id}")));
        table.row(" ".into(), cells(row, wide), row.drift.clone().map(|drift| (Tone::Change, drift)).or(held));
    }
    for row in extra {
        table.row(" ".into(), extra::cells(row, wide), Some((Tone::Change, row.what.clone())));
    }
    let mut page = Page::new();
    if !rows.is_empty() || !extra.is_empty() {
        table.draw(&mut page, look.columns());
        page.gap();
    }
    page.push(last_line(rows, extra));
    page.finish(look)
}

fn cells(row: &StatusRow, wide: bool) -> Vec<Line> {
    let further = row.addresses.iter().filter(|_| wide);
    let addresses: Vec<String> = row.address.iter().chain(further).map(ToString::to_string).collect();
    let tone = if row.is_settled() { Tone::Good } else { Tone::Warn };
    let state = match row.ready {
        true => "ready",
        false if row.is_settled() => "off, as wanted",
        false => stage_text(row.stage),
    };
    let or_dash = |text: Option<String>| Line::new().text(text.unwrap_or_else(|| "-".to_owned()));
    let mut cells = vec![
        Line::new().text(row.name.as_str()),
        or_dash(row.node.as_ref().map(ToString::to_string)),
        or_dash(row.vmid.map(|vmid| vmid.to_string())),
        or_dash((!addresses.is_empty()).then(|| addresses.join(" "))),
        Line::new().tone(tone, state),
    ];
    if wide {
        let older = (row.image_outdated == Some(true)).then(|| "older".to_owned());
        let notes: Vec<String> = older.into_iter().chain(row.template_age_s.map(age)).collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        let tone = if row.image_outdated == Some(true) { Tone::Warn } else { Tone::Dim };
        let image = row.image.clone().unwrap_or_else(|| "-".to_owned());
        cells.extend([Line::new().text(power_text(row.power)), Line::new().text(image).tone(tone, notes)]);
    }
    cells
}

/// In the largest unit that it fills.
fn age(seconds: i64) -> String {
    match seconds {
        ..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400.. => format!("{} d", seconds / 86_400),
    }
}

fn power_text(power: Power) -> &'static str {
    match power {
        Power::Running => "running",
        Power::Stopped => "stopped",
        Power::Unknown => "unknown",
    }
}

fn last_line(rows: &[StatusRow], extra: &[ExtraRow]) -> Line {
    let off = rows.iter().filter(|row| !row.ready && row.is_settled()).count();
    let ready = rows.iter().filter(|row| row.ready).count();
    let drifted = rows.iter().filter(|row| row.drift.is_some()).count();
    let held = rows.iter().filter(|row| row.held.is_some()).count();
    let older = rows.iter().filter(|row| row.image_outdated == Some(true)).count();
    let mut line = match (ready, rows.len()) {
        (_, 0) if extra.is_empty() => Line::new().text("No machines."),
        (_, 0) => Line::new().text("The manifest asks for no machines."),
        (ready, all) if ready + off == all => {
            Line::new().tone(Tone::Good, format!("{} ready.", count(ready, "machine")))
        }
        (ready, all) => Line::new().tone(Tone::Warn, format!("{ready} of {all} machines ready.")),
    };
    if off > 0 {
        line = line.text(format!(" {off} off, as the manifest wants."));
    }
    if drifted > 0 {
        line = line.text(format!(" {drifted} not as the manifest asks: pvekube plan."));
    }
    if held > 0 {
        line = line.text(format!(" {held} held back: pvekube plan tells why."));
    }
    if older > 0 {
        line = line.text(format!(" {older} on an older image."));
    }
    if !extra.is_empty() {
        line = line.text(format!(" {} not in the manifest.", count(extra.len(), "machine")));
    }
    line
}

/// Indented JSON, ending in a newline.
pub fn status_json(rows: &[StatusRow], extra: &[ExtraRow]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        format_version: &'static str,
        all_ready: bool,
        machines: &'a [StatusRow],
        not_in_manifest: &'a [ExtraRow],
    }
    pretty(&Document { format_version: "1.0", all_ready: all_ready(rows), machines: rows, not_in_manifest: extra })
}
