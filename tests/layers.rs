//! Holds the layer table of docs/architecture.md: imports go down only, the core is pure, one place names each dangerous crate.

#![allow(clippy::unwrap_used, reason = "a test that can't read the sources has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each layer of `src/` may import from the crate. Tests inside files are exempt.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("error", &[]),
    ("input", &["model", "error"]),
    ("pve", &["model"]),
    ("planner", &["model", "pve"]),
    ("inventory", &["model", "pve"]),
    ("render", &["model", "pve", "planner", "error"]),
    ("remote", &["model", "error"]),
    ("image", &["model", "pve"]),
    ("observe", &["model", "pve", "remote", "image"]),
    ("execute", &["model", "pve", "remote", "image"]),
    ("ui", &["model", "render", "error"]),
    ("sandbox", &["model", "pve", "remote"]),
    ("cli", &["model"]),
    (
        "commands",
        &[
            "cli",
            "error",
            "execute",
            "image",
            "input",
            "inventory",
            "model",
            "observe",
            "planner",
            "pve",
            "remote",
            "render",
            "sandbox",
            "ui",
        ],
    ),
    ("main", &[]),
    ("lib", &[]),
];

const PURE: &[&str] = &["model", "pve", "planner", "render", "inventory"];

/// Words that a pure layer must not contain, and why.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "reads or writes files"),
    ("std::env", "reads the environment"),
    ("std::net::Tcp", "talks to the network"),
    ("std::process", "starts programs"),
    ("SystemTime", "reads the clock"),
    ("Instant::now", "reads the clock"),
    ("Timestamp::now", "reads the clock"),
    ("tokio", "is asynchronous"),
    ("async fn", "is asynchronous"),
    ("tracing", "logs"),
    ("println!", "prints"),
];

/// Words that only one layer may contain.
const ONLY_IN: &[(&str, &str)] = &[("openssh::", "remote"), ("ureq::", "image"), ("clap::", "cli commands main")];

fn sources() -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

fn layer_of(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The file without its comments and without its test module.
fn code(path: &Path, text: &str) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    if ["tests.rs", "testing.rs", "samples.rs"].contains(&name) || path.iter().any(|part| part == "tests") {
        return String::new();
    }
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    body.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_go_down_only() {
    let table: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let layer = layer_of(&path);
        let Some(allowed) = table.get(layer.as_str()) else {
            faults.push(format!("{}: layer `{layer}` is not in the table", path.display()));
            continue;
        };
        for rest in code(&path, &text).split("crate::").skip(1) {
            let named: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if named != layer && table.contains_key(named.as_str()) && !allowed.contains(&named.as_str()) {
                faults.push(format!("{}: `{layer}` must not import `{named}`", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if PURE.contains(&layer_of(&path).as_str()) {
            let code = code(&path, &text);
            for (word, why) in IMPURE {
                if code.contains(word) {
                    faults.push(format!("{}: `{word}` {why}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_dangerous_crate_has_one_place() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let layer = layer_of(&path);
        for (word, home) in ONLY_IN {
            if code(&path, &text).contains(word) && !home.split(' ').any(|allowed| allowed == layer) {
                faults.push(format!("{}: `{word}` belongs to {home}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_table_is_the_one_in_the_docs() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    for (layer, allowed) in LAYERS {
        if ["main", "lib"].contains(layer) {
            continue;
        }
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{layer}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/architecture.md has no row for `{layer}`"));
        let imports = row.split('|').nth(3).unwrap_or_default();
        for other in *allowed {
            assert!(imports.contains(&format!("`{other}`")), "docs/architecture.md: row `{layer}` lacks `{other}`");
        }
        assert_eq!(imports.matches('`').count() / 2, allowed.len(), "docs/architecture.md: row `{layer}`: {imports}");
    }
}
