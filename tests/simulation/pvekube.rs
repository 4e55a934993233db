//! One run of pvekube: the real observation, planner and executor.

use std::collections::BTreeMap;
use std::sync::Arc;

use pvekube::execute::{ApplyOptions, Interrupt, LoginKeys, apply};
use pvekube::model::desired::Desired;
use pvekube::model::observed::{Observed, Silence, Upstream};
use pvekube::model::outcome::Outcome;
use pvekube::model::plan::{HazardKind, Plan};
use pvekube::planner::{self, PlanOptions};
use pvekube::pve::report;
use pvekube::remote::{ObserveAsk, Remote};
use tokio::sync::{mpsc, watch};

use crate::cast::KEY_PATH;

const NONCE: &str = "00112233445566ff";

/// As the `observe` layer does it: every node at once, torn reads again.
pub async fn observe<R: Remote>(remote: &R, desired: &Desired) -> Observed {
    let ask = ObserveAsk {
        nonce: NONCE.into(),
        cluster: Some(desired.cluster.clone()),
        storages: vec![desired.template.storage.clone()],
        bridges: vec![desired.template.bridge.clone()],
        snippet_folder: Some("/var/lib/vz/snippets".into()),
    };
    let mut answers = BTreeMap::new();
    for target in &desired.nodes {
        let mut answer = Err(Silence { reason: "unasked".into(), hint: String::new(), detail: String::new() });
        for _ in 0..3 {
            answer = match remote.observe(&target.name, &ask).await {
                Ok(bytes) => report::parse(NONCE, &bytes).map_err(|error| Silence {
                    reason: error.to_string(),
                    hint: String::new(),
                    detail: String::new(),
                }),
                Err(error) => Err(Silence {
                    reason: error.sentence.clone(),
                    hint: error.hint.clone(),
                    detail: error.detail.clone(),
                }),
            };
            match &answer {
                Ok(report) if report.worth_asking_again() => {}
                Ok(_) | Err(_) => break,
            }
        }
        answers.insert(target.name.clone(), answer);
    }
    let digest = desired.template.image_digest.clone().expect("the cast pins the image");
    report::assemble(&desired.nodes, answers, Upstream::Known { digest, source: "pinned".into() }, crate::cast::START)
}

/// What the operator agrees to.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    pub prune: bool,
    pub accept: Vec<HazardKind>,
}

pub fn plan(desired: &Desired, observed: &Observed, consent: &Consent) -> Plan {
    let options = PlanOptions {
        prune: consent.prune,
        accept: consent.accept.iter().copied().collect(),
        ..PlanOptions::default()
    };
    planner::plan(desired, observed, &options)
}

/// Whether apply would go on: no failed check, every hazard accepted.
pub fn is_allowed(plan: &Plan) -> bool {
    plan.refusals().next().is_none() && plan.unaccepted().next().is_none()
}

pub async fn carry_out<R: Remote>(
    remote: Arc<R>,
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    owner: &str,
    seed: u64,
) -> Outcome {
    let options = ApplyOptions {
        owner: owner.to_owned(),
        seed,
        lock_timeout_s: 60,
        keys: LoginKeys { files: vec![KEY_PATH.into()], agent: false },
        ..ApplyOptions::default()
    };
    let (events, mut heard) = mpsc::unbounded_channel();
    let (_interrupt, asked) = watch::channel(Interrupt::None);
    let listener = tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let outcome = apply(plan, desired, observed, remote, options, events, asked).await;
    listener.abort();
    outcome
}
