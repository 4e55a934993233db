//! Plans as pull-request comments and as what GitHub Actions reads.

use proptest::prelude::*;
use pvekube::model::desired::Place;
use pvekube::model::plan::{Effect, Plan};
use pvekube::render::Look;
use pvekube::render::digest::plan_digest;
use pvekube::render::github::{Level, annotation, outputs, plan_annotations};
use pvekube::render::markdown::{LIMIT, plan_markdown};
use pvekube::render::text::PlanView;

use crate::samples::*;
use crate::scenarios;

pub fn markdown(plan: &Plan) -> String {
    plan_markdown(&PlanView::new(plan, Look::PLAIN))
}

#[test]
fn plans_as_comments() {
    for (name, plan) in scenarios::all() {
        insta::assert_snapshot!(name, markdown(&plan));
    }
}

#[test]
fn the_first_line_is_hidden_and_names_the_plan() {
    for (name, plan) in scenarios::all() {
        let text = markdown(&plan);
        let first = format!("<!-- pvekube-plan cluster=k8s digest={} -->", plan_digest(&plan));
        assert_eq!(text.lines().next(), Some(first.as_str()), "{name}");
    }
}

/// Many machines, checks and long texts.
fn large(machines: u32, length: usize) -> Plan {
    let long = "äb@c|`d<".repeat(length / 8 + 1);
    let spec = |_| spec("large", 4, 8192, 80, "dhcp");
    let mut plan =
        plan((1..=machines).map(|n| create(&format!("worker-{n}"), "pve1", n + 100, spec(n), &long)).collect());
    for n in 1..=machines {
        machine_steps(&mut plan.steps, &format!("worker-{n}"), "pve1", n + 100, 9000, &[]);
        plan.notes.push(note("older-image", &long, None));
        plan.checks.push(check("quorum", pvekube::model::plan::Verdict::Failed, &long, &long, &long));
    }
    plan.changes[0].fields.push(field("description", Some(&long.replace('c', "\n")), Some(&long), Effect::Live));
    plan
}

#[test]
fn a_comment_is_never_too_long_and_never_left_open() {
    for (machines, length) in [(1, 10), (1, 200_000), (80, 100), (100, 5_000), (400, 10)] {
        let text = markdown(&large(machines, length));
        assert!(text.len() <= LIMIT, "{machines} machines: {} bytes", text.len());
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
        let fences = text.lines().filter(|line| line.starts_with("```")).count();
        assert_eq!(fences % 2, 0, "{machines} machines, {length} long");
        assert!(text.ends_with("`\n"), "the digest is last");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_out_of_a_comment(bad in "\\PC{0,40}|[@|`<>#*_\\[\\]!\n-]{0,12}") {
        let mut plan = plan(vec![]);
        plan.notes.push(note("older-image", &bad, None));
        plan.checks.push(check("quorum", pvekube::model::plan::Verdict::Failed, &bad, &bad, &bad));
        let text = markdown(&plan);
        // Every `<` and `@` of ours: the comment, the break before a hint.
        prop_assert_eq!(text.matches('<').count(), 1 + usize::from(!bad.is_empty()), "{}", text);
        for (at, _) in text.match_indices('@') {
            prop_assert!(text[at..].starts_with("@&#8203;"), "{}", text);
        }
    }
}

#[test]
fn annotations_are_one_line_each() {
    let place = Place { file: "a,b:c.yaml".to_owned(), line: 3, column: 5 };
    let line = annotation(Level::Error, "x:y,z", "100 %\r\n::error::two\u{1b}[2J", Some(&place));
    assert_eq!(line, "::error file=a%2Cb%3Ac.yaml,line=3,col=5,title=x%3Ay%2Cz::100 %25%0D%0A::error::two\\u{1b}[2J\n");
    let plans = scenarios::all();
    let text: String = plans.iter().map(|(name, plan)| format!("# {name}\n{}", plan_annotations(plan))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn outputs_are_one_line_each() {
    let plans = scenarios::all();
    for (name, plan) in &plans {
        for line in outputs(plan).lines() {
            assert!(
                line.split_once('=').is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')),
                "{name}: {line}"
            );
        }
    }
    let scale_down = &plans.iter().find(|(name, _)| *name == "scale-down").unwrap().1;
    insta::assert_snapshot!(outputs(scale_down));
}
