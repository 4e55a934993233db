//! Deliberately broken pvekubes: each breaks one rule, and the simulation must catch it. The breakage sits between the
//! executor and the nodes, or between the planner and the executor: the product has no switch for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use pvekube::model::desired::Desired;
use pvekube::model::ids::{NodeName, OperationName, Vmid};
use pvekube::model::mark::Mark;
use pvekube::model::observed::{NodeState, Observed};
use pvekube::model::plan::Plan;
use pvekube::remote::{
    Answer, Follower, Lock, LockAnswer, LockAsk, LoginAnswer, LoginAsk, ObserveAsk, Operation, Probe, PutFile, Remote,
    RemoteError, RemoteErrorKind, Work,
};
use pvekube::sandbox::remote::SandboxRemote;
use tokio::sync::{mpsc, watch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    ClonesWithoutMark,
    ResizesRelatively,
    SetsWithoutDigest,
    SetsANewMac,
    RepeatsAfterUnknown,
    IgnoresTheLock,
    BelievesAnyMark,
    RebootsMastersTogether,
    DoesWhatWasNotShown,
    TakesSilenceForAbsence,
    LeavesStrayVolumes,
    LeavesSnippets,
    NeverStarts,
}

impl Mutation {
    pub const ALL: [Mutation; 13] = [
        Mutation::ClonesWithoutMark,
        Mutation::ResizesRelatively,
        Mutation::SetsWithoutDigest,
        Mutation::SetsANewMac,
        Mutation::RepeatsAfterUnknown,
        Mutation::IgnoresTheLock,
        Mutation::BelievesAnyMark,
        Mutation::RebootsMastersTogether,
        Mutation::DoesWhatWasNotShown,
        Mutation::TakesSilenceForAbsence,
        Mutation::LeavesStrayVolumes,
        Mutation::LeavesSnippets,
        Mutation::NeverStarts,
    ];

    /// The plan is made from a falsified look: its emptiness says nothing.
    pub fn distorts_the_look(self) -> bool {
        self == Mutation::TakesSilenceForAbsence
    }

    /// Between observation and planner.
    pub fn observation(self, observed: &mut Observed, desired: &mut Desired) {
        if self == Mutation::TakesSilenceForAbsence {
            // As if the silent nodes were not configured at all.
            observed.nodes.retain(|_, state| matches!(state, NodeState::Answered(_)));
            desired.nodes.retain(|target| observed.nodes.contains_key(&target.name));
            for realm in observed.realms.values_mut() {
                realm.existence_known = true;
            }
        }
    }

    /// Between planner and executor.
    pub fn plan(self, plan: &mut Plan) {
        if self == Mutation::RebootsMastersTogether {
            // Disruptions no longer wait for each other.
            let own: Vec<(u32, Vmid)> = plan.steps.iter().map(|step| (step.id.0, step.vmid)).collect();
            for step in &mut plan.steps {
                let vmid = step.vmid;
                step.needs.retain(|need| own.iter().any(|(id, of)| *id == need.0 && *of == vmid));
            }
        }
    }

    fn operation(self, operation: &mut Operation) {
        let Work::Qm { args } = &mut operation.work else { return };
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match (self, words.as_slice()) {
            (Mutation::ClonesWithoutMark, ["clone", ..]) => remove(args, "--description"),
            (Mutation::SetsWithoutDigest, ["set", ..]) => remove(args, "--digest"),
            (Mutation::ResizesRelatively, ["disk", "resize", _, _, size, ..]) => {
                let size = format!("+{size}");
                args[4] = size;
            }
            (Mutation::SetsANewMac, ["set", vmid, ..]) if !words.contains(&"--net0") && !vmid.starts_with('9') => {
                args.extend(["--net0".to_owned(), "virtio,bridge=vmbr0".to_owned()]);
            }
            (Mutation::NeverStarts, ["start", vmid]) => *args = vec!["status".to_owned(), (*vmid).to_owned()],
            (Mutation::DoesWhatWasNotShown, ["start", vmid]) => {
                *args = vec!["stop".to_owned(), (*vmid).to_owned()];
            }
            _ => {}
        }
    }
}

/// Takes an option and its value away.
fn remove(args: &mut Vec<String>, name: &str) {
    if let Some(at) = args.iter().position(|arg| arg == name) {
        args.drain(at..(at + 2).min(args.len()));
    }
}

/// The nodes as a broken pvekube talks to them.
pub struct Mutant {
    pub inner: SandboxRemote,
    pub mutation: Option<Mutation>,
    /// The marks that the plan expects, by VMID.
    pub marks: BTreeMap<u32, Mark>,
}

impl Mutant {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

impl Remote for Mutant {
    async fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        self.inner.observe(node, ask).await
    }

    async fn probe(&self, node: &NodeName, probe: &Probe) -> Result<Answer, RemoteError> {
        let mut answer = self.inner.probe(node, probe).await?;
        if let (true, Probe::Vm { vmid }) = (self.is(Mutation::BelievesAnyMark), probe)
            && let Some(mark) = self.marks.get(&vmid.0)
        {
            answer.stdout = with_mark(&answer.stdout, mark);
        }
        Ok(answer)
    }

    async fn start(&self, node: &NodeName, operation: &Operation) -> Result<(), RemoteError> {
        static AGAIN: AtomicU64 = AtomicU64::new(0);
        let mut operation = operation.clone();
        if let Some(mutation) = self.mutation {
            mutation.operation(&mut operation);
        }
        if self.is(Mutation::LeavesStrayVolumes)
            && let Work::FreeVolume { .. } = operation.work
        {
            operation.work = Work::Qm { args: vec!["list".into()] };
        }
        let first = self.inner.start(node, &operation).await;
        let unknown = matches!(&first, Err(error) if error.kind == RemoteErrorKind::Unknown);
        if unknown && self.is(Mutation::RepeatsAfterUnknown) {
            let number = AGAIN.fetch_add(1, Ordering::Relaxed);
            operation.name = OperationName::new(format!("{}{number}", operation.name));
            let _ = self.inner.start(node, &operation).await;
        }
        first
    }

    async fn forget(&self, node: &NodeName, operation: &OperationName) -> Result<(), RemoteError> {
        self.inner.forget(node, operation).await
    }

    async fn put(&self, node: &NodeName, file: &PutFile) -> Result<(), RemoteError> {
        self.inner.put(node, file).await
    }

    async fn remove(&self, node: &NodeName, path: &str) -> Result<(), RemoteError> {
        if self.is(Mutation::LeavesSnippets) && path.contains("/snippets/") {
            return Ok(());
        }
        self.inner.remove(node, path).await
    }

    async fn follow(&self, node: &NodeName) -> Result<Follower, RemoteError> {
        self.inner.follow(node).await
    }

    async fn lock(&self, node: &NodeName, ask: &LockAsk) -> Result<LockAnswer, RemoteError> {
        if self.is(Mutation::IgnoresTheLock) {
            // Kept for good: nobody ever tells that it is gone.
            let (held, receiver) = watch::channel(true);
            std::mem::forget(held);
            let (release, _) = mpsc::channel(1);
            return Ok(LockAnswer::Held(Lock { previous: String::new(), held: receiver, release }));
        }
        self.inner.lock(node, ask).await
    }

    async fn login(&self, ask: &LoginAsk) -> LoginAnswer {
        self.inner.login(ask).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// The answer to `Probe::Vm` as if the description were the mark, where it has none.
fn with_mark(answer: &[u8], mark: &Mark) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let Some((head, rest)) = text.split_once(" configs\n") else { return answer.to_vec() };
    let Some((line, body)) = rest.split_once("\n\n") else { return answer.to_vec() };
    let Some((size, path)) = line.split_once(' ') else { return answer.to_vec() };
    // No config at all: the next section follows.
    let Some(size) = size.parse::<usize>().ok().filter(|size| path.ends_with(".conf") && *size <= body.len()) else {
        return answer.to_vec();
    };
    let (config, tail) = body.split_at(size);
    if config.contains("#pvekube/1 ") {
        return answer.to_vec();
    }
    let kept: String = config.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let config = format!("#{mark}\n{kept}");
    format!("{head} configs\n{} {path}\n\n{config}{tail}", config.len()).into_bytes()
}
