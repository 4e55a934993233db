//! The nodes as a pvekube talks to them: through here a broken one breaks its rule, and answers may be cut short.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pvekube::model::ids::{NodeName, OperationName, Vmid};
use pvekube::model::mark::Mark;
use pvekube::remote::{
    AgentAsk, Answer, FollowEvent, FollowRequest, Follower, Lock, LockAnswer, LockAsk, LoginAnswer, LoginAsk,
    ObserveAsk, Operation, Probe, PutFile, Remote, RemoteError, RemoteErrorKind, Work,
};
use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::remote::SandboxRemote;
use tokio::sync::{mpsc, watch};

use super::{Mutation, answers};
use crate::watch::Watch;

/// A broken pvekube calls a node absent that takes longer than this, and an operation stuck.
const IMPATIENCE_S: f64 = 3.0;
const STUCK: Duration = Duration::from_secs(25);

pub struct Nodes {
    inner: SandboxRemote,
    mutation: Option<Mutation>,
    watch: Arc<Watch>,
    run: u64,
    /// The marks that the plan expects, by VMID.
    marks: BTreeMap<u32, Mark>,
}

impl Nodes {
    pub fn new(
        inner: SandboxRemote,
        mutation: Option<Mutation>,
        watch: Arc<Watch>,
        run: u64,
        marks: BTreeMap<u32, Mark>,
    ) -> Self {
        Self { inner, mutation, watch, run, marks }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Before its first clone it does not look again (which asks for no storage), and so nothing saves it from its fault.
    fn looks_once(&self) -> bool {
        self.is(Mutation::OverlooksAMachine) || self.is(Mutation::RemembersPlaces) || self.is(Mutation::KeepsALostLock)
    }

    fn now(&self) -> f64 {
        self.inner.world.clock.now()
    }

    /// As much of an answer as arrives.
    fn arrived(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let whole = bytes.len();
        bytes.truncate(self.watch.arrives(whole));
        assert!(bytes.len() == whole || !self.is(Mutation::PanicsOnTornAnswers), "an answer without an end");
        bytes
    }

    /// What a broken pvekube reads in the answer about a VM.
    fn reads(&self, vmid: u32, answer: &[u8]) -> Vec<u8> {
        let change = |change: &dyn Fn(&str) -> String| answers::with_config(answer, |config| Some(change(config)));
        match self.mutation {
            Some(Mutation::BelievesAnyMark) => match self.marks.get(&vmid) {
                Some(mark) => change(&|config| answers::with_mark(config, mark)),
                None => answer.to_vec(),
            },
            Some(Mutation::TakesCopiesForItsOwn) => change(&|config| answers::with_own_mark(config, vmid)),
            Some(Mutation::IgnoresBackups) => change(&|config| answers::without_lock(config, &["backup"])),
            Some(Mutation::TakesHalfMadeForWhole) => {
                change(&|config| answers::without_lock(config, &["clone", "create"]))
            }
            Some(Mutation::BelievesOldFreeIds) => {
                answers::with_config(answer, |config| config.contains("#pvekube/1 ").then(|| config.to_owned()))
            }
            Some(Mutation::ForgetsOperations) => answers::without_operations(answer),
            _ => answer.to_vec(),
        }
    }

    /// The operation as a broken pvekube starts it.
    fn altered(&self, operation: &Operation) -> Operation {
        let mut operation = operation.clone();
        let none = Work::Qm { args: vec!["list".into()] };
        match (self.mutation, &mut operation.work) {
            (Some(Mutation::LeavesStrayVolumes), work @ Work::FreeVolume { .. }) => *work = none,
            (Some(mutation), Work::Qm { args }) => alter(mutation, args),
            _ => {}
        }
        operation
    }

    /// What a broken pvekube does after it has started an operation.
    fn meddle(&self, node: &NodeName, operation: &Operation) {
        let Work::Qm { args } = &operation.work else { return };
        let mut other = operation.clone();
        other.name = OperationName::new(format!("{}0", operation.name));
        let wanted = match self.mutation {
            Some(Mutation::StartsAgainWhatIsSlow) => "live yes",
            Some(Mutation::ClonesElsewhereWhenFull) if args[0] == "clone" => {
                let mut args = args.clone();
                replace(&mut args, "--storage", "local");
                other.work = Work::Qm { args };
                "exit 255"
            }
            _ => return,
        };
        let (inner, node, name) = (self.inner.clone(), node.clone(), operation.name.clone());
        tokio::spawn(async move {
            tokio::time::sleep(if wanted == "live yes" { STUCK } else { Duration::ZERO }).await;
            // Looked at so often that the look comes before pvekube forgets the operation.
            for _ in 0..3000 {
                let seen = inner.probe(&node, &Probe::Operation { name: name.clone(), lines: 1 }).await;
                let said = seen.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned()).unwrap_or_default();
                if said.contains(wanted) {
                    let _ = inner.start(&node, &other).await;
                    return;
                }
                if said.contains("live no") || said.contains("absent") {
                    return;
                }
            }
        });
    }
}

/// Other arguments in place of those that were decided on.
fn alter(mutation: Mutation, args: &mut Vec<String>) {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match (mutation, words.as_slice()) {
        (Mutation::ClonesWithoutMark, ["clone", ..]) => remove(args, "--description"),
        (Mutation::SetsWithoutDigest, ["set", ..]) => remove(args, "--digest"),
        (Mutation::RevertsWithoutDigest, ["set", ..]) if words.contains(&"--revert") => remove(args, "--digest"),
        (Mutation::ResizesRelatively, ["disk", "resize", _, _, size, ..]) => {
            let size = format!("+{size}");
            args[4] = size;
        }
        (Mutation::SetsANewMac, ["set", vmid, ..]) if !words.contains(&"--net0") && !vmid.starts_with('9') => {
            args.extend(["--net0".to_owned(), "virtio,bridge=vmbr0".to_owned()]);
        }
        (Mutation::SetsOtherValues, ["set", ..]) => replace(args, "--onboot", "0"),
        (Mutation::NeverStarts, ["start", vmid]) => *args = vec!["status".to_owned(), (*vmid).to_owned()],
        (Mutation::DoesWhatWasNotShown, ["start", vmid]) => *args = vec!["stop".to_owned(), (*vmid).to_owned()],
        _ => {}
    }
}

/// Takes an option and its value away.
fn remove(args: &mut Vec<String>, name: &str) {
    if let Some(at) = args.iter().position(|arg| arg == name) {
        args.drain(at..(at + 2).min(args.len()));
    }
}

fn replace(args: &mut [String], name: &str, value: &str) {
    if let Some(at) = args.iter().position(|arg| arg == name) {
        args[at + 1] = value.to_owned();
    }
}

impl Remote for Nodes {
    async fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        let began = self.now();
        if self.looks_once() && ask.storages.is_empty() {
            return Ok(answers::of_nothing(&ask.nonce));
        }
        let bytes = self.inner.observe(node, ask).await?;
        if self.is(Mutation::TakesSlownessForAbsence) && self.now() - began > IMPATIENCE_S {
            let (sentence, kind) = ("it took too long".to_owned(), RemoteErrorKind::Unreachable);
            return Err(RemoteError { node: node.clone(), kind, sentence, hint: String::new(), detail: String::new() });
        }
        Ok(self.arrived(bytes))
    }

    async fn probe(&self, node: &NodeName, probe: &Probe) -> Result<Answer, RemoteError> {
        let began = self.now();
        let mut answer = self.inner.probe(node, probe).await?;
        match probe {
            Probe::Vm { vmid } => {
                self.watch.looked(self.run, vmid.0, began);
                answer.stdout = self.arrived(self.reads(vmid.0, &answer.stdout));
            }
            Probe::Volumes { .. } if self.is(Mutation::LeavesStrayVolumes) => {
                answer.stdout = b"Volid Format  Type      Size VMID\n".to_vec();
            }
            _ => {}
        }
        Ok(answer)
    }

    async fn start(&self, node: &NodeName, operation: &Operation) -> Result<(), RemoteError> {
        let mut operation = self.altered(operation);
        let first = self.inner.start(node, &operation).await;
        let unknown = matches!(&first, Err(error) if error.kind == RemoteErrorKind::Unknown);
        if unknown && self.is(Mutation::RepeatsAfterUnknown) {
            operation.name = OperationName::new(format!("{}0", operation.name));
            let _ = self.inner.start(node, &operation).await;
        }
        if first.is_ok() {
            self.meddle(node, &operation);
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
        let removed = self.inner.remove(node, path).await;
        if self.is(Mutation::BelievesItRemoved) { Ok(()) } else { removed }
    }

    async fn follow(&self, node: &NodeName) -> Result<Follower, RemoteError> {
        let follower = self.inner.follow(node).await?;
        let ears = Ears { watch: self.watch.clone(), run: self.run, clock: self.inner.world.clock.clone() };
        let blind = self.is(Mutation::RebootsMastersTogether) || self.is(Mutation::BelievesAnyMasterToServe);
        Ok(overheard(follower, ears, blind))
    }

    async fn lock(&self, node: &NodeName, ask: &LockAsk) -> Result<LockAnswer, RemoteError> {
        // Kept for good: nobody ever tells that it is gone.
        let (held, receiver) = watch::channel(true);
        if self.is(Mutation::IgnoresTheLock) {
            std::mem::forget(held);
            let (release, _) = mpsc::channel(1);
            return Ok(LockAnswer::Held(Lock { previous: String::new(), held: receiver, release }));
        }
        match self.inner.lock(node, ask).await? {
            LockAnswer::Held(lock) if self.is(Mutation::KeepsALostLock) => {
                std::mem::forget(held);
                Ok(LockAnswer::Held(Lock { held: receiver, ..lock }))
            }
            answer => Ok(answer),
        }
    }

    async fn login(&self, ask: &LoginAsk) -> LoginAnswer {
        self.inner.login(ask).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Who is told which guests answered.
struct Ears {
    watch: Arc<Watch>,
    run: u64,
    clock: Clock,
}

/// The follower, with an ear on its pings. `blind`: as if every guest's agent answered, whether it is there or not.
fn overheard(mut inner: Follower, ears: Ears, blind: bool) -> Follower {
    let (requests, mut asked) = mpsc::unbounded_channel();
    let (told, events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut pings: BTreeMap<Vmid, f64> = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                request = asked.recv() => match request {
                    Some(FollowRequest::Agent { vmid, ask: AgentAsk::Ping }) if blind => {
                        let answer = Answer { exit: 0, stdout: Vec::new(), stderr: Vec::new() };
                        let _ = told.send(FollowEvent::Agent { vmid, ask: AgentAsk::Ping, answer });
                    }
                    Some(request) => {
                        if let FollowRequest::Agent { vmid, ask: AgentAsk::Ping } = request {
                            pings.insert(vmid, ears.clock.now());
                        }
                        let _ = inner.requests.send(request);
                    }
                    None => return,
                },
                event = inner.events.recv() => match event {
                    Some(event) => {
                        if let FollowEvent::Agent { vmid, ask: AgentAsk::Ping, answer } = &event
                            && let Some(asked) = pings.get(vmid)
                        {
                            ears.watch.answered(ears.run, vmid.0, *asked, answer.exit == 0);
                        }
                        let _ = told.send(event);
                    }
                    None => return,
                },
            }
        }
    });
    Follower { requests, events }
}
