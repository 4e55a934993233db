//! One error as it is printed: `error[id]: summary`, its detail, what to do next.

use super::layout::paragraph;
use super::line::{Line, Look, Page, Tone};
use crate::error::Fault;

/// Each line ends in a newline.
pub fn fault_text(fault: &Fault, look: Look) -> String {
    let mut page = Page::new();
    push(&mut page, look, fault);
    page.finish(look)
}

/// Several errors, an empty line between them.
pub fn faults_text(faults: &[Fault], look: Look) -> String {
    let mut page = Page::new();
    for fault in faults {
        page.gap();
        push(&mut page, look, fault);
    }
    page.finish(look)
}

fn push(page: &mut Page, look: Look, fault: &Fault) {
    let prefix = Line::new().tone(Tone::Bad, format!("error[{}]", fault.id)).text(": ");
    paragraph(page, look.columns(), prefix, Tone::Bold, &fault.summary, 2);
    for line in fault.detail.iter().flat_map(|detail| detail.lines()) {
        // Program output keeps its own spacing where it fits.
        let kept = Line::new().text("  ").text(line);
        if kept.width() <= look.columns() {
            page.push(kept);
        } else {
            paragraph(page, look.columns(), "  ".into(), Tone::Plain, line, 4);
        }
    }
    if !fault.next.is_empty() {
        paragraph(page, look.columns(), Line::new().tone(Tone::Dim, "  next: "), Tone::Plain, &fault.next, 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_why_and_what_next() {
        let fault = Fault::new(
            "node-unreachable",
            "pve2: ssh: connect to host pve2.local port 22: No route to host",
            "bring the node back, or plan without it: pvekube plan --without-node pve2",
        )
        .with_detail("its machines k8s-master-3, k8s-worker-2 are unknown, so nothing on them is planned");
        insta::assert_snapshot!(fault_text(&fault, Look::PLAIN), @r"
        error[node-unreachable]: pve2: ssh: connect to host pve2.local port 22: No route
          to host
          its machines k8s-master-3, k8s-worker-2 are unknown, so nothing on them is
            planned
          next: bring the node back, or plan without it: pvekube plan
                --without-node pve2
        ");
    }
}
