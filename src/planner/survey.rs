//! The input, indexed once: who is wanted, who was found, which node is which, and where we are blind.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::{Desired, Machine, NodeTarget};
use crate::model::ids::{MachineId, NodeName, PveName, RealmId, Vmid};
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::{Guest, NodeFacts, NodeState, Observed, OperationSeen, Realm, Vm};
use crate::model::vm_config::VmConfig;

use super::PlanOptions;
use super::unknown::{self, Blind};

pub(crate) struct Survey<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) observed: &'a Observed,
    pub(crate) options: &'a PlanOptions,
    /// Configured nodes by name, without the one that `--without-node` leaves out.
    pub(crate) sites: BTreeMap<&'a NodeName, Site<'a>>,
    /// In plan order; empty for `destroy`.
    pub(crate) wanted: BTreeMap<&'a MachineId, &'a Machine>,
    /// VMs with a machine mark of this cluster. More than one of an id is a fault.
    pub(crate) ours: BTreeMap<MachineId, Vec<Found<'a>>>,
    /// VMs with a template mark of this cluster, by realm and VMID.
    pub(crate) templates: Vec<Found<'a>>,
    /// Why existence is not known for certain; empty: it is.
    pub(crate) blind: Vec<Blind>,
}

/// A configured node and what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) target: &'a NodeTarget,
    /// `None`: silent.
    pub(crate) facts: Option<&'a NodeFacts>,
    /// Known also for a silent member of a realm that another member showed.
    pub(crate) realm: Option<(&'a RealmId, &'a Realm)>,
    pub(crate) pve_name: Option<&'a PveName>,
}

/// A VM of ours, by its mark.
#[derive(Clone)]
pub(crate) struct Found<'a> {
    pub(crate) realm_id: &'a RealmId,
    pub(crate) realm: &'a Realm,
    pub(crate) vm: &'a Vm,
    pub(crate) config: &'a VmConfig,
    pub(crate) mark: Mark,
    /// The configured node it lives on; `None`: on a member that the config doesn't list.
    pub(crate) node: Option<&'a NodeName>,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(desired: &'a Desired, observed: &'a Observed, options: &'a PlanOptions) -> Self {
        let mut survey = Self {
            desired,
            observed,
            options,
            sites: BTreeMap::new(),
            wanted: BTreeMap::new(),
            ours: BTreeMap::new(),
            templates: Vec::new(),
            blind: Vec::new(),
        };
        for target in desired.nodes.iter().filter(|target| Some(&target.name) != options.without_node.as_ref()) {
            survey.sites.insert(&target.name, site(observed, target));
        }
        if !options.destroy {
            survey.wanted = desired.machines.iter().map(|machine| (&machine.id, machine)).collect();
        }
        survey.index_marks();
        survey.blind = unknown::blind(&survey);
        survey
    }

    fn index_marks(&mut self) {
        for (realm_id, realm, vm) in self.observed.vms() {
            let node = realm.members.get(&vm.node).and_then(|member| member.node.as_ref());
            if node.is_some() && node == self.options.without_node.as_ref() {
                continue;
            }
            let Some(config) = &vm.config else { continue };
            let Some(mark) = vm.mark().filter(|mark| mark.cluster == self.desired.cluster) else { continue };
            let found = Found { realm_id, realm, vm, config, mark, node };
            match &found.mark.subject {
                MarkSubject::Machine(id) => self.ours.entry(id.clone()).or_default().push(found),
                MarkSubject::Template => self.templates.push(found),
            }
        }
    }

    /// Named by `--only`, or nothing was.
    pub(crate) fn in_scope(&self, name: &crate::model::ids::MachineName) -> bool {
        self.options.only.is_empty() || self.options.only.contains(name)
    }

    pub(crate) fn site(&self, node: &NodeName) -> Option<&Site<'a>> {
        self.sites.get(node)
    }

    /// Every guest id of every realm, also of a node left out: an id once seen is taken.
    pub(crate) fn taken_vmids(&self) -> BTreeSet<Vmid> {
        let guests = self.observed.realms.values().flat_map(|realm| realm.guests.keys().copied());
        let answered = self.observed.nodes.values().filter_map(|state| match state {
            NodeState::Answered(facts) => Some(facts),
            NodeState::Silent(_) => None,
        });
        let working = answered.flat_map(|facts| facts.operations.iter().filter(|op| op.live).map(|op| op.vmid));
        guests.chain(working).collect()
    }

    /// Live operations of this cluster on a VMID of this node.
    pub(crate) fn live_operations(&self, node: &NodeName, vmid: Vmid) -> Vec<&'a OperationSeen> {
        let Some(facts) = self.sites.get(node).and_then(|site| site.facts) else { return Vec::new() };
        let mine = |op: &&OperationSeen| op.live && op.vmid == vmid && op.cluster == self.desired.cluster;
        let mut operations: Vec<&OperationSeen> = facts.operations.iter().filter(mine).collect();
        operations.sort_by(|a, b| a.name.cmp(&b.name));
        operations
    }
}

impl Found<'_> {
    pub(crate) fn vmid(&self) -> Vmid {
        self.vm.vmid
    }

    /// Not in `started`, `stopped`… of HA: `ignored` VMs are nobody's business but ours.
    pub(crate) fn ha_state(&self) -> Option<&str> {
        self.realm.ha.get(&self.vm.vmid).map(String::as_str).filter(|state| *state != "ignored")
    }
}

impl Site<'_> {
    pub(crate) fn zone(&self) -> &str {
        self.target.zone.as_deref().unwrap_or(self.target.name.as_str())
    }

    /// Guests whose config lies on this node.
    pub(crate) fn guests(&self) -> impl Iterator<Item = (Vmid, &Guest)> {
        let pve_name = self.pve_name;
        self.realm.into_iter().flat_map(move |(_, realm)| {
            realm.guests.iter().filter(move |(_, guest)| Some(guest.node()) == pve_name).map(|(id, guest)| (*id, guest))
        })
    }
}

fn site<'a>(observed: &'a Observed, target: &'a NodeTarget) -> Site<'a> {
    let facts = observed.facts(&target.name);
    let by_facts = facts.and_then(|facts| observed.realms.get_key_value(&facts.realm));
    let realm = by_facts.or_else(|| {
        observed.realms.iter().find(|(_, realm)| realm.members.values().any(|m| m.node.as_ref() == Some(&target.name)))
    });
    let by_member = realm.and_then(|(_, realm)| {
        realm.members.iter().find(|(_, member)| member.node.as_ref() == Some(&target.name)).map(|(name, _)| name)
    });
    Site { target, facts, realm, pve_name: facts.map(|facts| &facts.pve_name).or(by_member) }
}
