//! Thousands of seeded histories of a cluster, in one process, in memory, under simulated time: the real observation,
//! planner and executor against the sandbox's nodes, with faults and an administrator (docs/testing.md).
//!
//! `PVEKUBE_HISTORIES=100000 cargo test --test simulation histories` lives more of them;
//! `PVEKUBE_SEED=17 cargo test --test simulation replay -- --nocapture` lives one again and tells it.

mod cast;
mod ending;
mod history;
mod mutants;
mod pvekube;
mod random;
mod troubles;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use history::{Failed, Rules, live};
use mutants::Mutation;
use troubles::Trouble;

/// Histories that `tests/run` lives.
const HISTORIES: u64 = 2000;

/// Within so many histories each mutation must be caught; most are in the first few.
const MUTATION_SEEDS: u64 = 600;

/// So many histories without faults must not find out what only faults show.
const CALM_SEEDS: u64 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One history; a panic of the product is a failure like any other.
fn attempt(seed: u64, rules: &Rules) -> Result<u64, Failed> {
    catch_unwind(AssertUnwindSafe(|| live(seed, rules))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        Err(Failed { what: vec![format!("panic: {text}")], log: Vec::new() })
    })
}

/// Lives seeds on all cores until `enough` failed; the failures by seed.
fn live_all(seeds: std::ops::Range<u64>, rules: &Rules, enough: usize) -> (Vec<(u64, Failed)>, u64) {
    let next = AtomicU64::new(seeds.start);
    let programs = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap_or_else(|p| p.into_inner()).len() >= enough {
                        return;
                    }
                    match attempt(seed, rules) {
                        Ok(count) => drop(programs.fetch_add(count, Ordering::Relaxed)),
                        Err(failure) => failed.lock().unwrap_or_else(|p| p.into_inner()).push((seed, failure)),
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(|p| p.into_inner());
    failed.sort_by_key(|(seed, _)| *seed);
    (failed, programs.into_inner())
}

#[test]
fn histories() {
    let count = number("PVEKUBE_HISTORIES").unwrap_or(HISTORIES);
    let first = number("PVEKUBE_FIRST").unwrap_or(0);
    let (failed, programs) = live_all(first..first + count, &Rules::default(), 10);
    let lines = failed.iter().map(|(seed, failure)| {
        let what = failure.what.first().cloned().unwrap_or_default();
        format!("{what}\n    PVEKUBE_SEED={seed} cargo test --test simulation replay -- --nocapture\n")
    });
    assert!(failed.is_empty(), "{} histories went wrong:\n{}", failed.len(), lines.collect::<String>());
    assert!(programs > count, "{programs} programs ran in {count} histories: nothing is being tested");
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
fn a_seed_replays_exactly() {
    let rules = Rules { mutation: Some(Mutation::DoesWhatWasNotShown), ..Rules::default() };
    for seed in 0..12 {
        let (first, second) = (attempt(seed, &rules), attempt(seed, &rules));
        match (first, second) {
            (Err(first), Err(second)) => assert_eq!(first.log, second.log, "seed {seed}"),
            (Ok(first), Ok(second)) => assert_eq!(first, second, "seed {seed}"),
            (first, second) => panic!("seed {seed}: {first:?} and {second:?}"),
        }
    }
}

/// The faults that a broken pvekube needs to be found out, and nothing else; `None`: everything that there is.
fn least_rules(mutation: Mutation) -> Rules {
    let calm = Rules::calm();
    match mutation {
        Mutation::RepeatsAfterUnknown => Rules { weather: true, ..calm },
        Mutation::IgnoresTheLock => Rules { two_at_once: true, ..calm },
        Mutation::BelievesAnyMark => Rules { troubles: vec![Trouble::RewritesNotes], ..calm },
        Mutation::TakesSilenceForAbsence => Rules { troubles: vec![Trouble::PowerLoss], ..calm },
        Mutation::LeavesStrayVolumes => Rules { troubles: vec![Trouble::PowerLoss], kills: true, ..calm },
        Mutation::RebootsMastersTogether => Rules::default(),
        Mutation::ClonesWithoutMark
        | Mutation::ResizesRelatively
        | Mutation::SetsWithoutDigest
        | Mutation::SetsANewMac
        | Mutation::DoesWhatWasNotShown
        | Mutation::LeavesSnippets
        | Mutation::NeverStarts => calm,
    }
}

/// The simulation bites: each broken pvekube is caught with the faults that it needs (docs/testing.md has the table), and
/// one that needs a fault is not found out without it.
#[test]
#[allow(clippy::print_stdout, reason = "the table of docs/testing.md is made from it")]
fn every_mutation_is_caught() {
    let mut wrong = Vec::new();
    for mutation in Mutation::ALL {
        let rules = Rules { mutation: Some(mutation), ..least_rules(mutation) };
        let needs_faults = rules.weather || rules.two_at_once || !rules.troubles.is_empty();
        let (failed, _) = live_all(0..MUTATION_SEEDS, &rules, 1);
        match failed.first() {
            Some((seed, failure)) => println!("{mutation:?}: seed {seed}: {}", failure.what[0]),
            None => wrong.push(format!("{mutation:?} is not caught in {MUTATION_SEEDS} histories")),
        }
        let calm = Rules { mutation: Some(mutation), ..Rules::calm() };
        if needs_faults && mutation != Mutation::RebootsMastersTogether {
            let (failed, _) = live_all(0..CALM_SEEDS, &calm, 1);
            wrong.extend(failed.iter().map(|(seed, _)| format!("{mutation:?} is caught without faults: seed {seed}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn without_faults_every_history_converges() {
    let (failed, _) = live_all(0..60, &Rules::calm(), 3);
    assert!(failed.is_empty(), "{failed:#?}");
}
