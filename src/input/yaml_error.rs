//! What the YAML parser refuses, in our words.

use granit_parser::{ErrorKind, ScanError};

use super::problem::{InputFile, Problem, Span};
use super::problem_id::ProblemId;
use super::yaml::MAX_DEPTH;

/// `at` is the byte where the parser stopped.
pub(super) fn explain(file: InputFile, text: &str, at: usize, error: &ScanError) -> Problem {
    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    let span = Span::new(file, at..end);
    let syntax = |message: &str, help: &str| Problem::new(ProblemId::YamlSyntax, span, message.to_owned()).help(help);
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => {
            Problem::new(ProblemId::YamlTooDeep, span, format!("values are nested more than {MAX_DEPTH} deep"))
                .help("is it the right file? Ours nest five deep")
        }
        ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => {
            let span = tab(file, text, at).unwrap_or(span);
            Problem::new(ProblemId::YamlTab, span, "a tab stands where YAML wants spaces".to_owned())
                .help("indent with spaces; most editors convert a whole file at once")
        }
        ErrorKind::UnknownAnchor => {
            Problem::new(ProblemId::YamlAlias, span, "this alias names no anchor before it".to_owned())
                .help("text that begins with `*` needs quotes; an alias needs its `&anchor` further up")
        }
        ErrorKind::DirectiveDisallowed => {
            syntax("YAML directives (`%…`) are not read", "remove the line; text that begins with `%` needs quotes")
        }
        ErrorKind::UnclosedQuotedScalar => syntax("a quote is opened here and never closed", "add the closing quote"),
        ErrorKind::UnclosedFlowCollection { open } => syntax(
            &format!("`{open}` is opened here and never closed"),
            &format!("add the closing `{}`", if *open == '[' { ']' } else { '}' }),
        ),
        ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockMappingKey => syntax(
            "the indentation does not fit the lines above",
            "keys of one section begin in the same column; a list's `-` lines stand in one column",
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => syntax(
            "a `:` stands where no key is expected",
            "text that holds `: ` needs quotes; check the indentation of this line and the one above",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            syntax("a key is not followed by `:`", "write `key: value`; text over several lines needs quotes")
        }
        ErrorKind::UnexpectedCharacter { character } => {
            syntax(&format!("a value can't begin with `{}`", character.escape_default()), "put the value in quotes")
        }
        // The parser's enum is open, and its own words are fine for the rarer ones.
        other => syntax(
            &format!("this is not YAML: {other}"),
            "check the quotes, brackets and indentation of this line and the one above",
        ),
    }
}

/// The tab in the line of `at`, or the first after it: the parser may stop at the end of the value before.
fn tab(file: InputFile, text: &str, at: usize) -> Option<Span> {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let tab = line + text[line..].find('\t')?;
    Some(Span::new(file, tab..tab + 1))
}
