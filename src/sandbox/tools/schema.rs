//! JSON schema as PVE uses it: types of options, property strings, and the exact words of a refusal
//! (PVE/JSONSchema.pm `check_prop`, `parse_property_string`).

mod format;
mod options;
mod read;

pub use format::Format;
pub use format::split_list;
pub use options::{Options, Parsed, Refusal, parse};
pub use read::{agent_commands, schema};

use std::collections::BTreeMap;

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Boolean,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Enumeration(Vec<String>),
    Text(Format),
    /// `key=value,…`
    Properties(Vec<Property>),
}

/// One key of a property string.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    pub name: String,
    /// May stand without its name.
    pub default_key: bool,
    pub required: bool,
    /// `model=virtio` may be written `virtio=MAC`: this key takes the name, `macaddr` the value.
    pub alias_to: Option<(String, String)>,
    pub kind: Type,
}

/// Checks one value; the error is what PVE puts after `name: `.
pub fn check(path: &str, kind: &Type, value: &str) -> Result<(), String> {
    match kind {
        Type::Boolean => match value {
            "0" | "1" => Ok(()),
            other => Err(format!("type check ('boolean') failed - got '{other}'")),
        },
        Type::Integer { min, max } => {
            let number: i64 = value.parse().map_err(|_| format!("type check ('integer') failed - got '{value}'"))?;
            in_range(number as f64, min.map(|m| m as f64), max.map(|m| m as f64))
        }
        Type::Number { min, max } => {
            let number: f64 = value.parse().map_err(|_| format!("type check ('number') failed - got '{value}'"))?;
            in_range(number, *min, *max)
        }
        Type::Enumeration(choices) if choices.iter().any(|choice| choice == value) => Ok(()),
        Type::Enumeration(choices) => {
            Err(format!("value '{value}' does not have a value in the enumeration '{}'", choices.join(", ")))
        }
        Type::Text(format) => format.check(value),
        Type::Properties(properties) => parse_properties(path, properties, value).map(drop),
    }
}

fn in_range(number: f64, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    if let Some(min) = min.filter(|min| number < *min) {
        return Err(format!("value must have a minimum value of {min}"));
    }
    if let Some(max) = max.filter(|max| number > *max) {
        return Err(format!("value must have a maximum value of {max}"));
    }
    Ok(())
}

/// Splits and checks a property string. `path` is the option's name, for the inner complaints.
pub fn parse_properties(path: &str, schema: &[Property], value: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let bad = |text: &str| Err(format!("invalid format - {text}\n"));
    for part in value.split(',').filter(|part| !part.trim().is_empty()) {
        let part = part.trim();
        let (key, text) = match part.split_once('=') {
            Some((key, text)) if !key.is_empty() => (key.to_owned(), text.to_owned()),
            Some(_) | None => match schema.iter().find(|property| property.default_key) {
                Some(default) => (default.name.clone(), part.to_owned()),
                None => return bad("value without key, but schema does not define a default key"),
            },
        };
        let alias = schema.iter().find(|p| p.name == key).and_then(|p| p.alias_to.clone());
        let pairs = match alias {
            Some((name_key, value_key)) => vec![(name_key, key), (value_key, text)],
            None => vec![(key, text)],
        };
        for (key, text) in pairs {
            let text = match schema.iter().find(|p| p.name == key).map(|p| &p.kind) {
                Some(Type::Boolean) => boolean(&text).unwrap_or(&text).to_owned(),
                Some(_) | None => text,
            };
            if found.insert(key.clone(), text).is_some() {
                return bad(&format!("duplicate key in comma-separated list property: {key}"));
            }
        }
    }
    let problems = property_problems(path, schema, &found);
    if problems.is_empty() { Ok(found) } else { bad(&format!("format error\n{}", problems.join("\n"))) }
}

fn property_problems(path: &str, schema: &[Property], found: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems: BTreeMap<String, String> = BTreeMap::new();
    for (key, text) in found {
        let checked = match schema.iter().find(|property| property.name == *key && property.alias_to.is_none()) {
            Some(property) => check(key, &property.kind, text),
            None => Err("property is not defined in schema and the schema does not allow additional properties".into()),
        };
        if let Err(problem) = checked {
            problems.insert(key.clone(), problem);
        }
    }
    for property in schema.iter().filter(|property| property.required && !found.contains_key(&property.name)) {
        problems.insert(property.name.clone(), "property is missing and it is not optional".into());
    }
    for (needy, needed) in [("gw", "ip"), ("gw6", "ip6")] {
        if found.contains_key(needy) && !found.contains_key(needed) && schema.iter().any(|p| p.name == needy) {
            problems.insert(needed.into(), format!("missing property required by '{path}.{needy}'"));
        }
    }
    problems.into_iter().map(|(key, problem)| format!("{path}.{key}: {problem}")).collect()
}

/// The forms of a boolean on a command line, as `1` or `0`.
pub fn boolean(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some("1"),
        "0" | "off" | "no" | "false" => Some("0"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
