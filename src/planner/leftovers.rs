//! Image files that a template of ours no longer needs: an earlier run was cut off in the download or after the conversion, or
//! kept them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::{ImageDigest, NodeName};
use crate::model::mark::MarkSubject;
use crate::model::plan::{Action, StepId};

use super::report::Report;
use super::sources::{Source, Work};
use super::steps::{Graph, Lane, estimate};
use super::survey::{Found, Survey};
use super::template_steps;

/// What still lies on the node of the image that this template was made from, and nothing there needs: the file, or what an
/// interrupted download left of it.
fn file(survey: &Survey<'_>, found: &Found<'_>) -> Option<String> {
    let facts = survey.site(found.node?)?.facts?;
    let image = found.mark.image.as_ref()?;
    // An apply of another cluster may be about to import the same file.
    let wanted = |verb: &str| matches!(verb, "fetch" | "create" | "import");
    if facts.operations.iter().any(|operation| operation.live && wanted(&operation.verb)) {
        return None;
    }
    let path = template_steps::image_path(image);
    if !survey.desired.template.keep_images && facts.images.contains_key(image) {
        return Some(path);
    }
    facts.image_parts.contains(image).then(|| format!("{path}.part"))
}

/// Image files that no template on their node was made from: nobody will ever need them again, but whose they are can't be
/// told, as other clusters of pvekube keep theirs in the same folder. Reported, never touched.
pub(crate) fn unclaimed(survey: &Survey<'_>, sources: &BTreeMap<NodeName, Source<'_>>, report: &mut Report) {
    for (node, site) in &survey.sites {
        let (Some(facts), Some((_, realm))) = (site.facts, site.realm) else { continue };
        if survey.desired.template.keep_images || facts.operations.iter().any(|operation| operation.live) {
            continue;
        }
        let here = realm.guests.values().filter_map(|guest| guest.vm()).filter(|vm| Some(&vm.node) == site.pve_name);
        let of_templates = here.filter_map(|vm| vm.mark());
        let mut claimed: BTreeSet<ImageDigest> =
            of_templates.filter(|mark| mark.subject == MarkSubject::Template).filter_map(|mark| mark.image).collect();
        claimed.extend(
            sources.values().filter(|source| source.slot.node == **node).filter_map(|source| source.image.clone()),
        );
        for image in facts.images.keys().filter(|image| !claimed.contains(*image)) {
            let path = template_steps::image_path(image);
            let text =
                format!("no template was made from the image file on {node}; unless something needs it: rm {path}");
            report.note("unclaimed-image", None, text);
        }
    }
}

/// Finished templates that stay as they are and whose image file goes.
pub(crate) fn images<'a>(
    survey: &Survey<'a>,
    sources: &BTreeMap<NodeName, Source<'a>>,
    doomed: &[(Found<'a>, String)],
) -> Vec<Found<'a>> {
    let mut seen: Vec<(&NodeName, String)> = Vec::new();
    let mut left = Vec::new();
    for found in survey.templates.iter().filter(|_| survey.options.only.is_empty()) {
        let (Some(node), Some(file)) = (found.node, file(survey, found)) else { continue };
        let worked_on = sources.get(node).is_some_and(|source| !matches!(source.work, Work::Use));
        let goes = doomed.iter().any(|(other, _)| other.vmid() == found.vmid() && other.node == found.node);
        let entry = (node, file);
        if !worked_on && !goes && !seen.contains(&entry) {
            seen.push(entry);
            left.push(found.clone());
        }
    }
    left
}

/// Gives the step that removes it, if there is anything to remove.
pub(crate) fn remove(survey: &Survey<'_>, found: &Found<'_>, graph: &mut Graph) -> Option<StepId> {
    let (node, path) = (found.node?.clone(), file(survey, found)?);
    let lane = Lane { node, subject: template_steps::target(survey), vmid: found.vmid(), disruption: None };
    Some(graph.add(&lane, Action::RemoveImage { path }, &[], estimate::REMOVE))
}
