//! One node during an apply: short requests with retries, its follower, its lock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::events::Events;
use super::failure::{StepError, failure};
use super::follower::{FollowHandle, PATIENCE, backoff};
use super::lock::LockState;
use super::read_back::TORN_READS;
use crate::model::ids::{NodeName, OperationName};
use crate::pve::report::{self, NodeReport};
use crate::remote::{Answer, ObserveAsk, Operation, Probe, PutFile, Remote, RemoteError, RemoteErrorKind};

/// Short commands a node at once (design §6): with the lock's and the follower's session well below sshd's ten.
const SHORT_COMMANDS: usize = 2;

pub(super) struct Node<R> {
    name: NodeName,
    remote: Arc<R>,
    short: Semaphore,
    pub(super) follower: FollowHandle,
    lock: watch::Receiver<LockState>,
    events: Events,
}

impl<R: Remote> Node<R> {
    pub(super) fn new(
        name: NodeName,
        remote: Arc<R>,
        follower: FollowHandle,
        lock: watch::Receiver<LockState>,
        events: Events,
    ) -> Self {
        Self { name, remote, short: Semaphore::new(SHORT_COMMANDS), follower, lock, events }
    }

    pub(super) fn name(&self) -> &NodeName {
        &self.name
    }

    pub(super) fn lock_state(&self) -> LockState {
        self.lock.borrow().clone()
    }

    /// Waits until the lock is held for certain: asked right before everything that changes the node.
    pub(super) async fn permit(&self) -> Result<(), StepError> {
        let mut lock = self.lock.clone();
        let state = lock.wait_for(|state| !matches!(state, LockState::Regaining)).await;
        match state.as_deref() {
            Ok(LockState::Held) => Ok(()),
            Ok(LockState::Regaining | LockState::Lost(_) | LockState::Stolen(_)) | Err(_) => Err(StepError::NotStarted),
        }
    }

    pub(super) async fn probe(&self, probe: &Probe) -> Result<Answer, RemoteError> {
        self.persist(|| self.remote.probe(&self.name, probe)).await
    }

    /// All that the node shows now. A read that a writer tore is made again.
    pub(super) async fn report(&self, ask: &ObserveAsk) -> Result<NodeReport, StepError> {
        let mut why = String::new();
        for _ in 0..TORN_READS {
            match report::parse(&ask.nonce, &self.persist(|| self.remote.observe(&self.name, ask)).await?) {
                Ok(report) if report.torn.is_none() => return Ok(report),
                Ok(_) => "its files changed while they were read".clone_into(&mut why),
                Err(error) => why = error.to_string(),
            }
            sleep(Duration::from_millis(500)).await;
        }
        let summary = format!("what is on {} could not be read: {why}", self.name);
        Err(failure("unreadable", summary, "run apply again").into())
    }

    /// Starts an operation, with the lock held. Its name makes a second attempt harmless: the folder is made once.
    pub(super) async fn start(&self, operation: &Operation) -> Result<(), StepError> {
        let deadline = Instant::now() + PATIENCE;
        let mut attempt = 0;
        loop {
            self.permit().await?;
            let error = match self.once(|| self.remote.start(&self.name, operation)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.pause_or_fail(error, &mut attempt, deadline).await?;
        }
    }

    pub(super) async fn forget(&self, operation: &OperationName) -> Result<(), RemoteError> {
        self.persist(|| self.remote.forget(&self.name, operation)).await
    }

    pub(super) async fn put(&self, file: &PutFile) -> Result<(), StepError> {
        self.permit().await?;
        Ok(self.persist(|| self.remote.put(&self.name, file)).await?)
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), StepError> {
        self.permit().await?;
        Ok(self.persist(|| self.remote.remove(&self.name, path)).await?)
    }

    /// Repeats a request that may be made twice until it is answered, refused, or the node stays away.
    async fn persist<T, F>(&self, request: impl Fn() -> F) -> Result<T, RemoteError>
    where
        F: Future<Output = Result<T, RemoteError>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut attempt = 0;
        loop {
            match self.once(&request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.pause_or_fail(error, &mut attempt, deadline).await?,
            }
        }
    }

    async fn once<T, F>(&self, request: impl FnOnce() -> F) -> Result<T, RemoteError>
    where
        F: Future<Output = Result<T, RemoteError>>,
    {
        // The semaphore is never closed; should it be, going on without a permit only costs a session.
        let _permit = self.short.acquire().await.ok();
        request().await
    }

    async fn pause_or_fail(&self, error: RemoteError, attempt: &mut u32, deadline: Instant) -> Result<(), RemoteError> {
        match error.kind {
            RemoteErrorKind::Refused => return Err(error),
            RemoteErrorKind::Unreachable | RemoteErrorKind::NotStarted | RemoteErrorKind::Unknown => {}
        }
        let pause = backoff(*attempt);
        if Instant::now() + pause > deadline {
            return Err(error);
        }
        if *attempt == 0 {
            self.events.notice(format!("{}: {}; trying again", self.name, error.sentence));
        }
        sleep(pause).await;
        *attempt += 1;
        Ok(())
    }
}
