//! Bad inputs and what is said about each: message, place, underline, hint. The snapshots are read by people.
#![allow(clippy::unwrap_used)]

mod case;
mod config;
mod machines;
mod schema;
mod shape;

use std::fmt::Write as _;

use case::{CONFIG, Case, ED25519, MANIFEST, files, parse};
use pvekube::input;

/// Every table of cases with its name.
fn tables() -> [(&'static str, Vec<Case>); 7] {
    [
        ("yaml", shape::yaml()),
        ("scalars", shape::scalars()),
        ("keys", shape::keys()),
        ("config_values", config::config_values()),
        ("ssh_keys", config::ssh_keys()),
        ("machines", machines::machines()),
        ("addresses", machines::addresses()),
    ]
}

#[test]
fn every_case_has_a_message_with_place_and_hint() {
    for (name, cases) in tables() {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, told(&cases)) });
    }
}

/// All cases of a table as one text. Every problem must have a place and a hint.
fn told(cases: &[Case]) -> String {
    let mut out = String::new();
    for case in cases {
        let (config, manifest) = files(case);
        let text = match parse(config, manifest) {
            Err(problems) => {
                for problem in problems.list.iter().chain(&problems.warnings) {
                    assert!(!problem.help.is_empty(), "{}: no hint: {}", case.name, problem.message);
                }
                for record in problems.records() {
                    assert!(record.line.is_some_and(|line| line > 0), "{}: no place", case.name);
                }
                problems.render(false, 100)
            }
            Ok(loaded) => {
                assert!(!loaded.warnings.is_empty(), "{}: neither a problem nor a warning", case.name);
                loaded
                    .warnings
                    .iter()
                    .map(|warning| input::render(warning, &loaded.config, &loaded.manifest, false, 100))
                    .collect()
            }
        };
        writeln!(out, "=== {}\n{text}", case.name).unwrap();
    }
    out
}

#[test]
fn the_base_files_are_fine() {
    let loaded = parse(CONFIG.to_owned(), MANIFEST.to_owned());
    assert!(loaded.is_ok_and(|loaded| loaded.warnings.is_empty()));
}

#[test]
fn all_problems_of_both_files_come_at_once() {
    let config = CONFIG.replace("id: 9000", "id: 9").replace("storage_pool", "storage_pol");
    let manifest = MANIFEST.replace("count: 2", "count: two").replace("gateway: 10.0.0.1", "gateway: 10.0.1.1");
    let problems = parse(config, manifest).unwrap_err();
    insta::assert_snapshot!(problems.render(false, 100));
}

#[test]
fn a_thousand_problems_are_a_hundred_and_a_count() {
    let text = format!("{MANIFEST}{}", (0..1000).map(|n| format!("key{n}: 1\n")).collect::<String>());
    let problems = parse(CONFIG.to_owned(), text).unwrap_err();
    assert_eq!((problems.list.len(), problems.count()), (100, 1000));
    assert!(
        problems.render(false, 100).ends_with("… and 900 more, not shown\n1000 problems; nothing was contacted.\n")
    );
}

#[test]
fn a_private_key_is_never_printed() {
    let config = CONFIG.replace(ED25519, "\"-----BEGIN OPENSSH PRIVATE KEY-----\\nc2VjcmV0\\n\"");
    let problems = parse(config, MANIFEST.to_owned()).unwrap_err();
    assert!(!problems.render(true, 100).contains("c2VjcmV0"));
    assert!(!serde_json::to_string(&problems.records()).unwrap().contains("c2VjcmV0"));
}

#[test]
fn problems_as_data() {
    let manifest = MANIFEST.replace("count: 2", "count: 2\n  memory_gb: 16");
    let problems = parse(CONFIG.to_owned(), manifest).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&problems.records()).unwrap());
}

/// A problem that no bad input leads to would be one that nobody has read.
#[test]
fn every_id_has_a_case() {
    let folder = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let told: String = ["snapshots", "input_problems/snapshots"]
        .into_iter()
        .flat_map(|name| std::fs::read_dir(folder(name)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("input")))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for id in input::ProblemId::ALL {
        assert!(told.contains(&format!("[{}]", id.as_str())), "no case for {}", id.as_str());
        assert!(id.remedy().ends_with('.') && !id.cause().ends_with('.'), "{}", id.as_str());
    }
}
