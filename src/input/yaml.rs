//! YAML text → a tree in which every key and value knows its bytes.
//!
//! `granit-parser` gives events with byte spans; this module builds the tree and refuses what a hand-written input file
//! has no use for: several documents, merge keys, tags, directives, duplicate keys, deep nesting, alias bombs.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, StructureStyle};

use super::problem::{Faults, InputFile, Problem, Span, shown};
use super::problem_id::ProblemId;

/// A megabyte is some thousand machines written out one by one; more is a mistake (a disk image, a log).
pub const MAX_BYTES: usize = 1024 * 1024;
/// Our files nest five deep.
pub const MAX_DEPTH: usize = 64;
/// Two thousand machines written out one by one are some 40 000 values; reading this many takes about 30 ms.
const MAX_NODES: usize = 50_000;
/// Nodes that aliases may copy in all. A file of ours has some hundred nodes; a "billion laughs" file has 10^9.
const MAX_ALIASED_NODES: usize = 10_000;

/// A value of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `plain`: written without quotes, so that a YAML reader may take it for a number, a boolean or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Key,
    pub value: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub text: String,
    /// Written without quotes.
    pub plain: bool,
    pub span: Range<usize>,
}

impl Node {
    /// Nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, plain: true } => matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => false,
        }
    }

    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Node::size).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
        }
    }
}

/// The root of the file's one document, or `None` when the text is no YAML that we take; what is wrong is in `faults`.
pub fn parse(file: InputFile, text: &str, faults: &mut Faults) -> Option<Node> {
    if text.len() > MAX_BYTES {
        faults.add(
            Problem::new(
                ProblemId::FileTooLarge,
                Span::new(file, 0..0),
                format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len()),
            )
            .help("is it the right file? A manifest of a thousand machines is far smaller"),
        );
        return None;
    }
    let offset = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
    };
    let parser = Parser::new_from_str_with_options(&text[offset..], options);
    let mut builder = Builder {
        file,
        text,
        offset,
        parser,
        faults,
        anchors: BTreeMap::new(),
        aliased: 0,
        nodes: 0,
        depth: 0,
        stopped: false,
    };
    builder.document()
}

/// Why building stopped: the problem is noted already.
struct Stop;

struct Builder<'a> {
    file: InputFile,
    text: &'a str,
    /// Length of the byte order mark.
    offset: usize,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    faults: &'a mut Faults,
    anchors: BTreeMap<usize, Node>,
    aliased: usize,
    nodes: usize,
    depth: usize,
    /// A problem after which nothing can be told of the rest.
    stopped: bool,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next().ok()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let problem =
                        self.problem(ProblemId::SeveralDocuments, span, "a second YAML document begins here".into());
                    self.faults.add(problem.help("one file, one document: remove the `---` and what follows it"));
                    return None;
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                value => root = Some(self.node(value, span).ok()?),
            }
        }
        if self.stopped {
            return None;
        }
        match root {
            Some(root) if !root.is_null() => Some(root),
            Some(_) | None => {
                self.faults.add(
                    Problem::new(ProblemId::EmptyFile, Span::new(self.file, 0..0), "the file has no content".into())
                        .help(format!("start from `{}`, or let `pvekube init` write it", self.file.example_name())),
                );
                None
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.range(span))),
            Some(Err(error)) => {
                self.syntax_error(&error);
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Range<usize>) -> Result<Node, Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let problem =
                self.problem(ProblemId::FileTooLarge, span, format!("the file has more than {MAX_NODES} values"));
            self.faults.add(problem.help("is it the right file? A manifest of a thousand machines has far fewer"));
            return Err(Stop);
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                let plain = style == ScalarStyle::Plain;
                Ok(self.anchored(anchor, Node { span, kind: Kind::Scalar { text: text.into_owned(), plain } }))
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                self.deeper(&span)?;
                let node = self.list(style, span)?;
                self.depth -= 1;
                Ok(self.anchored(anchor, node))
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                self.deeper(&span)?;
                let node = self.map(style, span)?;
                self.depth -= 1;
                Ok(self.anchored(anchor, node))
            }
            Event::Alias(id) => self.alias(id, span),
            // Not a value: the parser never sends one here, but its enum is open.
            _ => {
                let problem = self.problem(ProblemId::YamlSyntax, span, "this is no YAML value".into());
                self.faults.add(problem.help("a value is text, a number, a list or a map"));
                Err(Stop)
            }
        }
    }

    fn list(&mut self, style: StructureStyle, start: Range<usize>) -> Result<Node, Stop> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let span = collection_span(style, &start, &span, items.first().map(|item| &item.span));
                return Ok(Node { span, kind: Kind::List(items) });
            }
            items.push(self.node(event, span)?);
        }
    }

    fn map(&mut self, style: StructureStyle, start: Range<usize>) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let span = collection_span(style, &start, &span, entries.first().map(|entry| &entry.key.span));
                // Refused, but taken for what it means, so that nothing is called missing that stands there.
                for node in merged {
                    if let Kind::Map(more) = node.kind {
                        entries.extend(more.into_iter().filter(|entry| !seen.contains_key(&entry.key.text)));
                    }
                }
                return Ok(Node { span, kind: Kind::Map(entries) });
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            match self.key(key)? {
                Some(key) if self.is_new(&mut seen, &key) => entries.push(Entry { key, value }),
                Some(_) => {}
                None => merged.push(value),
            }
        }
    }

    /// A key is a scalar. `None`: a merge key, which is noted.
    fn key(&mut self, node: Node) -> Result<Option<Key>, Stop> {
        match node.kind {
            Kind::Scalar { text, plain } if plain && text == "<<" => {
                let problem = self.problem(ProblemId::YamlMergeKey, node.span, "`<<` (merge key) is not read".into());
                self.faults
                    .add(problem.help("write the keys out; for machines alike, use a size of `vm_sizes` or one pool"));
                Ok(None)
            }
            Kind::Scalar { text, plain } => Ok(Some(Key { text, plain, span: node.span })),
            Kind::List(_) | Kind::Map(_) => {
                let problem =
                    self.problem(ProblemId::YamlSyntax, node.span, "a key is text, not a list or a map".into());
                self.faults.add(problem.help("is a `:` or a quote missing, or is `{{ … }}` left from a template?"));
                Err(Stop)
            }
        }
    }

    fn is_new(&mut self, seen: &mut BTreeMap<String, Range<usize>>, key: &Key) -> bool {
        if let Some(first) = seen.get(&key.text) {
            let first = Span::new(self.file, first.clone());
            let problem = self.problem(
                ProblemId::DuplicateKey,
                key.span.clone(),
                format!("`{}` is given twice", shown(&key.text)),
            );
            self.faults.add(problem.context(first, "first given here").help("keep one of the two"));
            return false;
        }
        seen.insert(key.text.clone(), key.span.clone());
        true
    }

    fn alias(&mut self, id: usize, span: Range<usize>) -> Result<Node, Stop> {
        let Some(target) = self.anchors.get(&id) else {
            let problem = self.problem(ProblemId::YamlAlias, span, "this alias stands inside what it names".into());
            self.faults.add(problem.help("write the value out"));
            return Err(Stop);
        };
        self.aliased += target.size();
        if self.aliased > MAX_ALIASED_NODES {
            let message = format!("aliases make more than {MAX_ALIASED_NODES} values");
            let problem = self.problem(ProblemId::YamlAlias, span, message);
            self.faults.add(problem.help("write the values out, or use a size of `vm_sizes`"));
            return Err(Stop);
        }
        Ok(Node { span, kind: target.kind.clone() })
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Node {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn deeper(&mut self, span: &Range<usize>) -> Result<(), Stop> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.too_deep(span.clone());
            return Err(Stop);
        }
        Ok(())
    }

    fn too_deep(&mut self, span: Range<usize>) {
        let problem =
            self.problem(ProblemId::YamlTooDeep, span, format!("values are nested more than {MAX_DEPTH} deep"));
        self.faults.add(problem.help("is it the right file? Ours nest five deep"));
    }

    fn refuse_tag(&mut self, tagged: bool, span: &Range<usize>) {
        if tagged {
            let problem = self.problem(ProblemId::YamlTag, span.clone(), "YAML tags (`!…`) are not read".into());
            self.faults.add(problem.help("remove the tag; to make text of a number, put it in quotes"));
        }
    }

    fn problem(&self, id: ProblemId, span: Range<usize>, message: String) -> Problem {
        Problem::new(id, Span::new(self.file, span), message)
    }

    /// The parser counts from after the byte order mark.
    fn range(&self, span: ParserSpan) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        let end = self.text.len();
        (range.start + self.offset).min(end)..(range.end + self.offset).min(end)
    }

    fn syntax_error(&mut self, error: &ScanError) {
        self.stopped = true;
        let at = (error.marker().byte_offset().unwrap_or(0) + self.offset).min(self.text.len());
        let problem = super::yaml_error::explain(self.file, self.text, at, error);
        self.faults.add(problem);
    }
}

/// Flow collections have their brackets; block ones have no bytes of their own: from their first child on.
fn collection_span(
    style: StructureStyle,
    start: &Range<usize>,
    end: &Range<usize>,
    first: Option<&Range<usize>>,
) -> Range<usize> {
    match style {
        StructureStyle::Flow => start.start..end.end.max(start.end),
        StructureStyle::Block => first.cloned().unwrap_or_else(|| start.clone()),
    }
}

#[cfg(test)]
mod tests;
