//! `pvekube sandbox reset`.

use super::Stop;
use crate::cli::{SandboxCommand, SandboxVerb};
use crate::error::{Exit, Fault};
use crate::sandbox::demo;
use crate::ui::Ui;

pub fn run(ui: &Ui, args: &SandboxVerb) -> Result<Exit, Stop> {
    match &args.verb {
        SandboxCommand::Reset { dir } => {
            let removed = demo::reset(dir).map_err(|error| {
                Fault::new(
                    "sandbox-folder",
                    format!("{} can't be removed: {error}", dir.display()),
                    "name the folder of a sandbox; whatever else it is, it is yours to remove",
                )
            })?;
            ui.talk(&if removed {
                format!("The sandbox in {} is gone.", dir.display())
            } else {
                format!("There is no sandbox in {}.", dir.display())
            });
            Ok(Exit::Success)
        }
        // `commands::main` has taken it before.
        SandboxCommand::Tool { .. } => Ok(Exit::Failure),
    }
}
