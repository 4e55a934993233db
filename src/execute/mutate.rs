//! What every change of a VM has in common: look first, change, look again.
//!
//! Before: the mark is read, a lock in the config is waited for (a backup) or refused. After: the state decides; a failure
//! that was only PVE's own lock time-out, with the file unchanged, is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::failure::{StepError, failure};
use super::interrupt::{Interrupt, reached};
use super::quorum::Spared;
use super::read_back::Seen;
use super::run::StepRun;
use super::verify;
use crate::model::ids::StorageName;
use crate::model::mark::Mark;
use crate::model::outcome::Failure;
use crate::model::vm_config::VmConfig;
use crate::pve::commands::{self, Command};
use crate::remote::{Probe, Remote, Work};

/// Between looks at a VM that is being backed up.
const BACKUP_POLL: Duration = Duration::from_secs(10);
/// Somebody else may change a config between our read and our `qm set`: read again, this often.
const CHECKSUM_RETRIES: u32 = 3;

/// One change: how to make it, and how to tell from the state that it is made.
pub(super) struct Change<'a> {
    /// For the operation's name.
    pub(super) verb: &'a str,
    /// Stable id of the failure: `set-failed`.
    pub(super) id: &'a str,
    /// What could not be done, after the subject's name: `could not be configured`.
    pub(super) what: &'a str,
    pub(super) mark: &'a Mark,
    /// Whether enough other masters are in service is asked right before, each time.
    pub(super) takes_out_of_service: bool,
}

impl<R: Remote> StepRun<R> {
    /// Makes a change unless it is made already. `unmet` says what is still wrong with a state (nothing: done); `command`
    /// is asked with the config just read.
    pub(super) async fn change(
        &self,
        change: &Change<'_>,
        unmet: impl Fn(&Seen) -> Vec<String>,
        command: impl Fn(&VmConfig) -> Command,
    ) -> Result<(), StepError> {
        let since = Instant::now();
        let (mut attempt, mut mismatches) = (0, 0);
        loop {
            let before = self.unlocked(change.mark).await?;
            let config = before.marked(change.mark, &self.subject())?;
            if unmet(&before).is_empty() {
                return Ok(());
            }
            if change.takes_out_of_service && self.spare_this_master().await? == Spared::AfterWaiting {
                continue;
            }
            let (args, files) = command(config);
            let ended = self.operate(change.verb, Work::Qm { args: args.clone() }, files).await?;
            let after = self.settled(&unmet).await?;
            let wrong = unmet(&after);
            if wrong.is_empty() {
                self.settle(&ended).await;
                return Ok(());
            }
            let ended = self.explained(ended).await?;
            let untouched = after.config.as_ref().map(|config| &config.digest) == Some(&config.digest);
            let mismatch = ended.checksum_mismatch() && mismatches < CHECKSUM_RETRIES;
            mismatches += u32::from(mismatch);
            if mismatch || untouched && ended.lock_timeout() {
                self.settle(&ended).await;
                if self.pause(attempt, since).await {
                    attempt += 1;
                    continue;
                }
            }
            self.revert_pending(change.mark, &before, &after, |key| sets(&args, key)).await?;
            let mut failure =
                ended.failure(change.id, format!("{} {}", self.subject(), change.what), "run apply again");
            failure.evidence.extend(wrong.into_iter().map(|wrong| format!("afterwards: {wrong}")));
            return Err(failure.into());
        }
    }

    /// The state after a change. Under HA a start or stop is only a request, so a state that is not yet as wanted is
    /// given a moment; anything else is as it is at once.
    async fn settled(&self, unmet: &impl Fn(&Seen) -> Vec<String>) -> Result<Seen, StepError> {
        let mut after = self.read_back().await?;
        if !self.managed_by_ha() {
            return Ok(after);
        }
        for _ in 0..30 {
            if unmet(&after).is_empty() {
                break;
            }
            sleep(Duration::from_secs(2)).await;
            after = self.read_back().await?;
        }
        Ok(after)
    }

    fn managed_by_ha(&self) -> bool {
        let realm = self.run.observed.realm_of(&self.step.node);
        realm.and_then(|realm| realm.ha.get(&self.step.vmid)).is_some_and(|state| state != "ignored")
    }

    /// A failed `qm set` may leave values in `[PENDING]` even on a stopped VM, where the next start would apply them
    /// (observed §6): they are dropped. What it did not set, somebody else did.
    async fn revert_pending(
        &self,
        mark: &Mark,
        before: &Seen,
        after: &Seen,
        own: impl Fn(&str) -> bool,
    ) -> Result<(), StepError> {
        let Ok(config) = after.marked(mark, &self.subject()) else { return Ok(()) };
        let old = before.config.clone().unwrap_or_default();
        let fresh = |key: &&String| own(key) && !old.pending.contains_key(*key) && !old.pending_delete.contains(*key);
        let keys: BTreeSet<String> =
            config.pending.keys().chain(&config.pending_delete).filter(fresh).cloned().collect();
        if after.running || keys.is_empty() {
            return Ok(());
        }
        let ended = self.qm("revert", commands::revert(self.step.vmid, &keys, &config.digest)).await?;
        self.settle(&ended).await;
        Ok(())
    }

    /// The VM's state once nothing holds it: no live operation of ours, no backup. Other locks are refused.
    pub(super) async fn unlocked(&self, mark: &Mark) -> Result<Seen, StepError> {
        let since = Instant::now();
        loop {
            let seen = self.read_back().await?;
            if let Some(operation) = seen.live_operation() {
                self.found(format!("{} still running, attaching", operation.verb));
                self.follow(&operation.name, &operation.verb).await?;
                continue;
            }
            let config = seen.marked(mark, &self.subject())?;
            match config.lock() {
                None => return Ok(seen),
                Some("backup") if self.backup_may_end(since).await? => {}
                Some(lock) => return Err(locked(&self.subject(), lock, self.step.vmid).into()),
            }
        }
    }

    /// Waits a moment for a backup to end; false when `--lock-timeout` is over.
    pub(super) async fn backup_may_end(&self, since: Instant) -> Result<bool, StepError> {
        if since.elapsed() >= Duration::from_secs(u64::from(self.run.options.lock_timeout_s)) {
            return Ok(false);
        }
        self.progress("waits for the VM's backup to end", None);
        tokio::select! {
            biased;
            () = sleep(BACKUP_POLL) => Ok(true),
            () = reached(&self.run.interrupt, Interrupt::Finish) => Err(StepError::NotStarted),
        }
    }

    /// Disks of the step's VM on a storage, whether a config names them or not.
    pub(super) async fn volumes(&self, storage: &StorageName) -> Result<BTreeSet<String>, StepError> {
        let answer = self.node.probe(&Probe::Volumes { storage: storage.clone(), vmid: self.step.vmid }).await?;
        if answer.exit != 0 {
            let mut failure = failure(
                "volumes-unknown",
                format!("{}: the volumes on storage {storage} could not be listed", self.subject()),
                format!("see `pvesm list {storage}` on {}, then run apply again", self.step.node),
            );
            failure.evidence = String::from_utf8_lossy(&answer.stderr).lines().map(str::to_owned).collect();
            return Err(failure.into());
        }
        Ok(verify::volumes(&String::from_utf8_lossy(&answer.stdout), self.step.vmid))
    }

    /// Refuses when the id already has volumes: whatever is there is not ours, and what comes after this is.
    pub(super) async fn no_volumes(&self, storage: &StorageName) -> Result<(), StepError> {
        let volumes = self.volumes(storage).await?;
        if volumes.is_empty() {
            return Ok(());
        }
        let mut failure = failure(
            "stray-volumes",
            format!("{}: the id has volumes on storage {storage} that belong to no VM we know", self.subject()),
            "look whose they are; remove them with `pvesm free VOLUME`, or choose another vmid",
        );
        failure.evidence = volumes.into_iter().collect();
        Err(failure.into())
    }

    /// Frees volumes and looks whether they are gone. Their ids came from `volumes`, after we had seen that there were
    /// none: they are what our own interrupted work left.
    pub(super) async fn free(&self, storage: &StorageName, volumes: &BTreeSet<String>) -> Result<(), StepError> {
        for volume in volumes {
            self.progress(format!("removing stray volume {volume}"), None);
            let ended = self.operate("free", Work::FreeVolume { volume: volume.clone() }, Vec::new()).await?;
            self.settle(&ended).await;
        }
        let left: Vec<String> = self.volumes(storage).await?.intersection(volumes).cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        let mut failure = failure(
            "stray-volumes",
            format!("{}: volumes of an interrupted run could not be removed from storage {storage}", self.subject()),
            "remove them with `pvesm free VOLUME`, then run apply again",
        );
        failure.evidence = left;
        Err(failure.into())
    }

    /// The storage whose volumes a creating step watches.
    pub(super) fn storage(&self) -> StorageName {
        self.step.storage.clone().unwrap_or_else(|| self.run.desired.template.storage.clone())
    }
}

/// Whether a `qm` command sets or deletes this key of a config.
fn sets(args: &[String], key: &str) -> bool {
    let deletes = |pair: &[String]| pair[0] == "--delete" && pair[1].split(',').any(|deleted| deleted == key);
    args.iter().any(|word| word.strip_prefix("--") == Some(key)) || args.windows(2).any(deletes)
}

/// An id that something else has taken since the plan was made.
pub(super) fn taken(subject: &str, seen: &Seen) -> Failure {
    let config = seen.config.clone().unwrap_or_default();
    let mut failure = failure(
        "vmid-taken",
        format!("{subject}: the id is taken by another VM; nothing was done to it"),
        "run apply again: it plans with another id",
    );
    let name = config.get("name").unwrap_or("no name");
    failure.evidence.push(match Mark::find(&config.description) {
        Some(mark) => format!("it is {name}, marked: {mark}"),
        None => format!("it is {name}, without a mark of pvekube"),
    });
    failure
}

pub(super) fn locked(subject: &str, lock: &str, vmid: crate::model::ids::Vmid) -> Failure {
    let next = match lock {
        "backup" => "wait for the backup, or give --lock-timeout 30m and run apply again".to_owned(),
        "suspended" => format!("it is hibernated: wake it with `qm start {vmid}` on the node; then run apply again"),
        _ => format!(
            "if no task works on it (see the node's task list), `qm unlock {vmid}` on the node; then run apply again"
        ),
    };
    failure("vm-locked", format!("{subject} is locked: {lock}"), next)
}
