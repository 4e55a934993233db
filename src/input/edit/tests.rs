//! What each edit changes in one file, as lines.

use super::*;

const FILE: &str = "\
# my cluster
cluster: k8s   # the name
masters:
  count: 3  # three
  size: medium

# those who work
workers:
  numbers: [1, 2, 4]   # 3 is broken
  size: large
  overrides:
    4: {memory_mb: 16384, node: pve2}   # the big one
    # end of overrides

pools:
  gpu: {count: 1, size: large}
prune: false
";

fn set(numbers: &[u32]) -> BTreeSet<u32> {
    numbers.iter().copied().collect()
}

/// Lines that differ, as `-old`/`+new`.
fn difference(old: &str, new: &str) -> String {
    similar::TextDiff::from_lines(old, new)
        .iter_all_changes()
        .filter(|change| change.tag() != similar::ChangeTag::Equal)
        .map(|change| format!("{}{}", change.tag(), change))
        .collect()
}

#[test]
fn a_count_grows_in_place() {
    let edited = set_numbers(FILE, &Pool::Masters, &set(&[1, 2, 3, 4])).unwrap();
    assert_eq!(difference(FILE, &edited), "-  count: 3  # three\n+  count: 4  # three\n");
}

#[test]
fn a_gap_turns_count_into_numbers() {
    let edited = set_numbers(FILE, &Pool::Masters, &set(&[1, 3])).unwrap();
    assert_eq!(difference(FILE, &edited), "-  count: 3  # three\n+  numbers: [1, 3]  # three\n");
}

#[test]
fn numbers_keep_their_comment() {
    let edited = set_numbers(FILE, &Pool::Workers, &set(&[1, 4, 5])).unwrap();
    assert_eq!(
        difference(FILE, &edited),
        "-  numbers: [1, 2, 4]   # 3 is broken\n+  numbers: [1, 4, 5]   # 3 is broken\n"
    );
}

#[test]
fn block_lists_stay_block_lists() {
    let file = "workers:\n  numbers:\n    - 1  # first\n    - 2\n  size: small\n";
    let edited = set_numbers(file, &Pool::Workers, &set(&[1, 2, 3])).unwrap();
    assert_eq!(edited, "workers:\n  numbers:\n    - 1  # first\n    - 2\n    - 3\n  size: small\n");
}

#[test]
fn overrides_come_and_go() {
    let with = set_override(FILE, &Pool::Workers, 2, &[("node", "pve3".into()), ("vmid", "250".into())]).unwrap();
    assert_eq!(difference(FILE, &with), "+    2: {node: pve3, vmid: 250}\n");
    assert_eq!(remove_override(&with, &Pool::Workers, 2).unwrap(), FILE);
    let first = set_override(FILE, &Pool::Masters, 1, &[("cpus", "4".into())]).unwrap();
    assert_eq!(difference(FILE, &first), "+  overrides:\n+    1: {cpus: 4}\n");
    assert_eq!(remove_override(&first, &Pool::Masters, 1).unwrap(), FILE);
}

#[test]
fn flow_pools_and_missing_pools() {
    let edited = set_numbers(FILE, &Pool::Named("gpu".into()), &set(&[1, 2])).unwrap();
    assert_eq!(difference(FILE, &edited), "-  gpu: {count: 1, size: large}\n+  gpu: {count: 2, size: large}\n");
    assert!(set_numbers(FILE, &Pool::Named("tpu".into()), &set(&[1])).is_err());
    let edited = set_numbers("cluster: k8s\n", &Pool::Workers, &set(&[1])).unwrap();
    assert_eq!(edited, "cluster: k8s\nworkers:\n  count: 1\n");
}

#[test]
fn numbers_stand_in_their_order() {
    let file = |list: &str| format!("workers:\n  numbers: {list}\n  size: small\n");
    for (old, numbers, new) in [
        ("[1, 3] # 2 is broken", &[1, 2, 3][..], "[1, 2, 3] # 2 is broken"),
        ("[2, 3]", &[1, 2, 3], "[1, 2, 3]"),
        ("\n  - 2 # two", &[1, 2, 3], "\n  - 1\n  - 2 # two\n  - 3"),
        ("\n    [\n      2 # two\n    ]", &[1, 2, 3], "\n    [\n      1,\n      2, # two\n      3\n    ]"),
        ("[1, 2] # both", &[2], "[2] # both"),
        ("# all\n    - 1 # one\n    -\n      2\n    - 3", &[1, 3], "# all\n    - 1 # one\n    - 3"),
        ("# all\n    - 1 # one\n    - 2", &[], "[] # all"),
        ("\n    - 1", &[7], "\n    - 7"),
        ("[1]", &[], "[]"),
        ("[]", &[1, 4], "[1, 4]"),
        ("", &[1, 4], "[1, 4] "),
    ] {
        assert_eq!(set_numbers(&file(old), &Pool::Workers, &set(numbers)).unwrap(), file(new), "{old}");
    }
}

#[test]
fn an_alias_becomes_what_it_stands_for() {
    let file = "workers: &w\n  count: &n 2 # two\n  size: small\n  tags: [a, 'b c']\npools:\n  gpu: *w\n  big: {count: *n, size: large}\n";
    let gpu = set_numbers(file, &Pool::Named("gpu".into()), &set(&[1])).unwrap();
    assert_eq!(difference(file, &gpu), "-  gpu: *w\n+  gpu: {count: 1, size: small, tags: [a, \"b c\"]}\n");
    let big = set_numbers(file, &Pool::Named("big".into()), &set(&[1])).unwrap();
    assert_eq!(difference(file, &big), "-  big: {count: *n, size: large}\n+  big: {count: 1, size: large}\n");
    let workers = set_numbers(file, &Pool::Workers, &set(&[1])).unwrap();
    assert_eq!(difference(file, &workers), "-  count: &n 2 # two\n+  count: &n 1 # two\n");
}

#[test]
fn json_stays_json() {
    let file = r#"{"cluster": "k8s", "workers": {"count": 2, "size": "small"}}"#;
    let more = set_numbers(file, &Pool::Workers, &set(&[1, 3])).unwrap();
    let more = set_override(&more, &Pool::Workers, 3, &[("node", "pve2".into()), ("vmid", "250".into())]).unwrap();
    let more = set_numbers(&more, &Pool::Masters, &set(&[1])).unwrap();
    let expected = r#"{"cluster": "k8s", "workers": {"numbers": [1, 3], "size": "small", "overrides": {"3": {"node": "pve2", "vmid": 250}}}, "masters": {"count": 1}}"#;
    assert_eq!(more, expected);
    assert!(serde_json::from_str::<serde_json::Value>(&more).is_ok());
}
