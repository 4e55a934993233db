//! Removing a VM that is ours: mark verified, stopped, destroyed with its own volumes, and nothing else.

use std::collections::BTreeSet;

use super::failure::{StepError, failure};
use super::mutate::locked;
use super::read_back::Seen;
use super::run::StepRun;
use super::verify;
use crate::model::ids::StorageName;
use crate::model::mark::{Mark, MarkSubject};
use crate::model::vm_config::VmConfig;
use crate::pve::commands;
use crate::pve::property::{Properties, has_disk};
use crate::remote::Remote;

/// Seconds a guest is given to shut down before it is stopped by force.
const SHUTDOWN_S: u32 = 120;
/// Seconds for a guest whose disk goes anyway.
pub(super) const HARDLY_S: u32 = 5;

impl<R: Remote> StepRun<R> {
    pub(super) async fn destroy_step(&self, mark: &Mark, half_made: bool) -> Result<(), StepError> {
        let seen = self.at_rest().await?;
        let Some(config) = seen.config.clone() else { return Ok(()) };
        seen.marked(mark, &self.subject())?;
        let whole = self.is_whole(mark, &config);
        if half_made && whole {
            let summary = format!("{}: it was half-made when this was planned, and is whole now", self.subject());
            return Err(failure("made-meanwhile", summary, "run apply again: it plans with what is there now").into());
        }
        if half_made || mark.subject == MarkSubject::Template && !whole {
            self.found("half-made, removed".to_owned());
            return self.unmake(&seen, mark, &self.storage()).await;
        }
        if seen.running {
            self.spare_this_master().await?;
            self.before_stop(&seen).await?;
            self.stop(mark, SHUTDOWN_S).await?;
        }
        let own = self.volumes_of(&config).await?;
        self.remove_snippet(&config).await?;
        self.destroy(mark).await?;
        // A volume that could not be removed is only a warning to `qm destroy` (contract §7). What its config did not name
        // may be anybody's: said, not touched.
        for (storage, volumes) in own {
            let left = self.volumes(&storage).await?;
            let (ours, other): (BTreeSet<String>, BTreeSet<String>) =
                left.into_iter().partition(|volume| volumes.contains(volume));
            if !ours.is_empty() {
                self.free(&storage, &ours).await?;
            }
            for volume in other {
                self.run
                    .events
                    .notice(format!("{}: volume {volume} was not in its config; left alone", self.subject()));
            }
        }
        Ok(())
    }

    /// A machine has a disk and no lock of its making. A template was converted, too, and wholly, and is rid of its bake's settings
    /// (as the planner sees it): a failed import or bake leaves no lock, and a `qm template` that lost quorum leaves base volumes
    /// that its config does not name.
    fn is_whole(&self, mark: &Mark, config: &VmConfig) -> bool {
        let made = has_disk(&config.keys) && !config.lock().is_some_and(|lock| matches!(lock, "clone" | "create"));
        made && match &mark.subject {
            MarkSubject::Machine(_) => true,
            MarkSubject::Template => {
                config.is_template() && config.get("cicustom").is_none() && self.unconverted(config).is_empty()
            }
        }
    }

    /// Removes what an interrupted creation left: our marked VM, if there is one, and every volume of its id. A creation
    /// begins only when its id has no volumes at all (`no_volumes`), so all of them came after that. The config goes last:
    /// as long as it stands, the next run knows whose the volumes are.
    pub(super) async fn unmake(&self, seen: &Seen, mark: &Mark, storage: &StorageName) -> Result<(), StepError> {
        let mut storages: BTreeSet<StorageName> = [storage.clone()].into();
        if let Some(config) = &seen.config {
            seen.marked(mark, &self.subject())?;
            storages.extend(verify::storages(config).into_iter().map(StorageName::new));
            if config.lock().is_some_and(|lock| lock != "clone" && lock != "create") {
                return Err(locked(&self.subject(), config.lock().unwrap_or_default(), self.step.vmid).into());
            }
            if seen.running {
                self.stop(mark, HARDLY_S).await?;
            }
            for storage in &storages {
                let stray: BTreeSet<String> =
                    self.volumes(storage).await?.into_iter().filter(|volume| !names(config, volume)).collect();
                if !stray.is_empty() {
                    self.free(storage, &stray).await?;
                }
            }
            if config.lock().is_some() {
                let ended = self.qm("unlock", commands::unlock(self.step.vmid)).await?;
                self.settle(&ended).await;
            }
            self.remove_snippet(config).await?;
            self.destroy(mark).await?;
        }
        for storage in storages {
            let left = self.volumes(&storage).await?;
            if !left.is_empty() {
                self.free(&storage, &left).await?;
            }
        }
        Ok(())
    }

    /// `qm destroy`, with the mark read right before, and the config gone right after.
    async fn destroy(&self, mark: &Mark) -> Result<(), StepError> {
        let since = tokio::time::Instant::now();
        let mut attempt = 0;
        loop {
            let before = self.unlocked(mark).await?;
            before.marked(mark, &self.subject())?;
            self.progress("removing", None);
            let ended = self.qm("destroy", commands::destroy(self.step.vmid)).await?;
            if self.read_back().await?.config.is_none() {
                self.settle(&ended).await;
                return Ok(());
            }
            if !(ended.lock_timeout() && self.pause(attempt, since).await) {
                let summary = format!("{} could not be destroyed", self.subject());
                return Err(ended.failure("destroy-failed", summary, "mend what it says, then run apply again").into());
            }
            self.settle(&ended).await;
            attempt += 1;
        }
    }

    /// The VM (or its free id) once none of our operations works on it any more: one that an earlier run left behind may
    /// have begun and not yet written anything.
    pub(super) async fn at_rest(&self) -> Result<Seen, StepError> {
        loop {
            let seen = self.read_back().await?;
            let Some(operation) = seen.live_operation() else { return Ok(seen) };
            self.found(format!("{} still running, waiting for its end", operation.verb));
            self.follow(&operation.name, &operation.verb).await?;
        }
    }

    /// The volumes that its config names, by storage.
    async fn volumes_of(&self, config: &VmConfig) -> Result<Vec<(StorageName, BTreeSet<String>)>, StepError> {
        let mut own = Vec::new();
        for storage in verify::storages(config) {
            let storage = StorageName::new(storage);
            let named: BTreeSet<String> =
                self.volumes(&storage).await?.into_iter().filter(|volume| names(config, volume)).collect();
            own.push((storage, named));
        }
        Ok(own)
    }

    /// The snippet of a bake that was interrupted, if the config names one of ours.
    async fn remove_snippet(&self, config: &VmConfig) -> Result<(), StepError> {
        let Some(volume) =
            config.get("cicustom").and_then(|text| Some(Properties::parse(text, None).ok()?.get("vendor")?.to_owned()))
        else {
            return Ok(());
        };
        let Some((storage, file)) = volume.split_once(":snippets/pvekube-") else { return Ok(()) };
        let realm = self.run.observed.realm_of(&self.step.node);
        let path = realm.and_then(|realm| realm.storages.get(&StorageName::from(storage))?.path.clone());
        let folder = path.unwrap_or_else(|| "/var/lib/vz".to_owned());
        self.node.remove(&format!("{folder}/snippets/pvekube-{file}")).await
    }
}

fn names(config: &VmConfig, volume: &str) -> bool {
    config
        .keys
        .values()
        .any(|value| value == volume || value.strip_prefix(volume).is_some_and(|rest| rest.starts_with(',')))
}

/// A config that is nothing but a lock has no mark: it is reported, never touched (design §6).
pub(super) fn half_created(subject: &str, vmid: crate::model::ids::Vmid, verb: &str) -> StepError {
    failure(
        "half-created",
        format!("{subject}: an interrupted `qm {verb}` left a config without name or mark"),
        format!(
            "if no task works on it, remove it: `qm unlock {vmid} && qm destroy {vmid} --purge 1`; then run apply again"
        ),
    )
    .into()
}
