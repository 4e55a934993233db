//! Where the log goes: stderr with `-v`, a file with `--log-file`; never stdout, never through the progress picture.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::error::Fault;
use crate::ui::Ui;

/// What we log, as opposed to the libraries.
const OURS: &str = "pvekube";

/// `RUST_LOG` wins over `-v` for stderr; the file always gets everything of ours.
pub fn start(ui: &Ui, verbose: u8, file: Option<&Path>) -> Result<(), Fault> {
    let ours = match verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let filter = match std::env::var_os("RUST_LOG").filter(|text| !text.is_empty()) {
        None => Targets::new().with_target(OURS, ours),
        Some(text) => text.to_string_lossy().parse::<Targets>().map_err(|error| {
            Fault::new(
                "rust-log",
                format!("RUST_LOG={}: {error}", text.to_string_lossy().escape_debug()),
                "write for example RUST_LOG=pvekube=debug, or unset it",
            )
        })?,
    };
    let stderr = fmt::layer()
        .with_writer(ui.log_writer())
        .with_ansi(ui.talk_look().color)
        .with_target(false)
        .with_filter(filter);
    let to_file = match file {
        None => None,
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                Fault::new(
                    "log-file",
                    format!("--log-file {}: {error}", path.display()),
                    "name a file in a folder that you may write to",
                )
            })?;
            let layer = fmt::layer().with_writer(Mutex::new(file)).with_ansi(false).with_target(false);
            Some(layer.with_filter(Targets::new().with_target(OURS, LevelFilter::DEBUG)))
        }
    };
    // A second start in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry().with(stderr).with(to_file).try_init();
    Ok(())
}
