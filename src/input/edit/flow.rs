//! A value of the tree as YAML in brackets, which is JSON too where its surroundings are.

use serde_json::Value;

use crate::input::yaml::{Kind, Node};

/// `json`: keys and text in double quotes.
pub(super) fn write(node: &Node, json: bool) -> String {
    match &node.kind {
        Kind::Scalar { text, plain } => scalar(text, *plain, json),
        Kind::List(items) => {
            format!("[{}]", items.iter().map(|item| write(item, json)).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(entries) => {
            let entry = |entry: &crate::input::yaml::Entry| {
                let key = if json { quoted(&entry.key.text) } else { scalar(&entry.key.text, entry.key.plain, false) };
                format!("{key}: {}", write(&entry.value, json))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn scalar(text: &str, plain: bool, json: bool) -> String {
    let bare = if json {
        serde_json::from_str::<Value>(text).is_ok_and(|value| !value.is_string())
    } else {
        !text.contains([',', '[', ']', '{', '}', '\n']) && !text.contains(": ") && !text.contains(" #")
    };
    if plain && bare { text.to_owned() } else { quoted(text) }
}

/// A JSON string is a YAML one.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
