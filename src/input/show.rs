//! Problems as text in rustc's manner: title, place, the line with the fault underlined, help.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::problem::{InputFile, Problem, Problems, Severity, SourceFile, Span, Where, source_of};
use crate::error::text::printable_in_place;

impl Problems {
    /// The text for stderr: each problem, warnings too, and a last line that says that nothing was contacted.
    /// `width` is the terminal's in columns.
    pub fn render(&self, color: bool, width: usize) -> String {
        let mut out = String::new();
        for problem in self.list.iter().chain(&self.warnings) {
            out.push_str(&render(problem, &self.config, &self.manifest, color, width));
            out.push('\n');
        }
        if self.more > 0 {
            out.push_str(&format!("… and {} more, not shown\n", self.more));
        }
        let count = self.count();
        let noun = if count == 1 { "problem" } else { "problems" };
        out.push_str(&format!("{count} {noun}; nothing was contacted.\n"));
        out
    }
}

/// One problem, with a final newline.
pub fn render(problem: &Problem, config: &SourceFile, manifest: &SourceFile, color: bool, width: usize) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str()).id(problem.id.as_str());
    let group = match &problem.place {
        Where::File(span) if problem.secret || is_long(source_of(span.file, config, manifest), span) => {
            let source = source_of(span.file, config, manifest);
            let (line, column) = source.line_column(span.start);
            title.element(Origin::path(source.name.as_str()).line(line as usize).char_column(column as usize))
        }
        Where::File(span) => snippets(title.elements(Vec::<Origin<'_>>::new()), problem, span.file, config, manifest),
        Where::Path(path) => title.element(Origin::path(path.as_str())),
        Where::Flag(flag) => title.element(Origin::path(flag.as_str())),
    };
    let far: Vec<String> = far_contexts(problem, config, manifest);
    let notes = problem.notes.iter().chain(&far).map(|text| Level::NOTE.message(text.as_str()));
    let helps = problem.help.iter().map(|text| Level::HELP.message(text.as_str()));
    let report = [group.elements(notes).elements(helps)];
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(width).render(&report);
    text.push('\n');
    text
}

/// The problem's own file first, then the other one where it explains something.
fn snippets<'a>(
    mut group: Group<'a>,
    problem: &'a Problem,
    first: InputFile,
    config: &'a SourceFile,
    manifest: &'a SourceFile,
) -> Group<'a> {
    let other = match first {
        InputFile::Config => InputFile::Manifest,
        InputFile::Manifest => InputFile::Config,
    };
    for file in [first, other] {
        let source = source_of(file, config, manifest);
        let marks = marks(problem, file, source);
        if let Some(snippet) = snippet(source, marks) {
            group = group.element(snippet);
        }
    }
    group
}

/// A line that nobody reads, and that takes long to draw.
fn is_long(source: &SourceFile, span: &Span) -> bool {
    const LONGEST: usize = 4000;
    let range = source.first_line(span.start, span.end);
    let start = source.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let end = source.text[range.end..].find('\n').map_or(source.text.len(), |at| range.end + at);
    end - start > LONGEST
}

/// A mark in a file: bytes, kind, label.
type Mark<'a> = (std::ops::Range<usize>, AnnotationKind, Option<&'a str>);

fn marks<'a>(problem: &'a Problem, file: InputFile, source: &SourceFile) -> Vec<Mark<'a>> {
    let mut marks = Vec::new();
    if let Where::File(span) = problem.place
        && span.file == file
    {
        marks.push((source.first_line(span.start, span.end), AnnotationKind::Primary, problem.label.as_deref()));
    }
    let context: Vec<_> =
        problem.context.iter().filter(|(span, _)| span.file == file && is_drawn(problem, span, source)).collect();
    for (span, label) in context {
        marks.push((source.first_line(span.start, span.end), AnnotationKind::Context, Some(label.as_str())));
    }
    marks
}

/// Whether a context is near enough to the fault for both to be drawn.
fn is_drawn(problem: &Problem, span: &Span, source: &SourceFile) -> bool {
    const FARTHEST: usize = 64 * 1024;
    let near = match &problem.place {
        Where::File(place) => place.file != span.file || place.start.abs_diff(span.start) < FARTHEST,
        Where::Path(_) | Where::Flag(_) => true,
    };
    near && !is_long(source, span)
}

/// Contexts that are not drawn, in words.
fn far_contexts(problem: &Problem, config: &SourceFile, manifest: &SourceFile) -> Vec<String> {
    let mut words = Vec::new();
    for (span, label) in &problem.context {
        let source = source_of(span.file, config, manifest);
        if !is_drawn(problem, span, source) {
            let (line, column) = source.line_column(span.start);
            words.push(format!("{label}: {}:{line}:{column}", source.name));
        }
    }
    words
}

/// Only the lines between the first and the last mark are given to the renderer: files may be long.
fn snippet<'a>(source: &'a SourceFile, marks: Vec<Mark<'a>>) -> Option<Snippet<'a, Annotation<'a>>> {
    let first = marks.iter().map(|(range, ..)| range.start).min()?;
    let last = marks.iter().map(|(range, ..)| range.end).max()?;
    let mut start = source.text[..first].rfind('\n').map_or(0, |at| at + 1);
    if start == 0 && source.text.starts_with('\u{feff}') {
        start = '\u{feff}'.len_utf8();
    }
    let end = source.text[last..].find('\n').map_or(source.text.len(), |at| last + at);
    let visible = printable_in_place(source.text[start..end].trim_end_matches('\r'));
    let annotations =
        marks.into_iter().map(|(range, kind, label)| kind.span(range.start - start..range.end - start).label(label));
    let (line, _) = source.line_column(start);
    Some(Snippet::source(visible).line_start(line as usize).path(source.name.as_str()).annotations(annotations))
}
