//! Steps of a template's making: image, create, import, bake, convert.

use std::collections::BTreeSet;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::destroy::half_created;
use super::failure::{StepError, failure, last_lines};
use super::mutate::{Change, taken};
use super::operation::Ended;
use super::options::LocalImageAsk;
use super::read_back::Seen;
use super::run::StepRun;
use super::verify;
use crate::model::ids::{ImageDigest, StorageName};
use crate::model::mark::Mark;
use crate::model::plan::{BakeStep, Settings};
use crate::model::vm_config::VmConfig;
use crate::pve::cloud_init::{BakeOutcome, bake_outcome};
use crate::pve::commands;
use crate::pve::storage_cfg::makes_bases;
use crate::remote::{Probe, PutContent, PutFile, Remote, Work};

/// Lines of a bake's console that are read: its report stands before everything that a shutdown prints.
const CONSOLE_LINES: u32 = 3000;

impl<R: Remote> StepRun<R> {
    pub(super) async fn fetch_step(
        &self,
        url: &str,
        digest: &ImageDigest,
        path: &str,
        from_controller: bool,
    ) -> Result<(), StepError> {
        if self.image_is_there(path, digest).await? {
            return Ok(());
        }
        if from_controller {
            let local = self.local_image(url, digest).await?;
            self.progress("sending the image to the node", None);
            let content = PutContent::File { path: local, digest: digest.clone() };
            self.node.put(&PutFile { path: path.to_owned(), mode: 0o644, content }).await?;
            return if self.image_is_there(path, digest).await? { Ok(()) } else { Err(self.wrong_image(url, path)) };
        }
        self.progress("downloading the image", Some(0.0));
        let work = Work::Download { url: url.to_owned(), digest: digest.clone(), path: path.to_owned() };
        let ended = self.operate("fetch", work, Vec::new()).await?;
        if self.image_is_there(path, digest).await? {
            self.settle(&ended).await;
            return Ok(());
        }
        let next = match ended.exit {
            Some(65) => {
                "the file at image_url is not the one that checksum_url or image_digest names: see which of them is right"
            }
            Some(_) | None => {
                "see that the node reaches image_url (a proxy?), or set vm_template.download: controller; then run apply again"
            }
        };
        let summary = format!("the image could not be downloaded to {}: {url}", self.step.node);
        Err(ended.failure("image-failed", summary, next).into())
    }

    async fn image_is_there(&self, path: &str, digest: &ImageDigest) -> Result<bool, StepError> {
        let answer = self.node.probe(&Probe::Image { path: path.to_owned(), digest: digest.clone() }).await?;
        Ok(answer.exit == 0 && answer.stdout.starts_with(b"ok "))
    }

    fn wrong_image(&self, url: &str, path: &str) -> StepError {
        let summary = format!("the image arrived damaged on {}: {path}", self.step.node);
        failure("image-failed", summary, format!("see that the node has space, then run apply again ({url})")).into()
    }

    /// The image on this computer, fetched once for all nodes.
    async fn local_image(&self, url: &str, digest: &ImageDigest) -> Result<std::path::PathBuf, StepError> {
        let Some(fetch) = &self.run.options.local_image else {
            let summary = "the plan streams the image from this computer, which this run can't";
            return Err(failure("image-failed", summary, "set vm_template.download: node").into());
        };
        let (progress, mut percents) = mpsc::unbounded_channel();
        let ask = LocalImageAsk { url: url.to_owned(), digest: digest.clone(), progress };
        let fetched = self.run.local_image.get_or_init(|| async {
            let mut fetching = fetch(ask);
            loop {
                tokio::select! {
                    biased;
                    fetched = &mut fetching => return fetched,
                    Some(percent) = percents.recv() => self.progress("downloading the image to this computer", Some(percent)),
                }
            }
        });
        let next = "see that this computer reaches image_url, then run apply again";
        fetched.await.clone().map_err(|why| failure("image-failed", format!("{url}: {why}"), next).into())
    }

    /// The file goes when the template no longer needs it.
    pub(super) async fn remove_image_step(&self, path: &str) -> Result<(), StepError> {
        self.node.remove(path).await
    }

    /// Without a disk: a VM being created with an import is nameless until the import is through (observed §11).
    pub(super) async fn create_step(&self, mark: &Mark, set: &Settings) -> Result<(), StepError> {
        let since = Instant::now();
        let mut attempt = 0;
        loop {
            let before = self.at_rest().await?;
            if before.config.is_some() {
                let made = self.created(&before, mark, set);
                return if made { Ok(()) } else { Err(taken(&self.subject(), &before).into()) };
            }
            self.no_volumes(&self.storage()).await?;
            self.progress("creating", None);
            let (args, files) = commands::create_template(self.step.vmid, mark, set);
            let ended = self.operate("create", Work::Qm { args }, files).await?;
            let after = self.read_back().await?;
            if self.created(&after, mark, set) {
                self.settle(&ended).await;
                return Ok(());
            }
            match &after.config {
                Some(config) if config.only_lock() == Some("create") => {
                    return Err(half_created(&self.subject(), self.step.vmid, "create"));
                }
                Some(_) if after.marked(mark, "").is_err() => return Err(taken(&self.subject(), &after).into()),
                Some(_) | None => {}
            }
            if !(after.config.is_none() && ended.lock_timeout() && self.pause(attempt, since).await) {
                let summary = format!("{} could not be created", self.subject());
                return Err(ended.failure("create-failed", summary, "run apply again").into());
            }
            self.settle(&ended).await;
            attempt += 1;
        }
    }

    fn created(&self, seen: &Seen, mark: &Mark, set: &Settings) -> bool {
        seen.marked(mark, "")
            .is_ok_and(|config| config.lock().is_none() && verify::unmet(config, set, &BTreeSet::new()).is_empty())
    }

    /// The import alone in its `qm set`: a failing one leaves other options of the call half-applied (observed §6).
    pub(super) async fn import_step(
        &self,
        mark: &Mark,
        disk: &str,
        storage: &StorageName,
        image_path: &str,
        options: &str,
    ) -> Result<(), StepError> {
        self.progress("importing the image", Some(0.0));
        let change = Change {
            verb: "import",
            id: "import-failed",
            what: "could not import its image",
            mark,
            takes_out_of_service: false,
        };
        let unmet = |seen: &Seen| match seen.config.as_ref().and_then(|config| config.get(disk)) {
            Some(_) => Vec::new(),
            None => vec![format!("there is no disk {disk}")],
        };
        let before = self.volumes(storage).await?;
        let imported = self
            .change(&change, unmet, |config| {
                (commands::import_disk(self.step.vmid, disk, storage, image_path, options, &config.digest), Vec::new())
            })
            .await;
        if let Err(StepError::Failed(_)) = imported {
            let fresh: BTreeSet<String> = self.volumes(storage).await?.difference(&before).cloned().collect();
            if !fresh.is_empty() {
                self.free(storage, &fresh).await?;
            }
        }
        imported
    }

    /// One boot that installs and cleans. Its own report on the serial console decides, with QEMU gone afterwards.
    pub(super) async fn bake_step(&self, bake: &BakeStep) -> Result<(), StepError> {
        let file = PutFile {
            path: bake.snippet_path.clone(),
            mode: 0o644,
            content: PutContent::Bytes(bake.document.clone().into_bytes()),
        };
        let set = commands::bake_settings(bake);
        // The config names the snippet before it is there and until it is gone: an interrupted bake leaves none unnoticed.
        self.set_step(&bake.mark, &set, &BTreeSet::new()).await?;
        self.node.put(&file).await?;

        self.progress("baking: starting", None);
        let work = Work::Bake { vmid: self.step.vmid, timeout_s: bake.timeout_s };
        let ended = self.operate("bake", work, Vec::new()).await?;
        let console = self.log(&ended.name, CONSOLE_LINES).await?.join("\n");
        let outcome = bake_outcome(&console);
        let running = self.read_back().await?.running;
        if running {
            self.stop(&bake.mark, super::destroy::HARDLY_S).await?;
        }
        self.node.remove(&bake.snippet_path).await?;
        if running || ended.exit != Some(0) || outcome != BakeOutcome::Ok {
            return Err(self.bake_failure(bake, &ended, &outcome, &console).into());
        }
        self.progress("baking: cleaning up", None);
        let delete: BTreeSet<String> = set.into_keys().collect();
        self.set_step(&bake.mark, &Settings::new(), &delete).await?;
        self.settle(&ended).await;
        Ok(())
    }

    fn bake_failure(
        &self,
        bake: &BakeStep,
        ended: &Ended,
        outcome: &BakeOutcome,
        console: &str,
    ) -> crate::model::outcome::Failure {
        let name = self.subject();
        let (summary, next) = match outcome {
            BakeOutcome::Failed { module, .. } => (
                format!("{name}: the bake failed in {module}"),
                "mend vm_template.bake (packages, commands) or its network; then run apply again: the template is made anew",
            ),
            BakeOutcome::Ok => (
                format!("{name}: the bake reported success, but the VM did not power off"),
                "run apply again: the template is made anew",
            ),
            BakeOutcome::Silent if ended.exit == Some(124) => (
                format!("{name}: the bake was not through after {} s", bake.timeout_s),
                "see the console's last lines; raise vm_template.bake.timeout_seconds, or mend its network; then run apply again",
            ),
            BakeOutcome::Silent => (
                format!("{name}: the bake ended without a report"),
                "see the console's last lines, then run apply again: the template is made anew",
            ),
        };
        let mut failure = ended.failure("bake-failed", summary, next);
        failure.evidence = match outcome {
            BakeOutcome::Failed { lines, .. } if !lines.is_empty() => last_lines(lines.iter().map(String::as_str), 12),
            BakeOutcome::Failed { .. } | BakeOutcome::Ok | BakeOutcome::Silent => last_lines(console.lines(), 12),
        };
        failure
    }

    /// `qm template` exits 0 on failure and marks the config first (observed §1): each disk must be a base volume, where
    /// its storage makes such.
    pub(super) async fn convert_step(&self, mark: &Mark) -> Result<(), StepError> {
        let seen = self.unlocked(mark).await?;
        let config = seen.marked(mark, &self.subject())?;
        let leftovers = verify::template_leftovers(config);
        if !leftovers.is_empty() || seen.running {
            let summary = format!("{} is not clean enough to become a template", self.subject());
            let mut failure = failure("template-dirty", summary, "run apply again: the template is made anew");
            failure.evidence = leftovers;
            if seen.running {
                failure.evidence.push("it runs".to_owned());
            }
            return Err(failure.into());
        }
        self.progress("converting to a template", None);
        let change = Change {
            verb: "template",
            id: "template-failed",
            what: "could not be made a template",
            mark,
            takes_out_of_service: false,
        };
        let unmet = |seen: &Seen| match &seen.config {
            Some(config) if config.is_template() => self.unconverted(config),
            Some(_) => vec!["it is no template".to_owned()],
            None => vec!["the VM is gone".to_owned()],
        };
        self.change(&change, unmet, |_| (commands::template(self.step.vmid), Vec::new())).await
    }

    /// A template's disks that were not converted, where their storage can.
    pub(super) fn unconverted(&self, config: &VmConfig) -> Vec<String> {
        let realm = self.run.observed.realm_of(&self.step.node);
        verify::unconverted(config, |storage| {
            let definition = realm.and_then(|realm| realm.storages.get(&StorageName::from(storage)));
            definition.is_none_or(|definition| makes_bases(&definition.kind))
        })
    }
}
