//! `vm_template` → the template, the image and the bake.

use std::collections::BTreeMap;

use crate::input::address;
use crate::input::config::{BakeNetworkSection, Config, TemplateSection};
use crate::input::number::VmidNumber;
use crate::input::problem::{Faults, Problem, shown};
use crate::input::problem_id::ProblemId;
use crate::input::resolve::network::{self, StaticAddresses};
use crate::input::resolve::{entries, nodes_hint, values};
use crate::input::value::{Bios, Mode};
use crate::input::walk::{At, Given};
use crate::input::words::Url;
use crate::model::desired::{Address, Bake, Network, NodeTarget, TemplateSpec};
use crate::model::ids::{NodeName, Vmid};

/// `None`: wrong, and noted. `nodes`: `None` where they are not known.
pub(super) fn resolve(config: &Config, nodes: Option<&[NodeTarget]>, faults: &mut Faults) -> Option<TemplateSpec> {
    let at = config.vm_template.get()?;
    let section = &at.value;
    check_image(at, faults);
    let ids = ids(&section.ids, nodes, faults);
    let bake = bake(section, nodes, faults);
    Some(TemplateSpec {
        name: section.name.get()?.0.clone(),
        id: vmid(section.id.get()?),
        ids: ids?,
        image_url: section.image_url.get()?.0.clone(),
        checksum_url: section.checksum_url.get().map(|url| url.0.clone()),
        image_digest: section.image_digest.get().map(|digest| digest.value.clone()),
        storage: section.storage_pool.get()?.value.clone(),
        bridge: section.network_bridge.value.clone(),
        cores: section.base_cpus.u32(),
        memory_mb: section.base_memory_mb.0,
        disk_gb: section.base_disk_gb.0,
        snippet_storage: section.snippet_storage.value.clone(),
        cpu: section.cpu.0.clone(),
        machine: section.machine.0.clone(),
        bios: match section.bios.value {
            Bios::Seabios => "seabios".to_owned(),
            Bios::Ovmf => "ovmf".to_owned(),
        },
        keep_images: section.keep_images.value,
        download: section.download.value,
        bake: bake?,
    })
}

fn vmid(number: &At<VmidNumber>) -> Vmid {
    Vmid(number.u32())
}

/// The image must be one that PVE imports, and one that can be verified.
fn check_image(at: &At<TemplateSection>, faults: &mut Faults) {
    let section = &at.value;
    if let Some(url) = section.image_url.get() {
        check_image_kind(url, faults);
    }
    if section.checksum_url.is_absent() && section.image_digest.is_absent() {
        let message = "`vm_template` has neither `checksum_url` nor `image_digest`".to_owned();
        let problem = Problem::new(ProblemId::ImageUnverified, at.key, message);
        faults.add(
            problem.help(
                "add the `checksum_url` of the SHA256SUMS file beside the image, or pin `image_digest: sha256-…`",
            ),
        );
    }
    if let Some(url) = section.checksum_url.get()
        && section.image_digest.is_absent()
        && url.0.starts_with("http://")
        && !is_local(&url.0)
    {
        let message = "the checksums come over plain http, where they can be forged together with the image".to_owned();
        let problem = Problem::new(ProblemId::ChecksumUnprotected, url.span, message).warning();
        faults.add(problem.help("take https, or pin `image_digest: sha256-…`"));
    }
}

fn check_image_kind(url: &At<Url>, faults: &mut Faults) {
    let path = url.0.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let packed = [".xz", ".gz", ".zip", ".bz2", ".zst", ".tar", ".7z"].iter().find(|end| path.ends_with(**end));
    if let Some(end) = packed {
        let message = format!("the image is packed (`{end}`); Proxmox imports qcow2, raw and vmdk");
        let problem = Problem::new(ProblemId::ImageCompressed, url.span, message);
        faults.add(problem.help("take the `.img` or `.qcow2` beside it, or unpack it and serve it yourself"));
    } else if path.ends_with(".iso") {
        let message = "the image is an installation disc (`.iso`), not a cloud image".to_owned();
        let problem = Problem::new(ProblemId::ImageCompressed, url.span, message);
        faults.add(problem.help("take the distribution's cloud image: `.img` or `.qcow2`"));
    }
}

/// Loopback: nobody is on the way.
fn is_local(url: &str) -> bool {
    let host = url.trim_start_matches("http://").split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.")
}

fn ids(
    table: &Given<crate::input::collection::Table<VmidNumber>>,
    nodes: Option<&[NodeTarget]>,
    faults: &mut Faults,
) -> Option<BTreeMap<NodeName, Vmid>> {
    if table.is_bad() {
        return None;
    }
    let mut ids = BTreeMap::new();
    for (name, number) in entries(table) {
        if let Some(nodes) = nodes
            && nodes.iter().all(|node| node.name.as_str() != name.value)
        {
            let message = format!("`proxmox_nodes` has no node `{}`", shown(&name.value));
            let problem = Problem::new(ProblemId::UnknownNode, name.span, message);
            faults.add(problem.help(nodes_hint(&name.value, nodes)));
        }
        ids.insert(NodeName::new(name.value.clone()), vmid(number?));
    }
    Some(ids)
}

/// `Some(None)`: no bake.
fn bake(section: &TemplateSection, nodes: Option<&[NodeTarget]>, faults: &mut Faults) -> Option<Option<Bake>> {
    let bake = &section.bake;
    let addresses = bake_addresses(&bake.network, nodes, faults);
    if !bake.enabled.value {
        return Some(None);
    }
    let addresses = addresses?;
    let bridge = bake.network.bridge.get().unwrap_or(&section.network_bridge);
    Some(Some(Bake {
        network: Network {
            bridge: bridge.value.clone(),
            vlan: bake.network.vlan.get().map(|vlan| vlan.u16()),
            ipv4: addresses.first,
            ipv6: None,
        },
        addresses: addresses.by_node,
        packages: values(&bake.packages).map(|package| package.0.clone()).collect(),
        commands: values(&bake.commands).map(|command| command.0.clone()).collect(),
        timeout_s: bake.timeout_seconds.u32(),
    }))
}

struct BakeAddresses {
    /// Of the first node; with a single static address, of all, whose bakes then run one after the other.
    first: Address,
    by_node: BTreeMap<NodeName, Address>,
}

fn bake_addresses(
    network: &BakeNetworkSection,
    nodes: Option<&[NodeTarget]>,
    faults: &mut Faults,
) -> Option<BakeAddresses> {
    let plan = StaticAddresses {
        mode: &network.mode,
        addresses: &network.addresses,
        gateway: &network.gateway,
        overridden: false,
    };
    if plan.mode(faults)? == Mode::Dhcp {
        return Some(BakeAddresses { first: Address::Dhcp, by_node: BTreeMap::new() });
    }
    let list = network.addresses.get()?;
    let gateway = network::gateway(&network.gateway, false, faults)?;
    let nodes = nodes?;
    let count = address::count(list);
    if count > 1 && count < nodes.len() as u128 {
        let message = format!("there are {count} addresses for the bakes of {} nodes", nodes.len());
        let problem = Problem::new(ProblemId::AddressMissing, list.span, message);
        faults.add(problem.help(
            "give one address a node, in the order of `proxmox_nodes`; or a single one, for one bake after the other",
        ));
        return None;
    }
    let mut addresses = Vec::new();
    for (number, node) in (1..).zip(nodes).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let (cidr, at) = address::of_number(list, number)?;
        network::check(cidr, at.span, gateway, false, faults);
        let address = Address::Static { address: cidr, gateway: gateway.map(|at| at.value) };
        addresses.push((node.name.clone(), address));
    }
    let first = addresses.first()?.1.clone();
    let by_node = if count > 1 { addresses.into_iter().collect() } else { BTreeMap::new() };
    Some(BakeAddresses { first, by_node })
}
