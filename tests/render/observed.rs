//! A cluster of three nodes as they would have answered.

use std::collections::{BTreeMap, BTreeSet};

use pvekube::model::ids::{RealmId, Vmid};
use pvekube::model::observed::*;
use pvekube::model::vm_config::VmConfig;

use crate::samples::{GIB, digest, machine, mark};

pub fn realm() -> RealmId {
    RealmId::new("cluster:home")
}

pub fn vm(id: &str, node: &str, vmid: u32, power: Power) -> Vm {
    let target = machine(id);
    let mut keys = BTreeMap::from([("name".to_owned(), format!("k8s-{id}"))]);
    keys.insert("cipassword".to_owned(), "$5$canary$x".to_owned());
    let config = VmConfig {
        description: mark(&target, vmid).to_string(),
        keys,
        digest: format!("{vmid:040}"),
        ..VmConfig::default()
    };
    Vm { vmid: Vmid(vmid), node: node.into(), config: Some(config), power }
}

pub fn facts() -> NodeFacts {
    NodeFacts {
        realm: realm(),
        pve_name: "pve1".into(),
        version: PveVersion { major: 9, minor: 2, text: "9.2.11".to_owned() },
        memory_bytes: 64 * GIB,
        cpus: 8,
        running: BTreeSet::new(),
        bridges: BTreeSet::from(["vmbr0".into()]),
        storages: BTreeMap::new(),
        nameservers: Vec::new(),
        searchdomain: None,
        images: BTreeMap::new(),
        image_parts: BTreeSet::new(),
        snippets: BTreeSet::new(),
        image_space_bytes: None,
        operations: Vec::new(),
        missing_programs: BTreeSet::new(),
    }
}

pub fn observed(vms: Vec<Vm>) -> Observed {
    let names = ["pve1", "pve2", "pve3"];
    let nodes = names.map(|name| {
        let facts = NodeFacts { pve_name: name.into(), ..facts() };
        (name.into(), NodeState::Answered(Box::new(facts)))
    });
    let members = names.map(|name| (name.into(), Member { online: true, node: Some(name.into()), address: None }));
    let realm_seen = Realm {
        cluster: Some("home".to_owned()),
        quorate: true,
        members: members.into(),
        guests: vms.into_iter().map(|vm| (vm.vmid, Guest::Vm(Box::new(vm)))).collect(),
        existence_known: true,
        storages: BTreeMap::new(),
        pools: BTreeMap::new(),
        ha: BTreeMap::new(),
        next_id: None,
    };
    Observed {
        taken_at: 1_795_000_000,
        nodes: nodes.into(),
        realms: BTreeMap::from([(realm(), realm_seen)]),
        upstream: Upstream::Known { digest: digest(), source: "SHA256SUMS".to_owned() },
    }
}
