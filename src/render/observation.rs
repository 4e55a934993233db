//! A saved observation: what `observe` prints and `plan --observed` reads.

use serde::{Deserialize, Serialize};

use super::json::pretty;
use crate::model::observed::{Guest, Observed};
use crate::model::vm_config::VmConfig;

/// A reader of another major version refuses.
const FORMAT_VERSION: &str = "1.0";

#[derive(Serialize, Deserialize)]
struct Document {
    format_version: String,
    pvekube_version: String,
    observed: Observed,
}

/// Indented JSON with a newline at its end; the same observation gives the same bytes.
pub fn write(observed: &Observed) -> String {
    let document = Document {
        format_version: FORMAT_VERSION.to_owned(),
        pvekube_version: env!("CARGO_PKG_VERSION").to_owned(),
        observed: without_secrets(observed),
    };
    // Plain data with string keys: it can't fail to serialize.
    pretty(&serde_json::to_value(document).unwrap_or_default())
}

/// Config keys that may hold a secret, and that planning never reads.
const SECRET_KEYS: [&str; 2] = ["args", "cipassword"];

/// The observation without passwords, and without people's own words in a VM's Notes: of those, planning reads our mark.
fn without_secrets(observed: &Observed) -> Observed {
    let mut observed = observed.clone();
    for guest in observed.realms.values_mut().flat_map(|realm| realm.guests.values_mut()) {
        if let Guest::Vm(vm) = guest
            && let Some(config) = &mut vm.config
        {
            let VmConfig { description, keys, pending, pending_delete: _, cloudinit, snapshots: _, digest: _ } = config;
            *description =
                description.lines().filter(|line| line.trim().starts_with("pvekube/")).collect::<Vec<_>>().join("\n");
            for values in [keys, pending, cloudinit] {
                values.retain(|key, _| !SECRET_KEYS.contains(&key.as_str()));
            }
        }
    }
    observed
}

/// # Errors
/// One sentence: not JSON, another format version, or a field that doesn't fit.
pub fn read(text: &str) -> Result<Observed, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let version = value.get("format_version").and_then(serde_json::Value::as_str);
    let version = version.ok_or_else(|| "it is not an observation: it has no `format_version`".to_owned())?;
    if version.split('.').next() != FORMAT_VERSION.split('.').next() {
        return Err(format!("its format version is {version}, this pvekube reads {FORMAT_VERSION}"));
    }
    let document: Document =
        serde_json::from_value(value).map_err(|error| format!("it is not an observation: {error}"))?;
    Ok(document.observed)
}
