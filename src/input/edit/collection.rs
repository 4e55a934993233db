//! A list or map in its text: elements come and go in the form that the others have.
//!
//! In brackets, elements that have a line each get one, and others stand in a row. Outside of brackets each has its lines.

use std::ops::Range;

use super::{flow, splice};
use crate::input::problem::{Faults, InputFile};
use crate::input::yaml::{self, Kind, Node};

pub(super) struct Collection<'a> {
    text: &'a str,
    node: &'a Node,
    /// From an element's first byte (of its key; not of its dash) to its last.
    items: Vec<Range<usize>>,
}

impl<'a> Collection<'a> {
    pub fn of(text: &'a str, node: &'a Node) -> Self {
        let items = match &node.kind {
            Kind::Map(entries) => {
                entries.iter().map(|entry| entry.key.span.start..splice::entry_end(text, entry)).collect()
            }
            Kind::List(items) => items.iter().map(|item| item.span.start..splice::end(text, item)).collect(),
            Kind::Scalar { .. } => Vec::new(),
        };
        Self { text, node, items }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_flow(&self) -> bool {
        splice::is_flow(self.text, self.node)
    }

    /// One more key with a value in YAML's flow form.
    pub fn push_entry(&self, key: &str, value: &str) -> Result<String, String> {
        let entry = if self.is_json() { json(&format!("{{{key}: {value}}}"))? } else { format!("{key}: {value}") };
        self.insert(self.len(), &entry)
    }

    /// One more key, and a first one within it.
    pub fn push_section(&self, key: &str, first: &str, value: &str) -> Result<String, String> {
        if self.is_flow() {
            return self.push_entry(key, &format!("{{{first}: {value}}}"));
        }
        let indent = self.indent()?;
        let deeper = if indent.is_empty() { "  ".to_owned() } else { self.step(indent) };
        self.insert(self.len(), &format!("{key}:{}{indent}{deeper}{first}: {value}", splice::newline(self.text)))
    }

    pub fn remove_key(&self, key: &str) -> Result<String, String> {
        let Kind::Map(entries) = &self.node.kind else { return Err(self.odd()) };
        let index = entries.iter().position(|entry| entry.key.text == key).ok_or_else(|| self.odd())?;
        self.remove(index)
    }

    /// A new element before the one at `index`, or at the end.
    pub fn insert(&self, index: usize, new: &str) -> Result<String, String> {
        if self.is_flow() {
            return Ok(self.insert_flow(index, new));
        }
        let dash = if matches!(self.node.kind, Kind::List(_)) { "- " } else { "" };
        let line = format!("{}{dash}{new}", self.indent()?);
        match index.checked_sub(1).and_then(|before| self.items.get(before)) {
            Some(before) => Ok(splice::line_after(self.text, before.end, &line)),
            None => {
                let place = splice::line_start(self.text, self.begin(0)?);
                Ok(splice::insert(self.text, place, &format!("{line}{}", splice::newline(self.text))))
            }
        }
    }

    pub fn remove(&self, index: usize) -> Result<String, String> {
        let item = self.items.get(index).ok_or_else(|| self.odd())?;
        if self.is_flow() {
            return Ok(self.remove_flow(index, item));
        }
        Ok(splice::without_lines(self.text, self.begin(index)?, item.end))
    }

    /// `[]` or `{}` instead of all elements.
    pub fn clear(&self) -> Result<String, String> {
        let empty = if matches!(self.node.kind, Kind::List(_)) { "[]" } else { "{}" };
        if self.is_flow() {
            return Ok(splice::replace(self.text, self.node.span.clone(), empty));
        }
        let (first, last) = (self.begin(0)?, self.items.last().map_or(self.node.span.end, |item| item.end));
        // Behind the key's colon, before a comment there.
        let before = self.text[..splice::line_start(self.text, first)].trim_end();
        let line = splice::line_start(self.text, before.len());
        let colon = before[line..].find(':').map(|colon| line + colon + 1).ok_or_else(|| self.odd())?;
        let cut = splice::without_lines(self.text, first, last);
        Ok(splice::insert(&cut, colon, &format!(" {empty}")))
    }

    fn insert_flow(&self, index: usize, new: &str) -> String {
        let text = self.text;
        if self.items.is_empty() {
            return splice::insert(text, self.node.span.start + 1, new);
        }
        let Some(before) = index.checked_sub(1).and_then(|before| self.items.get(before)) else {
            let next = self.items[0].start;
            let gap = splice::indent(text, next).map(|indent| format!("{}{indent}", splice::newline(text)));
            return splice::insert(text, next, &format!("{new},{}", gap.as_deref().unwrap_or(" ")));
        };
        let (comma, alone) = self.line_of(before);
        match splice::indent(text, before.start).filter(|_| alone) {
            Some(indent) if comma => splice::line_after(text, before.end, &format!("{indent}{new},")),
            Some(indent) => {
                let with_line = splice::line_after(text, before.end, &format!("{indent}{new}"));
                splice::insert(&with_line, before.end, ",")
            }
            None => splice::insert(text, before.end, &format!(", {new}")),
        }
    }

    fn remove_flow(&self, index: usize, item: &Range<usize>) -> String {
        let text = self.text;
        let (comma, alone) = self.line_of(item);
        let before = index.checked_sub(1).and_then(|before| self.items.get(before));
        if alone && splice::indent(text, item.start).is_some() {
            let without = splice::without_lines(text, item.start, item.end);
            return match before {
                Some(before) if !comma && text[before.end..].starts_with(',') => {
                    splice::replace(&without, before.end..before.end + 1, "")
                }
                _ => without,
            };
        }
        match (self.items.get(index + 1), before) {
            (Some(next), _) => splice::replace(text, item.start..next.start, ""),
            (None, Some(before)) => splice::replace(text, before.end..item.end, ""),
            (None, None) => {
                let comma = text[item.end..].starts_with(',');
                splice::replace(text, item.start..item.end + usize::from(comma), "")
            }
        }
    }

    /// Whether a comma follows the element, and whether its line ends then.
    fn line_of(&self, item: &Range<usize>) -> (bool, bool) {
        let rest = &self.text[item.end..];
        let after = rest.trim_start_matches([' ', '\t']);
        let comma = after.starts_with(',');
        let at = self.text.len() - after.len() + usize::from(comma);
        (comma, splice::ends_line(self.text, at))
    }

    /// Where an element's line begins to have text: at its key, or its dash.
    fn begin(&self, index: usize) -> Result<usize, String> {
        let start = self.items.get(index).ok_or_else(|| self.odd())?.start;
        if matches!(self.node.kind, Kind::Map(_)) {
            return splice::indent(self.text, start).map(|_| start).ok_or_else(|| self.odd());
        }
        // An element may stand on the lines below its dash.
        let mut line = splice::line_start(self.text, start);
        loop {
            let text = &self.text[line..start];
            let space = text.len() - text.trim_start().len();
            if text[space..].starts_with('-') {
                return Ok(line + space);
            }
            line = splice::line_start(self.text, line.checked_sub(1).ok_or_else(|| self.odd())?);
        }
    }

    fn indent(&self) -> Result<&'a str, String> {
        splice::indent(self.text, self.begin(0)?).ok_or_else(|| self.odd())
    }

    /// How much deeper what is within this section goes: as the section itself within the one around it.
    fn step(&self, indent: &str) -> String {
        let above = self.text[..splice::line_start(self.text, self.node.span.start)].lines().rev();
        let outer = above
            .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
            .map(|line| line.len() - line.trim_start().len())
            .find(|outer| *outer < indent.len());
        indent[outer.unwrap_or(0)..].to_owned()
    }

    fn is_json(&self) -> bool {
        self.is_flow() && self.items.first().is_some_and(|item| self.text[item.start..].starts_with('"'))
    }

    fn odd(&self) -> String {
        let line = 1 + self.text[..self.node.span.start].matches('\n').count();
        format!("the layout of line {line} is one that it doesn't know")
    }
}

/// A key and its value, as JSON has them.
fn json(map: &str) -> Result<String, String> {
    let node =
        yaml::parse(InputFile::Manifest, map, &mut Faults::default()).ok_or_else(|| format!("`{map}` is not YAML"))?;
    let written = flow::write(&node, true);
    Ok(written.trim_start_matches('{').strip_suffix('}').unwrap_or(&written).to_owned())
}
