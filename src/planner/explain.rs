//! `pvekube explain NAME`: why this node, id, address and template, and what would change them.

use serde::Serialize;

use crate::model::desired::{Address, Desired, Machine};
use crate::model::ids::MachineName;
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::{Observed, Upstream, Vm};
use crate::model::plan::{Action, Change, ChangeAction, Plan, Target, Verdict};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub name: MachineName,
    /// In plan order: state, node, VMID, address, template.
    pub reasons: Vec<Reason>,
    /// What one would do to have it otherwise.
    pub otherwise: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// `state`, `node`, `vmid`, `address`, `template`.
    pub topic: &'static str,
    pub text: String,
}

/// Explains one machine of the manifest, or a VM of ours that is not in it. `None`: there is neither.
#[must_use]
pub fn explain(desired: &Desired, observed: &Observed, plan: &Plan, name: &MachineName) -> Option<Explanation> {
    let machine = desired.machines.iter().find(|machine| machine.name == *name);
    let found = find(desired, observed, name);
    if machine.is_none() && found.is_none() {
        return None;
    }
    let change = plan.changes.iter().find(|change| is_of(change, name));
    let mut reasons = vec![reason("state", state(machine, found.as_ref(), change, plan, name))];
    if let Some(text) = node(found.as_ref(), change, plan) {
        reasons.push(reason("node", text));
    }
    if let Some(text) = vmid(desired, machine, found.as_ref(), change) {
        reasons.push(reason("vmid", text));
    }
    if let Some(machine) = machine {
        reasons.push(reason("address", address(machine)));
    }
    if let Some(text) = template(observed, found.as_ref(), plan, name) {
        reasons.push(reason("template", text));
    }
    let otherwise = otherwise(machine, found.is_some(), name);
    Some(Explanation { name: name.clone(), reasons, otherwise })
}

fn reason(topic: &'static str, text: String) -> Reason {
    Reason { topic, text }
}

fn is_of(change: &Change, wanted: &MachineName) -> bool {
    match &change.target {
        Target::Machine { name, .. } => name == wanted,
        Target::Template { .. } => false,
    }
}

fn find<'a>(desired: &'a Desired, observed: &'a Observed, name: &MachineName) -> Option<(&'a Vm, Mark)> {
    observed.managed(&desired.cluster).find_map(|(_, _, vm, mark)| match &mark.subject {
        MarkSubject::Machine(id) if id.name(&desired.cluster) == *name => Some((vm, mark)),
        MarkSubject::Machine(_) | MarkSubject::Template => None,
    })
}

fn state(
    machine: Option<&Machine>,
    found: Option<&(&Vm, Mark)>,
    change: Option<&Change>,
    plan: &Plan,
    name: &MachineName,
) -> String {
    let said = plan.checks.iter().find(|check| check.verdict != Verdict::Passed && check.about == name.as_str());
    let note = plan.notes.iter().find(|note| note.machine.as_ref() == Some(name));
    match (change, said, note) {
        (Some(change), _, _) => {
            let verb = match change.action {
                ChangeAction::Create => "will be created",
                ChangeAction::Update => "will be changed",
                ChangeAction::Replace => "will be made anew",
                ChangeAction::Delete => "will be deleted",
                ChangeAction::Resume => "goes on",
                ChangeAction::None => "is left as it is",
            };
            format!("{verb}: {}", change.reason)
        }
        (None, Some(check), _) => check.message.clone(),
        (None, None, Some(note)) => note.text.clone(),
        (None, None, None) => match (machine, found) {
            (Some(_), Some(_)) => "is as the manifest wants it".to_owned(),
            (Some(_), None) => "does not exist".to_owned(),
            (None, _) => "exists and is not in the manifest".to_owned(),
        },
    }
}

fn node(found: Option<&(&Vm, Mark)>, change: Option<&Change>, plan: &Plan) -> Option<String> {
    if let Some(change) = change
        && let Some(why) = &change.why_node
    {
        let others = plan.nodes.iter().filter(|other| other.node != change.node);
        let list: Vec<String> = others.map(|other| loser(plan, other)).collect();
        let beside = if list.is_empty() { String::new() } else { format!("; {}", list.join(", ")) };
        return Some(format!("{}: {why}{beside}", change.node));
    }
    let (vm, _) = found?;
    Some(format!("{}: it is there, and a machine that exists is never moved", vm.node))
}

/// What speaks against another node: why it is out, else how full it is.
fn loser(plan: &Plan, other: &crate::model::plan::NodeUse) -> String {
    let against =
        plan.checks.iter().find(|check| check.verdict != Verdict::Passed && check.about == other.node.as_str());
    match against {
        Some(check) => format!("{}: {}", other.node, check.message),
        None => format!("{}: {} VMs, {} with this plan", other.node, other.vms.0, other.vms.1),
    }
}

fn vmid(
    desired: &Desired,
    machine: Option<&Machine>,
    found: Option<&(&Vm, Mark)>,
    change: Option<&Change>,
) -> Option<String> {
    let made = change.filter(|change| matches!(change.action, ChangeAction::Create | ChangeAction::Replace));
    match (made, found) {
        (Some(change), _) if machine.is_some_and(|machine| machine.vmid == Some(change.vmid)) => {
            Some(format!("{}: given in the manifest", change.vmid))
        }
        (Some(change), _) => {
            let (first, last) = desired.vmid_range;
            Some(format!("{}: the lowest of {first}-{last} that no guest of any realm has", change.vmid))
        }
        (None, Some((vm, _))) => Some(format!("{}: its mark and its VMID agree, and an id never changes", vm.vmid)),
        (None, None) => None,
    }
}

fn address(machine: &Machine) -> String {
    let of = |address: &Address| match address {
        Address::Dhcp => format!("by DHCP on {}", machine.network.bridge),
        Address::Static { address, .. } => format!("{address}, for number {} of its pool", machine.id.number),
    };
    match &machine.network.ipv6 {
        Some(ipv6) => format!("{}; {}", of(&machine.network.ipv4), of(ipv6)),
        None => of(&machine.network.ipv4),
    }
}

fn template(observed: &Observed, found: Option<&(&Vm, Mark)>, plan: &Plan, name: &MachineName) -> Option<String> {
    let cloned = plan.steps.iter().find_map(|step| match &step.action {
        Action::Clone { template, name: cloned, .. } if cloned == name => Some((*template, step)),
        _ => None,
    });
    if let Some((template, step)) = cloned {
        let made = plan.changes.iter().any(|change| change.vmid == template && change.node == step.node);
        let how = if made { "made by this plan" } else { "as it stands" };
        return Some(format!("template {template} on {}, {how}", step.node));
    }
    let (_, mark) = found?;
    let Some(image) = &mark.image else { return Some("of an image that its mark does not name".to_owned()) };
    let age = match &observed.upstream {
        Upstream::Known { digest, .. } if digest == image => "the newest",
        Upstream::Known { .. } => "older than upstream's",
        Upstream::Unknown { .. } => "upstream's is unknown",
    };
    Some(format!("from image {}, {age}", image.short()))
}

fn otherwise(machine: Option<&Machine>, exists: bool, name: &MachineName) -> Vec<String> {
    let Some(machine) = machine else {
        return vec![format!("pvekube apply --prune deletes {name}; adding it to the manifest keeps it")];
    };
    let number = machine.id.number;
    let mut ways = vec![
        format!("another node: `overrides: {{{number}: {{node: NAME}}}}` in its pool"),
        format!("another id: `overrides: {{{number}: {{vmid: ID}}}}` in its pool"),
    ];
    if exists {
        ways.push(format!(
            "--replace {name} brings both about, and the newest image: it destroys and makes the machine again"
        ));
    }
    ways
}
