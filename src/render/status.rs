//! The machines as they are: node, VMID, address, readiness, image, drift.

use serde::Serialize;

use super::json::pretty;
use super::layout::Table;
use super::line::{Line, Look, Page, Tone};
use super::outcome::stage_text;
use super::values::count;
use crate::model::ids::MachineName;
use crate::model::mark::MarkSubject;
use crate::model::observed::{Observed, Power, Upstream};
use crate::model::outcome::{MachineReport, Stage};
use crate::model::plan::{Change, ChangeAction, Plan, Target};

/// One machine, for every format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusRow {
    #[serde(flatten)]
    pub report: MachineReport,
    pub power: Power,
    /// The first digits of the image it was made from; none on adopted machines.
    pub image: Option<String>,
    /// Another image than upstream has now; none when either is unknown.
    pub image_outdated: Option<bool>,
    /// What the next apply would do to it; none: it is as the manifest asks.
    pub drift: Option<String>,
}

/// Joins what was probed with what was seen and what would be planned. Machines of the manifest that do not exist are
/// rows too; those that it does not list follow.
pub fn rows(plan: &Plan, observed: &Observed, reports: &[MachineReport]) -> Vec<StatusRow> {
    let mut rows: Vec<StatusRow> = reports.iter().map(|report| row(plan, observed, report)).collect();
    for change in &plan.changes {
        if let Target::Machine { name, .. } = &change.target
            && change.action == ChangeAction::Create
            && !reports.iter().any(|report| report.name == *name)
        {
            rows.push(absent(change, name));
        }
    }
    rows
}

fn row(plan: &Plan, observed: &Observed, report: &MachineReport) -> StatusRow {
    let seen = observed.managed(&plan.cluster).find(|(_, _, vm, mark)| {
        vm.vmid == report.vmid
            && matches!(&mark.subject, MarkSubject::Machine(id) if id.name(&plan.cluster) == report.name)
    });
    let image = seen.as_ref().and_then(|(_, _, _, mark)| mark.image.clone());
    let upstream = match &observed.upstream {
        Upstream::Known { digest, .. } => Some(digest),
        Upstream::Unknown { .. } => None,
    };
    StatusRow {
        report: report.clone(),
        power: seen.as_ref().map_or(Power::Unknown, |(_, _, vm, _)| vm.power),
        image_outdated: image.as_ref().zip(upstream).map(|(image, upstream)| image != upstream),
        image: image.map(|digest| digest.hex().chars().take(12).collect()),
        drift: plan.changes.iter().find(|change| is_of(change, &report.name)).and_then(drift),
    }
}

fn absent(change: &Change, name: &MachineName) -> StatusRow {
    StatusRow {
        report: MachineReport {
            name: name.clone(),
            node: change.node.clone(),
            vmid: change.vmid,
            address: None,
            addresses: Vec::new(),
            ready: false,
            stage: Stage::Absent,
            stages_s: Default::default(),
            host_keys: Vec::new(),
        },
        power: Power::Stopped,
        image: None,
        image_outdated: None,
        drift: drift(change),
    }
}

fn is_of(change: &Change, wanted: &MachineName) -> bool {
    matches!(&change.target, Target::Machine { name, .. } if name == wanted)
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

/// All are ready: exit 0, else 2.
pub fn all_ready(rows: &[StatusRow]) -> bool {
    rows.iter().all(|row| row.report.ready)
}

/// A table; `wide` adds power, image, and every address.
pub fn status_text(rows: &[StatusRow], wide: bool, look: Look) -> String {
    let mut table = Table::new();
    let mut titles = vec!["MACHINE", "NODE", "VMID", "ADDRESS", "STATE"];
    if wide {
        titles.extend(["POWER", "IMAGE"]);
    }
    let head = titles.into_iter().map(|title| Line::new().tone(Tone::Dim, title)).collect();
    let drifted = rows.iter().any(|row| row.drift.is_some());
    table.row(" ".into(), head, drifted.then(|| (Tone::Dim, "DRIFT".to_owned())));
    for row in rows {
        table.row(" ".into(), cells(row, wide), row.drift.clone().map(|drift| (Tone::Change, drift)));
    }
    let mut page = Page::new();
    if !rows.is_empty() {
        table.draw(&mut page, look.columns());
        page.gap();
    }
    page.push(last_line(rows));
    page.finish(look)
}

fn cells(row: &StatusRow, wide: bool) -> Vec<Line> {
    let report = &row.report;
    let addresses: Vec<String> = if wide {
        report.address.iter().chain(&report.addresses).map(ToString::to_string).collect()
    } else {
        report.address.iter().map(ToString::to_string).collect()
    };
    let tone = if report.ready { Tone::Good } else { Tone::Warn };
    let state = if report.ready { "ready" } else { stage_text(report.stage) };
    let mut cells = vec![
        Line::new().text(report.name.as_str()),
        Line::new().text(report.node.as_str()),
        Line::new().text(report.vmid.to_string()),
        Line::new().text(if addresses.is_empty() { "-".to_owned() } else { addresses.join(" ") }),
        Line::new().tone(tone, state),
    ];
    if wide {
        let power = match row.power {
            Power::Running => "running",
            Power::Stopped => "stopped",
            Power::Unknown => "unknown",
        };
        let image = row.image.clone().unwrap_or_else(|| "-".to_owned());
        let note = if row.image_outdated == Some(true) { " (older)" } else { "" };
        cells.extend([Line::new().text(power), Line::new().text(image).tone(Tone::Warn, note)]);
    }
    cells
}

fn last_line(rows: &[StatusRow]) -> Line {
    let ready = rows.iter().filter(|row| row.report.ready).count();
    let drifted = rows.iter().filter(|row| row.drift.is_some()).count();
    let older = rows.iter().filter(|row| row.image_outdated == Some(true)).count();
    let mut line = match (ready, rows.len()) {
        (_, 0) => Line::new().text("No machines."),
        (ready, all) if ready == all => Line::new().tone(Tone::Good, format!("{} ready.", count(all, "machine"))),
        (ready, all) => Line::new().tone(Tone::Warn, format!("{ready} of {all} machines ready.")),
    };
    if drifted > 0 {
        line = line.text(format!(" {drifted} not as the manifest asks: pvekube plan."));
    }
    if older > 0 {
        line = line.text(format!(" {older} on an older image."));
    }
    line
}

/// Indented JSON, ending in a newline.
pub fn status_json(rows: &[StatusRow]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        format_version: &'static str,
        all_ready: bool,
        machines: &'a [StatusRow],
    }
    pretty(&Document { format_version: "1.0", all_ready: all_ready(rows), machines: rows })
}
