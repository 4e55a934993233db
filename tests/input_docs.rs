//! Schemas and reference tables are made from the code; `UPDATE_DOCS=1 cargo test --test input_docs` writes them.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use pvekube::input;
use serde_json::Value;

fn path(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Compares a file with what it should be, or writes it.
fn same(name: &str, wanted: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(name), wanted).unwrap();
    }
    let found = std::fs::read_to_string(path(name)).unwrap_or_default();
    assert!(found == wanted, "{name} is out of date: UPDATE_DOCS=1 cargo test --test input_docs");
}

#[test]
fn the_schemas_are_written_down() {
    same("docs/config.schema.json", &format!("{}\n", serde_json::to_string_pretty(&input::schema_config()).unwrap()));
    same(
        "docs/cluster.schema.json",
        &format!("{}\n", serde_json::to_string_pretty(&input::schema_manifest()).unwrap()),
    );
}

#[test]
fn every_key_is_in_the_reference() {
    for (name, schema) in [("docs/config.md", input::schema_config()), ("docs/manifest.md", input::schema_manifest())] {
        let text = std::fs::read_to_string(path(name)).unwrap();
        same(name, &with_tables(&text, &schema));
        for (section, key) in keys(&schema) {
            let wanted = format!("| `{key}` |");
            assert!(text.contains(&wanted), "{name} does not tell of `{key}` of `{section}`");
        }
    }
}

/// The text with each table between `<!-- keys: SECTION -->` and `<!-- end -->` made anew.
fn with_tables(text: &str, schema: &Value) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!-- keys:") {
        let (section, after) = after.split_once("-->").unwrap();
        let (_, after) = after.split_once("<!-- end -->").unwrap();
        let section = section.trim();
        let marker = if section.is_empty() { String::new() } else { format!(" {section}") };
        let table = table(at(schema, section).unwrap_or_else(|| panic!("no section {section}")));
        write!(out, "{before}<!-- keys:{marker} -->\n\n{table}\n<!-- end -->").unwrap();
        rest = after;
    }
    out + rest
}

/// The section's schema: `vm_sizes.NAME` and list elements are looked through.
fn at<'a>(schema: &'a Value, section: &str) -> Option<&'a Value> {
    let mut schema = section_of(schema)?;
    for part in section.split('.').filter(|part| !part.is_empty()) {
        schema = match part {
            "NAME" => schema
                .get("additionalProperties")
                .filter(|schema| schema.is_object())
                .or_else(|| schema["patternProperties"].as_object().and_then(|patterns| patterns.values().next()))?,
            part => &schema["properties"][part],
        };
        schema = section_of(schema)?;
    }
    Some(schema)
}

/// Through lists and alternatives to a map, if there is one.
fn section_of(schema: &Value) -> Option<&Value> {
    if schema["type"] == "object" {
        return Some(schema);
    }
    if let Some(items) = schema.get("items") {
        return section_of(items);
    }
    schema["anyOf"].as_array()?.iter().find_map(section_of)
}

fn table(section: &Value) -> String {
    let mut out = "| key | value | default | meaning | example |\n|---|---|---|---|---|\n".to_owned();
    let required = section["required"].as_array();
    for (key, schema) in section["properties"].as_object().unwrap() {
        let default = match schema.get("default") {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None if required.is_some_and(|required| required.contains(&Value::from(key.as_str()))) => {
                "required".to_owned()
            }
            None => "–".to_owned(),
        };
        let example = match &schema["examples"][0] {
            Value::Null => String::new(),
            Value::String(text) => format!("`{text}`"),
            value => format!("`{value}`"),
        };
        let meaning = schema["description"].as_str().unwrap();
        writeln!(out, "| `{key}` | {} | {default} | {meaning} | {example} |", kind(key, schema)).unwrap();
    }
    out
}

/// A schema in words.
fn kind(key: &str, schema: &Value) -> String {
    let unit = match key.rsplit('_').next() {
        Some("mb") => ", MB",
        Some("gb") => ", GB",
        Some("seconds") => ", seconds",
        _ => "",
    };
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_str().unwrap())).collect();
        return words.join(", ");
    }
    if let Some(kinds) = schema["anyOf"].as_array() {
        let mut kinds: Vec<String> = kinds.iter().map(|schema| kind(key, schema)).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    match schema["type"].as_str().unwrap_or_default() {
        "integer" => format!("{} to {}{unit}", schema["minimum"], schema["maximum"]),
        "number" => format!("above 0, up to {}", schema["maximum"]),
        "boolean" => "`true`, `false`".to_owned(),
        "string" => "text".to_owned(),
        "array" => format!("list of {}", kind(key, &schema["items"])),
        "object" if schema["properties"].is_object() => "section".to_owned(),
        "object" if schema["patternProperties"].is_object() => "sections by number".to_owned(),
        "object" => match kind(key, &schema["additionalProperties"]).as_str() {
            "section" => "sections by name".to_owned(),
            other => format!("by name: {other}"),
        },
        other => panic!("{key}: a schema of type {other}"),
    }
}

/// Every key with its section.
fn keys(schema: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if let Some(properties) = schema["properties"].as_object() {
        for (key, value) in properties {
            all.push((schema["description"].as_str().unwrap_or_default().to_owned(), key.clone()));
            all.extend(keys(value));
        }
    }
    for inner in ["additionalProperties", "items"] {
        if schema[inner].is_object() {
            all.extend(keys(&schema[inner]));
        }
    }
    for value in schema["patternProperties"].as_object().into_iter().flat_map(|patterns| patterns.values()) {
        all.extend(keys(value));
    }
    for value in schema["anyOf"].as_array().into_iter().flatten() {
        all.extend(keys(value));
    }
    all
}

/// Schema and reader agree: what the reader takes is valid, and each key that it does not know is not.
#[test]
fn schema_and_reader_agree() {
    let config = jsonschema::validator_for(&input::schema_config()).unwrap();
    let manifest = jsonschema::validator_for(&input::schema_manifest()).unwrap();
    let value = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
    let original = value(include_str!("fixtures/original/config.yaml"));
    let example = value(&input::example_config().text);
    let cluster = value(&input::example_manifest().text);
    for (schema, value) in [(&config, &original), (&config, &example), (&manifest, &cluster)] {
        let errors: Vec<String> = schema.iter_errors(value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    let wrong = value("cluster: k8s\nworkers: {count: 1, size: small, memory_gb: 4}\n");
    assert!(!manifest.is_valid(&wrong));
    assert!(!manifest.is_valid(&value("workers: {count: 1, size: small}\n")));
    assert!(!manifest.is_valid(&value("cluster: k8s\nworkers: {count: 1, size: small, network: {vlan: 5000}}\n")));
}

/// The YAML in the two references is what a reader copies.
#[test]
fn the_yaml_in_the_reference_is_fine() {
    let config = blocks("docs/config.md");
    let manifest = blocks("docs/manifest.md");
    let whole = |blocks: &[String], key: &str| blocks.iter().find(|block| block.contains(key)).unwrap().clone();
    let (config_file, manifest_file) = (whole(&config, "cloud_init:"), whole(&manifest, "cluster:"));
    let sizes = "  medium: {cpus: 2, memory_mb: 4096, disk_gb: 40}\n  large: {cpus: 4, memory_mb: 8192, disk_gb: 80}\n";
    let config_file = format!("{config_file}{sizes}");
    fine(&config_file, &manifest_file);
    for part in config.iter().filter(|block| !block.contains("cloud_init:")) {
        let key = part.split(':').next().unwrap();
        let without = config_file.split_inclusive('\n').filter(|line| !line.starts_with(&format!("{key}:")));
        let mut text: String = without.collect::<String>() + part;
        if key == "vm_sizes" {
            text = config_file.clone();
        }
        fine(&text, "cluster: k8s\nworkers: {count: 1, size: small}\n");
    }
    for line in manifest.iter().flat_map(|block| block.lines()).filter(|line| line.starts_with("network:")) {
        fine(&config_file, &format!("cluster: k8s\nworkers:\n  count: 2\n  size: small\n  {line}\n"));
    }
}

fn blocks(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let mut blocks = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("```yaml\n") {
        let (block, after) = after.split_once("```").unwrap();
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

fn fine(config: &str, manifest: &str) {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b\n";
    let env = input::Env { home: Some("/home/op".into()), read_file: &|_| Ok(KEY.to_owned()) };
    let file = |name: &str, text: &str| input::SourceFile { name: name.to_owned(), text: text.to_owned() };
    let loaded = input::parse(&file("config.yaml", config), &file("cluster.yaml", manifest), &env);
    loaded.unwrap_or_else(|problems| panic!("{}", problems.render(false, 120)));
}
