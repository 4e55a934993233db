//! What is right and wrong with each node, whatever the manifest asks for.

use crate::model::desired::{Desired, Download};
use crate::model::ids::StorageName;
use crate::model::observed::{NodeFacts, NodeState, Observed, StorageDef, Upstream};
use crate::model::plan::Check;

use crate::planner::capacity::gib;
use crate::planner::report::Report;
use crate::planner::survey::{Site, Survey};
use crate::planner::{PlanOptions, unknown};

/// The oldest PVE that is supported: `ciupgrade` and the way `qm` reports its workers came with it (contract §10).
const OLDEST_MAJOR: u32 = 8;

/// Free space that downloading an image wants: cloud images are 0.3 to 1.5 GiB, and the part file is renamed, not copied.
pub(crate) const IMAGE_SPACE_BYTES: u64 = 2 << 30;

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
            wrong("quorum", "its cluster has no quorum", unknown::QUORUM_HINT)
        });
    }
    findings.push(storage(survey, site, facts));
    findings.push(snippets(survey, site, facts));
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
    if let Some(reason) = out_of_use(name, definition, facts) {
        return wrong("storage", reason, hint);
    }
    if !definition.content.contains("images") {
        let content: Vec<&str> = definition.content.iter().map(String::as_str).collect();
        return wrong("storage", format!("storage {name} holds no disk images (content: {})", content.join(",")), hint);
    }
    let Some(sample) = facts.storages.get(name) else {
        return wrong("storage", format!("the size of storage {name} is unknown"), "see `pvesm status` on the node");
    };
    let free = sample.total_bytes.saturating_sub(sample.used_bytes);
    right("storage", format!("{name} ({}), {} free", definition.kind, gib(free)))
}

/// A bake needs a storage with a folder for its snippet, which PVE reads when the VM starts: only from a storage that is
/// enabled there (Storage.pm `activate_storage`). Its content types don't matter (observed §11).
fn snippets(survey: &Survey<'_>, site: &Site<'_>, facts: &NodeFacts) -> Finding {
    let id = "snippet-storage";
    let name = &survey.desired.template.snippet_storage;
    if survey.desired.template.bake.is_none() {
        return right(id, "not needed: no bake");
    }
    let hint = "set `vm_template.snippet_storage` to a directory storage of that node";
    let definition = site.realm.and_then(|(_, realm)| realm.storages.get(name));
    if let Some(reason) = definition.and_then(|definition| out_of_use(name, definition, facts)) {
        return wrong(id, reason, hint);
    }
    match definition.and_then(|definition| definition.path.as_deref()) {
        Some(path) => right(id, format!("{name} at {path}")),
        None => wrong(id, format!("storage {name} has no folder `snippets`"), hint),
    }
}

/// Why a storage can't be used on a node at all.
fn out_of_use(name: &StorageName, definition: &StorageDef, facts: &NodeFacts) -> Option<String> {
    if definition.nodes.as_ref().is_some_and(|nodes| !nodes.contains(&facts.pve_name)) {
        return Some(format!("storage {name} is restricted to other nodes"));
    }
    (!definition.enabled).then(|| format!("storage {name} is disabled"))
}

fn bridge(survey: &Survey<'_>, facts: &NodeFacts) -> Finding {
    let bridge = &survey.desired.template.bridge;
    if facts.bridges.contains(bridge) {
        return right("bridge", format!("{bridge} is there"));
    }
    let hint = "create it under Node → Network, or choose another `vm_template.network_bridge`";
    wrong("bridge", format!("it has no bridge {bridge}"), hint)
}

/// Every preflight of every node, for `pvekube doctor`: what is right, and what would stand in the way of making
/// machines and templates there, whatever the manifest asks for.
#[must_use]
pub fn doctor(desired: &Desired, observed: &Observed) -> Vec<Check> {
    let options = PlanOptions::default();
    let survey = Survey::new(desired, observed, &options);
    let mut report = Report::default();
    for (name, site) in &survey.sites {
        let Some(facts) = site.facts else {
            silent(&survey, site, &mut report);
            continue;
        };
        let mut findings = node_findings(&survey, site, facts);
        findings.extend(making_findings(&survey, facts));
        for finding in findings {
            match finding.wrong {
                true => report.fail(finding.id, name, finding.message, finding.hint, None),
                false => report.pass(finding.id, name, finding.message),
            }
        }
    }
    super::pool(&survey, survey.sites.keys().copied(), &mut report);
    match &observed.upstream {
        Upstream::Known { digest, source } => {
            report.pass("digest-unknown", "image", format!("{} ({source})", digest.short()));
        }
        Upstream::Unknown { reason } => {
            let hint = "make `checksum_url` reachable, or pin `vm_template.image_digest`";
            report.warn("digest-unknown", "image", format!("the image's digest is unknown: {reason}"), hint, None);
        }
    }
    report.finish().0
}

/// What making a template on a node would need.
fn making_findings(survey: &Survey<'_>, facts: &NodeFacts) -> Vec<Finding> {
    let spec = &survey.desired.template;
    let mut findings = Vec::new();
    for (program, needed) in [("wget", spec.download == Download::Node), ("socat", spec.bake.is_some())] {
        if needed {
            findings.push(if facts.missing_programs.contains(program) {
                wrong("program-missing", format!("{program} is missing"), format!("apt install {program}"))
            } else {
                right("program-missing", format!("{program} is there"))
            });
        }
    }
    if let Some(free) = facts.image_space_bytes {
        let text = format!("{} free for images under /var/lib/pvekube", gib(free));
        findings.push(if free < IMAGE_SPACE_BYTES {
            wrong("image-space", text, "make room on the node's root file system")
        } else {
            right("image-space", text)
        });
    }
    findings
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
                (true, "pve-version") => report.fail(id, name, message, hint, None),
                // Machines of other realms do not wait for it; those of this one are held back, each by name.
                (true, "quorum") => report.unknown(id, name, message, hint, None),
                (true, _) if site.target.schedulable => report.warn(id, name, message, hint, None),
                (true, _) => {}
            }
        }
    }
}

fn silent(survey: &Survey<'_>, site: &Site<'_>, report: &mut Report) {
    let name = &site.target.name;
    // Why it is silent says what to do about it: a host key that is not known is no node that is down.
    let (reason, hint) = match survey.observed.nodes.get(name) {
        Some(NodeState::Silent(silence)) => (silence.reason.as_str(), silence.hint.clone()),
        Some(NodeState::Answered(_)) | None => ("it was not asked", String::new()),
    };
    let hint = if hint.is_empty() { unknown::bring_back(name) } else { hint };
    report.unknown("node-silent", name, format!("no answer: {reason}"), hint, None);
}
