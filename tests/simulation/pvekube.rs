//! One run of pvekube: the real observation, planner and executor.

use std::sync::Arc;

use pvekube::execute::{ApplyOptions, Interrupt, LoginKeys, apply, lock};
use pvekube::model::desired::Desired;
use pvekube::model::observed::Observed;
use pvekube::model::outcome::{Event, Outcome};
use pvekube::model::plan::{HazardKind, Plan};
use pvekube::observe::ObserveOptions;
use pvekube::planner::{self, PlanOptions};
use pvekube::remote::Remote;
use tokio::sync::{mpsc, watch};

use crate::cast::{KEY_PATH, START};
use crate::mutants::Mutation;

pub async fn observe<R: Remote>(remote: &Arc<R>, desired: &Desired) -> Observed {
    // The cast pins the image: no list is asked.
    let options = ObserveOptions { checksums: None, taken_at: START, nonce: "00112233445566ff".into() };
    pvekube::observe::observe(remote, desired, &options).await
}

/// What the operator agrees to.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    pub prune: bool,
    pub accept: Vec<HazardKind>,
}

/// The planner, perhaps a broken one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planning {
    pub mutation: Option<Mutation>,
}

impl Planning {
    pub fn plan(&self, desired: &Desired, observed: &Observed, consent: &Consent) -> Plan {
        let mut desired = desired.clone();
        let mut options = PlanOptions {
            prune: consent.prune,
            accept: consent.accept.iter().copied().collect(),
            ..PlanOptions::default()
        };
        if let Some(mutation) = self.mutation {
            mutation.wish(&mut desired, &mut options);
        }
        let mut plan = planner::plan(&desired, observed, &options);
        if let Some(mutation) = self.mutation {
            mutation.plan(&mut plan, &desired);
        }
        plan
    }
}

/// Whether apply would go on: no failed check, every hazard accepted.
pub fn is_allowed(plan: &Plan) -> bool {
    plan.refusals().next().is_none() && plan.unaccepted().next().is_none()
}

pub async fn carry_out<R: Remote>(
    remote: Arc<R>,
    (desired, observed, plan): (&Desired, &Observed, &Plan),
    owner: &str,
    seed: u64,
    hear: impl Fn(Event) + Send + 'static,
) -> Outcome {
    let options = ApplyOptions {
        owner: owner.to_owned(),
        seed,
        lock_timeout_s: 60,
        keys: LoginKeys { files: vec![KEY_PATH.into()], agent: Vec::new() },
        ..ApplyOptions::default()
    };
    let (events, mut heard) = mpsc::unbounded_channel();
    let (_interrupt, asked) = watch::channel(Interrupt::None);
    let listener = tokio::spawn(async move {
        while let Some(event) = heard.recv().await {
            hear(event);
        }
    });
    // The plan may be older than a lock that was waited for: here the executor's own looks must make good for it.
    let outcome = match lock(plan, observed, remote.as_ref(), &options, events, &asked).await {
        Ok(locks) => apply(plan, desired, observed, remote, options, locks, asked).await,
        Err(outcome) => outcome,
    };
    listener.abort();
    outcome
}
