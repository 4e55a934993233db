//! Information that changes nothing: what waits for a reboot, older images, wishes that only a replacement fulfils.

use std::collections::BTreeMap;

use crate::model::desired::Machine;
use crate::model::ids::{MachineId, MachineName, Role};
use crate::model::plan::{Effect, HazardKind};
use crate::model::vm_config::VmConfig;

use super::existing::{self, Fate, Keep};
use super::hazards::list;
use super::report::Report;
use super::survey::{Found, Survey};

pub(crate) fn add(survey: &Survey<'_>, fates: &BTreeMap<MachineId, Fate<'_>>, report: &mut Report) {
    let mut older = Vec::new();
    let mut waiting = Waiting::new();
    for (id, fate) in fates {
        let Some(machine) = survey.wanted.get(id) else { continue };
        let Fate::Keep(keep) = fate else { continue };
        if existing::is_outdated(survey, &keep.found) {
            older.push(machine.name.clone());
        }
        pending_reboot(machine, keep, &mut waiting, report);
        wishes(machine, &keep.found, report);
    }
    for ((role, fields), machines) in &waiting {
        let alone = machines.first().filter(|_| machines.len() == 1);
        report.note("pending-reboot", alone, waits(*role, fields, machines));
    }
    older_image(&older, report);
    out_of_scope(survey, report);
    leftovers(survey, report);
}

fn older_image(older: &[MachineName], report: &mut Report) {
    if older.is_empty() {
        return;
    }
    let what = if older.len() == 1 { "machine is" } else { "machines are" };
    let text = format!(
        "{} {what} on an older image or recipe: {} (--replace-outdated makes them again)",
        older.len(),
        list(older)
    );
    report.note("older-image", None, text);
}

/// Machines that wait for a boot, by what their note says alike.
type Waiting = BTreeMap<(Role, Vec<String>), Vec<MachineName>>;

/// Values that are set, or will be by this plan, and come into effect at the next boot only. Machines that do nothing
/// but wait have a note each; those that the plan changes share one, for their fields say the same.
fn pending_reboot(machine: &Machine, keep: &Keep<'_>, waiting: &mut Waiting, report: &mut Report) {
    if keep.reboot || keep.stop || !keep.diff.wants_boot() {
        return;
    }
    let late = keep.diff.fields.iter().filter(|field| matches!(field.effect, Effect::Reboot | Effect::NextBoot));
    let mut fields: Vec<String> = keep.diff.waiting.iter().chain(late).map(|field| field.field.clone()).collect();
    fields.sort_unstable();
    fields.dedup();
    if keep.does_something() {
        waiting.entry((machine.role, fields)).or_default().push(machine.name.clone());
    } else {
        let text = waits(machine.role, &fields, std::slice::from_ref(&machine.name));
        report.note("pending-reboot", Some(&machine.name), text);
    }
}

fn waits(role: Role, fields: &[String], machines: &[MachineName]) -> String {
    let kind = match role {
        Role::Master => HazardKind::RebootMasters,
        Role::Worker => HazardKind::RebootWorkers,
    };
    let verb = if fields.len() == 1 { "takes" } else { "take" };
    let (whose, them) = if machines.len() == 1 { ("its next reboot", "it") } else { ("their next reboots", "them") };
    format!(
        "{}: {} {verb} effect at {whose} (--accept {kind} reboots {them}, rolling)",
        list(machines),
        fields.join(", ")
    )
}

/// A machine stays where it is and keeps its id, whatever the manifest says now.
fn wishes(machine: &Machine, found: &Found<'_>, report: &mut Report) {
    let name = &machine.name;
    if let (Some(wanted), Some(node)) = (&machine.node, found.node)
        && wanted != node
    {
        let text =
            format!("{name} is on {node}, the manifest pins it to {wanted}: it stays (--replace {name} moves it)");
        report.note("other-node", Some(name), text);
    }
    if let Some(wanted) = machine.vmid.filter(|vmid| *vmid != found.vmid()) {
        let is = found.vmid();
        let text = format!("{name} is VM {is}, the manifest gives it {wanted}: it stays (--replace {name} changes it)");
        report.note("other-vmid", Some(name), text);
    }
}

fn out_of_scope(survey: &Survey<'_>, report: &mut Report) {
    if survey.options.only.is_empty() {
        return;
    }
    let all = survey.wanted.values().map(|machine| machine.name.clone());
    let rest: Vec<MachineName> = all.filter(|name| !survey.in_scope(name)).collect();
    if !rest.is_empty() {
        report.note("not-in-plan", None, format!("not in this plan (--only): {}", list(&rest)));
    }
}

/// A config that is nothing but its lock, left by a killed `qm` (contract §7), may be anybody's: reported, never touched.
/// One that an operation of ours works on is no leftover.
fn leftovers(survey: &Survey<'_>, report: &mut Report) {
    for (_, realm, vm) in survey.observed.vms() {
        let verb = match vm.config.as_ref().and_then(VmConfig::only_lock) {
            Some("create") => "create",
            Some("clone") => "clone",
            Some("destroyed") => "destroy",
            Some(_) | None => continue,
        };
        let home = realm.members.get(&vm.node).and_then(|member| member.node.as_ref());
        if home.is_some_and(|node| !survey.live_operations(node, vm.vmid).is_empty()) {
            continue;
        }
        let (vmid, node) = (vm.vmid, &vm.node);
        let text = format!(
            "VM {vmid} on {node} is only a lock left by a killed `qm {verb}`; if nothing works on it: qm unlock {vmid} && qm destroy {vmid}"
        );
        report.note("leftover", None, text);
    }
}
