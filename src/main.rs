//! Thin: the command line in, an exit code out.

use std::process::ExitCode;

use clap::Parser;
use pvekube::cli::Cli;
use pvekube::commands;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` arrive here too, and are no failure. A usage error is 1: 2 means "changes".
            if !error.use_stderr() {
                // A closed pipe is nobody's fault.
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            commands::usage(&error);
            return ExitCode::FAILURE;
        }
    };
    commands::main(cli)
}
