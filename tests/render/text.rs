//! Plans as text.

use pvekube::render::Look;
use pvekube::render::text::{PlanView, plan_text, summary_line};
use unicode_width::UnicodeWidthStr;

use crate::scenarios;

#[test]
fn plans_as_text_at_80_columns() {
    for (name, plan) in scenarios::all() {
        let text = plan_text(&PlanView::new(&plan, Look { width: 80, color: false }));
        insta::assert_snapshot!(format!("{name}-80"), text);
    }
}

#[test]
fn plans_as_text_at_120_columns() {
    for (name, plan) in scenarios::all() {
        let text = plan_text(&PlanView::new(&plan, Look { width: 120, color: false }));
        insta::assert_snapshot!(format!("{name}-120"), text);
    }
}

#[test]
fn at_any_width_nothing_is_too_wide_trails_or_changes_with_colour() {
    for (name, plan) in scenarios::all() {
        for width in (80..=200).step_by(7) {
            let view = |color| PlanView { verbose: true, ..PlanView::new(&plan, Look { width, color }) };
            let text = plan_text(&view(false));
            for line in text.lines() {
                // A fingerprint is not cut: it is there to be compared.
                let whole = line.contains("SHA256:");
                assert!(line.width() <= width || whole, "{name} at {width}: {line}");
                assert_eq!(line, line.trim_end(), "{name} at {width}");
                assert!(!line.contains('\u{1b}'), "{name}: {line}");
            }
            assert_eq!(text.lines().last(), Some(summary_line(&plan).as_str()), "{name}: the summary is the last line");
            let colored = anstream::adapter::strip_str(&plan_text(&view(true))).to_string();
            assert_eq!(colored, text, "{name}: the same characters with colour");
        }
    }
}
