//! docs/troubleshooting.md is made from the catalogues in the code, and every id in the sources is in a catalogue.
//!
//! After a change of a catalogue: `UPDATE_DOCS=1 cargo test --test troubleshooting`.

#![allow(clippy::unwrap_used, reason = "a test that can't read the sources has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pvekube::error::FAULTS;
use pvekube::input::ProblemId;
use pvekube::model::plan::HazardKind;
use pvekube::planner::CHECKS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What each hazard means; a new kind doesn't compile without its words.
fn hazard(kind: HazardKind) -> (&'static str, &'static str) {
    match kind {
        HazardKind::DeleteMasters => ("Masters would be deleted.", "Check that etcd has been told to let them go."),
        HazardKind::BreakQuorum => {
            ("Fewer masters would run than etcd's quorum needs.", "Bring other masters up first, or accept an outage.")
        }
        HazardKind::ManyDeletes => {
            ("More machines would be deleted than max(1, 30 %).", "Check that the manifest is the right one.")
        }
        HazardKind::RebootMasters => ("Masters would reboot, one at a time.", "Take a quiet hour."),
        HazardKind::RebootWorkers => {
            ("Workers would reboot, within `max_unavailable`.", "Drain them with a `before_stop` hook.")
        }
        HazardKind::Replace => ("Machines would be deleted and made again, one at a time.", "Their disks are lost."),
    }
}

fn expected() -> String {
    let mut text = String::from(
        "# Troubleshooting\n\nEvery error, check and hazard has an id, printed in brackets: `error[unknown-key]: …`. They are listed here \
         with cause and remedy.\nThis page is made from the code; a test keeps it so.\n\nWhere to look first: `pvekube doctor` runs every \
         check on every node; `-vv` shows every remote command with its time\nand exit; `pvekube status` says which stage of readiness \
         each machine has reached.\n",
    );
    let mut section = |title: &str, about: &str, rows: Vec<(String, String, String)>| {
        let _ = write!(text, "\n## {title}\n\n{about}\n\n| id | cause | remedy |\n|---|---|---|\n");
        for (id, cause, remedy) in rows {
            let _ = writeln!(text, "| `{id}` | {cause} | {remedy} |");
        }
    };
    let own = |id: &str, cause: &str, remedy: &str| (id.to_owned(), cause.to_owned(), remedy.to_owned());
    section(
        "Problems in the files",
        "Found by reading config and manifest; nothing is contacted.",
        ProblemId::ALL.iter().map(|id| own(id.as_str(), id.cause(), id.remedy())).collect(),
    );
    section(
        "Checks",
        "Made while planning, from what the nodes answered; a failed one blocks apply before anything is touched.",
        CHECKS.iter().map(|check| own(check.id, check.cause, check.remedy)).collect(),
    );
    section(
        "Hazards",
        "Changes that need consent by name: `--accept ID`. An unaccepted one refuses the whole apply.",
        HazardKind::ALL.iter().map(|kind| own(kind.flag(), hazard(*kind).0, hazard(*kind).1)).collect(),
    );
    section(
        "Errors and failed steps",
        "From the command line, saved plans, and steps of an apply.",
        FAULTS.iter().map(|fault| own(fault.id, fault.cause, fault.remedy)).collect(),
    );
    text
}

#[test]
fn the_page_is_made_from_the_code() {
    let path = root().join("docs/troubleshooting.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, expected()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected(), "docs/troubleshooting.md differs: UPDATE_DOCS=1 cargo test --test troubleshooting");
}

#[test]
fn every_id_in_the_sources_is_in_the_catalogue() {
    let known: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.id).collect();
    assert_eq!(known.len(), FAULTS.len(), "an id stands twice");
    assert!(FAULTS.is_sorted_by_key(|fault| fault.id), "the catalogue is not sorted");
    let mut used: BTreeMap<String, PathBuf> = BTreeMap::new();
    sources(&root().join("src"), &mut used);
    assert!(used.len() > 40, "the sources were not read: {used:?}");
    let missing: Vec<_> = used.iter().filter(|(id, _)| !known.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "not in src/error/faults.rs: {missing:?}");
    let unused: Vec<_> = known.iter().filter(|id| !used.contains_key(**id)).collect();
    assert!(unused.is_empty(), "in the catalogue, but in no source: {unused:?}");
}

/// Ids as they stand in the code: the first text after `Fault::new(`, `failure(` and `id:` of a change.
fn sources(folder: &Path, used: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["sandbox", "tests"].contains(&name.as_str()) {
                sources(&path, used);
            }
            continue;
        }
        if !name.ends_with(".rs") || ["tests.rs", "samples.rs", "faults.rs", "testing.rs"].contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        // However rustfmt breaks the lines of a literal.
        let code = &code.split_whitespace().collect::<Vec<_>>().join(" ");
        for marker in ["Fault::new(", "failure(", "Change { verb: ", "=> \"node-", "=> \"connection-"] {
            for (at, _) in code.match_indices(marker) {
                let rest = &code[at + marker.len() - usize::from(marker.starts_with("=>")) * (marker.len() - 3)..];
                let rest = if marker.starts_with("Change") {
                    rest.split_once("id: ").map_or("", |(_, rest)| rest)
                } else {
                    rest
                };
                if let Some(id) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    used.insert(id.to_owned(), path.clone());
                }
            }
        }
    }
}
