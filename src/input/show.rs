//! Problems as text in rustc's manner: title, place, the line with the fault underlined, help.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::problem::{InputFile, Problem, Problems, Severity, SourceFile, Where, source_of};

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
        Where::File(span) if problem.secret => {
            let source = source_of(span.file, config, manifest);
            let (line, column) = source.line_column(span.start);
            title.element(Origin::path(source.name.as_str()).line(line as usize).char_column(column as usize))
        }
        Where::File(span) => snippets(title.elements(Vec::<Origin<'_>>::new()), problem, span.file, config, manifest),
        Where::Path(path) => title.element(Origin::path(path.as_str())),
        Where::Flag(flag) => title.element(Origin::path(flag.as_str())),
    };
    let helps = problem.help.iter().map(|text| Level::HELP.message(text.as_str()));
    let notes = problem.notes.iter().map(|text| Level::NOTE.message(text.as_str()));
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

/// A mark in a file: bytes, kind, label.
type Mark<'a> = (std::ops::Range<usize>, AnnotationKind, Option<&'a str>);

fn marks<'a>(problem: &'a Problem, file: InputFile, source: &SourceFile) -> Vec<Mark<'a>> {
    let mut marks = Vec::new();
    if let Where::File(span) = problem.place
        && span.file == file
    {
        marks.push((source.first_line(span.start, span.end), AnnotationKind::Primary, problem.label.as_deref()));
    }
    for (span, label) in problem.context.iter().filter(|(span, _)| span.file == file) {
        marks.push((source.first_line(span.start, span.end), AnnotationKind::Context, Some(label.as_str())));
    }
    marks
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
    let visible = source.text[start..end].trim_end_matches('\r').replace("\r\n", " \n");
    let annotations =
        marks.into_iter().map(|(range, kind, label)| kind.span(range.start - start..range.end - start).label(label));
    let (line, _) = source.line_column(start);
    // A carriage return would be drawn; a space in its place keeps all bytes where they are.
    Some(Snippet::source(visible).line_start(line as usize).path(source.name.as_str()).annotations(annotations))
}
