//! One failure of an apply: what, the evidence, the likely cause, what to do next.

use super::layout::paragraph;
use super::line::{Line, Look, Page, Tone};
use crate::model::outcome::Failure;

pub(crate) fn push(page: &mut Page, look: Look, failure: &Failure) {
    let Failure { id, summary, evidence, cause, next, node, command } = failure;
    let columns = look.columns();
    paragraph(page, columns, Line::new().tone(Tone::Bad, format!("error[{id}]")).text(": "), Tone::Bold, summary, 2);
    if let Some(command) = command {
        let on = node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        said(page, columns, &format!("ran{on}: "), command);
    }
    for line in evidence.iter().flat_map(|text| text.lines()) {
        let kept = Line::new().text("  ").text(line);
        if kept.width() <= columns {
            page.push(kept);
        } else {
            paragraph(page, columns, "  ".into(), Tone::Plain, line, 4);
        }
    }
    if let Some(cause) = cause {
        said(page, columns, "likely cause: ", cause);
    }
    if !next.is_empty() {
        said(page, columns, "next: ", next);
    }
}

fn said(page: &mut Page, columns: usize, key: &str, text: &str) {
    let prefix = Line::new().text("  ").tone(Tone::Dim, key);
    paragraph(page, columns, prefix, Tone::Plain, text, 4);
}
