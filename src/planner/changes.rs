//! Differences of one resource, as people and policies read them.

use crate::model::desired::Machine;
use crate::model::ids::{MachineId, NodeName, Vmid};
use crate::model::observed::{NodeFacts, Upstream};
use crate::model::plan::{Change, ChangeAction, Effect, FieldChange, MachineSpec, Target, TemplateNote};

use super::existing::{Attach, Keep};
use super::sources::{Source, Work};
use super::survey::{Found, Survey};
use super::{fields, machine_steps, settings, template_steps};

pub(crate) fn spec(machine: &Machine) -> MachineSpec {
    MachineSpec {
        size: machine.size.clone(),
        cores: machine.cores,
        memory_mb: machine.memory_mb,
        disk_gb: machine.disk_gb,
        network: machine.network.clone(),
    }
}

/// A machine that is cloned; `old` is what is destroyed for it.
pub(crate) fn made(
    survey: &Survey<'_>,
    machine: &Machine,
    node: &NodeName,
    vmid: Vmid,
    why_node: &str,
    old: Option<&str>,
) -> Option<Change> {
    let site = survey.site(node)?;
    let (realm, _) = site.realm?;
    Some(Change {
        target: machine_steps::target(survey, &machine.id),
        action: if old.is_some() { ChangeAction::Replace } else { ChangeAction::Create },
        reason: old.unwrap_or("in the manifest, does not exist").to_owned(),
        node: node.clone(),
        realm: realm.clone(),
        vmid,
        why_node: Some(why_node.to_owned()),
        fields: site.facts.map(|facts| all_fields(machine, facts)).unwrap_or_default(),
        unchanged_fields: 0,
        spec: Some(spec(machine)),
        template: None,
        place: machine.place.clone(),
    })
}

/// Every field of a new machine.
fn all_fields(machine: &Machine, facts: &NodeFacts) -> Vec<FieldChange> {
    let mut all = settings::machine(machine, facts);
    all.insert("name".to_owned(), settings::text(&machine.name));
    let mut changes: Vec<FieldChange> =
        all.iter().flat_map(|(key, wanted)| fields::changes(key, None, wanted, Effect::Live)).collect();
    changes.push(FieldChange {
        field: "disk_gb".to_owned(),
        old: None,
        new: Some(machine.disk_gb.to_string()),
        effect: Effect::Live,
        comment: None,
        sensitive: false,
    });
    changes.retain(|change| change.new.is_some());
    changes.sort_by(|a, b| a.field.cmp(&b.field));
    changes
}

pub(crate) fn kept(survey: &Survey<'_>, machine: &Machine, keep: &Keep<'_>) -> Option<Change> {
    let mut fields = keep.diff.fields.clone();
    if keep.reboot || !keep.does_something() {
        fields.extend(keep.diff.waiting.clone());
        fields.sort_by(|a, b| a.field.cmp(&b.field));
    }
    let (action, reason) = kept_reason(keep);
    Some(Change {
        target: machine_steps::target(survey, &machine.id),
        action,
        reason: reason.to_owned(),
        node: keep.found.node?.clone(),
        realm: keep.found.realm_id.clone(),
        vmid: keep.found.vmid(),
        why_node: None,
        unchanged_fields: keep.diff.unchanged,
        fields,
        spec: Some(spec(machine)),
        template: None,
        place: machine.place.clone(),
    })
}

fn kept_reason(keep: &Keep<'_>) -> (ChangeAction, &'static str) {
    if keep.fresh {
        return (ChangeAction::Resume, "cloned by an earlier run, not yet configured");
    }
    match (keep.diff.is_empty(), keep.start, keep.stop, keep.reboot) {
        (true, true, _, _) => (ChangeAction::Resume, "stopped; will be started"),
        (true, _, true, _) => (ChangeAction::Update, "`power: off`; will be shut down"),
        (true, _, _, true) => (ChangeAction::Update, "reboots, for what waits for it"),
        (false, true, _, _) => (ChangeAction::Update, "differs from the manifest; stopped, will be started"),
        (false, _, true, _) => (ChangeAction::Update, "differs from the manifest; will be shut down"),
        (false, _, _, true) => (ChangeAction::Update, "differs from the manifest; reboots"),
        (false, false, false, false) => (ChangeAction::Update, "differs from the manifest"),
        (true, false, false, false) => (ChangeAction::None, "takes effect at its next reboot"),
    }
}

pub(crate) fn attached(survey: &Survey<'_>, id: &MachineId, attach: &Attach<'_>) -> Change {
    let verbs: Vec<&str> = attach.operations.iter().map(|operation| operation.verb.as_str()).collect();
    let verbs = verbs.join(", ");
    Change {
        target: machine_steps::target(survey, id),
        action: ChangeAction::Resume,
        reason: format!("{verbs} of an earlier run still runs; waited for, then planned anew"),
        node: attach.node.clone(),
        realm: attach.realm_id.clone(),
        vmid: attach.vmid,
        why_node: None,
        fields: Vec::new(),
        unchanged_fields: 0,
        spec: survey.wanted.get(id).map(|machine| spec(machine)),
        template: None,
        place: survey.wanted.get(id).and_then(|machine| machine.place.clone()),
    }
}

/// Ours, not in the manifest, and left as it is.
pub(crate) fn left_alone(survey: &Survey<'_>, id: &MachineId, found: &Found<'_>, reason: &str) -> Option<Change> {
    Some(Change { action: ChangeAction::None, reason: reason.to_owned(), ..deleted(survey, id, found)? })
}

pub(crate) fn deleted(survey: &Survey<'_>, id: &MachineId, found: &Found<'_>) -> Option<Change> {
    let reason = if survey.options.destroy { "destroy was asked for" } else { "not in the manifest" };
    Some(Change {
        target: machine_steps::target(survey, id),
        action: ChangeAction::Delete,
        reason: reason.to_owned(),
        node: found.node?.clone(),
        realm: found.realm_id.clone(),
        vmid: found.vmid(),
        why_node: None,
        fields: Vec::new(),
        unchanged_fields: 0,
        spec: None,
        template: None,
        place: None,
    })
}

/// A template that is made, made anew, or waited for.
pub(crate) fn template(survey: &Survey<'_>, source: &Source<'_>) -> Option<Change> {
    let (action, reason) = match &source.work {
        Work::Use => return None,
        Work::Wait => (ChangeAction::Resume, "an earlier run still makes it; waited for, then planned anew".to_owned()),
        Work::Make { old: Some(_), why } => (ChangeAction::Replace, why.clone()),
        Work::Make { old: None, why } => (ChangeAction::Create, why.clone()),
        Work::NoDigest { .. } => (ChangeAction::Create, "machines are to be cloned there".to_owned()),
    };
    Some(Change {
        target: template_steps::target(survey),
        action,
        reason,
        node: source.slot.node.clone(),
        realm: source.slot.realm_id.clone(),
        vmid: source.vmid(),
        why_node: None,
        fields: Vec::new(),
        unchanged_fields: 0,
        spec: None,
        // What an earlier run makes it from is that run's affair.
        template: (!matches!(source.work, Work::Wait)).then(|| template_note(survey, source)),
        place: None,
    })
}

pub(crate) fn template_deleted(survey: &Survey<'_>, found: &Found<'_>, reason: &str) -> Option<Change> {
    standing_template(survey, found, ChangeAction::Delete, reason)
}

/// Only its image file goes.
pub(crate) fn image_left(survey: &Survey<'_>, found: &Found<'_>) -> Option<Change> {
    let reason = "an earlier run left its image file on the node; the file is removed";
    standing_template(survey, found, ChangeAction::Resume, reason)
}

fn standing_template(survey: &Survey<'_>, found: &Found<'_>, action: ChangeAction, reason: &str) -> Option<Change> {
    Some(Change {
        target: Target::Template { name: found.vm.name().unwrap_or(&survey.desired.template.name).to_owned() },
        action,
        reason: reason.to_owned(),
        node: found.node?.clone(),
        realm: found.realm_id.clone(),
        vmid: found.vmid(),
        why_node: None,
        fields: Vec::new(),
        unchanged_fields: 0,
        spec: None,
        template: None,
        place: None,
    })
}

fn template_note(survey: &Survey<'_>, source: &Source<'_>) -> TemplateNote {
    let spec = &survey.desired.template;
    let facts = survey.site(&source.slot.node).and_then(|site| site.facts);
    let cached = facts.zip(source.image.as_ref()).is_some_and(|(facts, digest)| facts.images.contains_key(digest));
    let way = match (cached, spec.download) {
        (true, _) => "already on the node",
        (false, crate::model::desired::Download::Node) => "downloaded on each node",
        (false, crate::model::desired::Download::Controller) => "streamed from here",
    };
    let digest_source = match &survey.observed.upstream {
        Upstream::Known { source, .. } => source.clone(),
        Upstream::Unknown { reason } => reason.clone(),
    };
    TemplateNote {
        storage: spec.storage.clone(),
        storage_local: !source.slot.shared,
        image_url: spec.image_url.clone(),
        digest: source.image.clone(),
        digest_source,
        image_way: way.to_owned(),
        bake: spec.bake.as_ref().map(bake_words),
    }
}

/// `qemu-guest-agent, containerd, by cloud-init over DHCP`.
fn bake_words(bake: &crate::model::desired::Bake) -> String {
    let mut parts = vec!["qemu-guest-agent".to_owned()];
    parts.extend(bake.packages.iter().filter(|package| *package != "qemu-guest-agent").cloned());
    if !bake.commands.is_empty() {
        let plural = if bake.commands.len() == 1 { "" } else { "s" };
        parts.push(format!("{} command{plural}", bake.commands.len()));
    }
    let way = match &bake.network.ipv4 {
        crate::model::desired::Address::Dhcp => "DHCP".to_owned(),
        crate::model::desired::Address::Static { address, .. } => address.to_string(),
    };
    format!("{}, by cloud-init over {way}", parts.join(", "))
}
