//! What stands against a machine: somebody has its name, locks it, protects it, or its disk can't become what is wanted.

use crate::model::desired::Machine;
use crate::model::ids::{MachineId, MachineName};
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::Vm;

use crate::planner::capacity::GIB;
use crate::planner::diff;
use crate::planner::existing::{self, Keep};
use crate::planner::placement::Choice;
use crate::planner::report::Report;
use crate::planner::sources::Source;
use crate::planner::survey::{Found, Survey};

/// Two VMs say that they are one machine.
pub(crate) fn duplicate(machine: &Machine, several: &[Found<'_>], report: &mut Report) {
    let list: Vec<String> = several.iter().map(|found| format!("{} on {}", found.vmid(), found.vm.node)).collect();
    let message = format!("{} exists {} times: VMs {}", machine.name, several.len(), list.join(", "));
    let hint = "remove the mark from the Notes of the one that is not it, or destroy it by hand";
    report.fail("duplicate-machine", &machine.name, message, hint, machine.place.as_ref());
}

/// A VM that is not ours has a wanted name: never taken over.
pub(crate) fn name_is_taken(survey: &Survey<'_>, machine: &Machine, report: &mut Report) -> bool {
    let name = machine.name.as_str();
    let mut taken = false;
    for (_, realm, vm) in survey.observed.vms().filter(|(_, _, vm)| vm.name() == Some(name)) {
        let node = realm.members.get(&vm.node).and_then(|member| member.node.as_ref());
        if (node.is_some() && node == survey.options.without_node.as_ref()) || is_renamed(survey, vm) {
            continue;
        }
        taken = true;
        let (vmid, on) = (vm.vmid, &vm.node);
        let config = vm.config.as_ref();
        let tags = config.and_then(|config| config.get("tags")).map(crate::pve::property::tags).unwrap_or_default();
        let copied = config.and_then(|config| Mark::find(&config.description)).filter(|mark| mark.vmid != vmid);
        let (id, message, hint) = if let Some(mark) = copied {
            let message =
                format!("VM {vmid} on {on} is named {name}, but its mark is VM {}'s: a copy, or restored", mark.vmid);
            let hint = format!("if it is the machine: pvekube adopt {name} --vmid {vmid}; else rename it");
            ("mark-lost", message, hint)
        } else if tags.contains("pvekube") && vm.mark().is_none() {
            let message =
                format!("VM {vmid} on {on} is named {name} and has our tag, but no mark: its Notes were edited");
            ("mark-lost", message, format!("`pvekube adopt {name} --vmid {vmid}` restores the mark"))
        } else {
            let message = format!("VM {vmid} on {on} is named {name} and is not ours");
            ("name-taken", message, format!("rename or remove VM {vmid}, or choose another `cluster` name"))
        };
        report.fail(id, name, message, hint, machine.place.as_ref());
    }
    taken
}

/// Somebody's VM that shares the name of a machine of ours which exists: told, for DNS and people mix them up.
pub(crate) fn namesakes(survey: &Survey<'_>, machine: &Machine, report: &mut Report) {
    let name = machine.name.as_str();
    for (_, _, vm) in survey.observed.vms().filter(|(_, _, vm)| vm.name() == Some(name)) {
        if vm.mark().is_none_or(|mark| mark.cluster != survey.desired.cluster) {
            let message = format!("VM {} on {} has the same name and is not ours", vm.vmid, vm.node);
            report.warn("name-taken", name, message, format!("rename VM {}", vm.vmid), machine.place.as_ref());
        }
    }
}

/// A wanted machine of ours under another's name: this plan gives it its own back.
fn is_renamed(survey: &Survey<'_>, vm: &Vm) -> bool {
    let mark = vm.mark().filter(|mark| mark.cluster == survey.desired.cluster);
    match mark.map(|mark| mark.subject) {
        Some(MarkSubject::Machine(id)) => survey.wanted.contains_key(&id),
        Some(MarkSubject::Template) | None => false,
    }
}

/// What stands against destroying a VM.
pub(crate) fn destroyable(name: &MachineName, found: &Found<'_>, report: &mut Report) {
    let vmid = found.vmid();
    let protected = found.config.get("protection").and_then(crate::pve::property::boolean).unwrap_or(false);
    if protected {
        let message = format!("{name} (VM {vmid}) is protected, so PVE refuses to destroy it");
        report.fail("protected", name, message, format!("on its node: qm set {vmid} --protection 0"), None);
    }
    ha(name, found, "destroy", &format!("ha-manager remove vm:{vmid}"), report);
}

/// HA decides whether its VMs run: `qm start` and `qm shutdown` of one are only requests to it (contract §7).
pub(crate) fn power(name: &MachineName, keep: &Keep<'_>, report: &mut Report) {
    let vmid = keep.found.vmid();
    let (verb, command) = if keep.reboot {
        ("reboot", format!("ha-manager set vm:{vmid} --state ignored"))
    } else if keep.stop {
        ("shut down", format!("ha-manager set vm:{vmid} --state stopped"))
    } else if keep.start {
        ("start", format!("ha-manager set vm:{vmid} --state started"))
    } else {
        return;
    };
    ha(name, &keep.found, verb, &command, report);
}

fn ha(name: &MachineName, found: &Found<'_>, verb: &str, command: &str, report: &mut Report) {
    let Some(state) = found.ha_state() else { return };
    let vmid = found.vmid();
    let message = format!("HA manages {name} (VM {vmid}, state {state}) and would undo it: pvekube does not {verb} it");
    report.fail("ha-managed", name, message, format!("run first, on {}: {command}", found.vm.node), None);
}

/// A lock of somebody else on a VM that is to be touched.
pub(crate) fn lock(name: &str, found: &Found<'_>, report: &mut Report) {
    let Some(lock) = found.config.lock() else { return };
    if existing::half_made(found).is_some() {
        return;
    }
    let vmid = found.vmid();
    let message = format!("{name} (VM {vmid}) is locked ({lock})");
    if lock == "backup" {
        let hint = "apply waits for the backup to end, up to --lock-timeout";
        report.warn("locked", name, message, hint, None);
    } else {
        let hint = match lock {
            // `qm unlock` would throw its memory away.
            "suspended" => format!("it is hibernated; wake it on its node: qm start {vmid}"),
            _ => format!("wait for it; if nothing works on it any more, on its node: qm unlock {vmid}"),
        };
        report.fail("locked", name, message, hint, None);
    }
}

/// Guests get the node's name servers where none are given; one that listens on the node alone is of no use to them.
pub(crate) fn dns(survey: &Survey<'_>, id: &MachineId, choice: &Choice, report: &mut Report) {
    let Some(machine) = survey.wanted.get(id).filter(|machine| machine.cloud_init.nameservers.is_empty()) else {
        return;
    };
    let Some(facts) = survey.site(&choice.node).and_then(|site| site.facts) else { return };
    let local = |server: &String| server.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !facts.nameservers.is_empty() && facts.nameservers.iter().all(local) {
        let list = facts.nameservers.join(" ");
        let message = format!(
            "{} would get the name server of {}, {list}, which only that node reaches",
            machine.name, choice.node
        );
        report.warn("dns-loopback", &machine.name, message, "give `cloud_init.nameserver`", machine.place.as_ref());
    }
}

/// A full clone is as large as its template; disks never shrink.
pub(crate) fn disk_below_template(machine: &Machine, source: &Source<'_>, report: &mut Report) {
    let Some(bytes) = source.disk_bytes.filter(|bytes| *bytes > machine.disk_gb.saturating_mul(GIB)) else { return };
    let has = diff::shown_gb(bytes);
    let (name, node) = (&machine.name, &source.slot.node);
    let message = format!("{name} wants a disk of {} GB, its template on {node} has {has} GB", machine.disk_gb);
    report.fail(
        "disk-below-template",
        name,
        message,
        format!("set its disk_gb to {has} or more"),
        machine.place.as_ref(),
    );
}

/// `--only` and `--replace` name machines; a slip of the pen must not look like a plan with nothing to do.
pub(crate) fn unknown_names(survey: &Survey<'_>, report: &mut Report) {
    let options = survey.options;
    for (flag, names) in [("--only", &options.only), ("--replace", &options.replace)] {
        for name in names {
            let wanted = survey.wanted.values().any(|machine| machine.name == *name);
            let exists = flag == "--only" && survey.ours.keys().any(|id| id.name(&survey.desired.cluster) == *name);
            if !wanted && !exists {
                let message = format!("{flag} {name}: there is no such machine in the manifest");
                report.fail("unknown-machine", name, message, "see `pvekube validate` for the names", None);
            }
        }
    }
}

pub(crate) fn disk(machine: &Machine, keep: &Keep<'_>, report: &mut Report) {
    let name = &machine.name;
    let place = machine.place.as_ref();
    if let Some(have) = keep.diff.shrink_from {
        let has = diff::shown_gb(have);
        let message =
            format!("{name} has a disk of {has} GB, the manifest wants {}: disks never shrink", machine.disk_gb);
        report.fail(
            "disk-shrink",
            name,
            message,
            format!("set its disk_gb to {has} or more, or --replace {name}"),
            place,
        );
    }
    if keep.diff.no_disk {
        let message = format!("{name} (VM {}) has no disk to boot from", keep.found.vmid());
        report.fail("no-disk", name, message, format!("attach its disk again, or --replace {name}"), place);
    }
}
