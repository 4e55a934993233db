//! Addresses that are given out already: within the manifest, by any other VM's ipconfig on any node, and to the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::desired::{Address, Machine, Network};
use crate::model::ids::{MachineId, NodeName};
use crate::model::mark::MarkSubject;
use crate::model::observed::Vm;
use crate::pve::property::IpConfig;

use super::existing::Fate;
use super::report::Report;
use super::sources::Source;
use super::survey::Survey;
use super::template_steps::bake_network;

/// Static addresses of a network.
pub(crate) fn fixed(network: &Network) -> impl Iterator<Item = IpAddr> {
    [Some(&network.ipv4), network.ipv6.as_ref()].into_iter().flatten().filter_map(|address| match address {
        Address::Static { address, .. } => Some(address.address),
        Address::Dhcp => None,
    })
}

/// Every clash of a machine that this plan makes or keeps, and of the bake's own address.
pub(crate) fn check(
    survey: &Survey<'_>,
    fates: &BTreeMap<MachineId, Fate<'_>>,
    sources: &BTreeMap<NodeName, Source<'_>>,
    report: &mut Report,
) {
    let given = given(survey, fates);
    let mut wanted: BTreeMap<IpAddr, &Machine> = BTreeMap::new();
    for machine in survey.wanted.values() {
        for address in fixed(&machine.network) {
            if let Some(other) = wanted.insert(address, machine) {
                let message = format!("{} and {} both want {address}", other.name, machine.name);
                report.fail("address-taken", &machine.name, message, HINT, machine.place.as_ref());
            }
            let Some(owners) = given.get(&address).filter(|_| fates.contains_key(&machine.id)) else { continue };
            for owner in owners.iter().filter(|owner| owner.machine.as_ref() != Some(&machine.id)) {
                let message = format!("{address} of {} is given to {}", machine.name, owner.words);
                report.fail("address-taken", &machine.name, message, HINT, machine.place.as_ref());
            }
        }
    }
    let Some(bake) = &survey.desired.template.bake else { return };
    let made = sources.iter().filter(|(_, source)| source.is_made());
    let baked: BTreeSet<IpAddr> =
        made.flat_map(|(node, _)| fixed(&bake_network(bake, node)).collect::<Vec<_>>()).collect();
    for address in baked {
        let machine = wanted.get(&address).map(|machine| machine.name.to_string());
        let owner = machine.or_else(|| Some(given.get(&address)?.first()?.words.clone()));
        if let Some(owner) = owner {
            let message = format!("{address} of the bake is given to {owner}");
            report.fail("address-taken", "vm_template.bake", message, HINT, None);
        }
    }
}

const HINT: &str = "choose another address, or change the other's";

struct Owner {
    words: String,
    /// Ours, if so.
    machine: Option<MachineId>,
}

/// Addresses in the configs of all VMs that are no templates, without those that this plan changes.
fn given(survey: &Survey<'_>, fates: &BTreeMap<MachineId, Fate<'_>>) -> BTreeMap<IpAddr, Vec<Owner>> {
    let mut given: BTreeMap<IpAddr, Vec<Owner>> = BTreeMap::new();
    for (address, name) in nodes(survey) {
        given.entry(address).or_default().push(Owner { words: format!("the Proxmox node {name}"), machine: None });
    }
    for (_, realm, vm) in survey.observed.vms() {
        let node = realm.members.get(&vm.node).and_then(|member| member.node.as_ref());
        let left_out = node.is_some() && node == survey.options.without_node.as_ref();
        let machine = machine_of(survey, vm);
        if left_out || !super::capacity::counts_as_vm(vm) || machine.as_ref().is_some_and(|id| moves(fates.get(id))) {
            continue;
        }
        for address in addresses_of(vm) {
            let name = vm.name().unwrap_or("without a name");
            let words = format!("VM {} \"{name}\" on {}", vm.vmid, vm.node);
            given.entry(address).or_default().push(Owner { words, machine: machine.clone() });
        }
    }
    given
}

/// Addresses of Proxmox nodes: as the config has them, and as corosync knows them.
fn nodes(survey: &Survey<'_>) -> BTreeMap<IpAddr, String> {
    let members = survey.observed.realms.values().flat_map(|realm| &realm.members);
    let known = members.filter_map(|(name, member)| Some((member.address.as_deref()?.parse().ok()?, name.to_string())));
    let configured = survey.desired.nodes.iter();
    configured.filter_map(|target| Some((target.host.parse().ok()?, target.name.to_string()))).chain(known).collect()
}

fn machine_of(survey: &Survey<'_>, vm: &Vm) -> Option<MachineId> {
    let mark = vm.mark().filter(|mark| mark.cluster == survey.desired.cluster)?;
    match mark.subject {
        MarkSubject::Machine(id) => Some(id),
        MarkSubject::Template => None,
    }
}

/// Its old address goes away with this plan; what it gets is compared as a wanted one.
fn moves(fate: Option<&Fate<'_>>) -> bool {
    match fate {
        Some(Fate::Keep(keep)) => keep.diff.set.contains_key("ipconfig0"),
        Some(Fate::Remake { .. }) => true,
        Some(Fate::Create | Fate::Attach(_) | Fate::Held) | None => false,
    }
}

fn addresses_of(vm: &Vm) -> BTreeSet<IpAddr> {
    let Some(config) = &vm.config else { return BTreeSet::new() };
    let of_cards = config.keys.iter().filter(|(key, _)| key.starts_with("ipconfig"));
    let parsed = of_cards.filter_map(|(_, value)| IpConfig::parse(value).ok());
    parsed.flat_map(|ip| ip.addresses().map(|cidr| cidr.address).collect::<Vec<_>>()).collect()
}
