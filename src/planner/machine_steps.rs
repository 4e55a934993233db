//! A machine's steps: clone, set, resize, start, ready; reboot; removal; and the order that keeps Kubernetes alive.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::{Address, Machine, MaxUnavailable};
use crate::model::ids::{MachineId, NodeName, Pool, Role, Vmid};
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::Power;
use crate::model::plan::{Action, ExpectedAddress, ReadyStep, StepId, Target};

use super::capacity::GIB;
use super::existing::Keep;
use super::settings;
use super::sources::Source;
use super::steps::{Graph, Lane, SHUTDOWN_TIMEOUT_S, estimate};
use super::survey::{Found, Survey};

pub(crate) fn target(survey: &Survey<'_>, id: &MachineId) -> Target {
    Target::Machine { name: id.name(&survey.desired.cluster), id: id.clone(), role: id.pool.role() }
}

/// A machine that is to be cloned: where, as what, from what.
pub(crate) struct Making<'m, 'a> {
    pub(crate) machine: &'m Machine,
    pub(crate) node: &'m NodeName,
    pub(crate) vmid: Vmid,
    pub(crate) source: &'m Source<'a>,
    /// After which the template can be cloned; `None`: it stands.
    pub(crate) template_done: Option<StepId>,
}

impl Making<'_, '_> {
    pub(crate) fn mark(&self, survey: &Survey<'_>) -> Mark {
        Mark {
            cluster: survey.desired.cluster.clone(),
            subject: MarkSubject::Machine(self.machine.id.clone()),
            vmid: self.vmid,
            image: self.source.image.clone(),
            recipe: self.source.recipe.clone(),
        }
    }
}

/// Clone → set → resize → start → ready. Gives the last step.
pub(crate) fn make(
    survey: &Survey<'_>,
    making: &Making<'_, '_>,
    needs: &[StepId],
    disruption: Option<u32>,
    graph: &mut Graph,
) -> Option<StepId> {
    let machine = making.machine;
    let site = survey.site(making.node)?;
    let mark = making.mark(survey);
    let lane = Lane { node: making.node.clone(), subject: target(survey, &machine.id), vmid: making.vmid, disruption };
    let there = &making.source.slot.node;
    let clone = Action::Clone {
        template: making.source.vmid(),
        target: if there == making.node { None } else { site.pve_name.cloned() },
        name: machine.name.clone(),
        mark: mark.clone(),
        pool: survey.desired.pve_pool.clone(),
        storage: survey.desired.template.storage.clone(),
    };
    let mut first: Vec<StepId> = making.template_done.into_iter().collect();
    first.extend(needs);
    let template_gb = making.source.disk_bytes.map_or(survey.desired.template.disk_gb, |bytes| bytes.div_ceil(GIB));
    let copying = estimate::CLONE_PER_GIB.saturating_mul(u32::try_from(template_gb).unwrap_or(u32::MAX));
    let clone_lane = Lane { node: there.clone(), ..lane.clone() };
    let cloned = graph.add(&clone_lane, clone, &first, estimate::CLONE.saturating_add(copying));
    let set = Action::Set {
        mark: mark.clone(),
        set: settings::machine(machine, site.facts?),
        delete: BTreeSet::new(),
        revert: BTreeMap::new(),
    };
    let mut last = graph.add(&lane, set, &[cloned], estimate::SET);
    if making.source.disk_bytes != Some(machine.disk_gb.saturating_mul(GIB)) {
        let resize = Action::Resize { mark: mark.clone(), disk: making.source.disk.clone(), size_gb: machine.disk_gb };
        last = graph.add(&lane, resize, &[last], estimate::RESIZE);
    }
    if machine.power {
        last = start(survey, machine, &mark, &lane, &[last], graph);
    }
    Some(last)
}

/// Changes of a machine that stays. Gives its last step.
pub(crate) fn keep(
    survey: &Survey<'_>,
    machine: &Machine,
    keep: &Keep<'_>,
    rolling: &mut Rolling,
    graph: &mut Graph,
) -> Option<StepId> {
    let node = keep.found.node?;
    let mark = &keep.found.mark;
    let mut lane =
        Lane { node: node.clone(), subject: target(survey, &machine.id), vmid: keep.found.vmid(), disruption: None };
    let mut last: Option<StepId> = None;
    if keep.diff.needs_set() {
        let set = Action::Set {
            mark: mark.clone(),
            set: keep.diff.set.clone(),
            delete: keep.diff.delete.clone(),
            revert: keep.diff.revert.clone(),
        };
        last = Some(graph.add(&lane, set, &[], estimate::SET));
    }
    if let Some(grow) = &keep.diff.grow {
        let resize = Action::Resize { mark: mark.clone(), disk: grow.disk.clone(), size_gb: grow.to_gb };
        last = Some(graph.add(&lane, resize, last.as_slice(), estimate::RESIZE));
    }
    if keep.reboot || keep.stop {
        let mut needs = rolling.before(survey, &machine.id);
        needs.extend(last);
        lane.disruption = Some(rolling.number());
        let down = graph.add(&lane, shutdown(mark), &needs, estimate::SHUTDOWN);
        let end = if keep.reboot { start(survey, machine, mark, &lane, &[down], graph) } else { down };
        rolling.after(&machine.id, end);
        return Some(end);
    }
    if keep.start {
        last = Some(start(survey, machine, mark, &lane, last.as_slice(), graph));
    }
    last
}

fn start(
    survey: &Survey<'_>,
    machine: &Machine,
    mark: &Mark,
    lane: &Lane,
    needs: &[StepId],
    graph: &mut Graph,
) -> StepId {
    let started = graph.add(lane, Action::Start { mark: mark.clone() }, needs, estimate::START);
    graph.add(lane, Action::Ready(ready(survey, machine, mark)), &[started], estimate::READY)
}

fn shutdown(mark: &Mark) -> Action {
    Action::Shutdown { mark: mark.clone(), timeout_s: SHUTDOWN_TIMEOUT_S }
}

/// What readiness of a machine means. A declared IPv4 address counts first, then a declared IPv6 one.
pub(crate) fn ready(survey: &Survey<'_>, machine: &Machine, mark: &Mark) -> ReadyStep {
    let fixed = |address: &Address| match address {
        Address::Static { address, .. } => Some(*address),
        Address::Dhcp => None,
    };
    let address = fixed(&machine.network.ipv4).or_else(|| machine.network.ipv6.as_ref().and_then(fixed));
    let readiness = &survey.desired.readiness;
    ReadyStep {
        mark: mark.clone(),
        name: machine.name.clone(),
        address: address.map_or(ExpectedAddress::Dhcp, ExpectedAddress::Static),
        user: machine.cloud_init.user.clone(),
        ssh: readiness.ssh,
        ssh_port: readiness.ssh_port,
        timeout_s: readiness.timeout_s,
        ssh_interval_s: readiness.ssh_interval_s,
        exclude: readiness.exclude.clone(),
    }
}

/// Shutdown where it runs, then destroy. Gives the last step.
pub(crate) fn remove(
    survey: &Survey<'_>,
    id: &MachineId,
    found: &Found<'_>,
    needs: &[StepId],
    disruption: Option<u32>,
    graph: &mut Graph,
) -> Option<StepId> {
    let lane = Lane { node: found.node?.clone(), subject: target(survey, id), vmid: found.vmid(), disruption };
    let mut needs = needs.to_vec();
    if found.vm.power == Power::Running {
        needs = vec![graph.add(&lane, shutdown(&found.mark), &needs, estimate::SHUTDOWN)];
    }
    let half_made = super::existing::half_made(found).is_some();
    let destroy = Action::Destroy { mark: found.mark.clone(), half_made };
    Some(graph.add(&lane, destroy, &needs, estimate::DESTROY))
}

/// Who goes out of service when: masters strictly one at a time, workers of a pool within `max_unavailable`.
#[derive(Debug, Default)]
pub(crate) struct Rolling {
    count: u32,
    /// Last steps of the disruptions so far, by pool.
    ends: BTreeMap<Pool, Vec<StepId>>,
}

impl Rolling {
    /// Number of a new disruption.
    pub(crate) fn number(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    /// What must be over before this machine may go out of service.
    pub(crate) fn before(&self, survey: &Survey<'_>, id: &MachineId) -> Vec<StepId> {
        let Some(ends) = self.ends.get(&id.pool) else { return Vec::new() };
        let width = match id.pool.role() {
            Role::Master => 1,
            Role::Worker => max_unavailable(survey, &id.pool),
        };
        let at = ends.len().checked_sub(width);
        at.and_then(|at| ends.get(at)).copied().into_iter().collect()
    }

    pub(crate) fn after(&mut self, id: &MachineId, end: StepId) {
        self.ends.entry(id.pool.clone()).or_default().push(end);
    }
}

/// Machines of a pool that may be out of service at once: at least one, or nothing would ever change.
pub(crate) fn max_unavailable(survey: &Survey<'_>, pool: &Pool) -> usize {
    let of_pool = survey.desired.machines.iter().filter(|machine| machine.id.pool == *pool).count();
    let count = match survey.desired.limits.max_unavailable {
        MaxUnavailable::Count(count) => count as usize,
        MaxUnavailable::Percent(percent) => of_pool.saturating_mul(percent as usize) / 100,
    };
    count.max(1)
}
