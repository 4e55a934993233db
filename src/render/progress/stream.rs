//! An apply as a stream of JSON objects, one a line, in the shape of OpenTofu's machine-readable UI: `version`,
//! `planned_change`, `change_summary`, then `apply_start`, `apply_progress`, `apply_complete`, `apply_errored` for each
//! resource, `diagnostic`, and a last `change_summary`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::model::ids::{NodeName, Vmid};
use crate::model::outcome::{Event, EventKind, Failure, NOT_WAITED, Outcome};
use crate::model::plan::{Action, Change, ChangeAction, Plan, StepId, Summary, Target};
use crate::render::line::printable_json;
use crate::render::outcome::{Applied, applied, failures};
use crate::render::steps::{address, same_resource};
use crate::render::text::summary_line;

/// Version of the stream's shape.
const UI_VERSION: &str = "1.0";

/// Makes the lines. The caller knows the time: each function takes the current one, RFC 3339.
#[derive(Debug)]
pub struct Stream<'a> {
    plan: &'a Plan,
    /// Steps that are over, and resources that have begun.
    done: BTreeSet<StepId>,
    begun: BTreeSet<String>,
    /// `--no-wait`: started, and nothing else.
    not_waited: BTreeSet<StepId>,
}

impl<'a> Stream<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, done: BTreeSet::new(), begun: BTreeSet::new(), not_waited: BTreeSet::new() }
    }

    /// Before anything runs: the version, every planned change, their counts.
    pub fn begin(&self, now: &str) -> Vec<String> {
        let version = env!("CARGO_PKG_VERSION");
        let mut lines = vec![line(
            now,
            ("info", "version", &format!("pvekube {version}")),
            json!({ "pvekube": version, "ui": UI_VERSION }),
        )];
        for change in self.plan.changes.iter().filter(|change| change.action != ChangeAction::None) {
            let said = format!("{}: plan to {}", resource_address(change), action(change.action));
            let change = json!({ "resource": resource(&change.target, &change.node, change.vmid), "action": action(change.action), "reason": change.reason });
            lines.push(line(now, ("info", "planned_change", &said), json!({ "change": change })));
        }
        lines.push(self.summary(now, "plan", self.plan.summary(), &summary_line(self.plan)));
        lines
    }

    /// What an event adds; nothing for events about steps that the plan does not have.
    pub fn event(&mut self, event: &Event, now: &str) -> Vec<String> {
        let Some(id) = event.step else {
            return match &event.what {
                EventKind::Notice { text } | EventKind::Found { text } => {
                    vec![line(now, ("info", "log", text), json!({ "elapsed_seconds": event.at_s }))]
                }
                EventKind::Started
                | EventKind::Progress { .. }
                | EventKind::Waiting { .. }
                | EventKind::Done
                | EventKind::Failed { .. }
                | EventKind::Skipped { .. } => Vec::new(),
            };
        };
        let Some(step) = self.plan.steps.iter().find(|step| step.id == id) else { return Vec::new() };
        let address = address(&step.subject, step.node.as_str());
        let hook = |more: Value| {
            let change = {
                let own = (&step.subject, &step.node);
                self.plan.changes.iter().find(|change| same_resource(own, (&change.target, &change.node)))
            };
            let mut hook = json!({
                "resource": resource(&step.subject, &step.node, step.vmid),
                "action": change.map(|change| action(change.action)),
                "step": { "id": id, "action": step.action.verb() },
                "elapsed_seconds": event.at_s,
            });
            merge(&mut hook, more);
            json!({ "hook": hook })
        };
        let begins = match &step.action {
            Action::Ready(_) => "waiting until ready",
            other => other.verb(),
        };
        match &event.what {
            EventKind::Started if self.begun.insert(address.clone()) => {
                vec![line(now, ("info", "apply_start", &format!("{address}: {begins}…")), hook(json!({})))]
            }
            EventKind::Started => {
                vec![line(now, ("info", "apply_progress", &format!("{address}: {begins}")), hook(json!({})))]
            }
            EventKind::Progress { text, percent } => {
                if text == NOT_WAITED {
                    self.not_waited.insert(id);
                }
                let more = json!({ "text": text, "percent": percent });
                vec![line(now, ("info", "apply_progress", &format!("{address}: {text}")), hook(more))]
            }
            EventKind::Found { text } | EventKind::Notice { text } => {
                vec![line(
                    now,
                    ("info", "apply_progress", &format!("{address}: {text}")),
                    hook(json!({ "text": text })),
                )]
            }
            EventKind::Waiting { .. } => Vec::new(),
            EventKind::Done => {
                self.done.insert(id);
                let over = self
                    .plan
                    .steps
                    .iter()
                    .filter(|other| same_resource((&step.subject, &step.node), (&other.subject, &other.node)))
                    .all(|other| self.done.contains(&other.id));
                let kind = if over { "apply_complete" } else { "apply_progress" };
                let said = match &step.action {
                    Action::Ready(_) if self.not_waited.contains(&id) => format!("{address}: {NOT_WAITED}"),
                    Action::Ready(_) => format!("{address}: ready"),
                    other => format!("{address}: {} done", other.verb()),
                };
                vec![line(now, ("info", kind, &said), hook(json!({ "done": true })))]
            }
            EventKind::Failed { summary } => {
                let more = json!({ "error": summary });
                vec![line(now, ("error", "apply_errored", &format!("{address}: {summary}")), hook(more))]
            }
            EventKind::Skipped { because } => {
                let said = format!("{address}: {} skipped", step.action.verb());
                vec![line(now, ("warn", "apply_errored", &said), hook(json!({ "skipped_because": because })))]
            }
        }
    }

    /// After everything: each failure, and what was done.
    pub fn end(&self, outcome: &Outcome, now: &str) -> Vec<String> {
        let mut lines: Vec<String> = failures(outcome).into_iter().map(|failure| diagnostic(failure, now)).collect();
        let Applied { summary, head, counts } = applied(self.plan, outcome);
        lines.push(self.summary(now, "apply", summary, &format!("{head} {counts}.")));
        lines
    }

    fn summary(&self, now: &str, operation: &str, summary: Summary, text: &str) -> String {
        let Summary { machines, templates } = summary;
        let changes = json!({
            "add": machines.add, "change": machines.change, "remove": machines.destroy, "operation": operation,
            "templates": { "add": templates.add, "change": templates.change, "remove": templates.destroy },
        });
        line(now, ("info", "change_summary", text), json!({ "changes": changes }))
    }
}

fn diagnostic(failure: &Failure, now: &str) -> String {
    let mut detail = failure.evidence.clone();
    detail.extend(failure.cause.iter().map(|cause| format!("likely cause: {cause}")));
    detail.push(format!("next: {}", failure.next));
    let said = json!({
        "severity": "error", "summary": failure.summary, "detail": detail.join("\n"),
        "id": failure.id, "node": failure.node, "command": failure.command,
    });
    line(now, ("error", "diagnostic", &format!("Error: {}", failure.summary)), json!({ "diagnostic": said }))
}

fn resource(target: &Target, node: &NodeName, vmid: Vmid) -> Value {
    let (kind, name, key) = match target {
        Target::Template { name } => ("pvekube_template", name.as_str(), Some(node)),
        Target::Machine { name, .. } => ("pvekube_machine", name.as_str(), None),
    };
    json!({
        "addr": address(target, node.as_str()), "resource_type": kind, "resource_name": name, "resource_key": key,
        "node": node, "vmid": vmid,
    })
}

fn resource_address(change: &Change) -> String {
    address(&change.target, change.node.as_str())
}

fn action(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Create => "create",
        ChangeAction::Update | ChangeAction::Resume => "update",
        ChangeAction::Replace => "replace",
        ChangeAction::Delete => "delete",
        ChangeAction::None => "noop",
    }
}

fn line(now: &str, (level, kind, message): (&str, &str, &str), more: Value) -> String {
    let mut value = json!({
        "@level": level, "@message": message, "@module": "pvekube.ui", "@timestamp": now, "type": kind,
    });
    merge(&mut value, more);
    printable_json(&value.to_string()) + "\n"
}

fn merge(into: &mut Value, more: Value) {
    let more = match more {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    if let Value::Object(members) = into {
        members.extend(more);
    }
}
