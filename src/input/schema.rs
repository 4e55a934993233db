//! JSON Schema of the two files, from the sections' own declarations. Draft 7, which every editor's YAML support knows.

use serde_json::{Map, Value, json};

use super::config::Config;
use super::manifest::Manifest;
use super::problem::InputFile;
use super::section::Section;
use super::walk::Read;

/// The schema of a section: its keys, nothing else.
pub fn section<T: Section>(about: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in T::keys() {
        let mut schema = key.schema;
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), Value::String(key.doc));
            if let Some(default) = key.default {
                object.insert("default".to_owned(), default);
            }
            if let Some(example) = super::hint::example_of(key.name, key.example) {
                object.insert("examples".to_owned(), json!([example]));
            }
        }
        if key.required {
            required.push(Value::String(key.name.to_owned()));
        }
        properties.insert(key.name.to_owned(), schema);
    }
    let mut schema = json!({
        "type": "object",
        "description": paragraph(about),
        "properties": properties,
        "additionalProperties": false,
    });
    if let (false, Some(object)) = (required.is_empty(), schema.as_object_mut()) {
        object.insert("required".to_owned(), Value::Array(required));
    }
    schema
}

/// Doc comment lines as one line of text.
pub fn paragraph(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn config() -> Value {
    let mut schema = Config::schema();
    schema["properties"]["proxmox_nodes"]["minItems"] = json!(1);
    titled("pvekube config.yaml", schema)
}

pub fn manifest() -> Value {
    let mut schema = Manifest::schema();
    for pool in ["/properties/masters", "/properties/workers", "/properties/pools/additionalProperties"] {
        if let Some(pool) = schema.pointer_mut(pool) {
            pool["oneOf"] = json!([{"required": ["count"]}, {"required": ["numbers"]}]);
            pool["properties"]["numbers"]["uniqueItems"] = json!(true);
        }
    }
    titled("pvekube cluster.yaml", schema)
}

fn titled(title: &str, schema: Value) -> Value {
    let mut all = Map::new();
    all.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    all.insert("title".to_owned(), json!(title));
    if let Value::Object(schema) = schema {
        all.extend(schema);
    }
    Value::Object(all)
}

/// Every key of a file with the section it is in; free names are `NAME`, list elements have no part of their own.
pub fn all_keys(file: InputFile) -> Vec<(String, String)> {
    let schema = match file {
        InputFile::Config => Config::schema(),
        InputFile::Manifest => Manifest::schema(),
    };
    let mut keys = Vec::new();
    collect(&schema, "", &mut keys);
    keys
}

fn collect(schema: &Value, path: &str, keys: &mut Vec<(String, String)>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(properties) = schema["properties"].as_object() {
        for (name, value) in properties {
            keys.push((path.to_owned(), name.clone()));
            collect(value, &join(name), keys);
        }
    }
    collect_other(&schema["additionalProperties"], &join("NAME"), keys);
    if let Some(patterns) = schema["patternProperties"].as_object() {
        for value in patterns.values() {
            collect(value, &join("NAME"), keys);
        }
    }
    collect_other(&schema["items"], path, keys);
    for value in schema["anyOf"].as_array().into_iter().flatten() {
        collect(value, path, keys);
    }
}

fn collect_other(schema: &Value, path: &str, keys: &mut Vec<(String, String)>) {
    if schema.is_object() {
        collect(schema, path, keys);
    }
}
