//! One managed field: whether a value means the same as the wanted one, what people see of it, when it takes effect.

use std::collections::BTreeSet;

use crate::model::plan::{Effect, FieldChange, Setting};
use crate::model::vm_config::VmConfig;
use crate::pve::property::{self, Net, Properties};
use crate::pve::sshkeys;

/// Keys that cloud-init reads: changed at once in the config, seen by the guest at its next boot (contract §4.6).
pub(crate) const CLOUD_INIT_KEYS: [&str; 6] =
    ["ciupgrade", "ciuser", "ipconfig0", "nameserver", "searchdomain", "sshkeys"];

/// What PVE takes when a key is missing; `None`: missing differs from every value.
fn default_of(key: &str) -> Option<&'static str> {
    match key {
        "ciupgrade" | "cores" => Some("1"),
        "onboot" | "protection" => Some("0"),
        "memory" => Some("512"),
        _ => None,
    }
}

/// Whether the value that is there is what is wanted: parsed and normalised, never by string.
pub(crate) fn satisfied(key: &str, current: Option<&str>, wanted: &Setting) -> bool {
    match wanted {
        Setting::Text(_) if key == "agent" => current.is_some_and(agent_enabled),
        Setting::Text(text) => current.or(default_of(key)).is_some_and(|value| property::equal(key, value, text)),
        Setting::SshKeys(keys) => current.is_some_and(|value| sshkeys::lines(value) == sshkeys::key_lines(keys)),
        Setting::Net { model, bridge, vlan } => current.and_then(|value| Net::parse(value).ok()).is_some_and(|net| {
            net.model == *model
                && net.bridge() == Some(bridge)
                && net.rest.get("tag").is_some() == vlan.is_some()
                && net.vlan() == *vlan
        }),
        Setting::Tags(tags) => {
            let there = property::tags(current.unwrap_or_default());
            tags.iter().all(|tag| there.contains(&tag.to_lowercase()))
        }
        Setting::Description(mark) => {
            current.is_some_and(|text| text.lines().any(|line| line.trim() == mark.to_string()))
        }
    }
}

fn agent_enabled(value: &str) -> bool {
    let properties = Properties::parse(value, Some("enabled")).unwrap_or_default();
    properties.get("enabled").and_then(property::boolean).unwrap_or(false)
}

/// The setting as it is sent: options of the agent that others set stay.
pub(crate) fn merged(key: &str, current: Option<&str>, wanted: &Setting) -> Setting {
    match (key, current, wanted) {
        ("agent", Some(value), Setting::Text(_)) => match Properties::parse(value, Some("enabled")) {
            Ok(mut properties) => {
                properties.set("enabled", "1");
                Setting::Text(properties.to_string())
            }
            Err(_) => wanted.clone(),
        },
        (_, _, _) => wanted.clone(),
    }
}

/// When a change of a key shows in a running VM (contract §6; observed §7). On a stopped one all is at once.
pub(crate) fn effect(key: &str, config: &VmConfig, running: bool) -> Effect {
    if !running {
        return Effect::Live;
    }
    if CLOUD_INIT_KEYS.contains(&key) {
        return Effect::NextBoot;
    }
    match key {
        "cores" | "memory" | "balloon" | "agent" => Effect::Reboot,
        "net0" if !hotplugs_network(config) => Effect::Reboot,
        _ => Effect::Live,
    }
}

/// `hotplug:` lists what may change while running; missing or 1: network, disk and USB.
fn hotplugs_network(config: &VmConfig) -> bool {
    match config.get("hotplug") {
        None | Some("1") => true,
        Some(list) => list.split([',', ';', ' ']).any(|word| word == "network"),
    }
}

/// The difference of one key for people; `net0` may be several.
pub(crate) fn changes(key: &str, current: Option<&str>, wanted: &Setting, effect: Effect) -> Vec<FieldChange> {
    match wanted {
        Setting::Net { model, bridge, vlan } => net_changes(current, model, bridge, *vlan, effect),
        Setting::Text(_) | Setting::SshKeys(_) | Setting::Tags(_) | Setting::Description(_) => {
            let change = FieldChange {
                field: field_name(key).to_owned(),
                old: current.map(|value| shown_value(key, value)),
                new: Some(shown_setting(key, current, &merged(key, current, wanted))),
                effect,
                comment: comment(key, effect).map(str::to_owned),
                sensitive: false,
            };
            vec![change]
        }
    }
}

fn net_changes(
    current: Option<&str>,
    model: &str,
    bridge: &str,
    vlan: Option<u16>,
    effect: Effect,
) -> Vec<FieldChange> {
    let net = current.and_then(|value| Net::parse(value).ok());
    let old_bridge = net.as_ref().and_then(|net| net.bridge().map(str::to_owned));
    let old_vlan = net.as_ref().and_then(|net| net.rest.get("tag").map(str::to_owned));
    let all = [
        ("bridge", old_bridge, Some(bridge.to_owned())),
        ("model", net.as_ref().map(|net| net.model.clone()), Some(model.to_owned())),
        ("vlan", old_vlan, vlan.map(|tag| tag.to_string())),
    ];
    let differing = all.into_iter().filter(|(_, old, new)| old != new);
    let change = |(field, old, new): (&str, Option<String>, Option<String>)| FieldChange {
        field: field.to_owned(),
        old,
        new,
        effect,
        comment: None,
        sensitive: false,
    };
    differing.map(change).collect()
}

/// As the manifest calls it.
pub(crate) fn field_name(key: &str) -> &str {
    match key {
        "cores" => "cpus",
        "memory" => "memory_mb",
        other => other,
    }
}

fn comment(key: &str, effect: Effect) -> Option<&'static str> {
    match (key, effect) {
        ("name", Effect::Live) => Some("the guest's host name follows at its next boot"),
        (_, _) => None,
    }
}

/// A config value for people: keys by fingerprint, memory as a number.
pub(crate) fn shown_value(key: &str, value: &str) -> String {
    match key {
        "sshkeys" => shown_keys(&sshkeys::lines(value)),
        "memory" => property::memory_mb(value).map_or_else(|| value.to_owned(), |megabytes| megabytes.to_string()),
        "tags" => property::joined_tags(&property::tags(value)),
        "net0" | "ipconfig0" | "startup" => property::canonical(key, value),
        _ => value.to_owned(),
    }
}

pub(crate) fn shown_setting(key: &str, current: Option<&str>, wanted: &Setting) -> String {
    match wanted {
        Setting::Text(text) => shown_value(key, text),
        Setting::SshKeys(keys) => shown_keys(&sshkeys::key_lines(keys)),
        Setting::Net { model, bridge, vlan } => {
            let tag = vlan.map_or_else(String::new, |tag| format!(",tag={tag}"));
            format!("{model},bridge={bridge}{tag}")
        }
        Setting::Tags(tags) => {
            let mut all = property::tags(current.unwrap_or_default());
            all.extend(tags.iter().map(|tag| tag.to_lowercase()));
            property::joined_tags(&all)
        }
        Setting::Description(mark) => mark.to_string(),
    }
}

/// One line a key, by its fingerprint.
fn shown_keys(keys: &BTreeSet<String>) -> String {
    let line = |key: &String| sshkeys::label(key).unwrap_or_else(|| "(no public key)".to_owned());
    keys.iter().map(line).collect::<Vec<_>>().join("\n")
}
