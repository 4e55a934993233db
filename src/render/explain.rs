//! Why a machine is where and what it is, in words.

use super::json::pretty;
use super::layout::paragraph;
use super::line::{Line, Look, Page, Tone};
use crate::planner::Explanation;

/// Each line ends in a newline.
pub fn explain_text(explanation: &Explanation, look: Look) -> String {
    let mut page = Page::new();
    page.push(Line::new().tone(Tone::Bold, explanation.name.as_str()));
    let width = explanation.reasons.iter().map(|reason| reason.topic.len()).max().unwrap_or(0);
    for reason in &explanation.reasons {
        let prefix = Line::new().text("  ").tone(Tone::Dim, reason.topic).pad_to(2 + width + 3);
        paragraph(&mut page, look.columns(), prefix, Tone::Plain, &reason.text, 2 + width + 3);
    }
    if !explanation.otherwise.is_empty() {
        page.gap();
        page.push("To have it otherwise:");
        for way in &explanation.otherwise {
            paragraph(&mut page, look.columns(), "  - ".into(), Tone::Plain, way, 4);
        }
    }
    page.finish(look)
}

/// Indented JSON, ending in a newline.
pub fn explain_json(explanation: &Explanation) -> String {
    pretty(explanation)
}
