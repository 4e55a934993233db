//! Values that are one line of text: what is text for every YAML reader, and what each kind of it must be.

use serde_json::{Value, json};

use super::problem::{Problem, shown};
use super::problem_id::ProblemId;
use super::scalar::{Reading, reading};
use super::walk::{Read, Walk};
use super::yaml::{Kind, Node};

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
