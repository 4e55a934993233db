//! The table of what is replayed, and the beginning of `docs/sandbox.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::replay::Outcome;

const DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md");
/// What follows in the document is written by people.
const END: &str = "<!-- end of what tests/conformance.rs writes -->";

/// Fails when a command that is not excepted answers otherwise, or an excepted one answers alike (then it can count).
pub fn check(outcomes: &[Outcome]) {
    let excepted = excepted();
    let mut problems = String::new();
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for outcome in outcomes {
        let file = outcome.id.split('/').next().unwrap_or_default();
        let count = counts.entry(file).or_default();
        count.1 += 1;
        let alike = outcome.differences.as_ref().is_some_and(Vec::is_empty);
        count.0 += u32::from(alike);
        match (alike, excepted.get(&outcome.id)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => writeln!(problems, "{}: answers alike, take it off the list", outcome.id).unwrap(),
            (false, None) => {
                writeln!(problems, "{}", outcome.id).unwrap();
                match &outcome.differences {
                    None => writeln!(problems, "    the test's shell can't run it").unwrap(),
                    Some(differences) => {
                        differences.iter().take(6).for_each(|line| writeln!(problems, "    {line}").unwrap());
                    }
                }
            }
        }
    }
    let table: String = counts.iter().map(|(file, (alike, all))| format!("{file}: {alike} of {all}\n")).collect();
    let replayed: u32 = counts.values().map(|count| count.0).sum();
    let total: u32 = counts.values().map(|count| count.1).sum();
    std::fs::write(
        concat!(env!("CARGO_TARGET_TMPDIR"), "/conformance.txt"),
        format!("{table}{replayed} of {total}\n{problems}"),
    )
    .unwrap();
    assert!(problems.is_empty(), "{problems}\n{table}{replayed} of {total} answer alike");
    document(replayed, total, &counts, &excepted);
}

/// Ids that are not replayed, with the reason.
fn excepted() -> BTreeMap<String, String> {
    let path = format!("{}/not-replayed.tsv", super::recorded::FOLDER);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let line = |line: &str| line.split_once('\t').map(|(id, reason)| (id.to_owned(), reason.to_owned()));
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
}

fn document(replayed: u32, total: u32, counts: &BTreeMap<&str, (u32, u32)>, excepted: &BTreeMap<String, String>) {
    let before = std::fs::read_to_string(DOC).unwrap_or_default();
    let known: u32 = before.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
    assert!(replayed >= known, "{replayed} of {total} answer alike; docs/sandbox.md says {known}, which may only grow");
    let mut text = format!(
        "{replayed} of {total} commands that were recorded on real Proxmox VE 9.2 nodes are replayed against the sandbox by \
         `tests/conformance.rs`, each in the state that those before it left, and answer alike: exit code, text, JSON, config \
         files. This part is written by that test (`UPDATE_DOCS=1`), and the number may only grow.\n\n\
         | file | alike | recorded |\n| --- | --- | --- |\n"
    );
    for (file, (alike, all)) in counts {
        writeln!(text, "| {file} | {alike} | {all} |").unwrap();
    }
    text.push_str("\nNot replayed, and why:\n\n| commands | reason |\n| --- | --- |\n");
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, reason) in excepted {
        reasons.entry(reason).or_default().push(id);
    }
    for (reason, ids) in reasons {
        writeln!(text, "| {} | {reason} |", ids.join(", ")).unwrap();
    }
    let rest = before.split_once(END).map_or("\n", |(_, rest)| rest);
    let wanted = format!("{text}\n{END}{rest}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOC, &wanted).unwrap();
    }
    let now = std::fs::read_to_string(DOC).unwrap_or_default();
    assert!(now == wanted, "docs/sandbox.md is stale: run this test with UPDATE_DOCS=1");
}
