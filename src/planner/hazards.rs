//! What needs consent by name, with numbers.

use std::collections::BTreeMap;

use crate::model::ids::{MachineId, MachineName, Role};
use crate::model::observed::Power;
use crate::model::plan::{Hazard, HazardKind};

use super::existing::Fate;
use super::machine_steps::max_unavailable;
use super::survey::{Found, Survey};

/// Deletes beyond this share of the machines that exist need consent: a slip of the hand in the manifest (a wrong
/// `count`, a wrong file) takes most of a cluster away, a wanted scale-down rarely more than a third at once.
const MANY_DELETES_PERCENT: usize = 30;

pub(crate) fn hazards(
    survey: &Survey<'_>,
    fates: &BTreeMap<MachineId, Fate<'_>>,
    doomed: &BTreeMap<MachineId, Found<'_>>,
) -> Vec<Hazard> {
    let outage = Outage::new(survey, fates, doomed);
    let found = [
        delete_masters(survey, doomed),
        break_quorum(survey, &outage),
        many_deletes(survey, doomed),
        reboots(survey, fates, Role::Master),
        reboots(survey, fates, Role::Worker),
        replaces(survey, fates),
    ];
    found.into_iter().flatten().collect()
}

fn hazard(survey: &Survey<'_>, kind: HazardKind, machines: Vec<MachineName>, message: String) -> Option<Hazard> {
    (!machines.is_empty()).then(|| Hazard { kind, message, machines, accepted: survey.options.accept.contains(&kind) })
}

fn names<'i>(survey: &Survey<'_>, ids: impl Iterator<Item = &'i MachineId>) -> Vec<MachineName> {
    ids.map(|id| id.name(&survey.desired.cluster)).collect()
}

pub(crate) fn list(machines: &[MachineName]) -> String {
    machines.iter().map(MachineName::as_str).collect::<Vec<_>>().join(", ")
}

fn delete_masters(survey: &Survey<'_>, doomed: &BTreeMap<MachineId, Found<'_>>) -> Option<Hazard> {
    let masters = names(survey, doomed.keys().filter(|id| id.pool.role() == Role::Master));
    let all = survey.ours.keys().filter(|id| id.pool.role() == Role::Master).count();
    let mut message = format!("deletes {} of {all} masters: {}", masters.len(), list(&masters));
    if masters.len() < all {
        message.push_str("; take each out of etcd first (etcdctl member remove), which pvekube can't");
    }
    hazard(survey, HazardKind::DeleteMasters, masters, message)
}

fn many_deletes(survey: &Survey<'_>, doomed: &BTreeMap<MachineId, Found<'_>>) -> Option<Hazard> {
    let all = survey.ours.len();
    let allowed = (all * MANY_DELETES_PERCENT / 100).max(1);
    if doomed.len() <= allowed {
        return None;
    }
    let message = format!("deletes {} of {all} machines; without consent at most {allowed}", doomed.len());
    hazard(survey, HazardKind::ManyDeletes, names(survey, doomed.keys()), message)
}

fn reboots(survey: &Survey<'_>, fates: &BTreeMap<MachineId, Fate<'_>>, role: Role) -> Option<Hazard> {
    let goes_down = |fate: &Fate<'_>| match fate {
        Fate::Keep(keep) => keep.reboot || keep.stop,
        Fate::Create | Fate::Remake { .. } | Fate::Attach(_) | Fate::Held => false,
    };
    let of_role = fates.iter().filter(|(id, fate)| id.pool.role() == role && goes_down(fate)).map(|(id, _)| id);
    let ids: Vec<&MachineId> = of_role.collect();
    let width = match role {
        Role::Master => 1,
        Role::Worker => ids.iter().map(|id| max_unavailable(survey, &id.pool)).max().unwrap_or(1),
    };
    let kind = match role {
        Role::Master => HazardKind::RebootMasters,
        Role::Worker => HazardKind::RebootWorkers,
    };
    let machines = names(survey, ids.into_iter());
    let verb = if machines.len() == 1 { "goes" } else { "go" };
    let message = format!("{} {verb} down (rolling, {width} at a time)", list(&machines));
    hazard(survey, kind, machines, message)
}

fn replaces(survey: &Survey<'_>, fates: &BTreeMap<MachineId, Fate<'_>>) -> Option<Hazard> {
    let requested = fates.iter().filter(|(_, fate)| fate.is_requested()).map(|(id, _)| id);
    let machines = names(survey, requested.clone());
    let mut message = format!("destroys and makes again, one at a time: {}", list(&machines));
    if requested.into_iter().any(|id| id.pool.role() == Role::Master) {
        message.push_str("; a master made again is no member of etcd: take the old one out, and let the new one join");
    }
    hazard(survey, HazardKind::Replace, machines, message)
}

/// Masters of the running control plane and what the plan takes from it.
struct Outage {
    /// Masters that exist: each may be a member of etcd.
    members: usize,
    running: usize,
    deleted: Vec<MachineId>,
    /// Made again, with nobody at hand who lets them join etcd: as good as deleted for the members that are left.
    orphaned: Vec<MachineId>,
    /// Out of service for a while, one at a time.
    passing: Vec<MachineId>,
    stopped: Vec<MachineId>,
}

impl Outage {
    fn new(
        survey: &Survey<'_>,
        fates: &BTreeMap<MachineId, Fate<'_>>,
        doomed: &BTreeMap<MachineId, Found<'_>>,
    ) -> Self {
        let mut outage = Outage {
            members: 0,
            running: 0,
            deleted: Vec::new(),
            orphaned: Vec::new(),
            passing: Vec::new(),
            stopped: Vec::new(),
        };
        // The hook ends when the machine has joined, or fails, and then the next one stays.
        let joins = survey.desired.hooks.after_ready.is_some();
        // A wanted master that may exist unseen counts as a member that does not run.
        if !survey.blind.is_empty() {
            let unseen = |id: &&&MachineId| id.pool.role() == Role::Master && !survey.ours.contains_key(**id);
            outage.members += survey.wanted.keys().filter(unseen).count();
        }
        for (id, found) in survey.ours.iter().filter(|(id, _)| id.pool.role() == Role::Master) {
            outage.members += 1;
            if !found.iter().any(|found| found.vm.power == Power::Running) {
                continue;
            }
            outage.running += 1;
            if doomed.contains_key(id) {
                outage.deleted.push(id.clone());
            }
            match fates.get(id) {
                Some(Fate::Keep(keep)) if keep.stop => outage.stopped.push(id.clone()),
                Some(Fate::Keep(keep)) if keep.reboot => outage.passing.push(id.clone()),
                Some(Fate::Remake { .. }) if joins => outage.passing.push(id.clone()),
                Some(Fate::Remake { .. }) => outage.orphaned.push(id.clone()),
                Some(Fate::Keep(_) | Fate::Create | Fate::Attach(_) | Fate::Held) | None => {}
            }
        }
        outage
    }
}

/// Quorum is of the masters that exist, kept by those that really run: a deleted one stays a member until somebody takes
/// it out of etcd. When all of them go for good there is no cluster whose quorum could break: `delete-masters` says that.
fn break_quorum(survey: &Survey<'_>, outage: &Outage) -> Option<Hazard> {
    let quorum = outage.members / 2 + 1;
    let gone = outage.deleted.len() + outage.orphaned.len() + outage.stopped.len();
    let lowest = outage.running.saturating_sub(gone).saturating_sub(usize::from(!outage.passing.is_empty()));
    let touched = gone + outage.passing.len();
    if touched == 0 || lowest >= quorum || outage.deleted.len() == outage.members {
        return None;
    }
    let mut message = format!(
        "{} of {} masters run; the plan leaves {lowest} in service at its lowest, and quorum is {quorum}",
        outage.running, outage.members
    );
    if !outage.orphaned.is_empty() {
        message.push_str(" (masters made again don't count: no hooks.after_ready lets them join etcd)");
    }
    let ids = outage.deleted.iter().chain(&outage.orphaned).chain(&outage.stopped).chain(&outage.passing);
    hazard(survey, HazardKind::BreakQuorum, names(survey, ids), message)
}
