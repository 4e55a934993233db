//! One file a verb, read top-down: the only place where the layers meet.

mod adopt;
mod apply;
mod create;
mod destroy;
mod doctor;
mod edit;
mod explain;
mod files;
mod generate;
mod identity;
mod init;
mod interrupts;
mod inventory;
mod known_hosts;
mod local_image;
mod lock;
mod logging;
mod login_keys;
mod look;
mod nodes;
mod observe;
mod plan;
mod planning;
mod remove;
mod run;
mod sandbox;
mod saved;
mod scale;
mod session;
mod status;
mod validate;

use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory as _;

use crate::cli::{Cli, ColorWhen, SandboxCommand, Verb};
use crate::error::{Exit, Fault};
use crate::input::Problems;
use crate::ui::{ColorChoice, Ui};

/// Why a command stopped before its end.
#[derive(Debug)]
pub enum Stop {
    Problems(Box<Problems>),
    Faults(Vec<Fault>),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Faults(vec![fault])
    }
}

impl From<Box<Problems>> for Stop {
    fn from(problems: Box<Problems>) -> Self {
        Stop::Problems(problems)
    }
}

/// What the command line lacks or has too much of, in clap's words.
pub fn usage(error: &clap::Error) {
    let said = error.render().to_string();
    // A verb that is missing: clap shows the help.
    let Some(said) = said.strip_prefix("error: ") else {
        let _ = error.print();
        return;
    };
    let verbs: Vec<_> = Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let words: Vec<String> = std::env::args_os().filter_map(|word| word.into_string().ok()).collect();
    let verb = words.iter().find(|word| verbs.contains(word));
    let next = format!("see pvekube{} --help", verb.map_or(String::new(), |verb| format!(" {verb}")));
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("For more info"));
    let mut fault = Fault::new("usage", lines.next().unwrap_or_default(), next);
    fault.detail = lines.map(str::to_owned).collect();
    for name in ["PVEKUBE_CONFIG", "PVEKUBE_MANIFEST"] {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            fault = fault.with_detail(format!("{name} is set to nothing: unset it, or name a file"));
        }
    }
    let folder = words.windows(2).find(|pair| pair[0] == "--sandbox").map(|pair| &pair[1]);
    if let Some(folder) = folder.filter(|folder| fault.summary.contains(&format!("'{folder}'"))) {
        fault = fault.with_detail(format!("the sandbox's folder is given with an equals sign: --sandbox={folder}"));
    }
    Ui::new(ColorChoice::Auto, false).fault(&fault);
}

/// Runs one command in this process and gives its exit code.
pub fn main(cli: Cli) -> ExitCode {
    let color = match cli.global.color {
        ColorWhen::Auto => ColorChoice::Auto,
        ColorWhen::Always => ColorChoice::Always,
        ColorWhen::Never => ColorChoice::Never,
    };
    let ui = Ui::new(color, cli.global.quiet);
    // A stand-in is a node's program: it has its own streams and exit code, and no log.
    if let Verb::Sandbox(crate::cli::SandboxVerb { verb: SandboxCommand::Tool { dir, node, argv } }) = cli.verb {
        return crate::sandbox::programs::main(&dir, &node, &argv);
    }
    let exit = start(&ui, cli).unwrap_or_else(|stop| {
        report(&ui, &stop);
        Exit::Failure
    });
    ExitCode::from(exit as u8)
}

fn start(ui: &Ui, cli: Cli) -> Result<Exit, Stop> {
    if let Some(path) = &cli.global.log_file {
        files::is_no_input(path, &session::input_paths(&cli.global))?;
    }
    logging::start(ui, cli.global.verbose, cli.global.log_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Fault::new(
            "no-runtime",
            format!("the program can't start: {error}"),
            "check the limits of this process: ulimit -a",
        )
    })?;
    let exit = runtime.block_on(run(ui, cli));
    // A download thread may hang in a read; nobody waits for it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

async fn run(ui: &Ui, cli: Cli) -> Result<Exit, Stop> {
    let global = &cli.global;
    match cli.verb {
        Verb::Validate(args) => validate::run(ui, global, &args),
        Verb::Plan(args) => plan::run(ui, global, &args).await,
        Verb::Apply(args) => apply::run(ui, global, &args).await,
        Verb::Status(args) => status::run(ui, global, &args).await,
        Verb::Inventory(args) => inventory::run(ui, global, &args).await,
        Verb::Observe(_) => observe::run(ui, global).await,
        Verb::Doctor(args) => doctor::run(ui, global, &args).await,
        Verb::Explain(args) => explain::run(ui, global, &args).await,
        Verb::Destroy(args) => destroy::run(ui, global, &args).await,
        Verb::Init(args) => init::run(ui, global, &args).await,
        Verb::Create(args) => create::run(ui, global, &args).await,
        Verb::Scale(args) => scale::run(ui, global, &args).await,
        Verb::Remove(args) => remove::run(ui, global, &args).await,
        Verb::Adopt(args) => adopt::adopt(ui, global, &args).await,
        Verb::Disown(args) => adopt::disown(ui, global, &args).await,
        Verb::Lock(_) => lock::show(ui, global).await,
        Verb::Sandbox(args) => sandbox::run(ui, &args),
        Verb::Schema(args) => generate::schema(ui, &args).map(|()| Exit::Success).map_err(Stop::from),
        Verb::Man(args) => generate::man(&args).map(|()| Exit::Success).map_err(Stop::from),
        Verb::Completions(args) => generate::completions(ui, &args).map(|()| Exit::Success).map_err(Stop::from),
    }
}

fn report(ui: &Ui, stop: &Stop) {
    match stop {
        Stop::Problems(problems) => {
            let look = ui.talk_look();
            ui.warn(&problems.render(look.color, look.width));
        }
        Stop::Faults(faults) => faults.iter().for_each(|fault| ui.fault(fault)),
    }
}
