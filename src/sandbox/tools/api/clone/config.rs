//! The config of a clone: everything of its source but what must be new (contract §5).

use super::super::super::call::Call;
use super::super::super::conf::Config;
use super::super::super::drives::{self, Drive};
use super::super::super::schema::{Type, parse_properties, schema};
use super::Plan;

/// The target's config without its drives, and the drives to copy.
pub(super) fn fresh_config(call: &Call<'_>, config: &Config, plan: &Plan<'_>) -> (Config, Vec<(String, Drive)>) {
    let mut new = Config { vmid: plan.target, file: Default::default(), digest: String::new() };
    let mut todo = Vec::new();
    new.file.main.description.clone_from(&config.file.main.description);
    for (key, value) in &config.file.main.keys {
        let skip = matches!(key.as_str(), "template" | "lock" | "parent" | "snapstate" | "snaptime" | "runningcpu")
            || key.starts_with("unused");
        match Drive::parse(key, value).filter(|_| drives::is_drive_key(key)) {
            Some(drive) if drive.volume().is_some_and(|volume| volume.owner().is_some()) => {
                todo.push((key.clone(), drive));
            }
            Some(_) => new.set(key, value.clone()),
            None if skip => {}
            None if key.starts_with("net") && key[3..].bytes().all(|b| b.is_ascii_digit()) => {
                new.set(key, with_new_mac(call, key, value));
            }
            None => new.set(key, value.clone()),
        }
    }
    let world = &call.node.world;
    if new.get("vmgenid").is_some() {
        new.set("vmgenid", world.fresh_uuid());
    }
    new.set("smbios1", new_uuid(new.get("smbios1").unwrap_or_default(), &world.fresh_uuid()));
    let name = match plan.values.get("name") {
        Some(name) => name.clone(),
        None => format!("Copy-of-VM-{}", config.get("name").map_or_else(|| plan.source.to_string(), str::to_owned)),
    };
    new.set("name", name);
    if let Some(description) = plan.values.get("description").filter(|text| !text.is_empty()) {
        new.file.main.description = description.trim_end().to_owned();
    }
    new.set("lock", "clone");
    todo.sort_by(|a, b| a.0.cmp(&b.0));
    (new, todo)
}

fn with_new_mac(call: &Call<'_>, key: &str, value: &str) -> String {
    let Some(Type::Properties(properties)) = schema().get(key) else { return value.to_owned() };
    let Ok(mut parts) = parse_properties(key, properties, value) else { return value.to_owned() };
    let model = parts.remove("model").unwrap_or_default();
    parts.remove("macaddr");
    let rest: String = parts.iter().map(|(name, value)| format!(",{name}={value}")).collect();
    format!("{model}={}{rest}", call.node.world.fresh_mac())
}

fn new_uuid(smbios: &str, uuid: &str) -> String {
    let rest = smbios.split(',').filter(|part| !part.is_empty() && !part.starts_with("uuid="));
    rest.map(str::to_owned).chain([format!("uuid={uuid}")]).collect::<Vec<_>>().join(",")
}
