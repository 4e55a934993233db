//! Machines of this cluster that the manifest does not list (any more).

use serde::Serialize;

use super::{drift, power_text};
use crate::model::desired::Machine;
use crate::model::ids::{MachineName, NodeName, Vmid};
use crate::model::mark::MarkSubject;
use crate::model::observed::{Observed, Power};
use crate::model::plan::{Plan, Target};
use crate::render::line::{Line, Tone};

/// One of ours that the manifest does not list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExtraRow {
    pub name: MachineName,
    /// Its display name; PVE's where the config does not list the node.
    pub node: NodeName,
    pub vmid: Vmid,
    pub power: Power,
    /// What becomes of it: `not in the manifest; left alone (use --prune to delete it)`, `to be destroyed`.
    pub what: String,
}

/// Machines with this cluster's mark that the manifest does not list, by name and VMID.
pub fn extra_rows(machines: &[Machine], plan: &Plan, observed: &Observed) -> Vec<ExtraRow> {
    let mut rows = Vec::new();
    for (_, realm, vm, mark) in observed.managed(&plan.cluster) {
        let MarkSubject::Machine(id) = mark.subject else { continue };
        if machines.iter().any(|machine| machine.id == id) {
            continue;
        }
        let change = plan.changes.iter().find(|change| {
            change.vmid == vm.vmid && matches!(&change.target, Target::Machine { id: of, .. } if *of == id)
        });
        let what = change.map(|change| drift(change).unwrap_or_else(|| change.reason.clone()));
        let node = realm.members.get(&vm.node).and_then(|member| member.node.clone());
        rows.push(ExtraRow {
            name: id.name(&plan.cluster),
            node: node.unwrap_or_else(|| NodeName::new(vm.node.as_str())),
            vmid: vm.vmid,
            power: vm.power,
            what: what.unwrap_or_else(|| "not in the manifest; left alone".to_owned()),
        });
    }
    rows.sort_by(|a, b| (&a.name, a.vmid).cmp(&(&b.name, b.vmid)));
    rows
}

/// Nothing of it is asked: what the manifest does not want need not be ready.
pub(super) fn cells(row: &ExtraRow, wide: bool) -> Vec<Line> {
    let text = |text: String| Line::new().text(text);
    let dash = || Line::new().text("-");
    let mut cells = vec![text(row.name.to_string()), text(row.node.to_string()), text(row.vmid.to_string()), dash()];
    cells.push(Line::new().tone(Tone::Dim, power_text(row.power)));
    if wide {
        cells.extend([Line::new().text(power_text(row.power)), dash()]);
    }
    cells
}
