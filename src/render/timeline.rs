//! A Gantt picture of an apply, as SVG: when each step ran, by machine and template, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::line::printable;
use super::steps::{same_resource, step_text, subject_text};
use super::values::{clock, duration};
use crate::model::ids::NodeName;
use crate::model::outcome::{Outcome, StepReport, StepResult};
use crate::model::plan::{Plan, Step};

/// Pixels.
const ROW: usize = 22;
const TOP: usize = 56;
const CHART: usize = 800;
const CHARACTER: usize = 8;
/// Under the chart, for what the colours mean.
const LEGEND: usize = 32;
/// About as many lines of time as fit a chart without crowding.
const TICKS: f64 = 10.0;

/// One machine or template, and its steps.
struct Row<'a> {
    node: &'a NodeName,
    name: String,
    steps: Vec<(&'a Step, &'a StepReport)>,
}

/// The whole file. Names are escaped; nothing in it runs or loads.
pub fn svg(plan: &Plan, outcome: &Outcome) -> String {
    let rows = rows(plan, outcome);
    let label = rows.iter().map(|row| row.node.as_str().width() + row.name.width() + 3).max().unwrap_or(8) * CHARACTER;
    let end_s = rows.iter().flat_map(|row| &row.steps).filter_map(|(_, report)| report.ended_s);
    let end_s = end_s.fold(outcome.elapsed_s, f64::max).max(1.0);
    let x = |seconds: f64| label as f64 + 10.0 + seconds / end_s * CHART as f64;
    let bottom = TOP + rows.len() * ROW + 4;
    let (width, height) = (label + CHART + 50, bottom + LEGEND);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let title = format!(
        "pvekube apply of {}: {}, critical path {}",
        plan.cluster,
        duration(outcome.elapsed_s),
        duration(outcome.critical_path_s)
    );
    text(&mut out, 10.0, 20.0, &title, "#1f2328");
    ticks(&mut out, end_s, x, bottom);
    for (index, row) in rows.iter().enumerate() {
        let y = (TOP + index * ROW) as f64;
        text(&mut out, 10.0, y + 15.0, &format!("{}  {}", row.node, row.name), "#1f2328");
        for (step, report) in &row.steps {
            bar(&mut out, step, report, y, end_s, x);
        }
    }
    legend(&mut out, rows.iter().flat_map(|row| &row.steps).map(|(_, report)| *report), x(0.0), bottom as f64 + 20.0);
    out.push_str("</svg>\n");
    out
}

/// What each colour in the picture means, in the order of the steps.
fn legend<'a>(out: &mut String, reports: impl Iterator<Item = &'a StepReport>, mut x: f64, y: f64) {
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for kind in reports.filter(|report| report.started_s.is_some()).map(kind) {
        if !shown.contains(&kind) {
            shown.push(kind);
        }
    }
    for (word, color) in shown {
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{color}\"/>",
            y - 9.0
        );
        text(out, x + 15.0, y, word, "#656d76");
        x += 15.0 + ((word.len() + 2) * CHARACTER) as f64;
    }
}

fn rows<'a>(plan: &'a Plan, outcome: &'a Outcome) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut firsts: BTreeMap<usize, &Step> = BTreeMap::new();
    for step in &plan.steps {
        let Some(report) = outcome.steps.get(&step.id) else { continue };
        let own = (&step.subject, &step.node);
        let known = firsts.iter().find(|(_, first)| same_resource(own, (&first.subject, &first.node)));
        let index = known.map(|(index, _)| *index).unwrap_or_else(|| {
            firsts.insert(rows.len(), step);
            rows.push(Row { node: &step.node, name: String::new(), steps: Vec::new() });
            rows.len() - 1
        });
        rows[index].node = &step.node;
        rows[index].name = subject_text(&step.subject, step.vmid);
        rows[index].steps.push((step, report));
    }
    rows.sort_by(|one, other| one.node.cmp(other.node));
    rows
}

/// Lines of time at round seconds.
fn ticks(out: &mut String, end_s: f64, x: impl Fn(f64) -> f64, bottom: usize) {
    let round = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0];
    let step = round.into_iter().find(|step| end_s / step <= TICKS).unwrap_or(7200.0);
    let mut at = 0.0;
    while at <= end_s {
        let left = x(at);
        // Writing to a String can't fail; so everywhere below.
        let _ = writeln!(
            out,
            "<line x1=\"{left:.1}\" y1=\"{}\" x2=\"{left:.1}\" y2=\"{}\" stroke=\"#d0d7de\"/>",
            TOP - 6,
            bottom
        );
        // The line stands under the middle of its time.
        let time = clock(at);
        text(out, left - (time.len() * CHARACTER) as f64 * 0.45, TOP as f64 - 12.0, &time, "#656d76");
        at += step;
    }
}

fn bar(out: &mut String, step: &Step, report: &StepReport, y: f64, end_s: f64, x: impl Fn(f64) -> f64) {
    let Some(started) = report.started_s else { return };
    let ended = report.ended_s.unwrap_or(end_s);
    let (_, color) = kind(report);
    let told = format!(
        "{}: {} ({} to {})",
        subject_text(&step.subject, step.vmid),
        step_text(step),
        clock(started),
        clock(ended)
    );
    let width = (x(ended) - x(started)).max(1.5);
    let _ = writeln!(
        out,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\" fill=\"{color}\"><title>{}</title></rect>",
        x(started),
        y + 3.0,
        ROW - 6,
        escaped(&told)
    );
    if width > (report.verb.len() * CHARACTER) as f64 {
        text(out, x(started) + 3.0, y + 15.0, &report.verb, "#ffffff");
    }
}

/// What a bar is about, and its colour: the kinds of work that take long differ, and what went wrong stands out.
fn kind(report: &StepReport) -> (&'static str, &'static str) {
    match &report.result {
        StepResult::Failed(_) => ("failed", "#cf222e"),
        StepResult::LeftRunning | StepResult::NotStarted | StepResult::Skipped { .. } => ("not finished", "#9a6700"),
        StepResult::Done => match report.verb.as_str() {
            "fetch" => ("download", "#8250df"),
            "import" | "clone" => ("copy", "#0969da"),
            "bake" => ("bake", "#bc4c00"),
            "ready" => ("wait until ready", "#1a7f37"),
            "destroy" | "shutdown" => ("stop, destroy", "#bf3989"),
            _ => ("short steps", "#6e7781"),
        },
    }
}

fn text(out: &mut String, x: f64, y: f64, words: &str, color: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{color}\">{}</text>", escaped(words));
}

fn escaped(raw: &str) -> String {
    printable(raw).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
