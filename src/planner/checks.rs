//! Preflight: what must hold before anything is touched, all at once, each with an id, a subject and a remedy.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::{Download, Machine};
use crate::model::ids::{MachineId, MachineName, NodeName};
use crate::model::observed::NodeFacts;

use super::existing::{Fate, Keep};
use super::placement::Choice;
use super::report::Report;
use super::sources::{Source, Work};
use super::survey::{Found, Site, Survey};
use super::templates::{Slot, SlotState};

pub use super::check_list::{CHECKS, CheckInfo};

/// The oldest PVE that is supported: `ciupgrade` and the way `qm` reports its workers came with it (contract §10).
const OLDEST_MAJOR: u32 = 8;

/// Free space that downloading an image wants: cloud images are 0.3 to 1.5 GiB, and the part file is renamed, not copied.
const IMAGE_SPACE_BYTES: u64 = 2 << 30;

/// One thing about a node: right or wrong.
pub(crate) struct Finding {
    pub(crate) id: &'static str,
    pub(crate) wrong: bool,
    pub(crate) message: String,
    pub(crate) hint: String,
}

fn right(id: &'static str, message: impl Into<String>) -> Finding {
    Finding { id, wrong: false, message: message.into(), hint: String::new() }
}

fn wrong(id: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding { id, wrong: true, message: message.into(), hint: hint.into() }
}

/// Whether machines can be made on a node that answered.
pub(crate) fn node_findings(survey: &Survey<'_>, site: &Site<'_>, facts: &NodeFacts) -> Vec<Finding> {
    let version = &facts.version;
    let mut findings = vec![if version.major < OLDEST_MAJOR {
        let hint = "upgrade the node, or take it out of proxmox_nodes";
        wrong("pve-version", format!("it runs PVE {}; 8.0 is the oldest supported", version.text), hint)
    } else {
        right("pve-version", format!("PVE {}", version.text))
    }];
    if let Some((_, realm)) = site.realm {
        findings.push(if realm.quorate {
            right("quorum", "quorate")
        } else {
            wrong("quorum", "its cluster has no quorum", "bring back enough of its nodes: `pvecm status`")
        });
    }
    findings.push(storage(survey, site, facts));
    findings.push(snippets(survey, site));
    findings.push(bridge(survey, facts));
    findings
}

fn storage(survey: &Survey<'_>, site: &Site<'_>, facts: &NodeFacts) -> Finding {
    let name = &survey.desired.template.storage;
    let hint = "choose another `vm_template.storage_pool`, or mend it under Datacenter → Storage";
    let definition = site.realm.and_then(|(_, realm)| realm.storages.get(name));
    let Some(definition) = definition else {
        return wrong("storage", format!("there is no storage {name}"), hint);
    };
    let elsewhere = definition.nodes.as_ref().is_some_and(|nodes| !nodes.contains(&facts.pve_name));
    if elsewhere {
        return wrong("storage", format!("storage {name} is restricted to other nodes"), hint);
    }
    if !definition.enabled {
        return wrong("storage", format!("storage {name} is disabled"), hint);
    }
    if !definition.content.contains("images") {
        let content: Vec<&str> = definition.content.iter().map(String::as_str).collect();
        return wrong("storage", format!("storage {name} holds no disk images (content: {})", content.join(",")), hint);
    }
    let Some(sample) = facts.storages.get(name) else {
        return wrong("storage", format!("the size of storage {name} is unknown"), "see `pvesm status` on the node");
    };
    let free = sample.total_bytes.saturating_sub(sample.used_bytes);
    right("storage", format!("{name} ({}), {} free", definition.kind, super::capacity::gib(free)))
}

/// A bake needs a storage with a folder for its snippet.
fn snippets(survey: &Survey<'_>, site: &Site<'_>) -> Finding {
    let name = &survey.desired.template.snippet_storage;
    if survey.desired.template.bake.is_none() {
        return right("snippet-storage", "not needed: no bake");
    }
    let path = site.realm.and_then(|(_, realm)| realm.storages.get(name)).and_then(|def| def.path.as_deref());
    match path {
        Some(path) => right("snippet-storage", format!("{name} at {path}")),
        None => {
            let hint = "set `vm_template.snippet_storage` to a directory storage of that node";
            wrong("snippet-storage", format!("storage {name} has no folder for snippets"), hint)
        }
    }
}

fn bridge(survey: &Survey<'_>, facts: &NodeFacts) -> Finding {
    let bridge = &survey.desired.template.bridge;
    if facts.bridges.contains(bridge) {
        return right("bridge", format!("{bridge} is there"));
    }
    let hint = "create it under Node → Network, or choose another `vm_template.network_bridge`";
    wrong("bridge", format!("it has no bridge {bridge}"), hint)
}

/// Every node's findings. A node that can't be used is passed over by placement, so that is a warning; what makes a
/// node unsafe to work with is a failure.
pub(crate) fn nodes(survey: &Survey<'_>, report: &mut Report) {
    for (name, site) in &survey.sites {
        let Some(facts) = site.facts else {
            silent(survey, site, report);
            continue;
        };
        for finding in node_findings(survey, site, facts) {
            let Finding { id, wrong, message, hint } = finding;
            match (wrong, id) {
                (false, _) => report.pass(id, name, message),
                (true, "pve-version" | "quorum") => report.fail(id, name, message, hint, None),
                (true, _) if site.target.schedulable => report.warn(id, name, message, hint, None),
                (true, _) => {}
            }
        }
    }
}

fn silent(survey: &Survey<'_>, site: &Site<'_>, report: &mut Report) {
    let name = &site.target.name;
    let reason = match survey.observed.nodes.get(name) {
        Some(crate::model::observed::NodeState::Silent(silence)) => silence.reason.as_str(),
        Some(crate::model::observed::NodeState::Answered(_)) | None => "it was not asked",
    };
    report.unknown("node-silent", name, format!("no answer: {reason}"), super::unknown::bring_back(name), None);
}

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
        if node.is_some() && node == survey.options.without_node.as_ref() {
            continue;
        }
        taken = true;
        let (vmid, on) = (vm.vmid, &vm.node);
        let config = vm.config.as_ref();
        let tags = config.and_then(|config| config.get("tags")).map(crate::pve::property::tags).unwrap_or_default();
        let (id, message, hint) = if tags.contains("pvekube") && vm.mark().is_none() {
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

/// What stands against destroying a VM.
pub(crate) fn destroyable(name: &MachineName, found: &Found<'_>, report: &mut Report) {
    let vmid = found.vmid();
    let protected = found.config.get("protection").and_then(crate::pve::property::boolean).unwrap_or(false);
    if protected {
        let message = format!("{name} (VM {vmid}) is protected, so PVE refuses to destroy it");
        report.fail("protected", name, message, format!("on its node: qm set {vmid} --protection 0"), None);
    }
    stoppable(name, found, report);
}

/// What stands against stopping, starting or destroying a VM.
pub(crate) fn stoppable(name: &MachineName, found: &Found<'_>, report: &mut Report) {
    let vmid = found.vmid();
    if let Some(state) = found.ha_state() {
        let message = format!("{name} (VM {vmid}) is managed by HA (state {state}), which would undo it");
        report.fail("ha-managed", name, message, format!("run first: ha-manager remove vm:{vmid}"), None);
    }
}

/// A lock of somebody else on a VM that is to be touched.
pub(crate) fn lock(name: &MachineName, found: &Found<'_>, report: &mut Report) {
    let Some(lock) = found.config.lock() else { return };
    if super::existing::half_made(found).is_some() {
        return;
    }
    let vmid = found.vmid();
    let message = format!("{name} (VM {vmid}) is locked ({lock})");
    if lock == "backup" {
        let hint = "apply waits for the backup to end, up to --lock-timeout";
        report.warn("locked", name, message, hint, None);
    } else {
        let hint = format!("wait for it; if nothing works on it any more, on its node: qm unlock {vmid}");
        report.fail("locked", name, message, hint, None);
    }
}

/// What making templates needs: a digest, programs, space for the image.
pub(crate) fn templates<'s, 'a: 's>(
    survey: &Survey<'a>,
    sources: impl Iterator<Item = &'s Source<'a>>,
    report: &mut Report,
) {
    for source in sources.filter(|source| source.is_made()) {
        let node = &source.slot.node;
        if let Work::NoDigest { reason } = &source.work {
            let message = format!("a template is needed on {node}, but the image's digest is unknown: {reason}");
            let hint = "make `checksum_url` reachable, or pin `vm_template.image_digest`";
            report.fail("digest-unknown", node, message, hint, None);
        }
        let Some(facts) = survey.site(node).and_then(|site| site.facts) else { continue };
        let fetched = source.image.as_ref().is_some_and(|digest| !facts.images.contains_key(digest));
        programs(survey, source, facts, fetched, report);
        let too_small = facts.image_space_bytes.is_some_and(|free| free < IMAGE_SPACE_BYTES);
        if fetched && too_small {
            let free = super::capacity::gib(facts.image_space_bytes.unwrap_or(0));
            let message = format!("{free} are free for the image under /var/lib/pvekube, 2.0 GiB are wanted");
            report.fail("image-space", node, message, "make room on the node's root file system", None);
        }
    }
}

fn programs(survey: &Survey<'_>, source: &Source<'_>, facts: &NodeFacts, fetched: bool, report: &mut Report) {
    let spec = &survey.desired.template;
    let wget = fetched && spec.download == Download::Node;
    for (program, needed) in [("wget", wget), ("socat", spec.bake.is_some())] {
        if needed && facts.missing_programs.contains(program) {
            let message = format!("{program} is missing, which making the template needs");
            report.fail("program-missing", &source.slot.node, message, format!("apt install {program}"), None);
        }
    }
}

/// Template ids that belong to something else, where machines are to be made.
pub(crate) fn template_ids(
    slots: &BTreeMap<NodeName, Slot<'_>>,
    fates: &BTreeMap<MachineId, Fate<'_>>,
    report: &mut Report,
) {
    if !fates.values().any(Fate::is_made) {
        return;
    }
    for (node, slot) in slots {
        if let SlotState::Blocked { why, hint } = &slot.state {
            report.fail("template-id", node, why, hint, None);
        }
    }
}

/// The resource pool that clones are put into.
pub(crate) fn pool<'s>(survey: &Survey<'_>, nodes: impl Iterator<Item = &'s NodeName>, report: &mut Report) {
    let Some(pool) = &survey.desired.pve_pool else { return };
    for node in nodes {
        let known =
            survey.site(node).and_then(|site| site.realm).is_some_and(|(_, realm)| realm.pools.contains_key(pool));
        if known {
            report.pass("pool", node, format!("resource pool {pool} is there"));
        } else {
            let message = format!("there is no resource pool {pool}");
            report.fail("pool", node, message, format!("on the node: pvesh create /pools --poolid {pool}"), None);
        }
    }
}

/// What depends on the decisions made.
pub(crate) fn plan(
    survey: &Survey<'_>,
    fates: &BTreeMap<MachineId, Fate<'_>>,
    doomed: &BTreeMap<MachineId, Found<'_>>,
    sources: &BTreeMap<NodeName, Source<'_>>,
    choices: &BTreeMap<MachineId, Choice>,
    report: &mut Report,
) {
    templates(survey, sources.values(), report);
    let used: BTreeSet<&NodeName> = choices.values().map(|choice| &choice.node).collect();
    pool(survey, used.into_iter(), report);
    for (id, fate) in fates {
        let Some(machine) = survey.wanted.get(id) else { continue };
        match fate {
            Fate::Remake { found, requested, .. } => {
                destroyable(&machine.name, found, report);
                if *requested {
                    lock(&machine.name, found, report);
                }
            }
            Fate::Keep(keep) if keep.does_something() => {
                lock(&machine.name, &keep.found, report);
                if keep.start || keep.stop || keep.reboot {
                    stoppable(&machine.name, &keep.found, report);
                }
            }
            Fate::Keep(_) | Fate::Create | Fate::Attach { .. } | Fate::Held => {}
        }
        if let Fate::Keep(keep) = fate {
            disk(machine, keep, report);
        }
    }
    for (id, found) in doomed {
        lock(&id.name(&survey.desired.cluster), found, report);
    }
}

fn disk(machine: &Machine, keep: &Keep<'_>, report: &mut Report) {
    let name = &machine.name;
    let place = machine.place.as_ref();
    if let Some(have) = keep.diff.shrink_from {
        let has = super::diff::shown_gb(have);
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
