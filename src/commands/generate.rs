//! `schema`, `man`, `completions`: what packages and editors want.

use clap::CommandFactory as _;

use crate::cli::{Cli, Completions, Man, Schema, SchemaOf};
use crate::error::Fault;
use crate::ui::Ui;
use crate::{input, render};

pub fn schema(ui: &Ui, args: &Schema) -> Result<(), Fault> {
    let schema = match args.of {
        SchemaOf::Config => format!("{:#}\n", input::schema_config()),
        SchemaOf::Cluster => format!("{:#}\n", input::schema_manifest()),
        SchemaOf::Plan => render::json::plan_schema(),
    };
    ui.data(&schema)
}

pub fn man(args: &Man) -> Result<(), Fault> {
    clap_mangen::generate_to(Cli::command(), &args.out).map_err(|error| {
        Fault::new(
            "write-failed",
            format!("man pages can't be written to {}: {error}", args.out.display()),
            "make the folder first: mkdir -p DIR",
        )
    })
}

pub fn completions(ui: &Ui, args: &Completions) -> Result<(), Fault> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pvekube", &mut script);
    ui.data(&String::from_utf8_lossy(&script))
}
