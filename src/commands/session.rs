//! What most verbs begin with: the two files read, the nodes at hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Stop;
use super::nodes::Nodes;
use crate::cli::Global;
use crate::error::Fault;
use crate::input::{self, Loaded};
use crate::remote::logged::Logged;
use crate::remote::ssh::Ssh;
use crate::sandbox::demo;
use crate::sandbox::remote::SandboxRemote;

const CONFIG: &str = "config.yaml";
const MANIFEST: &str = "cluster.yaml";

/// The inputs and the nodes of one command.
pub struct Session {
    pub loaded: Loaded,
    pub nodes: Arc<Logged<Nodes>>,
    /// The sandbox's folder, where it is one.
    pub sandbox: Option<PathBuf>,
}

/// Reads config and manifest; contacts nothing.
///
/// With `--sandbox`, and neither file named nor in the folder, the built-in examples.
pub fn load(global: &Global) -> Result<Loaded, Stop> {
    let config = global.config.clone().unwrap_or_else(|| CONFIG.into());
    let manifest = manifest_path(global);
    let own_files = global.config.is_some() || global.manifest.is_some() || config.exists() || manifest.exists();
    if global.sandbox.is_some() && !own_files {
        return Ok(input::parse(&input::example_config(), &input::example_manifest(), &input::Env::current())?);
    }
    Ok(input::load(&config, &manifest)?)
}

pub fn manifest_path(global: &Global) -> PathBuf {
    global.manifest.clone().unwrap_or_else(|| MANIFEST.into())
}

/// The files that every verb reads: nothing is written over them but by verbs that edit.
pub fn input_paths(global: &Global) -> Vec<PathBuf> {
    vec![global.config.clone().unwrap_or_else(|| CONFIG.into()), manifest_path(global)]
}

/// Inputs and nodes. Connections are made when the first request goes out.
pub fn open(global: &Global) -> Result<Session, Stop> {
    with(global, load(global)?)
}

/// The nodes of inputs that are read already.
pub fn with(global: &Global, loaded: Loaded) -> Result<Session, Stop> {
    let nodes = Arc::new(Logged::new(nodes(global.sandbox.as_deref(), &loaded)?));
    Ok(Session { loaded, nodes, sandbox: global.sandbox.clone() })
}

fn nodes(sandbox: Option<&Path>, loaded: &Loaded) -> Result<Nodes, Stop> {
    match sandbox {
        Some(dir) => Ok(Nodes::Sandbox(Arc::new(sandbox_nodes(dir, loaded)?))),
        None => {
            let ssh = Ssh::new(&loaded.desired.ssh, &loaded.desired.nodes)
                .map_err(|error| Fault::new("ssh-setup", error.to_string(), error.hint()))?;
            Ok(Nodes::Ssh(Arc::new(ssh)))
        }
    }
}

fn sandbox_nodes(dir: &Path, loaded: &Loaded) -> Result<SandboxRemote, Fault> {
    demo::open(dir, &loaded.desired).map_err(|error| {
        Fault::new(
            "sandbox-folder",
            format!("the sandbox in {} can't be opened: {error}", dir.display()),
            format!("mend what it names, or start anew: pvekube sandbox reset {}", dir.display()),
        )
    })
}
