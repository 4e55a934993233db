//! Text that is nothing but text in GitHub's markdown.

use crate::render::line::printable;

/// Escaped for running text: no markup, HTML, table cell, mention or issue link comes out of it; line ends are spaces.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::new();
    for character in one_line(raw).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A zero-width space: GitHub looks for mentions and issue numbers after entities are resolved.
            '@' => out.push_str("@&#8203;"),
            '#' => out.push_str("#&#8203;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' | '{' | '}' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    // Bare addresses become links otherwise.
    out.replace("://", ":&#8203;//").replace("www.", "www&#8203;.")
}

/// A code span: nothing inside is markup or a mention. `|` is escaped for tables.
pub(super) fn code(raw: &str) -> String {
    let inner = one_line(raw);
    let ticks = "`".repeat(longest_run(&inner) + 1);
    // A span that begins or ends with a backtick needs a space, which is not shown.
    if inner.starts_with('`') || inner.ends_with('`') {
        format!("{ticks} {inner} {ticks}")
    } else {
        format!("{ticks}{inner}{ticks}")
    }
}

/// A fence that nothing in the body closes.
pub(super) fn fence(body: &str) -> String {
    "`".repeat((longest_run(body) + 1).max(3))
}

fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

fn one_line(raw: &str) -> String {
    let joined: Vec<&str> = raw.lines().collect();
    printable(&joined.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        let hostile = "a|b `x` <img src=x> @octocat #1 **b** [l](https://e.x) --> \n# h";
        assert_eq!(
            text(hostile),
            "a\\|b \\`x\\` &lt;img src=x&gt; @&#8203;octocat #&#8203;1 \\*\\*b\\*\\* \\[l\\](https:&#8203;//e.x) --&gt;  #&#8203; h"
        );
    }

    #[test]
    fn a_span_is_closed_by_nothing_inside() {
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(fence("a\n````\nb"), "`````");
        assert_eq!(fence("none"), "```");
    }
}
