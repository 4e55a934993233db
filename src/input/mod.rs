//! Files → `Desired`, or all the problems at once.
//!
//! ```text
//! text ─ yaml ─> tree with byte spans ─ walk (config, manifest) ─> typed keys ─ resolve ─> Desired
//! ```
//!
//! Every stage notes its problems and goes on, so that one run shows them all; `show` draws them as rustc does.

mod address;
mod collection;
mod config;
pub mod edit;
mod hint;
mod manifest;
mod number;
mod problem;
mod problem_id;
mod resolve;
mod scalar;
mod schema;
mod section;
mod show;
mod ssh_key;
mod value;
mod walk;
mod word;
mod words;
mod yaml;
mod yaml_error;

use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use problem::{InputFile, Problem, Problems, Record, Severity, SourceFile, Span, Where};
pub use problem_id::ProblemId;
pub use schema::{config as schema_config, manifest as schema_manifest};
pub use show::render;

use crate::model::desired::Desired;
use config::Config;
use manifest::Manifest;
use problem::Faults;
use walk::{Read, Walk};

/// Both files read and resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub desired: Desired,
    pub config: SourceFile,
    pub manifest: SourceFile,
    pub warnings: Vec<Problem>,
}

/// What reading the files needs from outside them.
pub struct Env<'a> {
    /// For `~` in paths.
    pub home: Option<PathBuf>,
    /// Reads a text file: `ssh_public_key_file`.
    pub read_file: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

impl Env<'static> {
    /// This process's.
    pub fn current() -> Self {
        Env { home: etcetera::home_dir().ok(), read_file: &read_small }
    }
}

/// Reads both files from disk. Missing, unreadable or oversized files are problems too.
pub fn load(config: &Path, manifest: &Path) -> Result<Loaded, Box<Problems>> {
    let mut faults = Faults::default();
    let config_file = read(InputFile::Config, config, &mut faults);
    let manifest_file = read(InputFile::Manifest, manifest, &mut faults);
    let env = Env::current();
    parse_found(config_file, manifest_file, &env, faults)
}

/// Reads two texts. Pure but for `env`.
pub fn parse(config: &SourceFile, manifest: &SourceFile, env: &Env<'_>) -> Result<Loaded, Box<Problems>> {
    let found = |file: &SourceFile| Found { file: file.clone(), readable: true };
    parse_found(found(config), found(manifest), env, Faults::default())
}

/// One line of a public key file, checked as the config's keys are; else what is wrong with it.
pub fn check_public_key(line: &str) -> Result<String, String> {
    ssh_key::check(line).map(|key| key.line).map_err(|bad| bad.message)
}

/// The config that `--sandbox` uses when the folder has none: `config.example.yaml`.
pub fn example_config() -> SourceFile {
    SourceFile { name: "config.example.yaml".to_owned(), text: include_str!("../../config.example.yaml").to_owned() }
}

/// The manifest that `--sandbox` uses when the folder has none: `cluster.example.yaml`.
pub fn example_manifest() -> SourceFile {
    SourceFile { name: "cluster.example.yaml".to_owned(), text: include_str!("../../cluster.example.yaml").to_owned() }
}

/// A file by name; what could not be read has no text, and its problem is noted.
struct Found {
    file: SourceFile,
    readable: bool,
}

fn parse_found(config: Found, manifest: Found, env: &Env<'_>, mut faults: Faults) -> Result<Loaded, Box<Problems>> {
    let typed_config: Option<Config> = typed(InputFile::Config, &config, &mut faults);
    let typed_manifest: Option<Manifest> = typed(InputFile::Manifest, &manifest, &mut faults);
    let desired = resolve::resolve(
        &resolve::Inputs {
            config: typed_config.as_ref(),
            manifest: typed_manifest.as_ref(),
            config_file: &config.file,
            manifest_file: &manifest.file,
            env,
        },
        &mut faults,
    );
    let (list, warnings, more) = faults.finish();
    let (config, manifest) = (config.file, manifest.file);
    match desired {
        Some(desired) if list.is_empty() => Ok(Loaded { desired, config, manifest, warnings }),
        Some(_) | None => Err(Box::new(Problems { list, warnings, more, config, manifest })),
    }
}

fn typed<T: Read>(file: InputFile, found: &Found, faults: &mut Faults) -> Option<T> {
    if !found.readable {
        return None;
    }
    let root = yaml::parse(file, &found.file.text, faults)?;
    T::read(&root, &mut Walk::new(file, faults))
}

/// A file's text; problems name the flag and what else there is to do.
fn read(file: InputFile, path: &Path, faults: &mut Faults) -> Found {
    let name = path.display().to_string();
    let problem = |id, message: String| Problem::new(id, Where::Path(name.clone()), message);
    let flag = match file {
        InputFile::Config => "--config",
        InputFile::Manifest => "--manifest",
    };
    let text = match read_bounded(path) {
        Ok(bytes) if bytes.len() > yaml::MAX_BYTES => {
            let message = format!("`{name}` is larger than 1 MiB");
            Err(problem(ProblemId::FileTooLarge, message).help(format!("name the right file with `{flag} FILE`")))
        }
        Ok(bytes) if bytes.contains(&0) && !is_utf16(&bytes) => {
            let message = format!("`{name}` is not text: it has NUL bytes");
            Err(problem(ProblemId::NotUtf8, message)
                .help(format!("name the right file with `{flag} FILE`, saved as UTF-8")))
        }
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| not_utf8(&name, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(problem(ProblemId::FileMissing, format!("there is no `{name}`"))
                .help(format!("`pvekube init` writes one; another is named with `{flag} FILE`"))
                .help("to try pvekube without Proxmox: `pvekube plan --sandbox`, in a folder with neither file"))
        }
        Err(error) => Err(problem(ProblemId::FileUnreadable, format!("`{name}` can't be read: {error}"))
            .help(format!("check the path and its permissions, or name another file with `{flag} FILE`"))),
    };
    match text {
        Ok(text) => Found { file: SourceFile { name, text }, readable: true },
        Err(problem) => {
            faults.add(problem);
            Found { file: SourceFile { name, text: String::new() }, readable: false }
        }
    }
}

/// At most one byte more than is read; a pipe or a device may never end.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_small(path: &Path) -> std::io::Result<String> {
    String::from_utf8(read_bounded(path)?).map_err(|_| std::io::Error::other("it is not UTF-8 text"))
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Problem {
    let at = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    let message = format!("`{name}` is not UTF-8 text (line {line}, byte {at})");
    let problem = Problem::new(ProblemId::NotUtf8, Where::Path(name.to_owned()), message);
    problem.help(if is_utf16(bytes) { "it is UTF-16: save it as UTF-8" } else { "save it as UTF-8" })
}

fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])
}
