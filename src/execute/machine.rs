//! Steps of a machine's life: clone, set, resize, start, shut down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::destroy::half_created;
use super::failure::{StepError, failure};
use super::mutate::{Change, taken};
use super::operation::Ended;
use super::read_back::Seen;
use super::run::StepRun;
use super::verify;
use crate::model::ids::{MachineName, PoolName, PveName, StorageName, Vmid};
use crate::model::mark::Mark;
use crate::model::outcome::Stage;
use crate::model::plan::Settings;
use crate::model::vm_config::VmConfig;
use crate::pve::commands;
use crate::pve::property::{Drive, first_boot_disk};
use crate::remote::{Remote, Work};

/// Looks for a clone on the node that it was moved to, a second apart.
const ARRIVAL_LOOKS: u32 = 10;

/// Parameters of `Action::Clone`.
pub(super) struct Clone<'a> {
    pub(super) template: Vmid,
    pub(super) target: Option<&'a PveName>,
    pub(super) name: &'a MachineName,
    pub(super) mark: &'a Mark,
    pub(super) pool: Option<&'a PoolName>,
    pub(super) storage: &'a StorageName,
}

impl<R: Remote> StepRun<R> {
    /// The mark is in the config as soon as the first drive is copied: the small cloud-init drive of our own templates. Until
    /// then it is a lock without a name, and what a killed `qm` leaves of it is reported.
    pub(super) async fn clone_step(&self, clone: &Clone<'_>) -> Result<(), StepError> {
        let since = Instant::now();
        let mut attempt = 0;
        loop {
            let before = self.at_rest().await?;
            if before.config.is_some() {
                return if is_whole_clone(&before, clone.mark) {
                    Ok(())
                } else {
                    Err(taken(&self.subject(), &before).into())
                };
            }
            self.not_made_meanwhile(clone.mark).await?;
            self.no_volumes(clone.storage).await?;
            self.progress("cloning", Some(0.0));
            let args = commands::clone(
                clone.template,
                self.step.vmid,
                clone.target,
                clone.name,
                clone.mark,
                clone.pool,
                clone.storage,
            );
            let ended = self.operate("clone", Work::Qm { args }, Vec::new()).await?;
            let after = self.arrived(clone, &ended).await?;
            if is_whole_clone(&after, clone.mark) {
                self.settle(&ended).await;
                self.reached(Stage::Stopped);
                return Ok(());
            }
            if after.config.as_ref().and_then(VmConfig::only_lock) == Some("clone") {
                return Err(half_created(&self.subject(), self.step.vmid, "clone"));
            }
            if after.config.is_some() && after.marked(clone.mark, "").is_err() {
                return Err(taken(&self.subject(), &after).into());
            }
            // Nothing but our own clone worked on this id since we saw that it was free: what is left of it is ours.
            self.progress("removing what is left of the clone", None);
            self.unmake(&after, clone.mark, clone.storage).await?;
            self.settle(&ended).await;
            // A nightly backup takes templates, too.
            let again = ended.backup_in_the_way() && self.backup_may_end(since).await?
                || ended.lock_timeout() && self.pause(attempt, since).await;
            if !again {
                let summary = format!("{} could not be cloned from template {}", self.subject(), clone.template);
                return Err(ended.failure("clone-failed", summary, "run apply again: it makes the clone anew").into());
            }
            attempt += 1;
        }
    }

    /// The clone where it is to live. One for another node is moved there at its end, which that node may see a moment after
    /// the one that did it.
    async fn arrived(&self, clone: &Clone<'_>, ended: &Ended) -> Result<Seen, StepError> {
        let mut after = self.read_back().await?;
        for _ in 0..ARRIVAL_LOOKS {
            if clone.target.is_none() || ended.exit != Some(0) || is_whole_clone(&after, clone.mark) {
                break;
            }
            sleep(Duration::from_secs(1)).await;
            after = self.read_back().await?;
        }
        Ok(after)
    }

    /// Drops pending changes. Where a start in between has brought one into effect, nothing is pending and yet the machine
    /// is not as planned.
    pub(super) async fn revert_step(
        &self,
        mark: &Mark,
        revert: &BTreeMap<String, Option<String>>,
    ) -> Result<(), StepError> {
        self.progress("configuring", None);
        let change = Change {
            verb: "revert",
            id: "set-failed",
            what: "could not drop its pending changes",
            mark,
            takes_out_of_service: false,
        };
        let unmet = |seen: &Seen| seen.config.as_ref().map_or_else(gone, |config| verify::unkept(config, revert));
        let keys = revert.keys().cloned().collect();
        self.change(&change, unmet, |config| (commands::revert(self.step.vmid, &keys, &config.digest), Vec::new()))
            .await
    }

    pub(super) async fn set_step(
        &self,
        mark: &Mark,
        set: &Settings,
        delete: &BTreeSet<String>,
    ) -> Result<(), StepError> {
        self.progress("configuring", None);
        let change = Change {
            verb: "set",
            id: "set-failed",
            what: "could not be configured",
            mark,
            takes_out_of_service: false,
        };
        let unmet = |seen: &Seen| seen.config.as_ref().map_or_else(gone, |config| verify::unmet(config, set, delete));
        self.change(&change, unmet, |config| commands::set(self.step.vmid, set, delete, config)).await
    }

    /// Absolute and grow only: a repeated resize does nothing.
    pub(super) async fn resize_step(&self, mark: &Mark, disk: &str, size_gb: u64) -> Result<(), StepError> {
        self.progress(format!("growing {disk} to {size_gb} GB"), None);
        let change = Change {
            verb: "resize",
            id: "resize-failed",
            what: "could not grow its disk",
            mark,
            takes_out_of_service: false,
        };
        let wanted = size_gb << 30;
        let unmet = |seen: &Seen| match seen.config.as_ref().and_then(|config| disk_bytes(config, disk)) {
            Some(bytes) if bytes >= wanted => Vec::new(),
            Some(bytes) => vec![format!("{disk} has {}, not {size_gb}G", crate::pve::size::format(bytes))],
            None => vec![format!("there is no disk {disk} of known size")],
        };
        self.change(&change, unmet, |config| {
            (commands::resize(self.step.vmid, disk, size_gb, &config.digest), Vec::new())
        })
        .await
    }

    pub(super) async fn start_step(&self, mark: &Mark) -> Result<(), StepError> {
        self.progress("starting", None);
        let change = Change {
            verb: "start",
            id: "start-failed",
            what: "could not be started",
            mark,
            takes_out_of_service: false,
        };
        let unmet = |seen: &Seen| if seen.running { Vec::new() } else { vec!["QEMU does not run".to_owned()] };
        self.change(&change, unmet, |_| (commands::start(self.step.vmid), Vec::new())).await?;
        self.reached(Stage::Running);
        Ok(())
    }

    pub(super) async fn shutdown_step(&self, mark: &Mark, timeout_s: u32) -> Result<(), StepError> {
        let seen = self.read_back().await?;
        seen.marked(mark, &self.subject())?;
        if !seen.running {
            return Ok(());
        }
        self.spare_this_master().await?;
        self.before_stop(&seen).await?;
        self.stop(mark, timeout_s).await
    }

    /// Shuts down, by force after the time-out.
    pub(super) async fn stop(&self, mark: &Mark, timeout_s: u32) -> Result<(), StepError> {
        self.progress("shutting down", None);
        let change = Change {
            verb: "shutdown",
            id: "shutdown-failed",
            what: "could not be shut down",
            mark,
            takes_out_of_service: true,
        };
        let unmet = |seen: &Seen| if seen.running { vec!["QEMU still runs".to_owned()] } else { Vec::new() };
        self.change(&change, unmet, |_| (commands::shutdown(self.step.vmid, timeout_s), Vec::new())).await?;
        self.reached(Stage::Stopped);
        Ok(())
    }

    /// An operation of an earlier run: waited for. What follows from it is planned anew, so its exit code only tells.
    pub(super) async fn attach_step(&self, name: &crate::model::ids::OperationName) -> Result<(), StepError> {
        let verb = name.as_str().rsplit('-').nth(1).unwrap_or_default().to_owned();
        self.found(format!("{verb} still running, attaching"));
        let exit = self.follow(name, &verb).await?;
        if exit != Some(0) {
            let lines = self.log(name, super::operation::EVIDENCE_READ).await?;
            let last = super::failure::last_lines(lines.iter().map(String::as_str), 1).concat();
            let how = exit.map_or_else(|| "without an exit code".to_owned(), |exit| format!("with {exit}"));
            self.found(format!("{verb} ended {how}: {last}"));
        }
        if let Err(error) = self.node.forget(name).await {
            self.run.events.notice(format!("operation {name} stays in its folder: {error}"));
        }
        Ok(())
    }

    /// The address that the manifest declares, or that this run has seen.
    pub(super) fn known_address(&self) -> Option<std::net::IpAddr> {
        use crate::model::desired::Address;
        use crate::model::plan::Target;
        let Target::Machine { name, .. } = &self.step.subject else { return None };
        let reports = self.run.machine_reports();
        let seen = reports.iter().find(|report| report.name == *name).and_then(|report| report.address);
        let declared = || match &self.run.desired.machines.iter().find(|machine| machine.name == *name)?.network.ipv4 {
            Address::Static { address, .. } => Some(address.address),
            Address::Dhcp => None,
        };
        seen.or_else(declared)
    }
}

fn gone() -> Vec<String> {
    vec!["the VM is gone".to_owned()]
}

/// Ours, with its boot disk, and not being worked on.
fn is_whole_clone(seen: &Seen, mark: &Mark) -> bool {
    seen.live_operation().is_none()
        && seen.marked(mark, "").is_ok_and(|config| {
            config.lock().is_none() && !config.is_template() && first_boot_disk(&config.keys).is_some()
        })
}

fn disk_bytes(config: &VmConfig, disk: &str) -> Option<u64> {
    Drive::parse(config.get(disk)?).ok()?.size_bytes()
}

/// Said when a step's node is not among those that answered: a plan never has such a step.
pub(super) fn no_such_node(node: &crate::model::ids::NodeName) -> StepError {
    failure("node-unreachable", format!("{node} did not answer when the plan was made"), "run plan again").into()
}
