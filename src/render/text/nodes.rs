//! The nodes before and after.

use unicode_width::UnicodeWidthStr as _;

use super::PlanView;
use crate::model::plan::NodeUse;
use crate::render::line::{Line, Page, Tone};
use crate::render::values::bytes_change;

/// Columns of the memory bar between its brackets.
const BAR: usize = 16;

pub(super) fn draw(page: &mut Page, view: &PlanView<'_>) {
    let nodes = &view.plan.nodes;
    if nodes.is_empty() {
        return;
    }
    page.gap();
    let rows: Vec<[String; 4]> = nodes.iter().map(row).collect();
    let one_storage = nodes.iter().all(|node| node.storage == nodes[0].storage);
    let head = ["node", "VMs", "memory", if one_storage { nodes[0].storage.as_str() } else { "storage" }];
    let column = |index: usize| rows.iter().map(|row| row[index].width()).max().unwrap_or(0).max(head[index].width());
    let (name, vms, memory) = (column(0), column(1), column(2));
    let storage =
        nodes.iter().zip(&rows).map(|(node, row)| row[3].width() + extra(node, one_storage)).max().unwrap_or(0);
    let bar = 2 + name + 3 + vms + 3 + BAR + 4 + memory + 3 + storage <= view.look.columns();
    let bar_width = if bar { BAR + 4 } else { 0 };
    let header = Line::new().text("  ").text(head[0]).pad_to(2 + name + 3).text(head[1]).pad_to(2 + name + 3 + vms + 3);
    page.push(dim(&header.text(head[2]).pad_to(2 + name + 3 + vms + 3 + bar_width + memory + 3).text(head[3])));
    for (node, row) in nodes.iter().zip(&rows) {
        let mut line = Line::new().text("  ").text(&row[0]).pad_to(2 + name + 3);
        if !node.known {
            page.push(line.tone(Tone::Warn, "silent: unknown"));
            continue;
        }
        line = line.text(&row[1]).pad_to(2 + name + 3 + vms + 3);
        if bar {
            line = line.join(memory_bar(node)).text("  ");
        }
        line = line.text(&row[2]).pad_to(2 + name + 3 + vms + 3 + bar_width + memory + 3).text(&row[3]);
        page.push(if one_storage { line } else { line.text(" ").tone(Tone::Dim, node.storage.as_str()) });
    }
}

fn extra(node: &NodeUse, one_storage: bool) -> usize {
    if one_storage { 0 } else { node.storage.as_str().width() + 1 }
}

fn dim(line: &Line) -> Line {
    Line::new().tone(Tone::Dim, line.plain())
}

fn row(node: &NodeUse) -> [String; 4] {
    if !node.known {
        return [node.node.to_string(), String::new(), String::new(), String::new()];
    }
    let (before, after) = node.vms;
    let vms = if before == after { before.to_string() } else { format!("{before} -> {after}") };
    let (memory_before, memory_after) = node.memory_bytes;
    let (storage_before, storage_after) = node.storage_bytes;
    [
        node.node.to_string(),
        vms,
        bytes_change(memory_before, memory_after, node.memory_total_bytes),
        if node.storage_total_bytes == 0 && storage_before == storage_after {
            "unknown".to_owned()
        } else {
            bytes_change(storage_before, storage_after, node.storage_total_bytes)
        },
    ]
}

/// `[####++----------]`: what stays, what comes (`+`) or goes (`x`), what is free.
fn memory_bar(node: &NodeUse) -> Line {
    let (before, after) = node.memory_bytes;
    let cells = |bytes: u64| {
        let share = bytes as f64 / node.memory_total_bytes.max(1) as f64;
        ((share * BAR as f64).round() as usize).min(BAR)
    };
    let (stays, most) = (cells(before.min(after)), cells(before.max(after)));
    let (tone, change) = if after >= before { (Tone::Add, "+") } else { (Tone::Remove, "x") };
    Line::new()
        .text("[")
        .text("#".repeat(stays))
        .tone(tone, change.repeat(most - stays))
        .tone(Tone::Dim, "-".repeat(BAR - most))
        .text("]")
}
