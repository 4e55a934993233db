//! Where the machines' host keys are kept.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::session::Session;
use crate::error::Fault;

/// The cluster's own known_hosts: the flag, the sandbox's folder, or the user's state folder.
pub fn path(session: &Session, flag: Option<&Path>) -> Result<PathBuf, Fault> {
    if let Some(path) = flag {
        return Ok(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    }
    let cluster = session.loaded.desired.cluster.as_str();
    if let Some(dir) = &session.sandbox {
        // Other programs read the path from an inventory: it must not depend on where they run.
        return Ok(std::path::absolute(dir).unwrap_or_else(|_| dir.clone()).join("known_hosts"));
    }
    let base = etcetera::base_strategy::Xdg::new().map_err(|error| {
        Fault::new(
            "no-home",
            format!("there is no home folder for the machines' host keys: {error}"),
            "give --known-hosts FILE",
        )
    })?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("pvekube").join(cluster).join("known_hosts"))
}
