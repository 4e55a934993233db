//! `pvekube scale workers=5`: the manifest's counts, then apply.

use std::collections::BTreeSet;

use super::Stop;
use super::edit::{self, impossible};
use crate::cli::{Global, Scale as Args};
use crate::error::{Exit, Fault};
use crate::input::{self, Loaded};
use crate::model::ids::{MachineId, Pool};
use crate::ui::Ui;

/// As the manifest takes it.
const LARGEST: usize = 1000;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let wanted = args.pools.iter().map(|text| parse(text)).collect::<Result<Vec<_>, Fault>>()?;
    let pools: BTreeSet<&Pool> = wanted.iter().map(|(pool, _)| pool).collect();
    if pools.len() < wanted.len() {
        return Err(Fault::new("scale-flags", "a pool is named twice", "give each pool one count").into());
    }
    let loaded = edit::load(global)?;
    let name = loaded.manifest.name.clone();
    let mut text = loaded.manifest.text.clone();
    let mut only = Vec::new();
    let scaled: Vec<Pool> = wanted.iter().map(|(pool, _)| pool.clone()).collect();
    for (pool, count) in wanted {
        known(&pool, &loaded)?;
        let old = edit::numbers(&loaded.desired, &pool);
        let mut new = old.clone();
        while new.len() > count {
            // The youngest number goes first, so that the others keep theirs.
            new.pop_last();
        }
        let missing = count.saturating_sub(new.len());
        let fresh: Vec<u32> = (1..).filter(|number| !new.contains(number)).take(missing).collect();
        new.extend(fresh);
        text = input::edit::set_numbers(&text, &pool, &new).map_err(|reason| impossible(reason, &name))?;
        for number in old.difference(&new) {
            text = input::edit::remove_override(&text, &pool, *number).map_err(|reason| impossible(reason, &name))?;
        }
        let changed = old.symmetric_difference(&new);
        only.extend(
            changed.map(|number| MachineId { pool: pool.clone(), number: *number }.name(&loaded.desired.cluster)),
        );
    }
    let reach = edit::Reach { only, pools: scaled, prune: true };
    edit::go(ui, global, &args.edit, edit::parse(loaded, text)?, reach).await
}

/// A pool is described in the manifest before it is scaled: nothing else says what size its machines have.
fn known(pool: &Pool, loaded: &Loaded) -> Result<(), Fault> {
    let pools = input::edit::pools(&loaded.manifest.text);
    if pools.contains(pool) {
        return Ok(());
    }
    let next = match pool {
        Pool::Masters => "begin it with: pvekube create --role master --size SIZE".to_owned(),
        Pool::Workers => "begin it with: pvekube create --role worker --size SIZE".to_owned(),
        Pool::Named(_) => {
            let known = pools.iter().map(Pool::section).collect::<Vec<_>>().join(", ");
            format!("name one of: {known}; or describe it under `pools:` first")
        }
    };
    Err(Fault::new("unknown-pool", format!("the manifest has no pool `{}`", pool.section()), next))
}

fn parse(text: &str) -> Result<(Pool, usize), Fault> {
    let bad = || {
        Fault::new(
            "scale-flags",
            format!("`{text}` is not POOL=COUNT"),
            "write for example: pvekube scale workers=5 masters=3",
        )
    };
    let (pool, count) = text.split_once('=').ok_or_else(bad)?;
    let pool = match pool {
        "" => return Err(bad()),
        "masters" => Pool::Masters,
        "workers" => Pool::Workers,
        other => Pool::Named(other.to_owned()),
    };
    let count: usize = count.parse().map_err(|_| bad())?;
    if count > LARGEST {
        let summary = format!("`{text}`: a pool has at most {LARGEST} machines");
        return Err(Fault::new("scale-flags", summary, "write for example: pvekube scale workers=5 masters=3"));
    }
    Ok((pool, count))
}
