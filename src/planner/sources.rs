//! For every slot that machines are cloned from: take the template as it is, wait for it, or make it (anew).

use std::collections::BTreeMap;

use crate::model::ids::{ImageDigest, MachineId, NodeName, Vmid};
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::Upstream;

use super::capacity::GIB;
use super::existing::Fate;
use super::placement::Choice;
use super::recipe;
use super::settings;
use super::survey::{Found, Survey};
use super::templates::{Ready, Slot, SlotState};

/// A template that this plan clones from.
#[derive(Clone)]
pub(crate) struct Source<'a> {
    pub(crate) slot: Slot<'a>,
    pub(crate) work: Work<'a>,
    /// What a clone's mark says.
    pub(crate) image: Option<ImageDigest>,
    pub(crate) recipe: Option<String>,
    /// The disk that clones boot from.
    pub(crate) disk: String,
    pub(crate) disk_bytes: Option<u64>,
}

#[derive(Clone)]
pub(crate) enum Work<'a> {
    Use,
    Wait,
    Make {
        old: Option<Found<'a>>,
        why: String,
    },
    /// It has to be made, and the image's digest is unknown.
    NoDigest {
        reason: String,
    },
}

impl Source<'_> {
    pub(crate) fn mark(&self, survey: &Survey<'_>) -> Mark {
        Mark {
            cluster: survey.desired.cluster.clone(),
            subject: MarkSubject::Template,
            vmid: self.slot.vmid,
            image: self.image.clone(),
            recipe: self.recipe.clone(),
        }
    }

    pub(crate) fn vmid(&self) -> Vmid {
        self.slot.vmid
    }

    pub(crate) fn is_made(&self) -> bool {
        match self.work {
            Work::Make { .. } | Work::NoDigest { .. } => true,
            Work::Use | Work::Wait => false,
        }
    }
}

/// By the template's node. Only slots that a machine is cloned from, and those being worked on.
pub(crate) fn sources<'a>(
    survey: &Survey<'a>,
    slots: &BTreeMap<NodeName, Slot<'a>>,
    fates: &BTreeMap<MachineId, Fate<'a>>,
    choices: &BTreeMap<MachineId, Choice>,
) -> BTreeMap<NodeName, Source<'a>> {
    let mut sources = BTreeMap::new();
    for (id, choice) in choices {
        let Some(slot) = slots.get(&choice.node) else { continue };
        let renewing = survey.options.replace_outdated || fates.get(id).is_some_and(Fate::is_requested);
        let source = source(survey, slot, renewing);
        let entry = sources.entry(slot.node.clone()).or_insert_with(|| source.clone());
        // One machine that asks for the newest image is enough.
        if source.is_made() {
            *entry = source;
        }
    }
    for slot in slots.values() {
        if matches!(slot.state, SlotState::Working { .. }) {
            sources.entry(slot.node.clone()).or_insert_with(|| source(survey, slot, false));
        }
    }
    sources
}

fn source<'a>(survey: &Survey<'a>, slot: &Slot<'a>, renewing: bool) -> Source<'a> {
    match &slot.state {
        SlotState::Ready(ready) => match (&ready.superseded, ready.outdated && renewing && ready.found.is_some()) {
            (Some(why), _) => made(survey, slot, ready.found.clone(), format!("made anew: {why}")),
            (None, true) => made(survey, slot, ready.found.clone(), "made anew from the newer image".to_owned()),
            (None, false) => used(slot, ready),
        },
        SlotState::HalfMade { found, why } => made(survey, slot, Some(found.clone()), format!("half-made, {why}")),
        SlotState::Working { .. } => {
            let disk = settings::BOOT_DISK.to_owned();
            Source { slot: slot.clone(), work: Work::Wait, image: None, recipe: None, disk, disk_bytes: None }
        }
        SlotState::Absent | SlotState::Blocked { .. } => {
            made(survey, slot, None, "machines are to be cloned there".to_owned())
        }
    }
}

fn used<'a>(slot: &Slot<'a>, ready: &Ready<'a>) -> Source<'a> {
    Source {
        slot: slot.clone(),
        work: Work::Use,
        image: ready.image.clone(),
        recipe: ready.recipe.clone(),
        disk: ready.disk.clone(),
        disk_bytes: ready.disk_bytes,
    }
}

fn made<'a>(survey: &Survey<'a>, slot: &Slot<'a>, old: Option<Found<'a>>, why: String) -> Source<'a> {
    let spec = &survey.desired.template;
    let (image, work) = match &survey.observed.upstream {
        Upstream::Known { digest, .. } => (Some(digest.clone()), Work::Make { old, why }),
        Upstream::Unknown { reason } => (None, Work::NoDigest { reason: reason.clone() }),
    };
    Source {
        slot: slot.clone(),
        work,
        image,
        recipe: spec.bake.as_ref().map(recipe::digest),
        disk: settings::BOOT_DISK.to_owned(),
        disk_bytes: Some(spec.disk_gb.saturating_mul(GIB)),
    }
}
