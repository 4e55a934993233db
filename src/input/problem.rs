//! Something in the input to be mended: what, where, why, and what to do about it. Pure data; `show` draws it.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

use super::problem_id::ProblemId;
use crate::error::text::acts;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputFile {
    Config,
    Manifest,
}

impl InputFile {
    pub fn example_name(self) -> &'static str {
        match self {
            InputFile::Config => "config.example.yaml",
            InputFile::Manifest => "cluster.example.yaml",
        }
    }

    /// For sentences: "the config has no …".
    pub fn noun(self) -> &'static str {
        match self {
            InputFile::Config => "the config",
            InputFile::Manifest => "the manifest",
        }
    }
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub file: InputFile,
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(file: InputFile, bytes: Range<usize>) -> Self {
        Self { file, start: bytes.start, end: bytes.end }
    }
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// Bytes of one of the two files.
    File(Span),
    /// The file as a whole, by its path: it could not be read.
    Path(String),
    /// `--config`, or an environment variable.
    Flag(String),
}

impl From<Span> for Where {
    fn from(span: Span) -> Self {
        Where::File(span)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    /// Shown, and planning goes on.
    Warning,
}

/// One fault, or one warning.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub id: ProblemId,
    pub severity: Severity,
    /// One sentence, no full stop, names in backticks.
    pub message: String,
    pub place: Where,
    /// Short text beside the underline.
    pub label: Option<String>,
    /// Other places that explain it: where the key was given first.
    pub context: Vec<(Span, String)>,
    /// What to do. Never empty in what `parse` and `load` return.
    pub help: Vec<String>,
    pub notes: Vec<String>,
    /// The source line holds a secret: never print it.
    pub secret: bool,
}

impl Problem {
    pub fn new(id: ProblemId, place: impl Into<Where>, message: String) -> Self {
        Self {
            id,
            severity: Severity::Error,
            message,
            place: place.into(),
            label: None,
            context: Vec::new(),
            help: Vec::new(),
            notes: Vec::new(),
            secret: false,
        }
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = Some(text.into());
        self
    }

    pub fn context(mut self, span: Span, text: impl Into<String>) -> Self {
        self.context.push((span, text.into()));
        self
    }

    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Collects problems while reading. Bounded: a file of a hundred thousand faults is the wrong file.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Problem>,
    /// One fault that many machines share is told once.
    seen: BTreeSet<(Where, ProblemId, String)>,
    /// Errors left out.
    more: usize,
}

/// Nobody mends more than this at once.
const MOST: usize = 100;

impl Faults {
    pub fn add(&mut self, problem: Problem) {
        if !self.seen.insert((problem.place.clone(), problem.id, problem.message.clone())) {
            return;
        }
        if self.list.len() < MOST {
            self.list.push(problem);
        } else if problem.severity == Severity::Error {
            self.more += 1;
        }
    }

    /// Whether a further problem would only be counted: then it needs no words.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// Counts an error that is not shown.
    pub fn add_unshown(&mut self) {
        self.more += 1;
    }

    /// Errors, then warnings; each by file and position.
    pub fn finish(mut self) -> (Vec<Problem>, Vec<Problem>, usize) {
        self.list.sort_by(|a, b| (&a.place, a.id, &a.message).cmp(&(&b.place, b.id, &b.message)));
        let (errors, warnings) = self.list.into_iter().partition(|problem| problem.severity == Severity::Error);
        (errors, warnings, self.more)
    }
}

/// A file's name as the operator gave it, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

impl SourceFile {
    /// The file's text without its byte order mark, and that mark's length.
    fn body(&self) -> (&str, usize) {
        match self.text.strip_prefix('\u{feff}') {
            Some(body) => (body, self.text.len() - body.len()),
            None => (&self.text, 0),
        }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn line_column(&self, byte: usize) -> (u32, u32) {
        let (body, offset) = self.body();
        let mut end = byte.saturating_sub(offset).min(body.len());
        while !body.is_char_boundary(end) {
            end -= 1;
        }
        let before = &body[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        let column = 1 + before[line_start..].chars().count();
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The bytes of a span without a byte order mark, cut to its first line.
    pub(super) fn first_line(&self, start: usize, end: usize) -> Range<usize> {
        let (_, offset) = self.body();
        let floor = |mut at: usize| {
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(start.max(offset).min(self.text.len()));
        let end = floor(end.clamp(start, self.text.len()));
        let line_end = self.text[start..end].find(['\n', '\r']).map_or(end, |at| start + at);
        start..line_end
    }
}

/// All problems of the input, with the files they are in: what `parse` and `load` refuse with.
#[derive(Clone, Debug, PartialEq)]
pub struct Problems {
    /// By file and position; never empty, all of severity error.
    pub list: Vec<Problem>,
    /// Warnings found on the way.
    pub warnings: Vec<Problem>,
    /// Errors left out of the list.
    pub more: usize,
    pub config: SourceFile,
    pub manifest: SourceFile,
}

/// A problem as plain data: for `--format json` and GitHub's annotations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    pub id: &'static str,
    pub severity: Severity,
    pub message: String,
    /// `None` for a flag or the environment.
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    pub end_column: Option<u32>,
    pub help: Vec<String>,
    pub notes: Vec<String>,
}

impl Problem {
    pub fn record(&self, config: &SourceFile, manifest: &SourceFile) -> Record {
        let mut record = Record {
            id: self.id.as_str(),
            severity: self.severity,
            message: self.message.clone(),
            file: None,
            line: None,
            column: None,
            end_column: None,
            help: self.help.clone(),
            notes: self.notes.clone(),
        };
        match &self.place {
            Where::File(span) => {
                let source = source_of(span.file, config, manifest);
                let range = source.first_line(span.start, span.end);
                let (line, column) = source.line_column(range.start);
                record.file = Some(source.name.clone());
                record.line = Some(line);
                record.column = Some(column);
                record.end_column = Some(source.line_column(range.end).1);
            }
            Where::Path(path) => record.file = Some(path.clone()),
            Where::Flag(_) => {}
        }
        record
    }
}

impl Problems {
    /// Errors and then warnings, as plain data.
    pub fn records(&self) -> Vec<Record> {
        self.list.iter().chain(&self.warnings).map(|problem| problem.record(&self.config, &self.manifest)).collect()
    }

    pub fn count(&self) -> usize {
        self.list.len() + self.more
    }
}

pub(super) fn source_of<'a>(file: InputFile, config: &'a SourceFile, manifest: &'a SourceFile) -> &'a SourceFile {
    match file {
        InputFile::Config => config,
        InputFile::Manifest => manifest,
    }
}

/// The user's own text for a message: one line, printable, not long.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .flat_map(|c| if acts(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// `a`, `b` and `c`, for hints.
pub fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const MOST_NAMES: usize = 40;
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", shown(name.as_ref()))).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
