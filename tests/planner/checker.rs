//! An independent judge of placements: it knows the rules, not the planner's code.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::mark::MarkSubject;
use pvekube::model::observed::*;
use pvekube::model::plan::*;
use pvekube::pve::property;

use super::build::GIB;
use super::generate::Case;

#[derive(Clone, Default)]
struct Node {
    open: bool,
    zone: String,
    vms: i64,
    masters: i64,
    memory: i64,
    limit: i64,
}

/// Fails when a machine went where it does not fit, or where a strictly better node was open to it.
pub fn check(case: &Case, plan: &Plan) -> Result<(), String> {
    let mut nodes = nodes(case, plan);
    let made: Vec<(&Machine, &Change)> = case
        .desired
        .machines
        .iter()
        .filter_map(|machine| {
            let of = |change: &&Change| matches!(&change.target, Target::Machine { name, .. } if *name == machine.name);
            Some((machine, plan.changes.iter().find(of).filter(|change| change.why_node.is_some())?))
        })
        .collect();
    let mut ordered = made.clone();
    ordered.sort_by_key(|(machine, _)| machine.id.clone());
    let settled = |change: &Change| {
        matches!(change.why_node.as_deref(), Some("pinned to it in the manifest" | "stays where it was"))
    };
    // Those whose place is given come first; the rest in plan order.
    let (first, rest): (Vec<_>, Vec<_>) = ordered.into_iter().partition(|(_, change)| settled(change));
    for (machine, change) in first {
        put(&mut nodes, machine, &change.node)?;
    }
    let machines: Vec<&Machine> = rest.iter().map(|(machine, _)| *machine).collect();
    let (mut order, mut strategy) = (rest, Some(case.desired.placement));
    if !fits(case, &nodes, &machines) {
        // Somebody would be left over: the largest first; and if that does not help, wherever there is room.
        order.sort_by_key(|(machine, _)| (Reverse((machine.memory_mb, machine.disk_gb)), machine.id.clone()));
        let largest: Vec<&Machine> = order.iter().map(|(machine, _)| *machine).collect();
        strategy = strategy.filter(|_| fits(case, &nodes, &largest));
    }
    for (machine, change) in order {
        if strategy.is_some() {
            better(case, &nodes, machine, &change.node)?;
        }
        put(&mut nodes, machine, &change.node)?;
    }
    Ok(())
}

/// All of them fit when each goes to the best node in its turn.
fn fits(case: &Case, nodes: &BTreeMap<NodeName, Node>, machines: &[&Machine]) -> bool {
    let mut nodes = nodes.clone();
    machines.iter().all(|machine| {
        let able = |name: &&NodeName| put(&mut nodes.clone(), machine, name).is_ok();
        let names: Vec<NodeName> = nodes.keys().filter(able).cloned().collect();
        let best = names.iter().find(|name| better(case, &nodes, machine, name).is_ok());
        best.is_some_and(|best| put(&mut nodes, machine, best).is_ok())
    })
}

fn put(nodes: &mut BTreeMap<NodeName, Node>, machine: &Machine, on: &NodeName) -> Result<(), String> {
    let node = nodes.get_mut(on).ok_or_else(|| format!("{} is no node", on))?;
    node.memory += machine.memory_mb as i64 * (1 << 20);
    node.vms += 1;
    node.masters += i64::from(machine.role == Role::Master);
    if !node.open || node.memory > node.limit {
        return Err(format!("{} does not fit on {on}: {} of {}", machine.name, node.memory, node.limit));
    }
    Ok(())
}

fn better(case: &Case, nodes: &BTreeMap<NodeName, Node>, machine: &Machine, chosen: &NodeName) -> Result<(), String> {
    let need = machine.memory_mb as i64 * (1 << 20);
    let rank = |name: &NodeName| {
        let node = &nodes[name];
        let zone: i64 = nodes.values().filter(|other| other.zone == node.zone).map(|other| other.masters).sum();
        let spread = if machine.role == Role::Master { (zone, node.masters) } else { (0, 0) };
        let load = match case.desired.placement {
            Strategy::VmCount => node.vms,
            Strategy::Memory => node.memory - node.limit,
            Strategy::Pack => node.limit - node.memory,
        };
        (spread, load)
    };
    for (name, node) in nodes {
        if node.open && node.memory + need <= node.limit && rank(name) < rank(chosen) {
            return Err(format!(
                "{} went to {chosen} {:?}, {name} {:?} is better",
                machine.name,
                rank(chosen),
                rank(name)
            ));
        }
    }
    Ok(())
}

fn nodes(case: &Case, plan: &Plan) -> BTreeMap<NodeName, Node> {
    let mut nodes = BTreeMap::new();
    for target in &case.desired.nodes {
        let mut node = Node { zone: target.zone.clone().unwrap_or(target.name.to_string()), ..Node::default() };
        if let Some(facts) = case.observed.facts(&target.name) {
            let realm = &case.observed.realms[&facts.realm];
            node.open = target.schedulable && !facts.bridges.is_empty() && realm.quorate;
            node.limit = facts.memory_bytes as i64 - 2 * GIB as i64;
        }
        nodes.insert(target.name.clone(), node);
    }
    for realm in case.observed.realms.values() {
        for guest in realm.guests.values() {
            let Some(node) = realm.members.get(guest.node()).and_then(|member| nodes.get_mut(member.node.as_ref()?))
            else {
                continue;
            };
            count(case, plan, guest, node);
        }
    }
    nodes
}

/// What a guest takes: our own always and as it will be, unless it is made anew; others when they run or start at boot.
fn count(case: &Case, plan: &Plan, guest: &Guest, node: &mut Node) {
    let vm = match guest {
        Guest::Container(container) => {
            node.memory += if container.running == Some(true) { container.memory_bytes.unwrap() as i64 } else { 0 };
            return;
        }
        Guest::Vm(vm) => vm,
    };
    // One that can't be read is there, and nothing more is known of it.
    let Some(config) = vm.config.as_ref() else {
        node.vms += 1;
        return;
    };
    let mark = vm.mark();
    let mut memory = [config.get("memory"), config.next("memory")]
        .into_iter()
        .flatten()
        .filter_map(property::memory_mb)
        .max()
        .unwrap_or(512) as i64;
    let machine = match mark.map(|mark| mark.subject) {
        Some(MarkSubject::Template) => return,
        Some(MarkSubject::Machine(id)) => Some(id),
        None => None,
    };
    if config.is_template() {
        return;
    }
    if let Some(id) = &machine {
        let replaced = |change: &&Change| {
            matches!(&change.target, Target::Machine { id: of, .. } if of == id)
                && change.action == ChangeAction::Replace
        };
        if let Some(change) = plan.changes.iter().find(replaced) {
            // What leaves its node makes no room there for others.
            let stays = case.observed.realms[&change.realm]
                .members
                .get(&vm.node)
                .is_some_and(|m| m.node.as_ref() == Some(&change.node));
            node.vms += i64::from(!stays);
            node.memory += if stays { 0 } else { memory << 20 };
            return;
        }
        node.masters += i64::from(id.pool == Pool::Masters);
        if let Some(machine) = case.desired.machines.iter().find(|machine| machine.id == *id)
            && vm.power != Power::Unknown
        {
            let wants = machine.memory_mb as i64;
            memory = if vm.power == Power::Running { memory.max(wants) } else { wants };
        }
    }
    node.vms += 1;
    if machine.is_some() || vm.power == Power::Running || config.get("onboot") == Some("1") {
        node.memory += memory << 20;
    }
}
