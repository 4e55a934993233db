//! A saved observation: what `observe` prints and `plan --observed` reads.

use serde::{Deserialize, Serialize};

use crate::model::observed::Observed;

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
        observed: observed.clone(),
    };
    // Plain data with string keys: it can't fail to serialize.
    format!("{:#}\n", serde_json::to_value(document).unwrap_or_default())
}

/// # Errors
/// One sentence: not JSON, another format version, or a field that doesn't fit.
pub fn read(text: &str) -> Result<Observed, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let version = value.get("format_version").and_then(serde_json::Value::as_str).unwrap_or("none");
    if version.split('.').next() != FORMAT_VERSION.split('.').next() {
        return Err(format!("its format version is {version}, this pvekube reads {FORMAT_VERSION}"));
    }
    let document: Document =
        serde_json::from_value(value).map_err(|error| format!("it is not an observation: {error}"))?;
    Ok(document.observed)
}
