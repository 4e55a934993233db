//! What a plan rests on, small enough to compare and to tell in words.
//!
//! In it: each VM that a step touches or clones from (node, config digest, power), each id that is to be free, the other
//! machines of the cluster (node and power: hazards count them), the nodes that steps run on, the image, the input files.
//! Not in it: what other VMs use, how full a storage is, which nodes the plan does not need.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::ids::{ImageDigest, NodeName, PveName, RealmId, Vmid};
use crate::model::observed::{Guest, Observed, Power, Upstream, Vm};
use crate::model::plan::{Action, ChangeAction, Plan};

/// SHA-256 of the input files' bytes, by what they are (`config`, `manifest`), not by path.
pub type Inputs = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Ids that the plan's steps touch, clone from, or take.
    pub touched: BTreeMap<RealmId, BTreeMap<Vmid, IdState>>,
    /// The cluster's other machines.
    pub others: BTreeMap<RealmId, BTreeMap<Vmid, OtherState>>,
    /// Nodes that steps run on: their realm, or none when they did not answer.
    pub nodes: BTreeMap<NodeName, Option<RealmId>>,
    /// The image that templates are made from; none when the plan makes none.
    pub image: Option<ImageDigest>,
    pub inputs: Inputs,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdState {
    Free,
    Vm {
        node: PveName,
        name: String,
        /// Of the config file; none when it could not be read.
        config: Option<String>,
        power: Power,
    },
    Container,
    /// No answer tells.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherState {
    pub name: String,
    pub node: PveName,
    pub power: Power,
}

/// One thing that is not as it was: `VM 113 (k8s-worker-4)`, `running`, `stopped`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub what: String,
    pub then: String,
    pub now: String,
}

impl std::fmt::Display for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} -> {}", self.what, self.then, self.now)
    }
}

/// What `plan` rests on, as `observed` shows it now.
pub fn fingerprint(plan: &Plan, observed: &Observed, inputs: Inputs) -> Fingerprint {
    let ids = touched_ids(plan, observed);
    let mut print = Fingerprint { inputs, ..Fingerprint::default() };
    for (realm, vmid) in &ids {
        print.touched.entry(realm.clone()).or_default().insert(*vmid, id_state(observed, realm, *vmid));
    }
    for (realm, _, vm, _) in observed.managed(&plan.cluster) {
        if !ids.contains(&(realm.clone(), vm.vmid)) && !vm.config.as_ref().is_some_and(|config| config.is_template()) {
            let state = OtherState { name: name(vm), node: vm.node.clone(), power: vm.power };
            print.others.entry(realm.clone()).or_default().insert(vm.vmid, state);
        }
    }
    for step in &plan.steps {
        let realm = observed.facts(&step.node).map(|facts| facts.realm.clone());
        print.nodes.insert(step.node.clone(), realm);
    }
    print.image = match &observed.upstream {
        Upstream::Known { digest, .. } if fetches(plan) => Some(digest.clone()),
        Upstream::Known { .. } => None,
        // Nobody can tell now. The download is held against the plan's own digest, so the plan's word stands.
        Upstream::Unknown { .. } => planned_image(plan),
    };
    print
}

fn fetches(plan: &Plan) -> bool {
    planned_image(plan).is_some()
}

fn planned_image(plan: &Plan) -> Option<ImageDigest> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::FetchImage { digest, .. } => Some(digest.clone()),
        Action::CreateTemplate { mark, .. } => mark.image.clone(),
        Action::ImportDisk { .. }
        | Action::Set { .. }
        | Action::Resize { .. }
        | Action::Bake(_)
        | Action::ConvertTemplate { .. }
        | Action::RemoveImage { .. }
        | Action::Clone { .. }
        | Action::Start { .. }
        | Action::Shutdown { .. }
        | Action::Destroy { .. }
        | Action::Ready(_)
        | Action::Attach { .. } => None,
    })
}

/// Ids of changes and steps, with the templates that are cloned, each in its realm.
fn touched_ids(plan: &Plan, observed: &Observed) -> BTreeSet<(RealmId, Vmid)> {
    let changes = plan.changes.iter().filter(|change| change.action != ChangeAction::None);
    let realm_of: BTreeMap<&NodeName, &RealmId> =
        plan.changes.iter().map(|change| (&change.node, &change.realm)).collect();
    let mut ids: BTreeSet<(RealmId, Vmid)> = changes.map(|change| (change.realm.clone(), change.vmid)).collect();
    for step in &plan.steps {
        let planned = realm_of.get(&step.node).map(|realm| (*realm).clone());
        let Some(realm) = planned.or_else(|| observed.facts(&step.node).map(|facts| facts.realm.clone())) else {
            continue;
        };
        if let Action::Clone { template, .. } = &step.action {
            ids.insert((realm.clone(), *template));
        }
        ids.insert((realm, step.vmid));
    }
    ids
}

fn id_state(observed: &Observed, realm: &RealmId, vmid: Vmid) -> IdState {
    let Some(realm) = observed.realms.get(realm) else { return IdState::Unknown };
    match realm.guests.get(&vmid) {
        Some(Guest::Vm(vm)) => IdState::Vm {
            node: vm.node.clone(),
            name: name(vm),
            config: vm.config.as_ref().map(|config| config.digest.clone()),
            power: vm.power,
        },
        Some(Guest::Container(_)) => IdState::Container,
        None if realm.existence_known => IdState::Free,
        None => IdState::Unknown,
    }
}

fn name(vm: &Vm) -> String {
    vm.name().unwrap_or("without a name").to_owned()
}

/// What is not as it was. Empty: the plan still stands.
pub fn moved(then: &Fingerprint, now: &Fingerprint) -> Vec<Moved> {
    let mut found = Vec::new();
    for (file, digest) in &then.inputs {
        compare(&mut found, file.clone(), Some(short(digest)), now.inputs.get(file).map(|digest| short(digest)));
    }
    for file in now.inputs.keys().filter(|file| !then.inputs.contains_key(*file)) {
        compare(&mut found, file.clone(), None, Some("given".to_owned()));
    }
    let image = |print: &Fingerprint| print.image.as_ref().map(ImageDigest::short);
    compare(&mut found, "the image".to_owned(), image(then), image(now));
    for (node, realm) in &then.nodes {
        let said = |realm: Option<&Option<RealmId>>| match realm {
            Some(Some(realm)) => format!("in {realm}"),
            Some(None) => "silent".to_owned(),
            None => "not asked".to_owned(),
        };
        compare(&mut found, format!("node {node}"), Some(said(Some(realm))), Some(said(now.nodes.get(node))));
    }
    for (realm, ids) in &then.touched {
        for (vmid, state) in ids {
            let current = now.touched.get(realm).and_then(|ids| ids.get(vmid)).unwrap_or(&IdState::Unknown);
            found.extend(id_moved(*vmid, state, current));
        }
    }
    found.extend(others_moved(then, now));
    found
}

fn short(digest: &str) -> String {
    format!("content {}", digest.get(..12).unwrap_or(digest))
}

fn compare(found: &mut Vec<Moved>, what: String, then: Option<String>, now: Option<String>) {
    let said = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    if then != now {
        found.push(Moved { what, then: said(then), now: said(now) });
    }
}

fn id_moved(vmid: Vmid, then: &IdState, now: &IdState) -> Option<Moved> {
    if then == now {
        return None;
    }
    let what = match then {
        IdState::Vm { name, .. } => format!("VM {vmid} ({name})"),
        IdState::Free | IdState::Container | IdState::Unknown => format!("VMID {vmid}"),
    };
    let (then, now) = match (then, now) {
        // The same VM: only what differs.
        (
            IdState::Vm { node, config, power, .. },
            IdState::Vm { node: new_node, config: new_config, power: new_power, name: new_name },
        ) => {
            let mut words = (Vec::new(), Vec::new());
            let mut word = |then: String, now: String| {
                if then != now {
                    words.0.push(then);
                    words.1.push(now);
                }
            };
            word(format!("on {node}"), format!("on {new_node}"));
            word(power_text(*power).to_owned(), power_text(*new_power).to_owned());
            let config_text = |digest: &Option<String>| match digest {
                Some(digest) => format!("config {}", digest.get(..8).unwrap_or(digest)),
                None => "config unreadable".to_owned(),
            };
            word(config_text(config), config_text(new_config));
            if words.0.is_empty() {
                words.0.push("as named".to_owned());
                words.1.push(format!("named {new_name}"));
            }
            (words.0.join(", "), words.1.join(", "))
        }
        (then, now) => (id_text(then), id_text(now)),
    };
    Some(Moved { what, then, now })
}

fn id_text(state: &IdState) -> String {
    match state {
        IdState::Free => "free".to_owned(),
        IdState::Vm { node, name, .. } => format!("VM \"{name}\" on {node}"),
        IdState::Container => "a container".to_owned(),
        IdState::Unknown => "unknown".to_owned(),
    }
}

fn power_text(power: Power) -> &'static str {
    match power {
        Power::Running => "running",
        Power::Stopped => "stopped",
        Power::Unknown => "power unknown",
    }
}

fn others_moved(then: &Fingerprint, now: &Fingerprint) -> Vec<Moved> {
    let flat = |print: &Fingerprint| -> BTreeMap<(RealmId, Vmid), OtherState> {
        let pairs = print.others.iter().flat_map(|(realm, ids)| ids.iter().map(move |(id, state)| (realm, id, state)));
        pairs.map(|(realm, id, state)| ((realm.clone(), *id), state.clone())).collect()
    };
    let (before, after) = (flat(then), flat(now));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let text = |state: &OtherState| format!("{} on {}", power_text(state.power), state.node);
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            let named = before.get(key).or(after.get(key)).map_or("?", |state| state.name.as_str());
            let said = |state: Option<&OtherState>| state.map_or_else(|| "absent".to_owned(), text);
            Moved {
                what: format!("machine {named} (VM {})", key.1),
                then: said(before.get(key)),
                now: said(after.get(key)),
            }
        })
        .collect()
}
