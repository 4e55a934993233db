//! A plan in a file, for `apply FILE`: the plan itself, what it rests on, and a digest of every byte.
//!
//! Whatever is in doubt is refused: an unknown version, a changed byte, another cluster, simulated instead of real nodes.
//! Nothing secret is in it: sensitive values are kept as fingerprints, private keys never reach a plan.

mod fingerprint;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use fingerprint::{Fingerprint, Inputs, Moved, fingerprint, moved};

use super::digest::{bytes_digest, plan_digest};
use super::values::{count, sensitive};
use crate::error::Fault;
use crate::model::ids::ClusterName;
use crate::model::plan::Plan;
use crate::planner::PlanOptions;

/// Version of the file's shape. Another one is refused: a plan is cheap to make again.
const FORMAT_VERSION: &str = "pvekube-plan/1";
/// What stands between the digested bytes and their digest.
const SEAL: &str = "\n  \"digest\": \"";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    pub format_version: String,
    pub pvekube_version: String,
    /// Unix seconds.
    pub saved_at: i64,
    pub sandbox: bool,
    /// Made from a saved observation: for review only.
    pub offline: bool,
    /// The planning flags it was made with, for people.
    pub options: Vec<String>,
    pub plan_digest: String,
    pub rests_on: Fingerprint,
    pub plan: Plan,
}

impl SavedPlan {
    pub fn new(plan: &Plan, options: &PlanOptions, rests_on: Fingerprint, saved_at: i64) -> Self {
        Self {
            format_version: FORMAT_VERSION.to_owned(),
            pvekube_version: env!("CARGO_PKG_VERSION").to_owned(),
            saved_at,
            sandbox: false,
            offline: false,
            options: flags(options),
            plan_digest: plan_digest(plan),
            rests_on,
            plan: without_sensitive(plan),
        }
    }

    /// The file's text; its last member is the digest of every byte before it.
    pub fn to_text(&self) -> String {
        let pretty = super::json::pretty(self);
        let body = pretty.trim_end().strip_suffix("\n}").map(|body| format!("{body},")).unwrap_or(pretty);
        let digest = bytes_digest(body.as_bytes());
        format!("{body}{SEAL}{digest}\"\n}}\n")
    }

    /// Reads a file's bytes. Faults: `saved-plan-unreadable`, `saved-plan-version`, `saved-plan-changed`.
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|error| unreadable(file, &error.to_string()))?;
        let mut value: Value = serde_json::from_str(text).map_err(|error| unreadable(file, &error.to_string()))?;
        let Value::Object(members) = &mut value else {
            return Err(unreadable(file, "it is JSON, but no object"));
        };
        match members.get("format_version").and_then(Value::as_str) {
            Some(FORMAT_VERSION) => {}
            Some(_) if members.contains_key("observed") => return Err(unreadable(file, "it is an observation")),
            Some(super::json::FORMAT_VERSION) => {
                return Err(unreadable(file, "it is the output of `plan --format json`"));
            }
            Some(other) => return Err(version(file, other)),
            None => return Err(unreadable(file, "it has no `format_version`")),
        }
        let (body, seal) = text.rsplit_once(SEAL).ok_or_else(|| changed(file))?;
        if seal != format!("{}\"\n}}\n", bytes_digest(body.as_bytes())) {
            return Err(changed(file));
        }
        members.shift_remove("digest");
        let saved: Self = serde_json::from_value(value).map_err(|error| unreadable(file, &error.to_string()))?;
        if saved.plan_digest != plan_digest(&saved.plan) {
            return Err(changed(file));
        }
        Ok(saved)
    }

    /// Whether it may be applied here at all; what it rests on is compared apart ([`moved`], [`stale`]).
    pub fn admits(&self, cluster: &ClusterName, sandbox: bool) -> Result<(), Fault> {
        let again = "plan again here: pvekube plan --out FILE";
        if self.plan.cluster != *cluster {
            let summary =
                format!("the saved plan is for cluster \"{}\", the manifest for \"{cluster}\"", self.plan.cluster);
            return Err(Fault::new("saved-plan-other-cluster", summary, again));
        }
        let kind = |sandbox| if sandbox { "simulated nodes (sandbox)" } else { "real nodes" };
        if self.sandbox != sandbox {
            let summary = format!("the saved plan is for {}, this is {}", kind(self.sandbox), kind(sandbox));
            return Err(Fault::new("saved-plan-other-cluster", summary, again));
        }
        if self.offline {
            let summary = "the saved plan was made from a saved observation: it can be read, not applied";
            return Err(Fault::new(
                "saved-plan-offline",
                summary,
                "plan with access to the nodes: pvekube plan --out FILE",
            ));
        }
        Ok(())
    }
}

/// The refusal that shows what moved.
pub fn stale(moved: &[Moved]) -> Fault {
    let summary = format!("the saved plan can no longer be applied: {} it rests on moved", count(moved.len(), "thing"));
    let mut fault =
        Fault::new("saved-plan-stale", summary, "plan again, and look at what is new: pvekube plan --out FILE");
    for moved in moved {
        fault = fault.with_detail(moved.to_string());
    }
    fault
}

/// Said when a plan could not begin: what moved while another apply, or an answer, was waited for.
pub fn outdated(moved: &[Moved]) -> String {
    let things = if moved.len() == 1 { "has" } else { "have" };
    let lines: String = moved.iter().map(|moved| format!("\n  {moved}")).collect();
    format!("Planning again: {} that the plan rests on {things} moved meanwhile:{lines}", count(moved.len(), "thing"))
}

/// The refusal of a plan that no planner made for these inputs, step by step.
pub fn unsound(faults: Vec<String>) -> Fault {
    let summary = "the saved plan was not made from these files: somebody has changed it, and its digest with it";
    let mut fault = Fault::new("saved-plan-unsound", summary, "plan again: pvekube plan --out FILE");
    fault.detail = faults;
    fault
}

/// `apply --expect DIGEST`: at least 12 digits, the beginning of this plan's digest.
pub fn expect(plan: &Plan, expected: &str) -> Result<(), Fault> {
    let expected = expected_digest(expected)?;
    let digest = plan_digest(plan);
    if digest.starts_with(&expected) {
        return Ok(());
    }
    let summary = format!("the plan is now {}, not {expected} as expected", &digest[..expected.len()]);
    Err(Fault::new("plan-differs", summary, "look at the plan again and have it approved anew: pvekube plan"))
}

/// The beginning of a plan's digest, as a person gives it.
pub fn expected_digest(text: &str) -> Result<String, Fault> {
    let expected = text.trim().to_ascii_lowercase();
    if expected.len() < 12 || expected.len() > 64 || !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let summary = format!("`{expected}` is no plan digest: 12 to 64 hex digits");
        return Err(Fault::new(
            "expect-digest",
            summary,
            "take it from the plan's JSON (`plan_digest`) or its pull-request comment",
        ));
    }
    Ok(expected)
}

pub fn flags(options: &PlanOptions) -> Vec<String> {
    let PlanOptions { prune, only, replace, replace_outdated, without_node, destroy, templates, accept } = options;
    let mut flags = Vec::new();
    let switches = [
        (prune, "--prune"),
        (replace_outdated, "--replace-outdated"),
        (destroy, "destroy"),
        (templates, "--templates"),
    ];
    flags.extend(switches.into_iter().filter(|(on, _)| **on).map(|(_, flag)| flag.to_owned()));
    flags.extend(only.iter().map(|name| format!("--only {name}")));
    flags.extend(replace.iter().map(|name| format!("--replace {name}")));
    flags.extend(without_node.iter().map(|name| format!("--without-node {name}")));
    flags.extend(accept.iter().map(|kind| format!("--accept {kind}")));
    flags
}

fn without_sensitive(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for field in plan.changes.iter_mut().flat_map(|change| &mut change.fields).filter(|field| field.sensitive) {
        for value in [&mut field.old, &mut field.new].into_iter().flatten() {
            *value = sensitive(value);
        }
    }
    plan
}

fn unreadable(file: &str, why: &str) -> Fault {
    Fault::new(
        "saved-plan-unreadable",
        format!("{file} is no saved plan: {why}"),
        "make one with pvekube plan --out FILE",
    )
}

fn version(file: &str, found: &str) -> Fault {
    let summary = format!("{file} is a saved plan of shape `{found}`, this program reads `{FORMAT_VERSION}`");
    Fault::new(
        "saved-plan-version",
        summary,
        "plan again with this version of pvekube, or apply with the one that made it",
    )
}

fn changed(file: &str) -> Fault {
    let summary = format!("{file} was changed after it was saved: its digest does not fit its content");
    Fault::new("saved-plan-changed", summary, "plan again: pvekube plan --out FILE")
}
