//! The command line as Perl's Getopt::Long reads it for PVE: unique abbreviations, booleans with an optional value,
//! lists that repeat (contract §0.3; PVE/JSONSchema.pm `get_options`).

use std::collections::BTreeMap;

use super::{Type, boolean, check, read};

/// What a command takes.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub types: BTreeMap<String, Type>,
    /// Positional parameters in order.
    pub fixed: Vec<&'static str>,
    /// Positional parameters that may be left out, from this index on.
    pub optional_from: Option<usize>,
    /// Words after the positional ones (`qm guest exec ID -- CMD…`) are kept.
    pub extra: bool,
    /// Options that may repeat: their values are joined with commas.
    pub lists: &'static [&'static str],
}

/// A parsed command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    pub values: BTreeMap<String, String>,
    pub extra: Vec<String>,
}

/// Why a command line was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Lines on stderr before `400 unable to parse option`.
    Option(Vec<String>),
    /// `400 not enough arguments` and the like.
    Arguments(&'static str),
    /// Parameters that fail the schema, in order of name.
    Schema(Vec<(String, String)>),
}

impl Options {
    /// From the compact text form, one `NAME TYPE` a line or separated by `;`.
    pub fn new(text: &str, fixed: &[&'static str]) -> Self {
        Self { types: read::read(&text.replace(';', "\n")), fixed: fixed.to_vec(), ..Self::default() }
    }

    pub fn with(mut self, more: &BTreeMap<String, Type>) -> Self {
        for (name, kind) in more {
            self.types.entry(name.clone()).or_insert_with(|| kind.clone());
        }
        self
    }
}

/// Reads and checks a command line (without the command words).
pub fn parse(options: &Options, argv: &[String]) -> Result<Parsed, Refusal> {
    let mut parsed = Parsed::default();
    let mut positional: Vec<String> = Vec::new();
    let mut complaints = Vec::new();
    let mut at = 0;
    while at < argv.len() {
        let word = &argv[at];
        at += 1;
        if word == "--" {
            positional.extend_from_slice(&argv[at..]);
            break;
        }
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty())
        else {
            positional.push(word.clone());
            continue;
        };
        let (name, inline) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let name = match resolve(options, name) {
            Ok(name) => name,
            Err(complaint) => {
                complaints.push(complaint);
                continue;
            }
        };
        let value = match (inline, &options.types[&name]) {
            (Some(value), _) => value,
            (None, Type::Boolean) => match argv.get(at).filter(|next| !next.starts_with('-')) {
                Some(next) => {
                    at += 1;
                    next.clone()
                }
                None => "1".to_owned(),
            },
            // A mandatory value takes anything, even what looks like an option.
            (None, _) => match argv.get(at) {
                Some(next) => {
                    at += 1;
                    next.clone()
                }
                None => {
                    complaints.push(format!("Option {name} requires an argument"));
                    continue;
                }
            },
        };
        store(options, &mut parsed.values, name, value);
    }
    if !complaints.is_empty() {
        return Err(Refusal::Option(complaints));
    }
    place(options, positional, &mut parsed)?;
    verify(options, &mut parsed)?;
    Ok(parsed)
}

/// The full name of an option or its unique beginning.
fn resolve(options: &Options, name: &str) -> Result<String, String> {
    if options.types.contains_key(name) && !options.fixed.contains(&name) {
        return Ok(name.to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let mut fits: Vec<&String> = options
        .types
        .keys()
        .filter(|full| !options.fixed.contains(&full.as_str()) && full.to_ascii_lowercase().starts_with(&lower))
        .collect();
    fits.sort();
    match fits.as_slice() {
        [] => Err(format!("Unknown option: {lower}")),
        [only] => Ok((*only).clone()),
        several => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(format!("Option {lower} is ambiguous ({})", names.join(", ")))
        }
    }
}

fn store(options: &Options, values: &mut BTreeMap<String, String>, name: String, value: String) {
    if options.lists.contains(&name.as_str())
        && let Some(before) = values.get_mut(&name)
    {
        before.push(',');
        before.push_str(&value);
    } else {
        values.insert(name, value);
    }
}

fn place(options: &Options, positional: Vec<String>, parsed: &mut Parsed) -> Result<(), Refusal> {
    let needed = options.optional_from.unwrap_or(options.fixed.len());
    if positional.len() < needed {
        return Err(Refusal::Arguments("not enough arguments"));
    }
    if positional.len() > options.fixed.len() && !options.extra {
        return Err(Refusal::Arguments("too many arguments"));
    }
    let mut words = positional.into_iter();
    for name in &options.fixed {
        if let Some(value) = words.next() {
            parsed.values.insert((*name).to_owned(), value);
        }
    }
    parsed.extra = words.collect();
    Ok(())
}

fn verify(options: &Options, parsed: &mut Parsed) -> Result<(), Refusal> {
    let mut problems = Vec::new();
    for (name, value) in &mut parsed.values {
        let Some(kind) = options.types.get(name) else { continue };
        if *kind == Type::Boolean
            && let Some(plain) = boolean(value)
        {
            *value = plain.to_owned();
        }
        // Perl's code deletes or defaults what is given empty; only PVE's own code then looks at it.
        if value.is_empty() && matches!(kind, Type::Text(_)) {
            continue;
        }
        if let Err(problem) = check(name, kind, value) {
            problems.push((name.clone(), problem));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Refusal::Schema(problems)) }
}
