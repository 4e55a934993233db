//! The nodes before and after. Not shown when nothing changes on any of them.

use unicode_width::UnicodeWidthStr as _;

use super::PlanView;
use crate::model::plan::NodeUse;
use crate::render::line::{Line, Page, Tone};
use crate::render::values::bytes_change;

/// Columns of the memory bar between its brackets: the widest for which there is room.
const BARS: [usize; 3] = [16, 8, 0];
const GAP: usize = 3;

pub(super) fn draw(page: &mut Page, view: &PlanView<'_>) {
    let nodes = &view.plan.nodes;
    if nodes.iter().all(|node| node.known && !changes(node)) {
        return;
    }
    page.gap();
    let one_storage = nodes.iter().all(|node| node.storage == nodes[0].storage);
    for bar in BARS {
        let rows = table(nodes, one_storage, bar);
        if rows.iter().all(|row| row.width() <= view.look.columns()) {
            page.extend(rows);
            return;
        }
    }
    nodes.iter().for_each(|node| stacked(page, node));
}

fn changes(node: &NodeUse) -> bool {
    let same = node.vms.0 == node.vms.1
        && node.memory_bytes.0 == node.memory_bytes.1
        && node.storage_bytes.0 == node.storage_bytes.1;
    !same
}

fn table(nodes: &[NodeUse], one_storage: bool, bar: usize) -> Vec<Line> {
    let dim = |text: &str| Line::new().tone(Tone::Dim, text);
    let storage = if one_storage { nodes[0].storage.as_str() } else { "storage" };
    let mut rows = vec![[dim("node"), dim("VMs"), dim("memory"), dim(storage)]];
    for node in nodes {
        let name = Line::new().text(node.node.as_str());
        if !node.known {
            rows.push([name, Line::new().tone(Tone::Warn, "silent: unknown"), Line::new(), Line::new()]);
            continue;
        }
        let memory = if bar > 0 { memory_bar(node, bar).text("  ").text(memory(node)) } else { memory(node).into() };
        let mut storage = Line::new().text(storage_use(node));
        if !one_storage {
            storage = storage.text(" ").tone(Tone::Dim, node.storage.as_str());
        }
        rows.push([name, vms(node).into(), memory, storage]);
    }
    let known = |index: usize| index == 0 || nodes[index - 1].known;
    let width = |column: usize| {
        let cells = rows.iter().enumerate().filter(|(index, _)| column == 0 || known(*index));
        cells.map(|(_, row)| row[column].width()).max().unwrap_or(0)
    };
    let widths = [0, 1, 2, 3].map(width);
    rows.into_iter()
        .map(|row| {
            let mut edge = 2;
            let mut line = Line::new().text("  ");
            for (cell, width) in row.into_iter().zip(widths) {
                line = line.pad_to(edge).join(cell);
                edge += width + GAP;
            }
            line
        })
        .collect()
}

/// Where a table has no room: three lines a node.
fn stacked(page: &mut Page, node: &NodeUse) {
    let name = Line::new().text("  ").text(node.node.as_str()).text("   ");
    if !node.known {
        page.push(name.tone(Tone::Warn, "silent: unknown"));
        return;
    }
    page.push(name.text("VMs ").text(vms(node)));
    let storage = node.storage.as_str();
    let edge = 6 + storage.width().max("memory".len()) + GAP;
    page.push(Line::new().text("      ").tone(Tone::Dim, "memory").pad_to(edge).text(memory(node)));
    page.push(Line::new().text("      ").tone(Tone::Dim, storage).pad_to(edge).text(storage_use(node)));
}

fn vms(node: &NodeUse) -> String {
    match node.vms {
        (before, after) if before == after => before.to_string(),
        (before, after) => format!("{before} -> {after}"),
    }
}

fn memory(node: &NodeUse) -> String {
    let (before, after) = node.memory_bytes;
    bytes_change(before, after, node.memory_total_bytes)
}

fn storage_use(node: &NodeUse) -> String {
    match node.storage_bytes {
        (before, after) if node.storage_total_bytes == 0 && before == after => "unknown".to_owned(),
        (before, after) => bytes_change(before, after, node.storage_total_bytes),
    }
}

/// `[####++----------]`: what stays, what comes (`+`) or goes (`x`), what is free.
fn memory_bar(node: &NodeUse, width: usize) -> Line {
    let (before, after) = node.memory_bytes;
    let cells = |bytes: u64| {
        let share = bytes as f64 / node.memory_total_bytes.max(1) as f64;
        ((share * width as f64).round() as usize).min(width)
    };
    let (stays, most) = (cells(before.min(after)), cells(before.max(after)));
    let (tone, change) = if after >= before { (Tone::Add, "+") } else { (Tone::Remove, "x") };
    Line::new()
        .text("[")
        .text("#".repeat(stays))
        .tone(tone, change.repeat(most - stays))
        .tone(Tone::Dim, "-".repeat(width - most))
        .text("]")
}
