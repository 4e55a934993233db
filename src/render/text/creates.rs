//! Machines to be made: one table for each kind (pool, size, network), one line for each machine.

use super::fields::{self, Effects};
use super::{PlanView, heading, name, symbol};
use crate::model::desired::{Address, Network};
use crate::model::ids::{MachineId, Pool};
use crate::model::plan::{Change, MachineSpec, Target};
use crate::render::layout::Table;
use crate::render::line::{Line, Page, Tone};

/// What machines of one table have in common.
#[derive(PartialEq)]
pub(super) struct Kind<'a> {
    pool: &'a Pool,
    size: &'a str,
    cores: u32,
    memory_mb: u64,
    disk_gb: u64,
    bridge: &'a str,
    vlan: Option<u16>,
}

/// `None`: the change has no spec and can't be shown as a row.
pub(super) fn kind(change: &Change) -> Option<Kind<'_>> {
    let Target::Machine { id: MachineId { pool, .. }, .. } = &change.target else { return None };
    let MachineSpec { size, cores, memory_mb, disk_gb, network } = change.spec.as_ref()?;
    Some(Kind {
        pool,
        size,
        cores: *cores,
        memory_mb: *memory_mb,
        disk_gb: *disk_gb,
        bridge: network.bridge.as_str(),
        vlan: network.vlan,
    })
}

pub(super) fn draw(page: &mut Page, view: &PlanView<'_>, kind: &Kind<'_>, changes: &[&Change]) {
    let vlan = kind.vlan.map(|tag| format!(" vlan {tag}")).unwrap_or_default();
    let text = format!(
        "{} will be created: {} ({}, {} MB, {} GB; {}{vlan})",
        count(kind.pool, changes.len()),
        kind.size,
        crate::render::values::count(kind.cores as usize, "cpu"),
        kind.memory_mb,
        kind.disk_gb,
        kind.bridge,
    );
    heading(page, view, &text);
    let mut table = Table::new();
    for change in changes {
        let network = change.spec.as_ref().map(|spec| addresses(&spec.network)).unwrap_or_default();
        let cells = vec![
            Line::new().text(name(&change.target)),
            Line::new().text(change.node.as_str()),
            Line::new().text(change.vmid.to_string()),
            Line::new().text(network),
        ];
        table.row(symbol(change.action).text("  "), cells, change.why_node.clone().map(|why| (Tone::Dim, why)));
    }
    table.draw(page, view.look.columns());
    if view.verbose {
        for change in changes {
            page.push(Line::new().text("      ").text(name(&change.target)).text(":"));
            fields::draw(page, view, &change.fields, Effects::Hidden);
        }
    }
}

/// `3 masters`, `1 worker`, `2 machines of pool gpu`.
fn count(pool: &Pool, number: usize) -> String {
    let count = |one| crate::render::values::count(number, one);
    match pool {
        Pool::Masters => count("master"),
        Pool::Workers => count("worker"),
        Pool::Named(pool) => format!("{} of pool {pool}", count("machine")),
    }
}

/// `10.0.0.11/24`, `dhcp`, `10.0.0.11/24 + fd00::11/64`.
pub(super) fn addresses(network: &Network) -> String {
    let one = |address: &Address| match address {
        Address::Dhcp => "dhcp".to_owned(),
        Address::Static { address, .. } => address.to_string(),
    };
    match &network.ipv6 {
        None => one(&network.ipv4),
        Some(ipv6) => format!("{} + {}", one(&network.ipv4), one(ipv6)),
    }
}
