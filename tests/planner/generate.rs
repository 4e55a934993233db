//! Clusters from a seed: up to 20 nodes and 300 VMs, with names, ids and addresses from small alphabets so that they meet.

use pvekube::model::desired::*;
use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::HazardKind;
use pvekube::planner::PlanOptions;

use super::build::*;

/// splitmix64: small, seeded, the same everywhere.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// 0..n
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// How large a case is, and how rough.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub seed: u64,
    pub nodes: usize,
    pub guests: usize,
    pub masters: u32,
    pub workers: u32,
    /// Percent: silence, collisions, locks, half-made things.
    pub trouble: usize,
}

pub struct Case {
    pub desired: Desired,
    pub observed: Observed,
    pub options: PlanOptions,
}

pub fn case(shape: &Shape) -> Case {
    let mut dice = Dice(shape.seed);
    let mut desired = wanted(shape, &mut dice);
    let mut observed = nodes(shape, &mut dice);
    strangers(shape, &mut dice, &mut observed);
    templates(shape, &mut dice, &mut observed);
    ours(shape, &mut dice, &mut desired, &mut observed);
    silence(shape, &mut dice, &mut observed);
    let options = PlanOptions {
        prune: dice.chance(40),
        replace: desired.machines.iter().filter(|_| dice.chance(4)).map(|machine| machine.name.clone()).collect(),
        replace_outdated: dice.chance(10),
        accept: if dice.chance(60) { HazardKind::ALL.into() } else { Default::default() },
        ..PlanOptions::default()
    };
    Case { desired, observed, options }
}

fn wanted(shape: &Shape, dice: &mut Dice) -> Desired {
    let mut desired = with_machines(desired(shape.nodes), shape.masters, shape.workers);
    desired.machines.extend((0..dice.below(4)).map(|n| machine(&format!("gpu-{}", n + 1))));
    for node in &mut desired.nodes {
        node.zone = dice.chance(30).then(|| dice.one_of(&["a", "b", "c"]).to_owned());
        node.schedulable = !dice.chance(5);
    }
    desired.placement = dice.one_of(&[Strategy::VmCount, Strategy::VmCount, Strategy::Memory, Strategy::Pack]);
    desired.limits.max_unavailable =
        dice.one_of(&[MaxUnavailable::Count(1), MaxUnavailable::Count(3), MaxUnavailable::Percent(30)]);
    for (i, machine) in desired.machines.iter_mut().enumerate() {
        machine.memory_mb = dice.one_of(&[1024, 2048, 4096, 8192]);
        machine.cores = dice.one_of(&[1, 2, 4]);
        machine.disk_gb = dice.one_of(&[16, 20, 40]);
        machine.power = !dice.chance(4);
        if dice.chance(10) {
            machine.node = Some(format!("pve{}", dice.below(shape.nodes) + 1).as_str().into());
        }
        if dice.chance(5) {
            machine.vmid = Some(Vmid(7000 + i as u32));
        }
        if dice.chance(30) {
            fixed(machine, &format!("10.0.{}.{}/16", i / 200, i % 200 + 11), "10.0.0.1");
        }
    }
    desired
}

fn nodes(shape: &Shape, dice: &mut Dice) -> Observed {
    let mut all = if dice.chance(30) { standalone(shape.nodes) } else { observed(shape.nodes) };
    for state in all.nodes.values_mut() {
        let NodeState::Answered(facts) = state else { continue };
        facts.memory_bytes = dice.one_of(&[16, 32, 64, 128]) * GIB;
        let sample = StorageUse { total_bytes: 4000 * GIB, used_bytes: dice.below(500) as u64 * GIB };
        facts.storages.insert("local-lvm".into(), sample);
        if dice.chance(shape.trouble / 4) {
            facts.bridges.clear();
        }
    }
    if dice.chance(30) {
        all.realms.values_mut().for_each(|realm| realm.storages.get_mut(&"local-lvm".into()).unwrap().thin = false);
    }
    if dice.chance(15) {
        all.upstream = Upstream::Known { digest: digest('b'), source: "SHA256SUMS".into() };
    }
    all
}

fn some_node(shape: &Shape, dice: &mut Dice) -> String {
    format!("pve{}", dice.below(shape.nodes) + 1)
}

fn is_free(observed: &mut Observed, node: &str, vmid: u32) -> bool {
    !realm(observed, node).guests.contains_key(&Vmid(vmid))
}

fn strangers(shape: &Shape, dice: &mut Dice, observed: &mut Observed) {
    for _ in 0..shape.guests {
        let (node, vmid) = (some_node(shape, dice), 100 + dice.below(400) as u32);
        if !is_free(observed, &node, vmid) {
            continue;
        }
        if dice.chance(15) {
            let guest =
                Container { node: node.as_str().into(), memory_bytes: Some(GIB / 2), running: Some(dice.chance(80)) };
            realm(observed, &node).guests.insert(Vmid(vmid), Guest::Container(guest));
            continue;
        }
        let name = if dice.chance(shape.trouble / 10) {
            format!("k8s-worker-{}", dice.below(9))
        } else {
            format!("other-{vmid}")
        };
        let mut config =
            config(&[("name", &name), ("memory", "512"), ("scsi0", &format!("local-lvm:vm-{vmid}-disk-0,size=8G"))]);
        if dice.chance(10) {
            config.keys.insert("template".into(), "1".into());
        }
        if dice.chance(shape.trouble / 10) {
            // Somebody's copy of one of our machines, its mark with it.
            config.description = config_of(&machine("worker-1"), 99_999).description;
        }
        let running = !config.is_template() && dice.chance(70);
        put(observed, &node, vmid, config, running);
    }
}

fn templates(shape: &Shape, dice: &mut Dice, observed: &mut Observed) {
    let one_realm = observed.realms.len() == 1;
    for n in 1..=shape.nodes {
        let (node, vmid) = (format!("pve{n}"), if one_realm { 8999 + n as u32 } else { 9000 });
        if !dice.chance(60) {
            continue;
        }
        put_template(observed, &node, vmid);
        if dice.chance(shape.trouble) {
            config_mut_on(observed, &node, vmid).keys.remove("template");
        }
    }
}

fn config_mut_on<'o>(observed: &'o mut Observed, node: &str, vmid: u32) -> &'o mut pvekube::model::vm_config::VmConfig {
    match realm(observed, node).guests.get_mut(&Vmid(vmid)) {
        Some(Guest::Vm(vm)) => vm.config.as_mut().unwrap(),
        other => panic!("no VM {vmid} at {node}: {other:?}"),
    }
}

/// Part of the wanted machines exists, some of it as an interrupted run or an admin left it; and some that are not wanted.
fn ours(shape: &Shape, dice: &mut Dice, desired: &mut Desired, observed: &mut Observed) {
    let mut vmid = 600;
    let machines: Vec<Machine> = desired.machines.clone();
    for machine in &machines {
        vmid += 1;
        if !dice.chance(60) {
            continue;
        }
        let node = some_node(shape, dice);
        put_machine(observed, &node, vmid, machine);
        drift(shape, dice, observed, &node, vmid);
        if dice.chance(10) {
            desired.machines.retain(|other| other.id != machine.id);
        }
    }
}

fn drift(shape: &Shape, dice: &mut Dice, observed: &mut Observed, node: &str, vmid: u32) {
    if dice.chance(15) {
        let config = config_mut_on(observed, node, vmid);
        let (key, value) = dice.one_of(&[
            ("cores", "8"),
            ("memory", "256"),
            ("onboot", "0"),
            ("ciuser", "admin"),
            ("tags", "mine"),
            ("agent", "0"),
            ("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr7,firewall=1"),
            ("name", "renamed"),
        ]);
        config.keys.insert(key.into(), value.into());
    }
    let running = facts(observed, node).running.contains(&Vmid(vmid));
    if dice.chance(shape.trouble / 3) {
        config_mut_on(observed, node, vmid).pending.insert("memory".into(), "300".into());
    }
    if !running || !dice.chance(shape.trouble) {
        return;
    }
    facts(observed, node).running.remove(&Vmid(vmid));
    if let Some(Guest::Vm(vm)) = realm(observed, node).guests.get_mut(&Vmid(vmid)) {
        vm.power = Power::Stopped;
    }
    let config = config_mut_on(observed, node, vmid);
    match dice.below(3) {
        0 => {}
        1 => {
            config.keys.retain(|key, _| key == "name");
            config.keys.insert("lock".into(), "clone".into());
        }
        _ => {
            config.keys.retain(|key, _| ["name", "memory", "boot", "net0", "agent"].contains(&key.as_str()));
            config.keys.insert("scsi0".into(), format!("local-lvm:vm-{vmid}-disk-0,size=16G"));
        }
    }
}

fn silence(shape: &Shape, dice: &mut Dice, observed: &mut Observed) {
    for n in 1..=shape.nodes {
        if !dice.chance(shape.trouble / 4) {
            continue;
        }
        let node: NodeName = format!("pve{n}").as_str().into();
        observed.nodes.insert(node.clone(), silent());
        let standalone = observed.realms.values().any(|realm| realm.cluster.is_none());
        if standalone {
            observed
                .realms
                .retain(|_, realm| !realm.members.values().any(|member| member.node.as_ref() == Some(&node)));
            continue;
        }
        let realm = realm(observed, node.as_str());
        for guest in realm.guests.values_mut() {
            if let Guest::Vm(vm) = guest
                && vm.node.as_str() == node.as_str()
            {
                vm.power = Power::Unknown;
            }
        }
    }
    for realm in observed.realms.values_mut() {
        if dice.chance(shape.trouble / 10) {
            // `/etc/pve` was not mounted, or not read whole.
            realm.existence_known = false;
        }
        for guest in realm.guests.values_mut() {
            if let Guest::Vm(vm) = guest
                && dice.chance(shape.trouble / 50)
            {
                vm.config = None;
            }
        }
    }
    let answered = observed.nodes.values().filter(|state| matches!(state, NodeState::Answered(_))).count();
    if answered * 2 <= shape.nodes && observed.realms.values().any(|realm| realm.cluster.is_some()) {
        // Most of a cluster is gone: without an answer it is no realm, else one without quorum.
        if answered == 0 {
            observed.realms.clear();
        } else {
            observed.realms.values_mut().for_each(|realm| {
                realm.quorate = false;
                realm.existence_known = false;
            });
        }
    }
}
