//! Lists and maps with free keys, and choices between words.

use serde_json::{Value, json};

use super::number::MachineNumber;
use super::problem::{Problem, Span, shown};
use super::problem_id::ProblemId;
use super::walk::{At, Read, Walk};
use super::word::taken_for;
use super::yaml::{Entry, Kind, Node};

/// A list. Wrong elements are noted and left out.
impl<T: Read> Read for Vec<At<T>> {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            let element = match &node.kind {
                Kind::Scalar { text, .. } => shown(text.trim()),
                Kind::List(_) | Kind::Map(_) => T::example().to_owned(),
            };
            walk.wrong_type(node, "a list", format!("write `[{element}]`, or one element a line after `- `"));
            return None;
        };
        let read: Vec<At<T>> = items.iter().enumerate().filter_map(|(index, item)| walk.item(index, item)).collect();
        // A list with a hole would shift what its positions mean.
        (read.len() == items.len()).then_some(read)
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }

    fn example() -> &'static str {
        "[…]"
    }
}

/// A list, or its only element.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<At<T>>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        match node.kind {
            Kind::Scalar { .. } => {
                let span = walk.span(node);
                Some(Self(vec![At { value: T::read(node, walk)?, span, key: span }]))
            }
            Kind::List(_) | Kind::Map(_) => Vec::read(node, walk).map(Self),
        }
    }

    fn schema() -> Value {
        json!({"anyOf": [T::schema(), <Vec<At<T>> as Read>::schema()]})
    }

    fn example() -> &'static str {
        T::example()
    }
}

/// A map with the operator's own names as keys, in the file's order. `None`: the value is wrong, which is noted.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<T>(pub Vec<(At<String>, Option<At<T>>)>);

impl<T: serde::Serialize> serde::Serialize for Table<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (&name.value, value.as_ref().map(|at| &at.value))))
    }
}

impl<T: Read> Read for Table<T> {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            walk.wrong_type(node, "a map with your own names as keys", format!("write `name: {}`", T::example()));
            return None;
        };
        Some(Self(entries.iter().map(|entry| named(entry, walk)).collect()))
    }

    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": T::schema()})
    }

    fn example() -> &'static str {
        "{…}"
    }
}

fn named<T: Read>(entry: &Entry, walk: &mut Walk<'_>) -> (At<String>, Option<At<T>>) {
    let key = &entry.key;
    let span = Span::new(walk.file, key.span.clone());
    let surprise = key.plain.then(|| taken_for(&key.text)).flatten();
    if let Some(taken_for) = surprise {
        let name = shown(&key.text);
        let problem =
            Problem::new(ProblemId::AmbiguousScalar, span, format!("as a name, unquoted `{name}` is {taken_for}"));
        walk.add(problem.help(format!("put it in quotes: \"{name}\"")));
    }
    let value = walk.keyed(key, &entry.value, &shown(&key.text));
    (At { value: key.text.clone(), span, key: span }, value)
}

/// A map by machine number: `4: {…}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbered<T>(pub Vec<(At<u32>, At<T>)>);

impl<T: Read> Read for Numbered<T> {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            walk.wrong_type(node, "a map with machine numbers as keys", format!("write `4: {}`", T::example()));
            return None;
        };
        let mut all = Vec::new();
        for entry in entries {
            let key = &entry.key;
            // In quotes too: JSON has no other keys.
            let as_value = Node { span: key.span.clone(), kind: Kind::Scalar { text: key.text.clone(), plain: true } };
            let number = MachineNumber::read(&as_value, walk);
            let value = walk.keyed(key, &entry.value, &shown(&key.text));
            if let (Some(number), Some(value)) = (number, value) {
                let span = Span::new(walk.file, key.span.clone());
                all.push((At { value: number.u32(), span, key: span }, value));
            }
        }
        Some(Self(all))
    }

    fn schema() -> Value {
        json!({"type": "object", "patternProperties": {"^[1-9][0-9]*$": T::schema()}, "additionalProperties": false})
    }

    fn example() -> &'static str {
        "{4: {…}}"
    }
}

/// One word of a few. `words` are what may be written; `off` and the like are taken unquoted.
pub fn choose<T: Copy>(node: &Node, walk: &mut Walk<'_>, words: &[(&'static str, T)]) -> Option<T> {
    let names = super::problem::listed(words.iter().map(|(name, _)| name));
    let Kind::Scalar { text, .. } = &node.kind else {
        walk.wrong_type(node, "one word", format!("write one of {names}"));
        return None;
    };
    if let Some((_, value)) = words.iter().find(|(name, _)| name == text) {
        return Some(*value);
    }
    let message = format!("{} can't be `{}`", walk.here(), shown(text));
    let problem = Problem::new(ProblemId::BadValue, walk.span(node), message);
    let help = match super::hint::meant_word(text, words.iter().map(|(name, _)| *name)) {
        Some(close) => format!("did you mean `{close}`? It is one of {names}"),
        None => format!("it is one of {names}"),
    };
    walk.add(problem.help(help));
    None
}

/// Makes an enum of the model readable: `choice!(KnownHosts { "strict" => KnownHosts::Strict })`.
macro_rules! choice {
    ($type:ty { $($word:literal => $value:expr),* $(,)? }) => {
        impl $crate::input::walk::Read for $type {
            fn read(node: &$crate::input::yaml::Node, walk: &mut $crate::input::walk::Walk<'_>) -> Option<Self> {
                $crate::input::collection::choose(node, walk, &[$(($word, $value)),*])
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({"enum": [$($word),*]})
            }

            fn example() -> &'static str {
                [$($word),*][0]
            }
        }
    };
}

pub(super) use choice;
