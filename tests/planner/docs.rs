//! The rules of docs/planning.md and docs/safety.md name their tests, and those exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_rules_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for entry in fs::read_dir(root.join("tests/planner")).unwrap() {
        sources.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let mut named = 0;
    for page in ["docs/planning.md", "docs/safety.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        // Code spans of snake case with at least two underscores are test names.
        for word in text.split('`').skip(1).step_by(2) {
            let is_name = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if is_name && word.matches('_').count() >= 2 && !["storage_overcommit"].contains(&word) {
                assert!(sources.contains(&format!("fn {word}(")), "{page} names `{word}`, which is no test");
                named += 1;
            }
        }
    }
    assert!(named > 90, "only {named} tests are named");
}

#[test]
fn every_situation_is_a_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules =
        ["docs/planning.md", "docs/safety.md"].map(|page| fs::read_to_string(root.join(page)).unwrap()).concat();
    for file in ["blind", "changes", "places", "removal", "templates"] {
        let text = fs::read_to_string(root.join(format!("tests/planner/{file}.rs"))).unwrap();
        for after in text.split("#[test]\nfn ").skip(1) {
            let name = after.split('(').next().unwrap();
            assert!(rules.contains(&format!("`{name}`")), "no rule names {file}.rs's {name}");
        }
    }
}
