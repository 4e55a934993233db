//! `--sandbox[=DIR]`: a world in a folder, for the nodes of a config. Real clock, faster than life; no shell, no root.

mod foreign;
mod layout;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use layout::{Layout, LayoutNode};

use super::clock::Clock;
use super::fs::Fs;
use super::guest::hypervisor::Hypervisor;
use super::node::storage_cfg;
use super::remote::{Operations, SandboxRemote};
use super::world::{NodeSpec, PveVersion, RealmSpec, StorageKind, StorageSpec, Topology, World};
use super::{image_server, leases};
use crate::model::desired::Desired;

/// Where `--sandbox` keeps its world when no folder is given.
pub const DEFAULT_FOLDER: &str = ".pvekube-sandbox";

/// The file that makes a folder a sandbox.
const WORLD: &str = "world.json";

/// The PVE cluster's name.
pub const CLUSTER: &str = "home";

/// How many times faster than on real nodes things happen: ten machines are ready before one loses patience.
const SPEED: f64 = 5.0;

/// A fixed moment of a fixed world: MACs and the like are the same in every fresh sandbox.
const SEED: u64 = 9;

/// Opens the world of a folder, or makes it; nodes and storages of the config that it lacks are added.
pub fn open(folder: &Path, desired: &Desired) -> io::Result<SandboxRemote> {
    open_layout(folder, &Layout::of(desired))
}

fn open_layout(folder: &Path, layout: &Layout) -> io::Result<SandboxRemote> {
    // Whoever names a folder of their own must not find a world among their files, and lose both to `sandbox reset`.
    // Faults may be set before there is a world.
    let is_other =
        |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != "faults.json");
    let others = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.any(is_other));
    if others && !folder.join(WORLD).is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it has other files in it, and is no sandbox; name a new folder",
        ));
    }
    let fs = Fs::directory(folder)?;
    let guests = Arc::new(Hypervisor::default());
    let world = match World::open(fs.clone(), Clock::real(SPEED), guests.clone()) {
        Ok(world) if covers(&world.topology, layout) => world,
        Ok(world) => {
            let topology = extended(&world.topology, layout);
            let world = World::create(fs, topology, Clock::real(SPEED), guests)?;
            for realm in &world.topology.realms {
                world.fs.write(&format!("/realms/{}/storage.cfg", realm.name), storage_cfg(realm))?;
            }
            world
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let world = World::create(fs, topology(layout), Clock::real(SPEED), guests)?;
            // The world is nobody's source code.
            world.fs.write("/.gitignore", "*\n")?;
            foreign::settle_in(&world, layout)?;
            world
        }
        Err(error) => return Err(error),
    };
    world.follow_faults()?;
    for (network, range) in &layout.dhcp {
        leases::set_range(&world.fs, network, range.clone())?;
    }
    layout.pools.iter().try_for_each(|pool| add_pool(&world, pool))?;
    let names: BTreeMap<_, _> = layout.nodes.iter().map(|node| (node.name.clone(), node.pve_name())).collect();
    Ok(SandboxRemote::new(world, names, Arc::new(Operations::default())))
}

/// What a checksum list says here, without a network; `None`: there is no such file.
pub fn checksums(url: &str, image_url: &str) -> Option<Vec<u8>> {
    image_server::get(url, image_url)
}

/// Removes a world. Refuses a folder that is none; says whether there was one.
pub fn reset(folder: &Path) -> io::Result<bool> {
    if !folder.exists() {
        return Ok(false);
    }
    if !folder.join(WORLD).is_file() {
        let text = format!("{} is not a sandbox (it has no world.json): nothing was removed", folder.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // `.` can be emptied, but not removed.
    std::fs::remove_dir_all(folder.canonicalize()?)?;
    Ok(true)
}

fn node_spec(layout: &Layout, node: &LayoutNode, number: usize) -> NodeSpec {
    NodeSpec {
        name: node.pve_name(),
        address: format!("10.0.0.{}", 2 + number),
        cpus: 16,
        memory_mib: layout.memory_mib,
        version: PveVersion::pve9(),
        bridges: layout.bridges.iter().cloned().collect(),
        resolv_conf: "search home.arpa\nnameserver 10.0.0.1\n".to_owned(),
    }
}

fn storage_specs(layout: &Layout) -> Vec<StorageSpec> {
    let spec = |name: &str, kind, place: &str, content: &[&str], size_gib: u64| StorageSpec {
        name: name.to_owned(),
        kind,
        content: content.iter().map(|kind| (*kind).to_owned()).collect(),
        size_mib: size_gib << 10,
        place: place.to_owned(),
        shared: false,
        sparse: false,
        nodes: None,
    };
    let mut all = vec![spec("local", StorageKind::Dir, "/var/lib/vz", &["iso", "vztmpl", "backup", "snippets"], 94)];
    for name in &layout.image_storages {
        let place = if name == "local-lvm" { "pve/data".to_owned() } else { format!("{name}/data") };
        all.push(spec(name, StorageKind::Lvmthin, &place, &["images", "rootdir"], layout.storage_gib));
    }
    for name in &layout.snippet_storages {
        if all.iter().all(|spec| spec.name != *name) {
            all.push(spec(name, StorageKind::Dir, &format!("/mnt/{name}"), &["snippets", "iso"], 94));
        }
    }
    all
}

fn topology(layout: &Layout) -> Topology {
    let nodes = layout.nodes.iter().enumerate().map(|(number, node)| node_spec(layout, node, number)).collect();
    let realm = RealmSpec {
        name: CLUSTER.to_owned(),
        // One node is no cluster.
        cluster: (layout.nodes.len() > 1).then(|| CLUSTER.to_owned()),
        nodes,
        storages: storage_specs(layout),
    };
    Topology { seed: SEED, realms: vec![realm] }
}

fn covers(topology: &Topology, layout: &Layout) -> bool {
    let Some(realm) = topology.realms.first() else { return false };
    let has_node = |node: &LayoutNode| realm.nodes.iter().any(|spec| spec.name == node.pve_name());
    let has_bridges = realm.nodes.iter().all(|spec| layout.bridges.iter().all(|bridge| spec.bridges.contains(bridge)));
    let has_storage = |wanted: &StorageSpec| realm.storages.iter().any(|spec| spec.name == wanted.name);
    has_bridges && layout.nodes.iter().all(has_node) && storage_specs(layout).iter().all(has_storage)
}

/// The world's own topology with what the config names beside it.
fn extended(before: &Topology, layout: &Layout) -> Topology {
    let mut topology = before.clone();
    let Some(realm) = topology.realms.first_mut() else { return self::topology(layout) };
    for node in &layout.nodes {
        if realm.nodes.iter().all(|spec| spec.name != node.pve_name()) {
            let spec = node_spec(layout, node, realm.nodes.len());
            realm.nodes.push(spec);
        }
    }
    if realm.nodes.len() > 1 {
        realm.cluster = Some(CLUSTER.to_owned());
    }
    for spec in &mut realm.nodes {
        let missing: Vec<String> = layout.bridges.iter().filter(|name| !spec.bridges.contains(name)).cloned().collect();
        spec.bridges.extend(missing);
    }
    for wanted in storage_specs(layout) {
        if realm.storages.iter().all(|spec| spec.name != wanted.name) {
            realm.storages.push(wanted);
        }
    }
    topology
}

/// `pvesh create /pools`, unless it is there.
fn add_pool(world: &Arc<World>, pool: &str) -> io::Result<()> {
    let path = format!("/realms/{CLUSTER}/user.cfg");
    let text = world.fs.read_text(&path)?;
    if text.lines().any(|line| line.starts_with(&format!("pool:{pool}:"))) {
        return Ok(());
    }
    world.fs.write(&path, format!("{}\n\npool:{pool}::::\n", text.trim_end()))
}

#[cfg(test)]
mod tests;
