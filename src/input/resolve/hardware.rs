//! CPUs, memory and disk of a machine: its override, else the override's size, else the pool, else the pool's size.

use super::entries;
use super::machines::{Maker, PoolFacts};
use crate::input::config::SizeSection;
use crate::input::hint;
use crate::input::manifest::OverrideSection;
use crate::input::number::Int;
use crate::input::problem::{Problem, listed, shown};
use crate::input::problem_id::ProblemId;
use crate::input::walk::{At, Given};
use crate::input::words::Label;

pub(super) struct Hardware {
    /// The size's name, or `custom`.
    pub size: String,
    pub cores: u32,
    pub memory_mb: u64,
    pub disk_gb: u64,
}

/// What `size:` led to.
enum Size<'a> {
    NotGiven,
    /// Wrong, and noted; or the config could not be read.
    Bad,
    Is(&'a SizeSection),
}

impl<'a> Maker<'a> {
    /// `None`: wrong, and noted.
    pub(super) fn hardware(&mut self, facts: &PoolFacts<'_>, over: Option<&At<OverrideSection>>) -> Option<Hardware> {
        let pool = &facts.entry.section.value;
        let pool_size = self.size(&pool.size);
        let over_size = over.map_or(Size::NotGiven, |over| self.size(&over.size));
        let pick = Pick { pool: &pool_size, over: &over_size };
        let cores = pick.of(over.map(|over| &over.cpus), &pool.cpus, |size| &size.cpus);
        let memory = pick.of(over.map(|over| &over.memory_mb), &pool.memory_mb, |size| &size.memory_mb);
        let disk = pick.of(over.map(|over| &over.disk_gb), &pool.disk_gb, |size| &size.disk_gb);
        let lacking: Vec<&str> =
            [("cpus", &cores.is_lacking()), ("memory_mb", &memory.is_lacking()), ("disk_gb", &disk.is_lacking())]
                .into_iter()
                .filter_map(|(key, lacking)| lacking.then_some(key))
                .collect();
        if !lacking.is_empty() {
            let message = format!("`{}` has no size, and no {}", facts.entry.path, listed(&lacking));
            let problem = Problem::new(ProblemId::NoSize, facts.entry.section.key, message);
            let help = format!("add `size:` with one of the config's sizes{}", self.sizes_hint());
            self.faults.add(problem.help(help));
        }
        if let Found::Is(disk) = &disk {
            self.check_disk(disk);
        }
        let name = over.and_then(|over| over.size.get()).or(pool.size.get());
        Some(Hardware {
            size: name.map_or_else(|| "custom".to_owned(), |name| name.0.clone()),
            cores: cores.get()?.u32(),
            memory_mb: memory.get()?.0,
            disk_gb: disk.get()?.0,
        })
    }

    fn size(&mut self, given: &Given<Label>) -> Size<'a> {
        let name = match given {
            Given::Absent => return Size::NotGiven,
            Given::Bad => return Size::Bad,
            Given::Is(name) => name,
        };
        let Some(config) = self.inputs.config else { return Size::Bad };
        if config.vm_sizes.is_bad() {
            return Size::Bad;
        }
        match entries(&config.vm_sizes).find(|(known, _)| known.value == name.0) {
            Some((_, Some(size))) => Size::Is(&size.value),
            Some((_, None)) => Size::Bad,
            None => {
                let message = format!("there is no size `{}`", shown(&name.0));
                let close = hint::closest(&name.0, entries(&config.vm_sizes).map(|(known, _)| known.value.as_str()));
                let help = match close {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("take one of the config's `vm_sizes`, or add it there{}", self.sizes_hint()),
                };
                self.faults.add(Problem::new(ProblemId::UnknownSize, name.span, message).help(help));
                Size::Bad
            }
        }
    }

    /// `: `small`, `medium``, for hints.
    fn sizes_hint(&self) -> String {
        let names: Vec<&str> = self
            .inputs
            .config
            .into_iter()
            .flat_map(|config| entries(&config.vm_sizes).map(|(name, _)| name.value.as_str()))
            .collect();
        if names.is_empty() { " (it has none yet)".to_owned() } else { format!(": {}", listed(names)) }
    }

    /// Disks are copies of the template's, and can only grow.
    fn check_disk<const MIN: u64, const MAX: u64>(&mut self, disk: &At<Int<MIN, MAX>>) {
        let Some(template) = self.inputs.config.and_then(|config| config.vm_template.get()) else { return };
        let base = &template.base_disk_gb;
        if disk.value.0 < base.value.0 {
            let message =
                format!("a disk of {} GB is smaller than the template's of {} GB", disk.value.0, base.value.0);
            let problem = Problem::new(ProblemId::DiskTooSmall, disk.span, message);
            let problem = problem.context(base.span, format!("the template's `base_disk_gb` is {}", base.value.0));
            self.faults.add(problem.help(format!("a clone can't shrink: take at least {}", base.value.0)));
        }
    }
}

/// Where a value may come from.
struct Pick<'s, 'a> {
    pool: &'s Size<'a>,
    over: &'s Size<'a>,
}

enum Found<'v, T> {
    Is(&'v At<T>),
    Bad,
    Lacking,
}

impl<'v, T> Found<'v, T> {
    fn is_lacking(&self) -> bool {
        matches!(self, Found::Lacking)
    }

    fn get(&self) -> Option<&'v At<T>> {
        match self {
            Found::Is(at) => Some(at),
            Found::Bad | Found::Lacking => None,
        }
    }
}

impl<'a> Pick<'_, 'a> {
    fn of<'v, T>(
        &self,
        over: Option<&'v Given<T>>,
        pool: &'v Given<T>,
        of_size: impl Fn(&'a SizeSection) -> &'a Given<T>,
    ) -> Found<'v, T>
    where
        'a: 'v,
        T: 'a,
    {
        let from_size = |size: &Size<'a>| match size {
            Size::NotGiven => None,
            Size::Bad => Some(Found::Bad),
            Size::Is(size) => given(of_size(size)),
        };
        over.and_then(given)
            .or_else(|| from_size(self.over))
            .or_else(|| given(pool))
            .or_else(|| from_size(self.pool))
            .unwrap_or(Found::Lacking)
    }
}

fn given<T>(given: &Given<T>) -> Option<Found<'_, T>> {
    match given {
        Given::Absent => None,
        Given::Bad => Some(Found::Bad),
        Given::Is(at) => Some(Found::Is(at)),
    }
}
