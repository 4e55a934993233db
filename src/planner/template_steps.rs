//! A template's steps: image, VM without a disk, import, drives, resize, bake, conversion.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::desired::{Bake, Download, Network};
use crate::model::ids::{ImageDigest, NodeName, Vmid};
use crate::model::mark::Mark;
use crate::model::observed::NodeFacts;
use crate::model::plan::{Action, BakeStep, StepId, Target};

use super::addresses;
use super::recipe;
use super::settings;
use super::sources::{Source, Work};
use super::steps::{Graph, Lane, estimate};
use super::survey::{Found, Survey};

/// Where an image lies on a node, named by its digest.
pub(crate) fn image_path(digest: &ImageDigest) -> String {
    format!("/var/lib/pvekube/images/{digest}.img")
}

pub(crate) fn target(survey: &Survey<'_>) -> Target {
    Target::Template { name: survey.desired.template.name.clone() }
}

/// Steps of every template that is made; gives the step after which each can be cloned.
pub(crate) fn add<'a>(
    survey: &Survey<'a>,
    sources: &BTreeMap<NodeName, Source<'a>>,
    graph: &mut Graph,
) -> BTreeMap<NodeName, StepId> {
    let mut done = BTreeMap::new();
    // Two bakes with one static address would answer for each other: one after the other.
    let mut bakes: BTreeMap<IpAddr, StepId> = BTreeMap::new();
    for (node, source) in sources {
        let (Work::Make { old, .. }, Some(digest), Some(facts)) =
            (&source.work, &source.image, survey.site(node).and_then(|site| site.facts))
        else {
            continue;
        };
        let maker = Maker { survey, source, facts, digest, mark: source.mark(survey) };
        done.insert(node.clone(), maker.add(old.as_ref(), &mut bakes, graph));
    }
    done
}

struct Maker<'m, 'a> {
    survey: &'m Survey<'a>,
    source: &'m Source<'a>,
    facts: &'a NodeFacts,
    digest: &'m ImageDigest,
    mark: Mark,
}

impl<'a> Maker<'_, 'a> {
    fn add(&self, old: Option<&Found<'a>>, bakes: &mut BTreeMap<IpAddr, StepId>, graph: &mut Graph) -> StepId {
        let spec = &self.survey.desired.template;
        let lane = Lane {
            node: self.source.slot.node.clone(),
            subject: target(self.survey),
            vmid: self.source.vmid(),
            disruption: None,
        };
        let mut before = Vec::new();
        if let Some(found) = old {
            before.push(destroy_template(found, self.survey, &[], graph));
        }
        let create = Action::CreateTemplate {
            mark: self.mark.clone(),
            set: settings::template(self.survey.desired, &self.mark),
        };
        let created = graph.add(&lane, create, &before, estimate::CREATE);
        let mut ready = vec![created];
        if !self.facts.images.contains_key(self.digest) {
            let fetch = Action::FetchImage {
                url: spec.image_url.clone(),
                digest: self.digest.clone(),
                path: image_path(self.digest),
                from_controller: spec.download == Download::Controller,
            };
            // Only then: the VM's mark tells the next run whose an interrupted download is.
            ready.push(graph.add(&lane, fetch, &[created], estimate::FETCH));
        }
        let imported = graph.add(&lane, self.import(), &ready, estimate::IMPORT);
        let set = Action::Set {
            mark: self.mark.clone(),
            set: settings::template_drives(self.survey.desired),
            delete: BTreeSet::new(),
            revert: BTreeMap::new(),
        };
        let drives = graph.add(&lane, set, &[imported], estimate::SET);
        let disk = settings::BOOT_DISK.to_owned();
        let resize = Action::Resize { mark: self.mark.clone(), disk, size_gb: spec.disk_gb };
        let mut last = graph.add(&lane, resize, &[drives], estimate::RESIZE);
        if let Some(bake) = &spec.bake {
            last = self.add_bake(&lane, bake, last, bakes, graph);
        }
        let convert = Action::ConvertTemplate { mark: self.mark.clone() };
        let converted = graph.add(&lane, convert, &[last], estimate::CONVERT);
        if !spec.keep_images {
            let remove = Action::RemoveImage { path: image_path(self.digest) };
            graph.add(&lane, remove, &[converted], estimate::REMOVE);
        }
        converted
    }

    fn import(&self) -> Action {
        Action::ImportDisk {
            mark: self.mark.clone(),
            disk: settings::BOOT_DISK.to_owned(),
            storage: self.survey.desired.template.storage.clone(),
            image_path: image_path(self.digest),
            options: settings::DISK_OPTIONS.to_owned(),
        }
    }

    fn add_bake(
        &self,
        lane: &Lane,
        bake: &Bake,
        after: StepId,
        bakes: &mut BTreeMap<IpAddr, StepId>,
        graph: &mut Graph,
    ) -> StepId {
        let network = bake_network(bake, &self.source.slot.node);
        let mut needs = vec![after];
        needs.extend(addresses::fixed(&network).filter_map(|address| bakes.get(&address)));
        let step = graph.add(lane, Action::Bake(self.bake_step(bake, &network)), &needs, estimate::BAKE);
        bakes.extend(addresses::fixed(&network).map(|address| (address, step)));
        step
    }

    fn bake_step(&self, bake: &Bake, own: &Network) -> BakeStep {
        let desired = self.survey.desired;
        let storage = &desired.template.snippet_storage;
        let file = snippet_file(bake, self.source.vmid());
        let realm = self.survey.observed.realms.get(&self.source.slot.realm_id);
        let path =
            realm.and_then(|realm| realm.storages.get(storage)).and_then(|definition| definition.path.as_deref());
        let mut network = BTreeMap::from([("ipconfig0".to_owned(), settings::ipconfig(own))]);
        // Whatever DNS machines get by default is what the bake's packages are found by.
        let given = self.survey.wanted.values().next().map(|machine| &machine.cloud_init);
        let dns = given.map_or_else(Vec::new, |cloud_init| settings::dns(cloud_init, self.facts));
        network.extend(dns.into_iter().map(|(key, value)| (key.to_owned(), value)));
        BakeStep {
            mark: self.mark.clone(),
            snippet_volume: format!("{storage}:snippets/{file}"),
            snippet_path: format!("{}/snippets/{file}", path.unwrap_or("/var/lib/vz").trim_end_matches('/')),
            document: recipe::document(bake),
            network,
            timeout_s: bake.timeout_s,
        }
    }
}

/// A bake's snippet. The storage may be shared, and other bakes at work: each removes its own.
pub(crate) fn snippet_file(bake: &Bake, vmid: Vmid) -> String {
    format!("pvekube-bake-{}-{vmid}.yaml", recipe::digest(bake))
}

/// A bake's network on one node: its own address there, if it was given one.
pub(crate) fn bake_network(bake: &Bake, node: &NodeName) -> Network {
    let own = bake.addresses.get(node).unwrap_or(&bake.network.ipv4);
    Network { ipv4: own.clone(), ..bake.network.clone() }
}

/// A template of ours goes, whole or half-made.
pub(crate) fn destroy_template(found: &Found<'_>, survey: &Survey<'_>, needs: &[StepId], graph: &mut Graph) -> StepId {
    let node = found.node.cloned().unwrap_or_else(|| NodeName::new(found.vm.node.as_str()));
    let lane = Lane { node, subject: target(survey), vmid: found.vmid(), disruption: None };
    let half_made = super::templates::unfinished(found).is_some();
    graph.add(&lane, Action::Destroy { mark: found.mark.clone(), half_made }, needs, estimate::DESTROY)
}
