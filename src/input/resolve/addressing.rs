//! Addresses and ids of single machines, unique over the manifest.

use super::machines::{Maker, PoolFacts};
use super::own::Own;
use super::pools::PoolEntry;
use super::{entries, network};
use crate::input::address::{self, AddressRange};
use crate::input::collection::OneOrMany;
use crate::input::manifest::OverrideSection;
use crate::input::problem::{Problem, Span};
use crate::input::problem_id::ProblemId;
use crate::input::value::Mode;
use crate::input::walk::{At, Given};
use crate::model::desired::Address;
use crate::model::ids::{Cidr, MachineId, Vmid};

impl Maker<'_> {
    /// `None`: wrong, and noted.
    pub(super) fn ipv4(
        &mut self,
        facts: &PoolFacts<'_>,
        id: &MachineId,
        over: Option<&At<OverrideSection>>,
    ) -> Option<Address> {
        let own = Own::new(over, self.faults)?;
        let (cidr, span) = match (own.mode(facts.mode?, self.faults)?, own.address) {
            (Mode::Dhcp, _) => return Some(Address::Dhcp),
            (Mode::Static, Some(address)) => (address.value, address.span),
            (Mode::Static, None) => self.nth_address(&facts.entry.section.network.addresses, id)?,
        };
        let gateway = match own.gateway {
            Some(gateway) => Some(gateway),
            None => facts.gateway?,
        };
        let fine = network::check(cidr, span, gateway, false, self.faults);
        (self.is_new(cidr, span, id) && fine)
            .then(|| Address::Static { address: cidr, gateway: gateway.map(|at| at.value) })
    }

    /// `Some(None)`: no IPv6.
    pub(super) fn ipv6(
        &mut self,
        facts: &PoolFacts<'_>,
        id: &MachineId,
        over: Option<&At<OverrideSection>>,
    ) -> Option<Option<Address>> {
        let own = Own::new(over, self.faults)?;
        let list = &facts.entry.section.network.addresses6;
        let (cidr, span) = match (own.address6, list) {
            (Some(address), _) => (address.value, address.span),
            (None, Given::Bad) => return None,
            (None, Given::Absent) => return Some(None),
            (None, Given::Is(_)) => self.nth_address(list, id)?,
        };
        let gateway = match own.gateway6 {
            Some(gateway) => Some(gateway),
            None => facts.gateway6?,
        };
        let fine = network::check(cidr, span, gateway, true, self.faults);
        (self.is_new(cidr, span, id) && fine)
            .then(|| Some(Address::Static { address: cidr, gateway: gateway.map(|at| at.value) }))
    }

    /// Element `id.number` of the pool's list.
    fn nth_address(&self, list: &Given<OneOrMany<AddressRange>>, id: &MachineId) -> Option<(Cidr, Span)> {
        let (cidr, element) = address::of_number(list.get()?, id.number)?;
        Some((cidr, element.span))
    }

    /// One problem for all the numbers that the list is too short for.
    pub(super) fn check_list(
        &mut self,
        entry: &PoolEntry<'_>,
        list: &Given<OneOrMany<AddressRange>>,
        numbers: impl Iterator<Item = u32>,
    ) {
        let Some(list) = list.get() else { return };
        let lacking: Vec<String> = numbers
            .filter(|number| address::of_number(list, *number).is_none())
            .map(|number| format!("{}-{number}", entry.pool.stem()))
            .collect();
        let (Some(first), Some(last)) = (lacking.first(), lacking.last()) else { return };
        let who = match lacking.len() {
            1 => format!("{first} has"),
            2 => format!("{first} and {last} have"),
            count => format!("{first} to {last} ({count} machines) have"),
        };
        let count = address::count(list);
        let message = format!("{who} no address: the list has {count}, and machine number n has the n-th");
        let problem = Problem::new(ProblemId::AddressMissing, list.key, message);
        self.faults.add(problem.help("add addresses; the numbers of other machines don't matter"));
    }

    fn is_new(&mut self, cidr: Cidr, span: Span, id: &MachineId) -> bool {
        if let Some((first, holder)) = self.addresses.get(&cidr.address) {
            let message = format!("{} is given to both {holder} and {id}", cidr.address);
            let problem = Problem::new(ProblemId::DuplicateAddress, span, message);
            let problem = if *first == span { problem } else { problem.context(*first, format!("given to {holder}")) };
            self.faults.add(problem.help("give each machine an address of its own"));
            return false;
        }
        self.addresses.insert(cidr.address, (span, id.clone()));
        true
    }

    /// Template ids are nobody else's.
    pub(super) fn reserve_template_ids(&mut self) {
        let Some(template) = self.inputs.config.and_then(|config| config.vm_template.get()) else { return };
        if let Some(id) = template.id.get() {
            self.vmids.insert(id.u32(), (id.span, "the template".to_owned()));
        }
        for (node, id) in entries(&template.ids) {
            if let Some(id) = id {
                self.vmids.entry(id.u32()).or_insert((id.span, format!("the template on {}", node.value)));
            }
        }
    }

    /// `Some(None)`: any free one.
    pub(super) fn vmid(&mut self, id: &MachineId, over: Option<&At<OverrideSection>>) -> Option<Option<Vmid>> {
        let wanted = match over.map_or(&Given::Absent, |over| &over.vmid) {
            Given::Absent => return Some(None),
            Given::Bad => return None,
            Given::Is(wanted) => wanted,
        };
        if let Some((first, holder)) = self.vmids.get(&wanted.u32()) {
            let message = format!("id {} is given to both {holder} and {id}", wanted.u32());
            let problem = Problem::new(ProblemId::DuplicateVmid, wanted.span, message);
            let problem = problem.context(*first, format!("given to {holder}"));
            self.faults.add(problem.help("take another id, or leave it out to have the lowest free one"));
            return None;
        }
        self.vmids.insert(wanted.u32(), (wanted.span, id.to_string()));
        Some(Some(Vmid(wanted.u32())))
    }

    /// The range must hold all machines that take an id from it.
    pub(super) fn check_range(&mut self, machines: usize, explicit: usize) {
        let Some(config) = self.inputs.config else { return };
        let range = &config.vmid_range;
        let taken = self.vmids.keys().filter(|vmid| range.contains(**vmid)).count();
        let free = range.len() - taken;
        let need = machines.saturating_sub(explicit);
        if need > free {
            let (first, last) = (range.first, range.last);
            let message = format!("`vmid_range` {first}-{last} has {free} ids to give; {need} machines need one");
            let problem = Problem::new(ProblemId::VmidRange, range.span, message);
            self.faults.add(problem.help("widen the range"));
        }
    }
}
