//! `pvekube remove`: one machine out of the manifest, then deleted; it alone.

use super::edit::{self, impossible};
use super::{Stop, planning};
use crate::cli::{Global, Remove as Args};
use crate::error::Exit;
use crate::input;
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let loaded = edit::load(global)?;
    let Some(machine) = loaded.desired.machines.iter().find(|machine| machine.name.as_str() == args.machine) else {
        let fault = planning::unknown_machine("remove", &args.machine, &loaded.desired);
        let left =
            format!("one that the manifest no longer lists goes with: pvekube apply --prune --only {}", args.machine);
        return Err(fault.with_detail(left).into());
    };
    let (id, machine_name) = (machine.id.clone(), machine.name.clone());
    let name = loaded.manifest.name.clone();
    let mut numbers = edit::numbers(&loaded.desired, &id.pool);
    numbers.remove(&id.number);
    let text = input::edit::set_numbers(&loaded.manifest.text, &id.pool, &numbers)
        .and_then(|text| input::edit::remove_override(&text, &id.pool, id.number))
        .map_err(|reason| impossible(reason, &name))?;
    let reach = edit::Reach { only: vec![machine_name], pools: Vec::new(), prune: true };
    edit::go(ui, global, &args.edit, edit::parse(loaded, text)?, reach).await
}
