//! One change as an OpenTofu `resource_changes[]` entry.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::document::{ActionOut, ChangeOut, EffectOut, ResourceChange};
use crate::model::desired::{Address, Network};
use crate::model::plan::{
    Change, ChangeAction, Effect, FieldChange, HazardKind, MachineSpec, Plan, Target, TemplateNote,
};
use crate::render::steps::address;
use crate::render::values::sensitive;

pub(super) fn resource(plan: &Plan, change: &Change) -> ResourceChange {
    let (kind, name, index) = match &change.target {
        Target::Template { name } => ("pvekube_template", name.clone(), Some(change.node.to_string())),
        Target::Machine { name, .. } => ("pvekube_machine", name.to_string(), None),
    };
    ResourceChange {
        address: address(&change.target, change.node.as_str()),
        mode: "managed".to_owned(),
        kind: kind.to_owned(),
        name,
        index,
        provider_name: "pvekube".to_owned(),
        change: change_out(change),
        action_reason: action_reason(plan, change).map(str::to_owned),
        reason: change.reason.clone(),
        place: change.place.as_ref().map(super::place),
    }
}

fn change_out(change: &Change) -> ChangeOut {
    let (actions, exists_before, exists_after) = match change.action {
        ChangeAction::Create => (vec![ActionOut::Create], false, true),
        ChangeAction::Update | ChangeAction::Resume => (vec![ActionOut::Update], true, true),
        ChangeAction::Replace => (vec![ActionOut::Delete, ActionOut::Create], true, true),
        ChangeAction::Delete => (vec![ActionOut::Delete], true, false),
        ChangeAction::None => (vec![ActionOut::NoOp], true, true),
    };
    let hidden = |side: fn(&FieldChange) -> &Option<String>| -> BTreeMap<String, bool> {
        let fields = change.fields.iter().filter(|field| field.sensitive && side(field).is_some());
        fields.map(|field| (field.field.clone(), true)).collect()
    };
    let recreated = change.fields.iter().filter(|field| field.effect == Effect::Recreate);
    let replaced = change.action == ChangeAction::Replace;
    ChangeOut {
        actions,
        before: exists_before.then(|| values(change, |field| &field.old)),
        after: exists_after.then(|| values(change, |field| &field.new)),
        after_unknown: after_unknown(change),
        before_sensitive: if exists_before { hidden(|field| &field.old) } else { BTreeMap::new() },
        after_sensitive: if exists_after { hidden(|field| &field.new) } else { BTreeMap::new() },
        replace_paths: recreated.filter(|_| replaced).map(|field| vec![field.field.clone()]).collect(),
        effects: change.fields.iter().map(|field| (field.field.clone(), effect(field.effect))).collect(),
    }
}

/// What is so on one side of the change: the spec, and over it that side of each field.
fn values(change: &Change, side: fn(&FieldChange) -> &Option<String>) -> Map<String, Value> {
    let mut values = Map::new();
    let mut put = |key: &str, value: Value| {
        values.insert(key.to_owned(), value);
    };
    match &change.target {
        Target::Template { name } => put("name", name.as_str().into()),
        Target::Machine { name, id, role } => {
            put("name", name.as_str().into());
            put("role", role.to_string().into());
            put("pool", id.pool.stem().into());
            put("number", id.number.into());
        }
    }
    put("node", change.node.as_str().into());
    put("realm", change.realm.as_str().into());
    put("vmid", change.vmid.0.into());
    if let Some(spec) = &change.spec {
        put_spec(&mut put, spec);
    }
    if let Some(note) = &change.template {
        put_note(&mut put, note);
    }
    for field in &change.fields {
        let value = side(field).as_deref().map(|text| if field.sensitive { sensitive(text) } else { text.to_owned() });
        put(&field.field, value.map_or(Value::Null, |text| typed(&field.field, text)));
    }
    values
}

fn put_spec(put: &mut impl FnMut(&str, Value), spec: &MachineSpec) {
    let MachineSpec { size, cores, memory_mb, disk_gb, network } = spec;
    let Network { bridge, vlan, ipv4, ipv6 } = network;
    put("size", size.as_str().into());
    put("cpus", (*cores).into());
    put("memory_mb", (*memory_mb).into());
    put("disk_gb", (*disk_gb).into());
    put("bridge", bridge.as_str().into());
    put("vlan", (*vlan).into());
    let (address, gateway) = address_of(ipv4);
    put("address", address);
    put("gateway", gateway);
    if let Some(ipv6) = ipv6 {
        let (address, gateway) = address_of(ipv6);
        put("address6", address);
        put("gateway6", gateway);
    }
}

/// Null for an address that DHCP gives.
fn address_of(address: &Address) -> (Value, Value) {
    match address {
        Address::Dhcp => (Value::Null, Value::Null),
        Address::Static { address, gateway } => {
            (address.to_string().into(), gateway.map_or(Value::Null, |gateway| gateway.to_string().into()))
        }
    }
}

fn put_note(put: &mut impl FnMut(&str, Value), note: &TemplateNote) {
    put("storage", note.storage.as_str().into());
    put("image_url", note.image_url.as_str().into());
    put("image_digest", note.digest.as_ref().map_or(Value::Null, |digest| digest.as_str().into()));
    put("bake", note.bake.as_deref().into());
}

fn after_unknown(change: &Change) -> BTreeMap<String, bool> {
    let made = matches!(change.action, ChangeAction::Create | ChangeAction::Replace);
    let network = change.spec.as_ref().map(|spec| &spec.network).filter(|_| made);
    let mut unknown = BTreeMap::new();
    if let Some(Network { ipv4, ipv6, .. }) = network {
        if *ipv4 == Address::Dhcp {
            unknown.insert("address".to_owned(), true);
        }
        if *ipv6 == Some(Address::Dhcp) {
            unknown.insert("address6".to_owned(), true);
        }
    }
    unknown
}

/// Fields that are numbers or yes and no are so in JSON too.
fn typed(field: &str, text: String) -> Value {
    const NUMBERS: [&str; 5] = ["cpus", "memory_mb", "disk_gb", "vlan", "vmid"];
    const FLAGS: [&str; 3] = ["onboot", "protection", "power"];
    if NUMBERS.contains(&field)
        && let Ok(number) = text.parse::<u64>()
    {
        return number.into();
    }
    match text.as_str() {
        "1" | "true" | "on" if FLAGS.contains(&field) => true.into(),
        "0" | "false" | "off" if FLAGS.contains(&field) => false.into(),
        _ => text.into(),
    }
}

fn effect(effect: Effect) -> EffectOut {
    match effect {
        Effect::Live => EffectOut::Live,
        Effect::NextBoot => EffectOut::NextBoot,
        Effect::Reboot => EffectOut::Reboot,
        Effect::Recreate => EffectOut::Recreate,
    }
}

/// OpenTofu's codes, where one fits.
fn action_reason(plan: &Plan, change: &Change) -> Option<&'static str> {
    match change.action {
        ChangeAction::Delete => Some("delete_because_no_resource_config"),
        ChangeAction::Replace if asked_for(plan, &change.target) => Some("replace_by_request"),
        ChangeAction::Replace if change.fields.iter().any(|field| field.effect == Effect::Recreate) => {
            Some("replace_because_cannot_update")
        }
        ChangeAction::Replace => Some("replace_because_tainted"),
        ChangeAction::Create | ChangeAction::Update | ChangeAction::Resume | ChangeAction::None => None,
    }
}

/// Named by a `replace` hazard: that is what `--replace` and `--replace-outdated` make; half-made ones need no consent.
fn asked_for(plan: &Plan, target: &Target) -> bool {
    let Target::Machine { name, .. } = target else { return false };
    plan.hazards.iter().any(|hazard| hazard.kind == HazardKind::Replace && hazard.machines.contains(name))
}
