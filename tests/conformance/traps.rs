//! The table of traps in docs/sandbox.md: every trap of a Proxmox node is there, and each test and fault that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_and_fault_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut code);
    }
    let doc = fs::read_to_string(root.join("docs/sandbox.md")).unwrap();
    let table = doc.split_once("\n## Traps\n").unwrap().1.split("\n## ").next().unwrap();
    let recorded = fs::read_to_string(root.join("tests/fixtures/transcripts/not-replayed.tsv")).unwrap();
    let faults = fs::read_to_string(root.join("src/sandbox/faults.rs")).unwrap();
    let mut rows = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, by, sandbox, pvekube] = cells.as_slice() else { panic!("{row}") };
        rows += 1;
        for fault in by.split('`').skip(1).step_by(2) {
            assert!(faults.contains(&format!("pub {fault}:")), "`{fault}` is no fault: {row}");
        }
        for cell in [sandbox, pvekube] {
            let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "no test: {row}");
            for name in names {
                let is_recorded = name.split_once('/').is_some_and(|(file, _)| {
                    let path = root.join(format!("tests/fixtures/transcripts/{file}.jsonl"));
                    let all = fs::read_to_string(path).unwrap_or_default();
                    all.contains(&format!("\"id\": \"{name}\"")) && !recorded.contains(&format!("{name}\t"))
                });
                assert!(is_recorded || code.contains(&format!("fn {name}(")), "`{name}` is no test: {row}");
            }
        }
    }
    assert!(rows >= 40, "{rows} rows");
}

/// A fault that nobody can read of, or that the table of faults made up.
#[test]
fn the_table_of_faults_is_whole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let doc = fs::read_to_string(root.join("docs/sandbox.md")).unwrap();
    let table = doc.split_once("\n## Faults\n").unwrap().1.split("\n## ").next().unwrap();
    let keys = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let named: BTreeSet<String> =
        keys.flat_map(|cell| cell.split(['`', ',', ' '])).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let all = serde_json::to_value(pvekube::sandbox::faults::Faults::default()).unwrap();
    assert_eq!(named, all.as_object().unwrap().keys().cloned().collect());
}
