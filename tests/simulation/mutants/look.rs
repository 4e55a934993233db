//! Observations that are not what the nodes said.

use std::collections::BTreeMap;

use pvekube::model::desired::Desired;
use pvekube::model::ids::{RealmId, Vmid};
use pvekube::model::mark::{Mark, MarkSubject};
use pvekube::model::observed::{Guest, NodeState, Observed, Power, Vm};

use super::Mutation;

/// What a pvekube with a state file keeps of its earlier looks.
#[derive(Debug, Default)]
pub struct Memory {
    machines: BTreeMap<(RealmId, Vmid), Vm>,
}

impl Mutation {
    /// Between observation and planner.
    pub fn observation(self, observed: &mut Observed, desired: &mut Desired, memory: &mut Memory) {
        match self {
            Mutation::TakesSilenceForAbsence | Mutation::TakesSlownessForAbsence => forget_silent(observed, desired),
            Mutation::TakesLostQuorumForKept => {
                for realm in observed.realms.values_mut() {
                    (realm.quorate, realm.existence_known) = (true, true);
                }
            }
            Mutation::TakesCopiesForItsOwn => own_copies(observed, desired),
            Mutation::TakesHalfMadeForWhole => unlock(observed, &["clone", "create"]),
            Mutation::IgnoresBackups => unlock(observed, &["backup"]),
            Mutation::ForgetsOperations => {
                for state in observed.nodes.values_mut() {
                    if let NodeState::Answered(facts) = state {
                        facts.operations.clear();
                    }
                }
            }
            Mutation::OverlooksAMachine => {
                let first = machines(observed, desired).into_keys().next();
                let vm = first.and_then(|(realm, vmid)| observed.realms.get_mut(&realm)?.guests.get_mut(&vmid));
                if let Some(Guest::Vm(vm)) = vm {
                    overlook(vm);
                }
            }
            Mutation::RemembersMachines | Mutation::RemembersPlaces | Mutation::RemembersPower => {
                for (key, vm) in machines(observed, desired) {
                    memory.machines.entry(key).or_insert(vm);
                }
                remember(self, observed, desired, memory);
            }
            Mutation::AdoptsDrift => adopt(observed, desired),
            _ => {}
        }
    }
}

/// Our whole machines, by where they are.
fn machines(observed: &Observed, desired: &Desired) -> BTreeMap<(RealmId, Vmid), Vm> {
    let ours = observed.managed(&desired.cluster).filter(|(_, _, vm, mark)| {
        matches!(mark.subject, MarkSubject::Machine(_))
            && vm.config.as_ref().is_some_and(|config| config.lock().is_none())
    });
    ours.map(|(realm, _, vm, _)| ((realm.clone(), vm.vmid), vm.clone())).collect()
}

/// As if the silent nodes were not configured at all.
fn forget_silent(observed: &mut Observed, desired: &mut Desired) {
    observed.nodes.retain(|_, state| matches!(state, NodeState::Answered(_)));
    desired.nodes.retain(|target| observed.nodes.contains_key(&target.name));
    for realm in observed.realms.values_mut() {
        realm.existence_known = true;
    }
}

/// It is some VM: nothing in its config tells that it is ours.
fn overlook(vm: &mut Vm) {
    if let Some(config) = &mut vm.config {
        config.description.clear();
        config.keys.retain(|key, _| !matches!(key.as_str(), "name" | "ipconfig0"));
    }
}

/// A copy takes the place of what it was copied from.
fn own_copies(observed: &mut Observed, desired: &Desired) {
    for realm in observed.realms.values_mut() {
        let mut originals = Vec::new();
        for guest in realm.guests.values_mut() {
            let Guest::Vm(vm) = guest else { continue };
            let Some(config) = &mut vm.config else { continue };
            let Some(mark) = Mark::find(&config.description).filter(|mark| mark.cluster == desired.cluster) else {
                continue;
            };
            if mark.vmid != vm.vmid && config.lock().is_none() {
                originals.push(mark.vmid);
                config.description = Mark { vmid: vm.vmid, ..mark }.put_into(&config.description);
            }
        }
        realm.guests.retain(|vmid, _| !originals.contains(vmid));
    }
}

fn unlock(observed: &mut Observed, locks: &[&str]) {
    for guest in observed.realms.values_mut().flat_map(|realm| realm.guests.values_mut()) {
        if let Guest::Vm(vm) = guest
            && let Some(config) = &mut vm.config
            && config.lock().is_some_and(|lock| locks.contains(&lock))
        {
            config.keys.remove("lock");
        }
    }
}

/// What was there once is there still.
fn remember(mutation: Mutation, observed: &mut Observed, desired: &Desired, memory: &Memory) {
    let is_wanted = |vm: &Vm| {
        let subject = vm.mark().map(|mark| mark.subject);
        desired.machines.iter().any(|machine| subject == Some(MarkSubject::Machine(machine.id.clone())))
    };
    for ((realm, vmid), then) in memory.machines.iter().filter(|(_, vm)| is_wanted(vm)) {
        let Some(realm) = observed.realms.get_mut(realm) else { continue };
        match realm.guests.get_mut(vmid) {
            Some(Guest::Vm(now)) => match mutation {
                Mutation::RemembersPower if then.power == Power::Running => now.power = Power::Running,
                Mutation::RemembersPlaces if now.node != then.node => overlook(now),
                _ => {}
            },
            None if mutation == Mutation::RemembersMachines => {
                realm.guests.insert(*vmid, Guest::Vm(Box::new(then.clone())));
            }
            Some(Guest::Container(_)) | None => {}
        }
    }
}

/// The values that the administrator sets are taken for those that are wanted.
fn adopt(observed: &mut Observed, desired: &Desired) {
    for guest in observed.realms.values_mut().flat_map(|realm| realm.guests.values_mut()) {
        let Guest::Vm(vm) = guest else { continue };
        let Some(MarkSubject::Machine(id)) = vm.mark().map(|mark| mark.subject) else { continue };
        let wanted = desired.machines.iter().find(|machine| machine.id == id);
        let (Some(wanted), Some(config)) = (wanted, &mut vm.config) else { continue };
        for values in [&mut config.keys, &mut config.pending] {
            for (key, theirs, value) in [
                ("memory", &["1536", "3072"][..], wanted.memory_mb.to_string()),
                ("cores", &["3"][..], wanted.cores.to_string()),
            ] {
                if values.get(key).is_some_and(|now| theirs.contains(&now.as_str())) {
                    values.insert(key.to_owned(), value);
                }
            }
        }
    }
}
