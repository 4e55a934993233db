//! An apply while it runs: what the events said so far. The same state is drawn as a live picture, told in timed lines,
//! and streamed as JSON.

mod lines;
mod picture;
mod stream;

use std::collections::BTreeMap;

pub use stream::Stream;

use super::digest::plan_digest;
use super::steps::{same_resource, subject_text};
use super::values::count;
use crate::model::ids::NodeName;
use crate::model::outcome::{Event, EventKind, NOT_WAITED};
use crate::model::plan::{Action, ChangeAction, Plan, StepId, Target};

/// What has been heard of a running plan.
#[derive(Clone, Debug)]
pub struct Progress {
    title: String,
    steps: BTreeMap<StepId, StepState>,
    /// In the order of nodes, then of their first step.
    rows: Vec<Row>,
    /// The last word about the whole run, and when it was said.
    notice: Option<(f64, String)>,
}

#[derive(Clone, Debug)]
struct StepState {
    verb: &'static str,
    /// The same when it is over: `cloned`.
    done: &'static str,
    /// Its own words say how far it is: nothing is told of its start.
    tells_itself: bool,
    needs: Vec<StepId>,
    estimate_s: f64,
    phase: Phase,
    started_s: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Not started; why, where the executor said so.
    Waiting(Option<String>),
    Running {
        text: Option<String>,
        percent: Option<f32>,
    },
    Done {
        ended_s: f64,
    },
    Failed {
        summary: String,
        ended_s: f64,
    },
    Skipped {
        because: StepId,
    },
}

/// A machine or template on a node, and the steps for it.
#[derive(Clone, Debug)]
struct Row {
    node: NodeName,
    subject: Target,
    name: String,
    /// What it is in the end: `ready`, `deleted`, `done`.
    end: &'static str,
    steps: Vec<StepId>,
}

/// What a row is up to.
enum RowState<'a> {
    Waiting(String),
    Running { step: &'a StepState, since_s: f64 },
    Done { took_s: f64 },
    Failed { summary: &'a str },
    Skipped { because: StepId },
}

impl Progress {
    pub fn new(plan: &Plan) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for step in &plan.steps {
            let same = |row: &&mut Row| same_resource((&row.subject, &row.node), (&step.subject, &step.node));
            match rows.iter_mut().find(same) {
                Some(row) => {
                    row.steps.push(step.id);
                    // What tidies up afterwards does not make a ready template less so.
                    row.end = Some(end(&step.action)).filter(|end| *end != "done").unwrap_or(row.end);
                    // Where and as what it is in the end: a replaced one has a new id, a clone may come from elsewhere.
                    row.node = step.node.clone();
                    row.name = subject_text(&step.subject, step.vmid);
                }
                None => rows.push(Row {
                    node: step.node.clone(),
                    subject: step.subject.clone(),
                    name: subject_text(&step.subject, step.vmid),
                    end: end(&step.action),
                    steps: vec![step.id],
                }),
            }
        }
        // Stable: rows of a node stay in the order of their first steps.
        rows.sort_by(|one, other| one.node.cmp(&other.node));
        let steps = plan.steps.iter().map(|step| {
            let state = StepState {
                verb: doing(&step.action),
                done: done(&step.action),
                tells_itself: matches!(step.action, Action::Ready(_)),
                needs: step.needs.clone(),
                estimate_s: f64::from(step.estimate_s.max(1)),
                phase: Phase::Waiting(None),
                started_s: None,
            };
            (step.id, state)
        });
        Self { title: title(plan), steps: steps.collect(), rows, notice: None }
    }

    /// Takes in one event. Events about steps that the plan does not have are ignored.
    pub fn take(&mut self, event: &Event) {
        if let EventKind::Notice { text } | EventKind::Found { text } = &event.what {
            self.notice = Some((event.at_s, text.clone()));
            return;
        }
        let Some(step) = event.step.and_then(|id| self.steps.get_mut(&id)) else { return };
        if event.what == EventKind::Done && step.words() == NOT_WAITED {
            let of_it = |row: &&mut Row| row.steps.iter().any(|id| Some(*id) == event.step);
            self.rows.iter_mut().filter(of_it).for_each(|row| row.end = "started");
        }
        match &event.what {
            EventKind::Started => {
                step.started_s = Some(event.at_s);
                step.phase = Phase::Running { text: None, percent: None };
            }
            EventKind::Progress { text, percent } => {
                step.phase = Phase::Running { text: Some(text.clone()), percent: *percent };
            }
            EventKind::Waiting { on } => step.phase = Phase::Waiting(Some(on.clone())),
            EventKind::Done => step.phase = Phase::Done { ended_s: event.at_s },
            EventKind::Failed { summary } => {
                step.phase = Phase::Failed { summary: summary.clone(), ended_s: event.at_s };
            }
            EventKind::Skipped { because } => step.phase = Phase::Skipped { because: *because },
            EventKind::Found { .. } | EventKind::Notice { .. } => {}
        }
    }

    /// Share of the work that is done, 0 to 1, by the steps' estimates.
    pub fn done(&self, now_s: f64) -> f64 {
        let total: f64 = self.steps.values().map(|step| step.estimate_s).sum();
        let done: f64 = self.steps.values().map(|step| step.estimate_s * step.share(now_s)).sum();
        if total > 0.0 { done / total } else { 1.0 }
    }

    fn states(&self, row: &Row) -> Vec<&StepState> {
        row.steps.iter().filter_map(|id| self.steps.get(id)).collect()
    }

    fn row_state(&self, row: &Row) -> RowState<'_> {
        let steps = self.states(row);
        let since_s = steps.iter().filter_map(|step| step.started_s).fold(f64::INFINITY, f64::min);
        let mut done_s = None;
        for step in &steps {
            match &step.phase {
                Phase::Failed { summary, .. } => return RowState::Failed { summary },
                Phase::Running { .. } => return RowState::Running { step, since_s },
                Phase::Skipped { because } => return RowState::Skipped { because: *because },
                Phase::Done { ended_s } => done_s = Some(*ended_s),
                Phase::Waiting(on) => return RowState::Waiting(self.waits(row, step, on.as_deref())),
            }
        }
        RowState::Done { took_s: (done_s.unwrap_or(0.0) - since_s).max(0.0) }
    }

    /// What a step waits for: the first of its needs that is not done, else what the executor said (a limit).
    fn waits(&self, row: &Row, step: &StepState, said: Option<&str>) -> String {
        let open = |id: &&StepId| self.steps.get(id).is_some_and(|need| !matches!(need.phase, Phase::Done { .. }));
        let other = step.needs.iter().find(open).and_then(|id| self.row_of(*id)).filter(|other| other.name != row.name);
        match (other, said) {
            (Some(other), _) => format!("waits for {}", other.name),
            (None, Some(said)) => said.to_owned(),
            (None, None) => "waits".to_owned(),
        }
    }

    fn row_of(&self, step: StepId) -> Option<&Row> {
        self.rows.iter().find(|row| row.steps.contains(&step))
    }
}

impl StepState {
    /// Its own words, or what is being done; with the percentage, where there is one: `cloning 54 %, 1.6 of 3.0 GiB`.
    fn words(&self) -> String {
        let (text, percent) = match &self.phase {
            Phase::Running { text, percent } => (text.as_deref(), *percent),
            Phase::Waiting(_) | Phase::Done { .. } | Phase::Failed { .. } | Phase::Skipped { .. } => (None, None),
        };
        let text = text.unwrap_or(self.verb);
        match (percent, text.split_once(", ")) {
            (None, _) => text.to_owned(),
            (Some(percent), Some((what, more))) => format!("{what} {:.0} %, {more}", percent.floor()),
            (Some(percent), None) => format!("{text} {:.0} %", percent.floor()),
        }
    }

    /// Worth a line when it begins. Of the others, a line when they are over is enough.
    fn is_long(&self) -> bool {
        self.estimate_s >= 10.0
    }

    /// A running step without percents is never told as nearly done.
    fn share(&self, now_s: f64) -> f64 {
        match &self.phase {
            Phase::Done { .. } | Phase::Failed { .. } | Phase::Skipped { .. } => 1.0,
            Phase::Waiting(_) => 0.0,
            Phase::Running { percent: Some(percent), .. } => f64::from(*percent / 100.0).clamp(0.0, 1.0),
            Phase::Running { percent: None, .. } => {
                let since = now_s - self.started_s.unwrap_or(now_s);
                (since / self.estimate_s).clamp(0.0, 0.9)
            }
        }
    }
}

/// `Applying 8c1f3a2b9d04: 3 templates, 3 machines, 1 update on 3 nodes`.
fn title(plan: &Plan) -> String {
    let number = |template: bool, wanted: &[ChangeAction]| {
        let of_kind = plan.changes.iter().filter(|change| matches!(change.target, Target::Template { .. }) == template);
        of_kind.filter(|change| wanted.contains(&change.action)).count()
    };
    let made = [ChangeAction::Create, ChangeAction::Replace];
    let counts = [
        (number(true, &made), "template"),
        (number(false, &made), "machine"),
        (number(false, &[ChangeAction::Update]) + number(true, &[ChangeAction::Update]), "update"),
        (number(false, &[ChangeAction::Resume]) + number(true, &[ChangeAction::Resume]), "continuation"),
        (number(false, &[ChangeAction::Delete]) + number(true, &[ChangeAction::Delete]), "deletion"),
    ];
    let said: Vec<String> =
        counts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| count(*number, what)).collect();
    let mut nodes: Vec<&NodeName> = plan.steps.iter().map(|step| &step.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    format!("Applying {}: {} on {}", &plan_digest(plan)[..12], said.join(", "), count(nodes.len(), "node"))
}

/// What was done.
fn done(action: &Action) -> &'static str {
    match action {
        Action::FetchImage { from_controller: false, .. } => "image downloaded",
        Action::FetchImage { from_controller: true, .. } => "image sent",
        Action::CreateTemplate { .. } => "created",
        Action::ImportDisk { .. } => "disk imported",
        Action::Set { .. } => "configured",
        Action::Resize { .. } => "disk grown",
        Action::Bake(_) => "baked",
        Action::ConvertTemplate { .. } => "made a template",
        Action::RemoveImage { .. } => "image file removed",
        Action::Clone { .. } => "cloned",
        Action::Start { .. } => "started",
        Action::Shutdown { .. } => "shut down",
        Action::Destroy { .. } => "destroyed",
        Action::Ready(_) => "ready",
        Action::Attach { .. } => "the operation of an earlier run is over",
    }
}

/// What a row is when this was its last step.
fn end(action: &Action) -> &'static str {
    match action {
        Action::Ready(_) | Action::ConvertTemplate { .. } => "ready",
        Action::Destroy { .. } => "deleted",
        Action::Start { .. } => "started",
        Action::FetchImage { .. }
        | Action::CreateTemplate { .. }
        | Action::ImportDisk { .. }
        | Action::Set { .. }
        | Action::Resize { .. }
        | Action::Bake(_)
        | Action::RemoveImage { .. }
        | Action::Clone { .. }
        | Action::Shutdown { .. }
        | Action::Attach { .. } => "done",
    }
}

/// What is being done, until the step has words of its own.
fn doing(action: &Action) -> &'static str {
    match action {
        Action::FetchImage { from_controller: false, .. } => "downloading the image",
        Action::FetchImage { from_controller: true, .. } => "sending the image",
        Action::CreateTemplate { .. } => "creating",
        Action::ImportDisk { .. } => "importing the disk",
        Action::Set { .. } => "setting",
        Action::Resize { .. } => "growing the disk",
        Action::Bake(_) => "baking",
        Action::ConvertTemplate { .. } => "making it a template",
        Action::RemoveImage { .. } => "removing the image file",
        Action::Clone { .. } => "cloning",
        Action::Start { .. } => "starting",
        Action::Shutdown { .. } => "shutting down",
        Action::Destroy { .. } => "destroying",
        Action::Ready(_) => "booting",
        Action::Attach { .. } => "waiting for the operation of an earlier run",
    }
}
