//! In which order new machines are placed, so that all of them fit where that can be found.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::desired::{Machine, Strategy};
use crate::model::ids::{MachineId, NodeName};

use super::placement::{Board, Choice};
use super::report::Report;

/// Machines placed one after the other.
struct Attempt<'s, 'a, 'm> {
    board: Board<'s, 'a>,
    choices: BTreeMap<MachineId, Choice>,
    /// Machines that no node can take, with every node's reason.
    refused: Vec<(&'m Machine, Vec<(NodeName, String)>)>,
}

/// Places machines in plan order by the strategy. Where that refuses somebody, small machines may have taken the only
/// room for a large one: then the largest first, by the strategy; then the largest first, each on the fullest node that
/// fits. Where all three refuse, the first one's refusals are told: they follow the manifest.
pub(super) fn pack<'s, 'a>(
    board: Board<'s, 'a>,
    machines: &[&Machine],
    report: &mut Report,
) -> (Board<'s, 'a>, BTreeMap<MachineId, Choice>) {
    let asked_for = board.strategy;
    let first = attempt(&board, machines, asked_for);
    if first.refused.is_empty() {
        return (first.board, first.choices);
    }
    let mut largest = machines.to_vec();
    largest.sort_by_key(|machine| (Reverse(machine.memory_mb), Reverse(machine.disk_gb), &machine.id));
    for strategy in [asked_for, Strategy::Pack] {
        let other = attempt(&board, &largest, strategy);
        if other.refused.is_empty() {
            let text = "not every machine fits in the manifest's order, so the largest are placed first";
            report.note("largest-first", None, text);
            return (other.board, other.choices);
        }
    }
    first.refused.iter().for_each(|(machine, reasons)| refuse(machine, reasons, report));
    (first.board, first.choices)
}

fn attempt<'s, 'a, 'm>(board: &Board<'s, 'a>, machines: &[&'m Machine], strategy: Strategy) -> Attempt<'s, 'a, 'm> {
    let mut board = board.clone();
    board.strategy = strategy;
    let mut attempt = Attempt { board, choices: BTreeMap::new(), refused: Vec::new() };
    for machine in machines {
        match attempt.board.choose(machine) {
            Ok(choice) => attempt.board.settle(machine, &choice.node, choice.why, &mut attempt.choices),
            Err(reasons) => attempt.refused.push((machine, reasons)),
        }
    }
    attempt
}

fn refuse(machine: &Machine, reasons: &[(NodeName, String)], report: &mut Report) {
    let list: Vec<String> = reasons.iter().map(|(node, reason)| format!("{node}: {reason}")).collect();
    let message = format!("no node can take {}: {}", machine.name, list.join("; "));
    let hint = "make room, add a node, choose a smaller size, or raise `limits.memory_overcommit`";
    report.fail("no-node-fits", &machine.name, message, hint, machine.place.as_ref());
}
