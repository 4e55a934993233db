//! `pvekube init`: looks at a node and writes two files that validate.

mod questions;
mod text;

use std::path::Path;

use super::session::Session;
use super::{Stop, files, look, session};
use crate::cli::{Global, Init as Args};
use crate::error::{Exit, Fault};
use crate::input::{self, Loaded, SourceFile};
use crate::model::observed::{NodeFacts, NodeState, Observed, Realm};
use crate::remote::Remote as _;
use crate::render::line::printable;
use crate::ui::Ui;
use questions::{Answers, choose};
use text::{Facts, Node};

/// A hundred ids are plenty for a cluster, and easy to remember.
const RANGE: u32 = 100;
/// Placeholders for the first look; the written files have what was found.
const ANY_STORAGE: &str = "local-lvm";
const ANY_BRIDGE: &str = "vmbr0";

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let config_path = global.config.clone().unwrap_or_else(|| "config.yaml".into());
    let manifest_path = session::manifest_path(global);
    for path in [&config_path, &manifest_path] {
        if path.exists() {
            return Err(Fault::new(
                "file-exists",
                format!("{} is there already, and init never overwrites", path.display()),
                "edit it, or name other files with --config and --manifest",
            )
            .into());
        }
        // Both or none, and before anything is asked.
        files::can_write(path, &[])?;
    }
    let mut facts = placeholders(args, questions::begin(ui, args)?);
    let session = first_look(global, &facts)?;
    let observed = look::look(ui, &session).await;
    session.nodes.close().await;
    fill(ui, &mut facts, args, &observed?, &session)?;
    let (config, manifest) = (text::config(&facts), text::manifest(&facts));
    // What is written must be what the next command accepts.
    let loaded =
        input::parse(&source(&config_path, &config), &source(&manifest_path, &manifest), &input::Env::current())?;
    files::write_atomically(&config_path, config.as_bytes(), files::Readers::Everybody)?;
    files::write_atomically(&manifest_path, manifest.as_bytes(), files::Readers::Everybody)?;
    ui.data(&format!(
        "Wrote {} and {}. Look them over, then: pvekube plan\n",
        config_path.display(),
        manifest_path.display()
    ))?;
    if facts.nodes.len() > 1 {
        look_again(ui, global, loaded).await?;
    }
    Ok(Exit::Success)
}

/// The other members of the cluster may know us not, or we their host keys: better said now than by the first plan.
async fn look_again(ui: &Ui, global: &Global, loaded: Loaded) -> Result<(), Stop> {
    let session = session::with(global, loaded)?;
    let observed = look::look(ui, &session).await;
    session.nodes.close().await;
    for (name, state) in &observed?.nodes {
        if let NodeState::Silent(silence) = state {
            ui.talk(&format!("Before the first plan, {name}: {}", printable(&silence.hint)));
        }
    }
    Ok(())
}

fn source(path: &Path, text: &str) -> SourceFile {
    SourceFile { name: path.display().to_string(), text: text.to_owned() }
}

/// Before anything is known of the nodes.
fn placeholders(args: &Args, answers: Answers) -> Facts {
    Facts {
        nodes: vec![answers.node],
        ssh_user: answers.user,
        private_key: answers.private_key.map(|path| path.display().to_string()),
        accept_new_host_keys: args.accept_new_host_keys,
        public_key: answers.public_key,
        storage: ANY_STORAGE.to_owned(),
        other_storages: Vec::new(),
        bridge: ANY_BRIDGE.to_owned(),
        other_bridges: Vec::new(),
        template_id: 9000,
        vmid_range: (200, 200 + RANGE - 1),
        cluster: args.cluster.clone(),
        masters: args.masters,
        workers: args.workers,
    }
}

/// A session with just the one node, to see what is there.
fn first_look(global: &Global, facts: &Facts) -> Result<Session, Stop> {
    let Node { name, host, port } = &facts.nodes[0];
    let first = Facts {
        nodes: vec![Node { name: name.clone(), host: host.clone(), port: *port }],
        ssh_user: facts.ssh_user.clone(),
        private_key: facts.private_key.clone(),
        public_key: facts.public_key.clone(),
        storage: facts.storage.clone(),
        other_storages: Vec::new(),
        bridge: facts.bridge.clone(),
        other_bridges: Vec::new(),
        cluster: facts.cluster.clone(),
        ..*facts
    };
    let loaded = input::parse(
        &SourceFile { name: "command line".to_owned(), text: text::config(&first) },
        &SourceFile { name: "command line".to_owned(), text: text::manifest(&first) },
        &input::Env::current(),
    )?;
    session::with(global, loaded)
}

/// What the node answered decides the rest.
fn fill(ui: &Ui, facts: &mut Facts, args: &Args, observed: &Observed, session: &Session) -> Result<(), Fault> {
    let name = &session.loaded.desired.nodes[0].name;
    let node = match observed.nodes.get(name) {
        Some(NodeState::Answered(node)) => node,
        Some(NodeState::Silent(silence)) => {
            return Err(Fault::new(
                "node-unreachable",
                format!("{}: {}", facts.nodes[0].host, silence.reason),
                silence.hint.clone(),
            )
            .with_detail(silence.detail.clone()));
        }
        None => return Err(Fault::new("node-unreachable", "the node gave no answer", "try: ssh HOST true")),
    };
    let realm = observed.realms.get(&node.realm).ok_or_else(|| {
        Fault::new("node-unreachable", "the node has no readable /etc/pve", "see: systemctl status pve-cluster")
    })?;
    facts.nodes = members(realm, node, &facts.nodes[0]);
    (facts.storage, facts.other_storages) =
        choose(ui, args, "storage", &storages(realm, node), args.storage.as_deref(), ANY_STORAGE)?;
    let bridges: Vec<String> = node.bridges.iter().map(|bridge| bridge.as_str().to_owned()).collect();
    (facts.bridge, facts.other_bridges) = choose(ui, args, "bridge", &bridges, args.bridge.as_deref(), ANY_BRIDGE)?;
    facts.masters = questions::count(ui, args, "How many masters", args.masters)?;
    facts.workers = questions::count(ui, args, "How many workers", args.workers)?;
    let taken = |id: u32| realm.guests.keys().any(|vmid| vmid.0 == id);
    facts.template_id = (9000..10_000).find(|id| !taken(*id)).unwrap_or(9000);
    let start = (2..90).map(|hundred| hundred * RANGE).find(|low| !(*low..low + RANGE).any(taken)).unwrap_or(200);
    facts.vmid_range = (start, start + RANGE - 1);
    Ok(())
}

/// Every member of the cluster; the node that was named keeps the host it was reached by. Where its sshd has a port of its
/// own, the others' have the same.
fn members(realm: &Realm, node: &NodeFacts, named: &Node) -> Vec<Node> {
    let host_of = |name: &str, address: Option<&String>| {
        if name == node.pve_name.as_str() {
            named.host.clone()
        } else {
            address.cloned().unwrap_or_else(|| name.to_owned())
        }
    };
    realm
        .members
        .iter()
        .map(|(name, member)| Node {
            name: name.as_str().to_owned(),
            host: host_of(name.as_str(), member.address.as_ref()),
            port: named.port,
        })
        .collect()
}

/// Enabled storages that hold VM disks on this node.
fn storages(realm: &Realm, node: &NodeFacts) -> Vec<String> {
    realm
        .storages
        .iter()
        .filter(|(_, def)| def.enabled && def.content.contains("images"))
        .filter(|(_, def)| def.nodes.as_ref().is_none_or(|nodes| nodes.contains(&node.pve_name)))
        .map(|(name, _)| name.as_str().to_owned())
        .collect()
}
