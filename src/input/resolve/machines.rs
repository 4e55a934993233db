//! Pools, sizes and overrides → machines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::input::manifest::{Manifest, NetworkSection, OverrideSection, Power};
use crate::input::problem::{Faults, InputFile, Problem, SourceFile, Span, shown};
use crate::input::problem_id::ProblemId;
use crate::input::resolve::network::{self, StaticAddresses};
use crate::input::resolve::own;
use crate::input::resolve::pools::{self, Number, PoolEntry};
use crate::input::resolve::{Inputs, nodes_hint, values};
use crate::input::value::Mode;
use crate::input::walk::At;
use crate::model::desired::{CloudInit, Machine, Network, NodeTarget, Place};
use crate::model::ids::{BridgeName, ClusterName, MachineId, NodeName, Role};

/// A manifest may ask for this many machines: ten times what Proxmox supports nodes for, and the plan stays readable.
const MOST_MACHINES: usize = 2000;

/// A machine without its cloud-init, which the config says.
pub(super) struct Draft {
    machine: Machine,
    /// The machine's or its pool's own DNS servers.
    nameservers: Vec<String>,
}

impl Draft {
    pub(super) fn finish(self, cloud_init: &CloudInit) -> Machine {
        let mut machine = self.machine;
        machine.cloud_init = cloud_init.clone();
        if !self.nameservers.is_empty() {
            machine.cloud_init.nameservers = self.nameservers;
        }
        machine
    }
}

/// All machines in plan order; `None`: wrong, and noted.
pub(super) fn resolve(
    manifest: &Manifest,
    nodes: Option<&[NodeTarget]>,
    inputs: &Inputs<'_>,
    faults: &mut Faults,
) -> Option<Vec<Draft>> {
    let pools = pools::resolve(manifest, faults);
    let numbered: Vec<(PoolEntry<'_>, Option<Vec<Number>>)> = pools
        .into_iter()
        .map(|pool| {
            let numbers = pools::numbers(&pool, faults);
            (pool, numbers)
        })
        .collect();
    let count: usize = numbered.iter().map(|(_, numbers)| numbers.as_ref().map_or(0, Vec::len)).sum();
    if count > MOST_MACHINES {
        let span = manifest.cluster.get().map_or(Span::new(InputFile::Manifest, 0..0), |cluster| cluster.span);
        let message = format!("the manifest asks for {count} machines; at most {MOST_MACHINES} are planned at once");
        faults.add(Problem::new(ProblemId::TooManyMachines, span, message).help("split it into several clusters"));
        return None;
    }
    let mut maker = Maker {
        cluster: manifest.cluster.get().map(|cluster| ClusterName::new(cluster.0.clone())),
        nodes,
        inputs,
        faults,
        addresses: BTreeMap::new(),
        vmids: BTreeMap::new(),
        places: BTreeMap::new(),
    };
    maker.reserve_template_ids();
    let mut all = Some(Vec::new());
    for (pool, numbers) in &numbered {
        let drafts = maker.pool(pool, numbers.as_deref());
        all = match (all, drafts) {
            (Some(mut all), Some(drafts)) => {
                all.extend(drafts);
                Some(all)
            }
            (_, _) => None,
        };
    }
    let explicit = all.as_ref().map_or(0, |all| all.iter().filter(|draft| draft.machine.vmid.is_some()).count());
    maker.check_range(count, explicit);
    all
}

pub(super) struct Maker<'a> {
    pub(super) cluster: Option<ClusterName>,
    pub(super) nodes: Option<&'a [NodeTarget]>,
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) faults: &'a mut Faults,
    /// Who has an address, over all pools.
    pub(super) addresses: BTreeMap<IpAddr, (Span, MachineId)>,
    /// Explicit ids, of templates and machines.
    pub(super) vmids: BTreeMap<u32, (Span, String)>,
    pub(super) places: BTreeMap<Span, Place>,
}

/// What holds for every machine of a pool.
pub(super) struct PoolFacts<'a> {
    pub(super) entry: &'a PoolEntry<'a>,
    pub(super) mode: Option<Mode>,
    pub(super) gateway: Option<Option<&'a At<IpAddr>>>,
    pub(super) gateway6: Option<Option<&'a At<IpAddr>>>,
    nameservers: Vec<String>,
    tags: BTreeSet<String>,
}

impl<'a> Maker<'a> {
    fn pool(&mut self, entry: &PoolEntry<'_>, numbers: Option<&[Number]>) -> Option<Vec<Draft>> {
        let section = &entry.section.value;
        let overrides: BTreeMap<u32, &At<OverrideSection>> =
            section.overrides.get().into_iter().flat_map(|table| &table.0).map(|(n, over)| (n.value, over)).collect();
        let facts = self.facts(entry, overrides.values().any(|over| own::is_apart(over)));
        let numbers = numbers?;
        self.check_pool(entry, numbers, &overrides);
        self.check_addresses(&facts, numbers, &overrides);
        let drafts: Vec<Option<Draft>> = numbers
            .iter()
            .map(|number| self.machine(&facts, *number, overrides.get(&number.number).copied()))
            .collect();
        if section.overrides.is_bad() { None } else { drafts.into_iter().collect() }
    }

    fn facts<'p>(&mut self, entry: &'p PoolEntry<'p>, overridden: bool) -> PoolFacts<'p> {
        let section = &entry.section.value;
        let network = &section.network;
        let keys = StaticAddresses {
            mode: &network.mode,
            addresses: &network.addresses,
            gateway: &network.gateway,
            overridden,
        };
        let cluster = self.cluster.as_ref().map_or("", |cluster| cluster.as_str());
        let mut tags: BTreeSet<String> = values(&section.tags).map(|tag| tag.0.to_lowercase()).collect();
        tags.extend(["pvekube".to_owned(), format!("pvekube-{cluster}"), entry.pool.role().to_string()]);
        PoolFacts {
            entry,
            mode: keys.mode(self.faults),
            gateway: network::gateway(&network.gateway, false, self.faults),
            gateway6: network::gateway(&network.gateway6, true, self.faults),
            nameservers: network.dns.get().into_iter().flat_map(|list| &list.0).map(|ip| ip.to_string()).collect(),
            tags,
        }
    }

    /// Checks that name the pool, not a machine.
    fn check_pool(
        &mut self,
        entry: &PoolEntry<'_>,
        numbers: &[Number],
        overrides: &BTreeMap<u32, &At<OverrideSection>>,
    ) {
        for (number, over) in overrides {
            if numbers.iter().all(|known| known.number != *number) {
                let message = format!("`{}` has no machine number {number}: its override has no effect", entry.path);
                let problem = Problem::new(ProblemId::UnusedOverride, over.key, message).warning();
                self.faults.add(problem.help("remove the override, or ask for the number"));
            }
        }
        if entry.pool.role() == Role::Master && numbers.len().is_multiple_of(2) && !numbers.is_empty() {
            let count = numbers.len();
            let message = format!("{count} masters survive no more failures than {}", count - 1);
            let problem = Problem::new(ProblemId::EvenMasters, entry.section.key, message).warning();
            self.faults.add(problem.help("etcd needs more than half of its members: take 1, 3 or 5"));
        }
        if let (Some(cluster), Some(last)) = (&self.cluster, numbers.last()) {
            let id = MachineId { pool: entry.pool.clone(), number: last.number };
            let name = id.name(cluster);
            if name.as_str().len() > 63 {
                let message = format!("`{name}` has {} characters; a host name has at most 63", name.as_str().len());
                let problem = Problem::new(ProblemId::NameTooLong, entry.section.key, message);
                self.faults.add(problem.help("shorten `cluster` or the pool's name"));
            }
        }
    }

    /// Whether every machine has an element of its pool's lists, or an address of its own.
    fn check_addresses(
        &mut self,
        facts: &PoolFacts<'_>,
        numbers: &[Number],
        overrides: &BTreeMap<u32, &At<OverrideSection>>,
    ) {
        let network = &facts.entry.section.network;
        let without = |own: fn(&OverrideSection) -> bool| {
            let numbers = numbers.iter().map(|number| number.number);
            numbers.filter(move |number| !overrides.get(number).is_some_and(|over| own(over)))
        };
        if facts.mode == Some(Mode::Static) {
            let numbers: Vec<u32> = without(own::is_apart).collect();
            if network.addresses.is_absent() && !numbers.is_empty() {
                let span = network.mode.get().map_or(facts.entry.section.key, |mode| mode.span);
                let message = "with `mode: static`, each machine needs an address".to_owned();
                let problem = Problem::new(ProblemId::AddressMissing, span, message);
                self.faults.add(problem.help("add `addresses`, or an `address` in the override of every machine"));
            }
            self.check_list(facts.entry, &network.addresses, numbers.into_iter());
        }
        let numbers: Vec<u32> =
            without(|over| !over.address6.is_absent() || !over.network.address6.is_absent()).collect();
        self.check_list(facts.entry, &network.addresses6, numbers.into_iter());
    }

    fn machine(&mut self, facts: &PoolFacts<'_>, number: Number, over: Option<&At<OverrideSection>>) -> Option<Draft> {
        let section = &facts.entry.section.value;
        let id = MachineId { pool: facts.entry.pool.clone(), number: number.number };
        let place = self.place(over.map_or(number.span, |over| over.key));
        let hardware = self.hardware(facts, over);
        let ipv4 = self.ipv4(facts, &id, over);
        let ipv6 = self.ipv6(facts, &id, over);
        let node = self.node(over);
        let vmid = self.vmid(&id, over);
        let hardware = hardware?;
        let startup = if facts.entry.pool.role() == Role::Master { "order=1" } else { "order=2" };
        let power = over.and_then(|over| over.power.get()).unwrap_or(&section.power);
        Some(Draft {
            machine: Machine {
                name: id.name(self.cluster.as_ref()?),
                role: facts.entry.pool.role(),
                id,
                size: hardware.size,
                cores: hardware.cores,
                memory_mb: hardware.memory_mb,
                disk_gb: hardware.disk_gb,
                network: Network {
                    bridge: self.bridge(&section.network, over),
                    vlan: over
                        .and_then(|over| over.network.vlan.get())
                        .or(section.network.vlan.get())
                        .map(|vlan| vlan.u16()),
                    ipv4: ipv4?,
                    ipv6: ipv6?,
                },
                cloud_init: CloudInit {
                    user: String::new(),
                    ssh_keys: String::new(),
                    nameservers: Vec::new(),
                    searchdomain: None,
                    upgrade_packages: false,
                },
                node: node?,
                vmid: vmid?,
                onboot: section.onboot.value,
                startup: section.startup.get().map_or_else(|| startup.to_owned(), |startup| startup.0.clone()),
                protection: over.and_then(|over| over.protection.get()).unwrap_or(&section.protection).value,
                power: power.value == Power::On,
                tags: facts.tags.clone(),
                place: Some(place),
            },
            nameservers: match over.and_then(|over| over.network.dns.get()) {
                Some(dns) => dns.0.iter().map(|ip| ip.to_string()).collect(),
                None => facts.nameservers.clone(),
            },
        })
    }

    /// The machine's bridge, else the pool's, else the template's. Without a config there is no `Desired` either.
    fn bridge(&self, network: &NetworkSection, over: Option<&At<OverrideSection>>) -> BridgeName {
        let template = self.inputs.config.and_then(|config| config.vm_template.get());
        match (over.and_then(|over| over.network.bridge.get()).or(network.bridge.get()), template) {
            (Some(bridge), _) => bridge.value.clone(),
            (None, Some(template)) => template.network_bridge.value.clone(),
            (None, None) => BridgeName::new(""),
        }
    }

    fn place(&mut self, span: Span) -> Place {
        let file: &SourceFile = self.inputs.manifest_file;
        let place = self.places.entry(span).or_insert_with(|| {
            let (line, column) = file.line_column(span.start);
            Place { file: file.name.clone(), line, column }
        });
        place.clone()
    }

    fn node(&mut self, over: Option<&At<OverrideSection>>) -> Option<Option<NodeName>> {
        let Some(over) = over else { return Some(None) };
        if over.node.is_bad() {
            return None;
        }
        let Some(wanted) = over.node.get() else { return Some(None) };
        if let Some(nodes) = self.nodes
            && nodes.iter().all(|node| node.name.as_str() != wanted.0)
        {
            let message = format!("`proxmox_nodes` has no node `{}`", shown(&wanted.0));
            let problem = Problem::new(ProblemId::UnknownNode, wanted.span, message);
            self.faults.add(problem.help(nodes_hint(&wanted.0, nodes)));
            return None;
        }
        Some(Some(NodeName::new(wanted.0.clone())))
    }
}
