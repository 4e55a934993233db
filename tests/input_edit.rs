//! Edits of manifests in every layout: what was asked is what the file then says, and nothing else moves.

#![allow(clippy::unwrap_used)]

mod layouts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;
use pvekube::input::{self, Env, Loaded, Problems, SourceFile, edit};
use pvekube::model::desired::Machine;
use pvekube::model::ids::{MachineId, Pool};

fn parse(manifest: &str) -> Result<Loaded, Box<Problems>> {
    let env = Env { home: Some("/home/op".into()), read_file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let manifest = SourceFile { name: "cluster.yaml".to_owned(), text: manifest.to_owned() };
    input::parse(&input::example_config(), &manifest, &env)
}

/// How a manifest may be written.
#[derive(Clone, Debug)]
struct Layout {
    flow: bool,
    block_list: bool,
    indent: usize,
    comments: bool,
    blank_lines: bool,
    windows: bool,
    bom: bool,
    end: bool,
}

fn layout() -> impl Strategy<Value = Layout> {
    (any::<[bool; 7]>(), 1usize..5).prop_map(
        |([flow, block_list, comments, blank_lines, windows, bom, end], indent)| Layout {
            flow,
            block_list,
            indent,
            comments,
            blank_lines,
            windows,
            bom,
            end,
        },
    )
}

/// A manifest of masters, workers with numbers and overrides, and a pool.
fn write(layout: &Layout, workers: &BTreeSet<u32>, overrides: &BTreeSet<u32>) -> String {
    let pad = " ".repeat(layout.indent);
    let comment = |text: &str| if layout.comments { format!("  # {text}") } else { String::new() };
    let blank = if layout.blank_lines { "\n" } else { "" };
    let numbers: Vec<String> = workers.iter().map(u32::to_string).collect();
    let overrides: Vec<String> = overrides.iter().map(|n| format!("{n}: {{memory_mb: {}}}", 4096 + n)).collect();
    let mut text = format!("cluster: k8s{}\n{blank}masters: {{count: 1, size: small}}\n{blank}", comment("name"));
    if layout.flow {
        write!(text, "workers: {{numbers: [{}], size: large", numbers.join(", ")).unwrap();
        if !overrides.is_empty() {
            write!(text, ", overrides: {{{}}}", overrides.join(", ")).unwrap();
        }
        writeln!(text, "}}{}", comment("all of them")).unwrap();
    } else {
        writeln!(text, "workers:{}", comment("those who work")).unwrap();
        if layout.block_list && !numbers.is_empty() {
            writeln!(text, "{pad}numbers:").unwrap();
            for number in &numbers {
                writeln!(text, "{pad}{pad}- {number}{}", comment("one")).unwrap();
            }
        } else {
            writeln!(text, "{pad}numbers: [{}]{}", numbers.join(", "), comment("numbers")).unwrap();
        }
        writeln!(text, "{pad}size: large").unwrap();
        if !overrides.is_empty() {
            writeln!(text, "{pad}overrides:").unwrap();
            for line in &overrides {
                writeln!(text, "{pad}{pad}{line}{}", comment("other")).unwrap();
            }
        }
    }
    writeln!(text, "{blank}pools:\n{pad}gpu: {{count: 1, size: large}}{}\n# the end", comment("last")).unwrap();
    if !layout.end {
        text.pop();
    }
    if layout.windows {
        text = text.replace('\n', "\r\n");
    }
    if layout.bom { format!("\u{feff}{text}") } else { text }
}

/// The machines without their places, which an edit moves.
fn machines(loaded: Loaded) -> BTreeMap<MachineId, Machine> {
    let without_place = |machine| Machine { place: None, ..machine };
    loaded.desired.machines.into_iter().map(|machine| (machine.id.clone(), without_place(machine))).collect()
}

fn worker(number: u32) -> MachineId {
    MachineId { pool: Pool::Workers, number }
}

/// Comments, in order.
fn comments(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment.trim()).collect()
}

proptest! {
    /// Whatever the layout.
    #[test]
    fn set_numbers_sets_numbers_and_nothing_else(
        layout in layout(),
        old in prop::collection::btree_set(1u32..9, 1..5),
        overrides in prop::collection::btree_set(1u32..9, 0..3),
        new in prop::collection::btree_set(1u32..9, 1..6),
    ) {
        let overrides = overrides.intersection(&old).copied().collect();
        let text = write(&layout, &old, &overrides);
        let before = machines(parse(&text).unwrap());
        let edited = edit::set_numbers(&text, &Pool::Workers, &new).unwrap();
        let after = match parse(&edited) {
            Ok(loaded) => machines(loaded),
            Err(problems) => panic!("{text}\n--- became\n{edited}\n{}", problems.render(false, 100)),
        };
        let got: BTreeSet<u32> =
            after.keys().filter(|id| id.pool == Pool::Workers).map(|id| id.number).collect();
        prop_assert_eq!(&got, &new, "{}\n--- became\n{}", text, edited);
        for (id, machine) in &before {
            if let Some(now) = after.get(id) {
                prop_assert_eq!(machine, now);
            } else {
                prop_assert!(id.pool == Pool::Workers && !new.contains(&id.number));
            }
        }
        if new.is_superset(&old) {
            prop_assert_eq!(comments(&text), comments(&edited), "{}\n--- became\n{}", text, edited);
        }
        // Taken back, the file is its author's, byte for byte.
        if new.is_superset(&old) {
            prop_assert_eq!(&text, &edit::set_numbers(&edited, &Pool::Workers, &old).unwrap());
        }
        prop_assert_eq!(text.contains("\r\n"), edited.contains("\r\n"));
        prop_assert_eq!(text.starts_with('\u{feff}'), edited.starts_with('\u{feff}'));
    }

    #[test]
    fn an_override_comes_and_goes(
        layout in layout(),
        old in prop::collection::btree_set(1u32..9, 1..5),
        overrides in prop::collection::btree_set(1u32..9, 0..3),
        pick in any::<prop::sample::Index>(),
    ) {
        let overrides: BTreeSet<u32> = overrides.intersection(&old).copied().collect();
        let number = *old.iter().nth(pick.index(old.len())).unwrap();
        let text = write(&layout, &old, &overrides);
        let before = machines(parse(&text).unwrap());
        let settings = [("cpus", "7".to_owned()), ("network", "{mode: static, address: 10.0.9.9/24, gateway: 10.0.9.1}".to_owned())];
        let with = edit::set_override(&text, &Pool::Workers, number, &settings).unwrap();
        let changed = match parse(&with) {
            Ok(loaded) => machines(loaded),
            Err(problems) => panic!("{text}\n--- became\n{with}\n{}", problems.render(false, 100)),
        };
        prop_assert_eq!(changed[&worker(number)].cores, 7);
        for (id, machine) in before.iter().filter(|(id, _)| **id != worker(number)) {
            prop_assert_eq!(Some(machine), changed.get(id));
        }
        let without = edit::remove_override(&with, &Pool::Workers, number).unwrap();
        let after = match parse(&without) {
            Ok(loaded) => machines(loaded),
            Err(problems) => panic!("{with}\n--- became\n{without}\n{}", problems.render(false, 100)),
        };
        for (id, machine) in before.iter().filter(|(id, _)| **id != worker(number)) {
            prop_assert_eq!(Some(machine), after.get(id));
        }
        prop_assert_eq!(after[&worker(number)].memory_mb, 8192);
        if !overrides.contains(&number) {
            prop_assert_eq!(text, without, "by way of\n{}", with);
        }
    }
}

/// Layouts that people and other programs write: one more worker with settings of its own comes and goes, and the file is,
/// byte for byte, as it was.
#[test]
fn one_more_comes_and_goes_in_any_layout() {
    for &file in layouts::FILES {
        let before = machines(parse(file).unwrap());
        let more = edit::set_numbers(file, &Pool::Workers, &[1, 2, 3].into()).unwrap();
        let more = edit::set_override(&more, &Pool::Workers, 3, &[("size", "medium".to_owned())]).unwrap();
        let after = machines(parse(&more).unwrap_or_else(|problems| panic!("{more}\n{}", problems.render(false, 100))));
        assert_eq!((after.len(), after[&worker(3)].cores), (before.len() + 1, 2), "{more}");
        assert!(before.iter().all(|(id, machine)| after[id] == *machine), "{more}");
        let back = edit::remove_override(&more, &Pool::Workers, 3)
            .and_then(|text| edit::set_numbers(&text, &Pool::Workers, &[1, 2].into()))
            .unwrap();
        assert_eq!(back, file, "by way of\n{more}");
    }
}
