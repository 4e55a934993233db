//! An apply while it runs and after: pictures, timed lines, JSON lines, reports.

use std::collections::BTreeMap;

use pvekube::model::outcome::*;
use pvekube::model::plan::{Action, Plan, StepId};
use pvekube::render::Look;
use pvekube::render::outcome::outcome_text;
use pvekube::render::progress::{Progress, Stream};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::scenarios::first_plan;

fn event(at_s: f64, step: u32, what: EventKind) -> Event {
    Event { at_s, step: Some(StepId(step)), what }
}

fn words(text: &str, percent: Option<f32>) -> EventKind {
    EventKind::Progress { text: text.to_owned(), percent }
}

fn waits(on: &str) -> EventKind {
    EventKind::Waiting { on: on.to_owned() }
}

/// Steps 0–4 make template 9000, 5–9 master-1 and 10–14 worker-1 on pve1; 15–19 template 9001, 20–24 master-3 on pve2;
/// 25–29 template 9002, 30–34 master-2, 35–39 worker-2 on pve3.
fn story() -> Vec<Event> {
    let mut events = vec![
        Event {
            at_s: 0.1,
            step: None,
            what: EventKind::Notice { text: "waiting for the lock of ci@runner-7 (pid 4121)".to_owned() },
        },
        event(0.5, 0, EventKind::Started),
        event(0.5, 15, EventKind::Started),
        event(0.6, 25, EventKind::Started),
        event(0.7, 5, waits("waits for template 9000")),
        event(0.7, 10, waits("waits for template 9000")),
        event(0.7, 20, waits("waits for template 9001")),
        event(5.0, 0, words("downloading the image", Some(40.0))),
        event(9.0, 0, EventKind::Done),
    ];
    for step in 1..5 {
        events.push(event(9.0 + f64::from(step), step, EventKind::Started));
        events.push(event(9.5 + f64::from(step), step, EventKind::Done));
    }
    events.extend([
        event(14.0, 5, EventKind::Started),
        event(14.0, 10, waits("waits for pve1:local-lvm")),
        event(20.0, 5, words("cloning, 21.6 of 40.0 GiB", Some(54.0))),
        event(21.0, 15, EventKind::Failed { summary: "the image's digest is wrong".to_owned() }),
        event(21.0, 16, EventKind::Skipped { because: StepId(15) }),
        event(21.0, 20, EventKind::Skipped { because: StepId(15) }),
        event(22.0, 25, words("downloading the image", Some(80.0))),
    ]);
    events
}

fn heard(plan: &Plan) -> Progress {
    let mut progress = Progress::new(plan);
    story().iter().for_each(|event| progress.take(event));
    progress
}

#[test]
fn the_picture_fits_wide_narrow_and_short_terminals() {
    let plan = first_plan();
    let progress = heard(&plan);
    for (name, width, height) in [("usual", 100, 24), ("narrow", 50, 24), ("short", 80, 6)] {
        let picture = progress.picture(26.0, Look { width, color: false }, height);
        insta::assert_snapshot!(format!("picture-{name}"), picture);
    }
    for width in (40..=200).step_by(3) {
        for height in 3..20 {
            let picture = progress.picture(26.0, Look { width, color: false }, height);
            assert!(picture.lines().count() <= height, "{width}x{height}: {picture}");
            assert!(picture.lines().all(|line| line.width() <= width), "{width}x{height}: {picture}");
        }
    }
}

#[test]
fn the_share_that_is_done_never_shrinks_and_ends_whole() {
    let plan = first_plan();
    let mut progress = Progress::new(&plan);
    let mut last = 0.0;
    for step in &plan.steps {
        let at_s = f64::from(step.id.0);
        for what in [EventKind::Started, words("half", Some(50.0)), EventKind::Done] {
            progress.take(&event(at_s, step.id.0, what));
            let share = progress.done(at_s);
            assert!(share >= last, "{share} after {last}");
            last = share;
        }
    }
    assert!((last - 1.0).abs() < 1e-9);
}

#[test]
fn elsewhere_each_stage_is_a_timed_line() {
    let plan = first_plan();
    let mut progress = Progress::new(&plan);
    let mut text = String::new();
    for event in story() {
        if let Some(line) = progress.line(&event) {
            text.push_str(&line.to_text(false));
            text.push('\n');
        }
        progress.take(&event);
    }
    text.push_str(&progress.still(55.0).unwrap().to_text(false));
    insta::assert_snapshot!(text);
}

#[test]
fn programs_get_one_object_a_line() {
    let plan = first_plan();
    let mut stream = Stream::new(&plan);
    let now = "2026-11-22T12:00:00.000Z";
    let mut text = stream.begin(now).concat();
    text.push_str(&story().iter().flat_map(|event| stream.event(event, now)).collect::<String>());
    text.push_str(&stream.end(&failed(&plan), now).concat());
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        for key in ["@level", "@message", "@module", "@timestamp", "type"] {
            assert!(value[key].is_string(), "{key} in {line}");
        }
    }
    insta::assert_snapshot!(text);
}

fn report(plan: &Plan, id: usize, result: StepResult) -> (StepId, StepReport) {
    let step = &plan.steps[id];
    let begun = !matches!(result, StepResult::Skipped { .. } | StepResult::NotStarted);
    let report = StepReport {
        started_s: begun.then_some(id as f64),
        ended_s: begun.then_some(id as f64 + 1.0),
        subject: step.subject.clone(),
        node: step.node.clone(),
        verb: step.action.verb().to_owned(),
        result,
    };
    (step.id, report)
}

fn machine(name: &str, node: &str, vmid: u32, stage: Stage) -> MachineReport {
    let ready = stage == Stage::Login;
    MachineReport {
        name: name.into(),
        node: node.into(),
        vmid: pvekube::model::ids::Vmid(vmid),
        address: (stage >= Stage::Address).then(|| format!("10.0.0.{}", vmid - 90).parse().unwrap()),
        addresses: Vec::new(),
        ready,
        stage,
        stages_s: BTreeMap::from([(Stage::Running, 41.0), (stage, 118.0)]),
        host_keys: Vec::new(),
    }
}

fn done(plan: &Plan) -> Outcome {
    Outcome {
        steps: (0..plan.steps.len()).map(|id| report(plan, id, StepResult::Done)).collect(),
        machines: vec![
            machine("k8s-master-1", "pve1", 101, Stage::Login),
            machine("k8s-master-2", "pve3", 102, Stage::Login),
            machine("k8s-worker-1", "pve1", 104, Stage::Login),
        ],
        elapsed_s: 131.0,
        critical_path_s: 126.0,
        interrupted: false,
        failures: Vec::new(),
    }
}

fn failed(plan: &Plan) -> Outcome {
    let mut outcome = done(plan);
    let digest = Failure {
        id: "image-digest".to_owned(),
        summary: "jammy-server-cloudimg-amd64.img on pve2 has another digest than SHA256SUMS says".to_owned(),
        evidence: vec!["wanted sha256 5a3c…e91f, got sha256 77aa…0b1c".to_owned()],
        cause: Some("a proxy or mirror served an old file".to_owned()),
        next: "run apply again; if it stays so, pin vm_template.image_digest".to_owned(),
        node: Some("pve2".into()),
        command: Some("wget -O /var/lib/pvekube/images/….part https://cloud-images.ubuntu.com/jammy/current/jammy-server-cloudimg-amd64.img".to_owned()),
    };
    let not_ready = Failure {
        id: "not-ready".to_owned(),
        summary: "k8s-worker-2 (VM 105 on pve3) has no address after 5 min".to_owned(),
        evidence: vec![
            "it runs since 4 min 51 s; the guest agent answers; net0 BC:24:11:0C:55:7F has no IPv4 address".to_owned(),
        ],
        cause: Some("no DHCP lease on vmbr0 (cloud-init: \"dhcp4 timed out\")".to_owned()),
        next: "look for that MAC on your DHCP server, or give the machine a static address; then run apply again"
            .to_owned(),
        node: Some("pve3".into()),
        command: None,
    };
    outcome
        .steps
        .extend([report(plan, 15, StepResult::Failed(digest)), report(plan, 39, StepResult::Failed(not_ready))]);
    for id in (16..20).chain(20..25) {
        outcome.steps.extend([report(plan, id, StepResult::Skipped { because: StepId(15) })]);
    }
    outcome.machines.push(machine("k8s-worker-2", "pve3", 105, Stage::Agent));
    outcome
}

fn interrupted(plan: &Plan) -> Outcome {
    let mut outcome = done(plan);
    outcome.machines.truncate(1);
    outcome.interrupted = true;
    outcome.steps.extend([report(plan, 10, StepResult::LeftRunning)]);
    for id in 11..15 {
        outcome.steps.extend([report(plan, id, StepResult::NotStarted)]);
    }
    outcome.critical_path_s = 0.0;
    outcome
}

#[test]
fn a_log_has_one_line_a_stage() {
    let told = |step, said: &[&str]| {
        let plan = first_plan();
        let mut progress = Progress::new(&plan);
        let events = std::iter::once(event(1.0, step, EventKind::Started))
            .chain(said.iter().map(|text| event(2.0, step, words(text, None))))
            .chain([event(3.0, step, EventKind::Done)]);
        let mut lines = Vec::new();
        for event in events {
            lines.extend(progress.line(&event).map(|line| line.to_text(false)));
            progress.take(&event);
        }
        let stages = lines.iter().filter_map(|line| line.trim_end().split(": ").nth(1).map(str::to_owned));
        (stages.collect::<Vec<_>>(), lines)
    };
    // A console is one stage, whatever it says.
    let console = ["configuring", "baking: starting", "baking: Linux version 5.15", "baking: [  OK  ] Started sshd"];
    assert_eq!(told(3, &console).0, ["baking", "configuring", "baking", "✔ baked (2 s)"]);
    let ready =
        ["booting: agent not up yet", "booting: agent not up yet", "booted: no address yet", "cloud-init running"];
    assert_eq!(told(9, &ready).0, ["booting", "booted", "cloud-init running", "✔ ready (2 s)"]);
}

/// `--no-wait`: nobody knows whether the machine is ready, so nobody says so.
#[test]
fn what_is_not_waited_for_is_not_called_ready() {
    let plan = first_plan();
    let ready = plan.steps.iter().find(|step| matches!(step.action, Action::Ready(_))).unwrap();
    let mut progress = Progress::new(&plan);
    let steps = plan.steps.iter().filter(|step| step.subject == ready.subject);
    let mut lines = Vec::new();
    for step in steps {
        let said = (step.id == ready.id).then(|| words(NOT_WAITED, None));
        for what in [Some(EventKind::Started), said, Some(EventKind::Done)].into_iter().flatten() {
            let event = event(1.0, step.id.0, what);
            lines.extend(progress.line(&event).map(|line| line.to_text(false)));
            progress.take(&event);
        }
    }
    let last = lines.last().unwrap();
    assert!(last.contains("✔ started; not waited for"), "{last}");
    let picture = progress.picture(2.0, Look { width: 100, color: false }, 24);
    assert!(picture.contains("✔ started ") && !lines.concat().contains("ready"), "{picture}\n{lines:?}");
}

#[test]
fn reports_tell_what_came_of_it() {
    let plan = first_plan();
    for (name, outcome) in [("done", done(&plan)), ("failed", failed(&plan)), ("interrupted", interrupted(&plan))] {
        for width in [80, 120] {
            let text = outcome_text(&plan, &outcome, Look { width, color: false });
            insta::assert_snapshot!(format!("outcome-{name}-{width}"), text);
        }
    }
}

#[test]
fn a_timeline_is_well_formed_and_shows_every_step_that_ran() {
    let plan = first_plan();
    for (name, outcome) in [("done", done(&plan)), ("failed", failed(&plan)), ("nothing", Outcome::default())] {
        let picture = pvekube::render::timeline::svg(&plan, &outcome);
        let ran = outcome.steps.values().filter(|report| report.started_s.is_some()).count();
        assert_eq!(picture.matches("<title>").count(), ran, "{name}");
        // Each colour that a bar has is explained once.
        let bars = picture.lines().filter(|line| line.contains("<title>"));
        let colors: std::collections::BTreeSet<&str> = bars.filter_map(|line| line.split('"').nth(11)).collect();
        for color in &colors {
            let explained = picture.matches(&format!("height=\"10\" rx=\"2\" fill=\"{color}\"")).count();
            assert_eq!(explained, 1, "{name}: {color}");
        }
        assert_eq!(colors.is_empty(), ran == 0, "{name}");
        let script = "import sys, xml.etree.ElementTree as e; e.fromstring(sys.argv[1])";
        let read = std::process::Command::new("python3").args(["-c", script, &picture]).status().unwrap();
        assert!(read.success(), "{name} is no XML");
    }
}
