//! From the tree to typed values, noting every problem on the way and going on after each.
//!
//! A `section!` declares a map once: its keys, types, defaults and their description. From that one declaration come the
//! struct, the reader that refuses every other key, and the JSON Schema; so they can't disagree.

use std::ops::Deref;

use serde_json::{Value, json};

use super::hint;
use super::problem::{Faults, InputFile, Problem, Span, shown};
use super::problem_id::ProblemId;
use super::scalar::{Reading, reading};
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

/// One key of a section, for schema, hints and docs.
pub struct KeyInfo {
    pub name: &'static str,
    pub doc: String,
    pub required: bool,
    pub default: Option<Value>,
    /// As `Read::example`.
    pub example: &'static str,
    pub schema: Value,
}

/// A map with fixed keys.
pub trait Section: Read {
    /// Reads the known keys; what is left out gets its default.
    fn fill(entries: &[Entry], walk: &mut Walk<'_>) -> Self;
    fn keys() -> Vec<KeyInfo>;
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

/// What is wrong with a word.
pub struct Bad {
    pub id: ProblemId,
    /// `local lvm` is no storage name.
    pub message: String,
    pub help: String,
    /// The text must not be printed.
    pub secret: bool,
}

impl Bad {
    pub fn value(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(ProblemId::BadValue, message, help)
    }

    pub fn new(id: ProblemId, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { id, message: message.into(), help: help.into(), secret: false }
    }
}

/// A value that is one line of text.
pub trait Word: Sized {
    const EXAMPLE: &'static str;
    fn parse(text: &str) -> Result<Self, Bad>;
    /// Further constraints for the schema, beside `type: string`.
    fn constraints() -> Value {
        json!({})
    }
}

impl<T: Word> Read for T {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let (text, taken_for) = text(node, walk, T::EXAMPLE)?;
        match (T::parse(text), taken_for) {
            (Ok(word), None) => Some(word),
            (Ok(_), Some(taken_for)) => {
                ambiguous(node, walk, text, taken_for);
                None
            }
            (Err(bad), _) => {
                let mut problem = Problem::new(bad.id, walk.span(node), bad.message).help(bad.help);
                problem.secret = bad.secret;
                walk.add(problem);
                None
            }
        }
    }

    fn schema() -> Value {
        let mut schema = json!({"type": "string"});
        if let (Some(schema), Value::Object(more)) = (schema.as_object_mut(), T::constraints()) {
            schema.extend(more);
        }
        schema
    }

    fn example() -> &'static str {
        T::EXAMPLE
    }
}

/// The node's text, when it is one line, and what some YAML readers take it for instead of text.
pub fn text<'n>(node: &'n Node, walk: &mut Walk<'_>, example: &str) -> Option<(&'n str, Option<&'static str>)> {
    let Kind::Scalar { text, plain } = &node.kind else {
        walk.wrong_type(node, "text", format!("write one value, such as `{example}`"));
        return None;
    };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        let problem = Problem::new(ProblemId::EmptyValue, walk.span(node), format!("{} is empty", walk.here()));
        walk.add(problem.help(format!("write a value, such as `{example}`, or remove the key")));
        return None;
    }
    if trimmed.chars().any(char::is_control) {
        let message = format!("{} holds a line break or another control character", walk.here());
        let problem = Problem::new(ProblemId::BadValue, walk.span(node), message);
        walk.add(problem.help(format!("write one line, such as `{example}`")));
        return None;
    }
    Some((trimmed, plain.then(|| taken_for(text)).flatten()))
}

/// Notes that unquoted `text` is not text for every reader.
pub fn ambiguous(node: &Node, walk: &mut Walk<'_>, text: &str, taken_for: &str) {
    let message = format!("{} takes text, but unquoted `{}` is {taken_for}", walk.here(), shown(text));
    let problem = Problem::new(ProblemId::AmbiguousScalar, walk.span(node), message);
    walk.add(problem.help(format!("if `{}` is meant, put it in quotes: \"{}\"", shown(text), shown(text))));
}

/// What a reader takes the plain scalar for, when it is not text.
pub fn taken_for(text: &str) -> Option<&'static str> {
    match reading(text) {
        Reading::Text => None,
        Reading::Integer | Reading::OddInteger | Reading::Float => Some("a number"),
        Reading::LeadingZero => Some("a number, octal in YAML 1.1 and decimal in 1.2"),
        Reading::Bool(true) => Some("the boolean true"),
        Reading::Bool(false) => Some("the boolean false"),
        Reading::OldBool(true) => Some("true to YAML 1.1 readers"),
        Reading::OldBool(false) => Some("false to YAML 1.1 readers"),
        Reading::Null => Some("no value"),
        Reading::Sexagesimal => Some("a number to base 60 in YAML 1.1"),
        Reading::Date => Some("a date to YAML 1.1 readers"),
    }
}

/// Declares a section. Kinds of keys: `required`, `optional` (both `Given<T>`), `default` (`At<T>`), `section` (`T`).
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident {
            $($(#[doc = $doc:literal])* $kind:ident $field:ident : $type:ty $(= $default:expr)?;)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: section!(@type $kind $type),)*
        }

        impl $crate::input::walk::Read for $name {
            fn read(node: &$crate::input::yaml::Node, walk: &mut $crate::input::walk::Walk<'_>) -> Option<Self> {
                let entries = walk.section(node, &[$(stringify!($field)),*])?;
                Some(<Self as $crate::input::walk::Section>::fill(entries, walk))
            }

            fn schema() -> serde_json::Value {
                $crate::input::schema::section::<Self>(concat!($($about, "\n"),*))
            }

            fn example() -> &'static str {
                "{…}"
            }
        }

        impl $crate::input::walk::Section for $name {
            fn fill(entries: &[$crate::input::yaml::Entry], walk: &mut $crate::input::walk::Walk<'_>) -> Self {
                Self { $($field: section!(@read $kind walk, entries, stringify!($field) $(, $default, $type)?),)* }
            }

            fn keys() -> Vec<$crate::input::walk::KeyInfo> {
                vec![$($crate::input::walk::KeyInfo {
                    name: stringify!($field),
                    doc: $crate::input::schema::paragraph(concat!($($doc, "\n"),*)),
                    required: section!(@required $kind),
                    default: section!(@default $($default, $type)?),
                    example: <$type as $crate::input::walk::Read>::example(),
                    schema: <$type as $crate::input::walk::Read>::schema(),
                }),*]
            }
        }
    };
    (@type required $type:ty) => { $crate::input::walk::Given<$type> };
    (@type optional $type:ty) => { $crate::input::walk::Given<$type> };
    (@type default $type:ty) => { $crate::input::walk::At<$type> };
    (@type section $type:ty) => { $type };
    (@read required $walk:ident, $entries:ident, $name:expr) => { $walk.required($entries, $name) };
    (@read optional $walk:ident, $entries:ident, $name:expr) => { $walk.optional($entries, $name) };
    (@read default $walk:ident, $entries:ident, $name:expr, $default:expr, $type:ty) => {
        $walk.defaulted::<$type>($entries, $name, $default)
    };
    (@read section $walk:ident, $entries:ident, $name:expr) => { $walk.subsection($entries, $name) };
    (@required required) => { true };
    (@required $kind:ident) => { false };
    (@default) => { None };
    (@default $default:expr, $type:ty) => { serde_json::to_value::<$type>($default).ok() };
}

pub(super) use section;
