//! Whether a plan from a file is one that could have been made here for these inputs.
//!
//! Its digest tells a plan that was changed by accident; whoever changes one on purpose makes a new digest. So before a saved
//! plan runs, every step is held against the files and the nodes: it works on a VM of this cluster that the plan shows, it sets
//! what the manifest asks for, and it reads and writes nothing but our own files.

use crate::model::desired::{Desired, Machine};
use crate::model::ids::{ImageDigest, RealmId, Vmid};
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::Observed;
use crate::model::plan::{Action, BakeStep, Change, ChangeAction, Plan, Setting, Settings, Step, Target};
use crate::pve::report::parse_name;

use super::template_steps::{image_path, snippet_file};
use super::{recipe, settings};

/// What is wrong, one sentence a step. Empty: the plan may run, as far as it can be told from itself.
pub fn unsound(plan: &Plan, desired: &Desired, observed: &Observed) -> Vec<String> {
    let judge = Judge { plan, desired, observed };
    let faults = plan.steps.iter().filter_map(|step| {
        let why = judge.fault(step)?;
        Some(format!("step {} ({} on VM {}): {why}", step.id, step.action.verb(), step.vmid))
    });
    faults.collect()
}

struct Judge<'p> {
    plan: &'p Plan,
    desired: &'p Desired,
    observed: &'p Observed,
}

impl Judge<'_> {
    fn fault(&self, step: &Step) -> Option<&'static str> {
        if mark(&step.action).is_some_and(|mark| !self.is_of(mark, step)) {
            return Some("its mark is not the one of this cluster's machine or template");
        }
        if !self.plan.changes.iter().any(|change| same(change, step) && shows(change.action, &step.action)) {
            return Some("no change that the plan shows needs it");
        }
        let right = match &step.subject {
            Target::Template { .. } => self.makes_template(step),
            Target::Machine { .. } => self.changes_machine(step),
        };
        (!right).then_some("its values are not those of the config and the manifest")
    }

    fn is_of(&self, mark: &Mark, step: &Step) -> bool {
        let subject = match (&mark.subject, &step.subject) {
            (MarkSubject::Template, Target::Template { .. }) => true,
            (MarkSubject::Machine(marked), Target::Machine { name, id, role }) => {
                marked == id && id.name(&self.desired.cluster) == *name && id.pool.role() == *role
            }
            (MarkSubject::Template, Target::Machine { .. }) | (MarkSubject::Machine(_), Target::Template { .. }) => {
                false
            }
        };
        subject && mark.cluster == self.desired.cluster && mark.vmid == step.vmid
    }

    fn makes_template(&self, step: &Step) -> bool {
        let spec = &self.desired.template;
        match &step.action {
            Action::FetchImage { url, digest, path, from_controller: _ } => {
                *url == spec.image_url && *path == image_path(digest)
            }
            Action::CreateTemplate { mark, set } => *set == settings::template(self.desired, mark),
            Action::ImportDisk { mark, disk, storage, image_path: path, options } => {
                disk == settings::BOOT_DISK
                    && *storage == spec.storage
                    && mark.image.as_ref().is_some_and(|digest| *path == image_path(digest))
                    && options == settings::DISK_OPTIONS
            }
            Action::Set { mark: _, set, delete, revert } => {
                *set == settings::template_drives(self.desired) && delete.is_empty() && revert.is_empty()
            }
            Action::Resize { mark: _, disk, size_gb } => disk == settings::BOOT_DISK && *size_gb == spec.disk_gb,
            Action::Bake(bake) => self.bakes(bake),
            Action::RemoveImage { path } => is_image(path),
            Action::Attach { .. } => self.is_our_operation(step),
            Action::ConvertTemplate { .. } | Action::Destroy { .. } => true,
            Action::Clone { .. } | Action::Start { .. } | Action::Shutdown { .. } | Action::Ready(_) => false,
        }
    }

    fn bakes(&self, step: &BakeStep) -> bool {
        let Some(bake) = &self.desired.template.bake else { return false };
        let file = format!("snippets/{}", snippet_file(bake, step.mark.vmid));
        let known = |key: &String| matches!(key.as_str(), "ipconfig0" | "nameserver" | "searchdomain");
        step.document == recipe::document(bake)
            && step.snippet_volume == format!("{}:{file}", self.desired.template.snippet_storage)
            && step.snippet_path.ends_with(&format!("/{file}"))
            && step.network.keys().all(known)
    }

    fn changes_machine(&self, step: &Step) -> bool {
        let Target::Machine { id, .. } = &step.subject else { return false };
        let wanted = || self.desired.machines.iter().find(|machine| machine.id == *id);
        match &step.action {
            Action::Clone { template, target: _, name, mark: _, pool, storage } => wanted().is_some_and(|machine| {
                *name == machine.name
                    && *pool == self.desired.pve_pool
                    && *storage == self.desired.template.storage
                    && self.is_template(step, *template)
            }),
            Action::Set { mark: _, set, delete, revert } => wanted().is_some_and(|machine| {
                let all = known_settings(machine);
                let known = |key: &String| all.contains_key(key) || DNS.contains(&key.as_str());
                set.iter().all(|(key, value)| is_wanted(&all, key, value))
                    && delete.iter().all(|key| key == "startup")
                    && revert.keys().all(known)
            }),
            Action::Resize { mark: _, disk, size_gb } => {
                let plain = disk.bytes().all(|byte| byte.is_ascii_alphanumeric());
                plain && wanted().is_some_and(|machine| machine.disk_gb == *size_gb)
            }
            Action::Start { .. } => wanted().is_some(),
            Action::Ready(ready) => {
                wanted().is_some_and(|machine| ready.name == machine.name && ready.user == machine.cloud_init.user)
            }
            Action::Attach { .. } => self.is_our_operation(step),
            Action::Shutdown { .. } | Action::Destroy { .. } => true,
            Action::FetchImage { .. }
            | Action::CreateTemplate { .. }
            | Action::ImportDisk { .. }
            | Action::Bake(_)
            | Action::ConvertTemplate { .. }
            | Action::RemoveImage { .. } => false,
        }
    }

    fn is_our_operation(&self, step: &Step) -> bool {
        let Action::Attach { operation } = &step.action else { return false };
        parse_name(operation.as_str())
            .is_some_and(|(cluster, vmid, _)| cluster == self.desired.cluster && vmid == step.vmid)
    }

    /// One that this plan makes, one of ours, or a foreign template of the configured name.
    fn is_template(&self, step: &Step, template: Vmid) -> bool {
        let realm = self.observed.facts(&step.node).map(|facts| &facts.realm);
        let made = |change: &Change| {
            matches!(change.target, Target::Template { .. })
                && change.vmid == template
                && Some(&change.realm) == realm
                && change.action != ChangeAction::None
        };
        self.plan.changes.iter().any(made) || realm.is_some_and(|realm| self.stands(realm, template))
    }

    fn stands(&self, realm: &RealmId, template: Vmid) -> bool {
        let realm = self.observed.realms.get(realm);
        let Some(vm) = realm.and_then(|realm| realm.guests.get(&template)?.vm()) else { return false };
        match vm.mark() {
            Some(mark) => mark.cluster == self.desired.cluster && mark.subject == MarkSubject::Template,
            None => {
                let is_template = vm.config.as_ref().is_some_and(|config| config.is_template());
                is_template && vm.name() == Some(self.desired.template.name.as_str())
            }
        }
    }
}

/// Where the user gave none they are the node's, which may have changed since.
const DNS: [&str; 2] = ["nameserver", "searchdomain"];

fn known_settings(machine: &Machine) -> Settings {
    let mut all = settings::machine_own(machine);
    all.insert("name".to_owned(), settings::text(&machine.name));
    all
}

fn is_wanted(all: &Settings, key: &str, value: &Setting) -> bool {
    match value {
        // Options of the agent that others set stay.
        Setting::Text(_) if key == "agent" || DNS.contains(&key) => true,
        value => all.get(key) == Some(value),
    }
}

fn is_image(path: &str) -> bool {
    let digest = path.strip_prefix("/var/lib/pvekube/images/").and_then(|name| name.strip_suffix(".img"));
    digest.and_then(|digest| digest.parse::<ImageDigest>().ok()).is_some_and(|digest| image_path(&digest) == path)
}

/// The same VM: a template by its id alone, as its name may be the one that it has or the one that it gets. What is made anew may
/// get another id; the one that goes is then told by its mark.
fn same(change: &Change, step: &Step) -> bool {
    let subject = match (&change.target, &step.subject) {
        (Target::Template { .. }, Target::Template { .. }) => true,
        (Target::Machine { id, .. }, Target::Machine { id: of, .. }) => id == of,
        (Target::Template { .. }, Target::Machine { .. }) | (Target::Machine { .. }, Target::Template { .. }) => false,
    };
    let goes = matches!(step.action, Action::Destroy { .. } | Action::Shutdown { .. });
    subject && (change.vmid == step.vmid || goes && change.action == ChangeAction::Replace)
}

/// Whether a change of this kind may need such a step.
fn shows(change: ChangeAction, action: &Action) -> bool {
    match action {
        Action::Clone { .. }
        | Action::CreateTemplate { .. }
        | Action::ImportDisk { .. }
        | Action::Bake(_)
        | Action::ConvertTemplate { .. }
        | Action::FetchImage { .. } => matches!(change, ChangeAction::Create | ChangeAction::Replace),
        Action::Destroy { .. } => matches!(change, ChangeAction::Delete | ChangeAction::Replace),
        Action::Shutdown { .. } => {
            matches!(change, ChangeAction::Delete | ChangeAction::Replace | ChangeAction::Update | ChangeAction::Resume)
        }
        Action::Set { .. } | Action::Resize { .. } | Action::Start { .. } | Action::Ready(_) => {
            !matches!(change, ChangeAction::Delete | ChangeAction::None)
        }
        Action::RemoveImage { .. } | Action::Attach { .. } => change != ChangeAction::None,
    }
}

fn mark(action: &Action) -> Option<&Mark> {
    match action {
        Action::CreateTemplate { mark, .. }
        | Action::ImportDisk { mark, .. }
        | Action::Set { mark, .. }
        | Action::Resize { mark, .. }
        | Action::ConvertTemplate { mark }
        | Action::Clone { mark, .. }
        | Action::Start { mark }
        | Action::Shutdown { mark, .. }
        | Action::Destroy { mark, .. } => Some(mark),
        Action::Bake(bake) => Some(&bake.mark),
        Action::Ready(ready) => Some(&ready.mark),
        Action::FetchImage { .. } | Action::RemoveImage { .. } | Action::Attach { .. } => None,
    }
}
