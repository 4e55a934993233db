//! Thousands of seeded histories of a cluster, in one process, in memory, under simulated time: the real observation,
//! planner and executor against the sandbox's nodes, with faults and an administrator (docs/testing.md).
//!
//! `PVEKUBE_HISTORIES=100000 cargo test --test simulation histories` lives more of them;
//! `PVEKUBE_SEED=17 cargo test --test simulation replay -- --nocapture` lives one again and tells it.
#![allow(clippy::unwrap_used, reason = "a simulation that can't read its own world has failed")]

mod argv;
mod cast;
mod ending;
mod faults;
mod history;
mod mutants;
mod panics;
mod placement;
mod pvekube;
mod random;
mod shown;
mod troubles;
mod view;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use faults::{Fault, Rules};
use history::{Failed, live};
use mutants::table::{self, Row, TABLE};

/// Histories that `tests/run` lives.
const HISTORIES: u64 = 2000;
/// Within so many histories each broken pvekube must be caught; most are in the first few.
const MUTATION_SEEDS: u64 = 3000;
/// So many histories without the fault must not find out what only the fault shows.
const CALM_SEEDS: u64 = 20;
/// Histories that are lived twice and compared, command by command.
const TWICE: u64 = 200;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One history; a panic of the product is a failure like any other.
fn attempt(seed: u64, rules: &Rules) -> Result<(u64, Vec<String>), Failed> {
    let (lived, panics) = panics::heard(|| catch_unwind(AssertUnwindSafe(|| live(seed, rules))));
    let panics = panics.into_iter().map(|panic| format!("I9: panic: {panic}"));
    match lived {
        Ok(Ok(told)) if panics.len() == 0 => Ok(told),
        Ok(Ok((_, log))) => Err(Failed { what: panics.collect(), log }),
        Ok(Err(failed)) => Err(Failed { what: panics.chain(failed.what).collect(), log: failed.log }),
        Err(_) => Err(Failed { what: panics.collect(), log: Vec::new() }),
    }
}

/// Lives seeds on all cores until one is as `wanted`, `enough` times; those by seed, and how many programs ran.
fn live_all(
    seeds: std::ops::Range<u64>,
    rules: &Rules,
    enough: usize,
    wanted: impl Fn(u64, &Failed) -> bool + Sync,
) -> (Vec<(u64, Failed)>, u64) {
    let next = AtomicU64::new(seeds.start);
    let programs = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() >= enough {
                        return;
                    }
                    match attempt(seed, rules) {
                        Ok((count, _)) => drop(programs.fetch_add(count, Ordering::Relaxed)),
                        Err(failure) if wanted(seed, &failure) => failed.lock().unwrap().push((seed, failure)),
                        Err(_) => {}
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    (failed, programs.into_inner())
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures of docs/testing.md")]
fn histories() {
    let count = number("PVEKUBE_HISTORIES").unwrap_or(HISTORIES);
    let first = number("PVEKUBE_FIRST").unwrap_or(0);
    let began = Instant::now();
    // Said at once: the whole may take long.
    let told = |seed: u64, failure: &Failed| {
        let what = failure.what.first().map_or("", String::as_str);
        println!("{what}\n    PVEKUBE_SEED={seed} cargo test --test simulation replay -- --nocapture");
        true
    };
    let (failed, programs) = live_all(first..first + count, &Rules::default(), 10, told);
    assert!(failed.is_empty(), "{} histories went wrong, see above", failed.len());
    assert!(programs > count, "{programs} programs ran in {count} histories: nothing is being tested");
    println!("{count} histories, {programs} programs, no violation, {:.1} s", began.elapsed().as_secs_f64());
}

/// Lives one history again, and tells it.
#[test]
fn replay() {
    let Some(seed) = number("PVEKUBE_SEED") else { return };
    let told = attempt(seed, &Rules::default());
    if let Err(failure) = told {
        panic!("seed {seed}:\n{}\n\n{}\n", failure.log.join("\n"), failure.what.join("\n"));
    }
}

/// A seed decides everything: the same history twice is the same, command by command.
#[test]
fn a_seed_decides_everything() {
    for seed in 0..TWICE {
        let told = |lived: Result<(u64, Vec<String>), Failed>| match lived {
            Ok((_, log)) => log,
            Err(failed) => failed.log,
        };
        let (first, second) = (told(attempt(seed, &Rules::default())), told(attempt(seed, &Rules::default())));
        let differs = first.iter().zip(&second).find(|(first, second)| first != second);
        assert!(first == second, "seed {seed}: {} and {} lines, {differs:?}", first.len(), second.len());
    }
}

/// The simulation bites: each broken pvekube is caught by the property that it breaks, with the fault that it takes and
/// no other, and not without that fault.
#[test]
#[allow(clippy::print_stdout, reason = "says which seed shows it")]
fn every_mutation_is_caught() {
    let mut wrong = Vec::new();
    for Row { mutation, caught_by, fault, besides, .. } in TABLE {
        let begins =
            |_: u64, failed: &Failed| failed.what.iter().any(|what| what.starts_with(&format!("{caught_by}: ")));
        let faults: Vec<Fault> = fault.iter().chain(*besides).copied().collect();
        let rules = Rules { mutation: Some(*mutation), ..Rules::only(&faults) };
        let (failed, _) = live_all(0..MUTATION_SEEDS, &rules, 1, begins);
        match failed.first() {
            Some((seed, failure)) => {
                let what = failure.what.iter().find(|what| what.starts_with(&format!("{caught_by}: ")));
                println!("{mutation:?} {faults:?}: seed {seed}: {what:?}");
            }
            None => wrong
                .push(format!("{mutation:?} {faults:?} is not caught by {caught_by} in {MUTATION_SEEDS} histories")),
        }
        let without = Rules { mutation: Some(*mutation), ..Rules::only(besides) };
        if fault.is_some() {
            let (failed, _) = live_all(0..CALM_SEEDS, &without, 1, |_, _| true);
            let told = failed.iter().map(|(seed, failure)| {
                format!("{mutation:?} is caught without {fault:?}: seed {seed}: {:?}", failure.what)
            });
            wrong.extend(told);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each fault has a broken pvekube that only it finds out.
#[test]
fn every_fault_is_in_the_table() {
    let missing: Vec<Fault> =
        Fault::ALL.into_iter().filter(|fault| !TABLE.iter().any(|row| row.fault == Some(*fault))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// `UPDATE_DOCS=1` writes it.
#[test]
fn docs_testing_md_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/testing.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once("<!-- broken pvekubes: written by tests/simulation -->\n").expect("its begin");
    let (_, after) = rest.split_once("<!-- end -->\n").expect("its end");
    let table = table::markdown();
    let wanted = format!("{before}<!-- broken pvekubes: written by tests/simulation -->\n{table}<!-- end -->\n{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, wanted).unwrap();
    } else {
        assert!(text == wanted, "UPDATE_DOCS=1 cargo test --test simulation docs_testing_md_has_the_table");
    }
}

#[test]
fn without_faults_every_history_converges() {
    let (failed, _) = live_all(0..60, &Rules::only(&[]), 3, |_, _| true);
    assert!(failed.is_empty(), "{failed:#?}");
}
