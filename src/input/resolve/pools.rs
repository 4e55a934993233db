//! The manifest's pools: their names, and the numbers of their machines.

use std::collections::BTreeMap;

use crate::input::manifest::{Manifest, PoolSection};
use crate::input::problem::{Faults, InputFile, Problem, Span, shown};
use crate::input::problem_id::ProblemId;
use crate::input::resolve::entries;
use crate::input::walk::At;
use crate::input::words::is_label;
use crate::model::ids::Pool;

/// A pool with its section.
pub(super) struct PoolEntry<'a> {
    pub pool: Pool,
    /// As messages call it: `workers`, `pools.gpu`.
    pub path: String,
    pub section: &'a At<PoolSection>,
}

/// One machine's number and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Number {
    pub number: u32,
    pub span: Span,
}

/// Pools in plan order. A pool with a wrong name is noted and left out.
pub(super) fn resolve<'a>(manifest: &'a Manifest, faults: &mut Faults) -> Vec<PoolEntry<'a>> {
    let mut pools = Vec::new();
    for (pool, path, given) in
        [(Pool::Masters, "masters", &manifest.masters), (Pool::Workers, "workers", &manifest.workers)]
    {
        if let Some(section) = given.get() {
            pools.push(PoolEntry { pool, path: path.to_owned(), section });
        }
    }
    for (name, section) in entries(&manifest.pools) {
        if check_name(name, faults)
            && let Some(section) = section
        {
            let pool = Pool::Named(name.value.clone());
            pools.push(PoolEntry { pool, path: format!("pools.{}", name.value), section });
        }
    }
    let none_given = manifest.masters.is_absent() && manifest.workers.is_absent() && manifest.pools.is_absent();
    if none_given {
        let span = Span::new(InputFile::Manifest, 0..0);
        let message = "the manifest has neither `masters` nor `workers` nor `pools`".to_owned();
        let problem = Problem::new(ProblemId::NoMachines, span, message);
        faults.add(
            problem.help("add what you want, such as `workers: {count: 1, size: small}`; for none at all, `count: 0`"),
        );
    }
    pools.sort_by(|a, b| a.pool.cmp(&b.pool));
    pools
}

/// Names of machines must name one machine only, over all clusters: with a hyphen in a pool's name, pool `b-c` of cluster
/// `a` and pool `c` of cluster `a-b` would both have `a-b-c-1`.
fn check_name(name: &At<String>, faults: &mut Faults) -> bool {
    let text = name.value.as_str();
    let (message, help) = match text {
        "master" | "masters" | "worker" | "workers" | "control-plane" => {
            let ours = if text.starts_with("worker") { "workers" } else { "masters" };
            let message = format!("a pool can't be called `{text}`: its machines' names would be those of `{ours}`");
            (message, format!("take another name, or use `{ours}:` at the top of the manifest"))
        }
        _ if text.contains('-') && is_label(text) => (
            format!("the pool name `{}` has a hyphen", shown(text)),
            format!(
                "write `{}`: with hyphens, machines of two clusters could have one name (`a-b` + `c`, `a` + `b-c`)",
                text.replace('-', "")
            ),
        ),
        _ if !is_label(text) => (
            format!("`{}` can't be part of host names", shown(text)),
            "take lower-case letters and digits, such as `gpu`".to_owned(),
        ),
        _ => return true,
    };
    faults.add(Problem::new(ProblemId::PoolName, name.span, message).help(help));
    false
}

/// The machines' numbers in order; `None`: wrong, and noted.
pub(super) fn numbers(entry: &PoolEntry<'_>, faults: &mut Faults) -> Option<Vec<Number>> {
    let section = &entry.section.value;
    if section.count.is_bad() || section.numbers.is_bad() {
        return None;
    }
    match (section.count.get(), section.numbers.get()) {
        (Some(count), None) => {
            Some((1..=u32::try_from(count.0).ok()?).map(|number| Number { number, span: entry.section.key }).collect())
        }
        (None, Some(list)) => unique(list, faults),
        (Some(count), Some(list)) => {
            let message = format!("`{}` has both `count` and `numbers`", entry.path);
            let problem = Problem::new(ProblemId::Numbers, list.key, message);
            faults.add(problem.context(count.key, "count given here").help("keep one of the two"));
            None
        }
        (None, None) => {
            let message = format!("`{}` has neither `count` nor `numbers`", entry.path);
            let problem = Problem::new(ProblemId::Numbers, entry.section.key, message);
            faults.add(problem.help("add `count: 3`, or `numbers: [1, 2, 4]`"));
            None
        }
    }
}

fn unique(list: &At<Vec<At<crate::input::number::MachineNumber>>>, faults: &mut Faults) -> Option<Vec<Number>> {
    let mut seen: BTreeMap<u32, Span> = BTreeMap::new();
    let mut fine = true;
    for at in &list.value {
        if let Some(first) = seen.get(&at.u32()) {
            let problem = Problem::new(ProblemId::Numbers, at.span, format!("number {} is listed twice", at.u32()));
            faults.add(problem.context(*first, "first here").help("list each number once"));
            fine = false;
        } else {
            seen.insert(at.u32(), at.span);
        }
    }
    fine.then(|| seen.into_iter().map(|(number, span)| Number { number, span }).collect())
}
