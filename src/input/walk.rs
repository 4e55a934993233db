//! From the tree to typed values, noting every problem on the way and going on after each.

use std::ops::Deref;

use serde_json::Value;

use super::hint;
use super::problem::{Faults, InputFile, Problem, Span, shown};
use super::problem_id::ProblemId;
use super::section::Section;
use super::yaml::{Entry, Key, Kind, Node};

/// A value that knows where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    pub value: T,
    /// The value; for what was left out, the section that would hold it.
    pub span: Span,
    /// Its key, or the same as `span` where it has none.
    pub key: Span,
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A key's value, when the key has no default.
#[derive(Clone, Debug, PartialEq)]
pub enum Given<T> {
    Absent,
    /// There, but wrong: the problem is noted, and nothing more should be said of it.
    Bad,
    Is(At<T>),
}

impl<T> Given<T> {
    pub fn get(&self) -> Option<&At<T>> {
        match self {
            Given::Is(at) => Some(at),
            Given::Absent | Given::Bad => None,
        }
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Given::Absent)
    }

    pub fn is_bad(&self) -> bool {
        matches!(self, Given::Bad)
    }
}

/// What can be read from a node of the tree, and described as JSON Schema.
pub trait Read: Sized {
    /// `None`: the problem is noted.
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self>;
    fn schema() -> Value;
    /// How a value is written, for the hint of a missing key.
    fn example() -> &'static str;
}

/// The state of one file's reading.
pub struct Walk<'a> {
    pub file: InputFile,
    pub faults: &'a mut Faults,
    frames: Vec<Frame>,
}

/// Where the walk is.
struct Frame {
    /// `workers.network`.
    path: String,
    key: Span,
    /// Keys of this section that a wrong key here probably means: that they are missing need not be said.
    misspelt: Vec<&'static str>,
}

impl<'a> Walk<'a> {
    pub fn new(file: InputFile, faults: &'a mut Faults) -> Self {
        let frame = Frame { path: String::new(), key: Span::new(file, 0..0), misspelt: Vec::new() };
        Self { file, faults, frames: vec![frame] }
    }

    /// The value's path: `workers.network.gateway`; empty at the root.
    pub fn path(&self) -> &str {
        self.frames.last().map_or("", |frame| frame.path.as_str())
    }

    /// The last key of the path, which says the unit of a number.
    pub fn last_key(&self) -> &str {
        self.path().rsplit('.').next().unwrap_or_default()
    }

    /// The path in backticks, or the file at the root.
    pub fn here(&self) -> String {
        match self.path() {
            "" => self.file.noun().to_owned(),
            path => format!("`{path}`"),
        }
    }

    pub fn key_span(&self) -> Span {
        self.frames.last().map_or(Span::new(self.file, 0..0), |frame| frame.key)
    }

    pub fn span(&self, node: &Node) -> Span {
        Span::new(self.file, node.span.clone())
    }

    pub fn add(&mut self, problem: Problem) {
        self.faults.add(problem);
    }

    /// A node that has another kind than wanted.
    pub fn wrong_type(&mut self, node: &Node, wanted: &str, help: impl Into<String>) {
        let got = match &node.kind {
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        };
        let message = format!("{} takes {wanted}, not {got}", self.here());
        let problem = Problem::new(ProblemId::WrongType, self.span(node), message);
        self.add(problem.help(help));
    }

    /// The entries of a section; unknown keys are noted.
    pub fn section<'n>(&mut self, node: &'n Node, known: &[&'static str]) -> Option<&'n [Entry]> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "a map of keys", format!("its keys are {}", super::problem::listed(known)));
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.text.as_str())) {
            if self.faults.is_full() {
                self.faults.add_unshown();
                continue;
            }
            let meant = hint::meant(&entry.key.text, known);
            if let (Some(meant), Some(frame)) = (meant, self.frames.last_mut()) {
                frame.misspelt.push(meant);
            }
            let span = Span::new(self.file, entry.key.span.clone());
            let message = format!("{} has no key `{}`", self.here(), shown(&entry.key.text));
            let problem = Problem::new(ProblemId::UnknownKey, span, message);
            let help = hint::unknown_key(self.file, self.path(), &entry.key.text, &entry.value, known);
            self.add(problem.help(help));
        }
        Some(entries)
    }

    /// A key that has no default and may be left out.
    pub fn optional<T: Read>(&mut self, entries: &[Entry], name: &str) -> Given<T> {
        match entries.iter().find(|entry| entry.key.text == name) {
            None if self.frames.last().is_some_and(|frame| frame.misspelt.contains(&name)) => Given::Bad,
            None => Given::Absent,
            Some(entry) => match self.keyed(&entry.key, &entry.value, name) {
                Some(at) => Given::Is(at),
                None => Given::Bad,
            },
        }
    }

    /// A key that must be there.
    pub fn required<T: Read>(&mut self, entries: &[Entry], name: &str) -> Given<T> {
        let given = self.optional(entries, name);
        if given.is_absent() {
            let message = format!("{} has no `{name}`", self.here());
            let problem = Problem::new(ProblemId::MissingKey, self.key_span(), message);
            self.add(problem.help(hint::add::<T>(self.file, name)));
            return Given::Bad;
        }
        given
    }

    /// A key with a default.
    pub fn defaulted<T: Read>(&mut self, entries: &[Entry], name: &str, default: T) -> At<T> {
        match self.optional(entries, name) {
            Given::Is(at) => at,
            Given::Absent | Given::Bad => At { value: default, span: self.key_span(), key: self.key_span() },
        }
    }

    /// A section whose keys all may be left out, and so may it.
    pub fn subsection<T: Section>(&mut self, entries: &[Entry], name: &str) -> T {
        match self.optional(entries, name) {
            Given::Is(at) => at.value,
            Given::Absent | Given::Bad => T::fill(&[], self),
        }
    }

    /// The value of a key, read within the key's frame.
    pub fn keyed<T: Read>(&mut self, key: &Key, value: &Node, name: &str) -> Option<At<T>> {
        let path = if self.path().is_empty() { name.to_owned() } else { format!("{}.{name}", self.path()) };
        self.within(path, key.span.clone(), value)
    }

    /// Element `index` of a list.
    pub fn item<T: Read>(&mut self, index: usize, value: &Node) -> Option<At<T>> {
        let path = format!("{}[{index}]", self.path());
        self.within(path, value.span.clone(), value)
    }

    fn within<T: Read>(&mut self, path: String, key: std::ops::Range<usize>, value: &Node) -> Option<At<T>> {
        let key = Span::new(self.file, key);
        if value.is_null() {
            let problem = Problem::new(ProblemId::EmptyValue, key, format!("`{path}` has no value"));
            self.add(problem.help(match T::example() {
                "{…}" => "put its keys below it, indented, or remove it".to_owned(),
                example => format!("write a value, such as `{example}`; what is left out has its default"),
            }));
            return None;
        }
        self.frames.push(Frame { path, key, misspelt: Vec::new() });
        let read = T::read(value, self);
        self.frames.pop();
        read.map(|read| At { value: read, span: self.span(value), key })
    }
}
