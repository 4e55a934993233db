//! VM config files as the tools load and store them. The grammar is `pve::conf`'s.

use std::io::ErrorKind;

use super::super::node::SandboxNode;
use super::call::{Call, Die, Run};
use super::schema::{check, schema};
use crate::pve::conf::{self, ConfFile};

/// A loaded config and what it was loaded from.
#[derive(Clone, Debug)]
pub struct Config {
    pub vmid: u32,
    pub file: ConfFile,
    pub digest: String,
}

impl Config {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.file.main.keys.get(key).map(String::as_str)
    }

    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.file.main.keys.insert(key.to_owned(), value.into());
    }

    pub fn unset(&mut self, key: &str) -> Option<String> {
        self.file.main.keys.remove(key)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    pub fn is_template(&self) -> bool {
        self.flag("template")
    }

    /// `VM is locked (backup)`.
    pub fn assert_unlocked(&self) -> Run<()> {
        match self.get("lock") {
            Some(lock) => Err(Die::new(format!("VM is locked ({lock})"))),
            None => Ok(()),
        }
    }

    /// The name, or `VM 9002`, with a space, as the lists show it.
    pub fn display_name(&self) -> String {
        self.get("name").map_or_else(|| format!("VM {}", self.vmid), str::to_owned)
    }

    pub fn assert_digest(&self, digest: Option<&String>) -> Run<()> {
        match digest {
            Some(wanted) if *wanted != self.digest => Err(Die::new("checksum mismatch (file change by other user?)")),
            Some(_) | None => Ok(()),
        }
    }
}

/// Loads the config of a VM of this node. What PVE can't parse it drops with a warning on stderr.
pub fn load(call: &Call<'_>, vmid: u32) -> Run<Config> {
    load_of(call, call.node, vmid)
}

/// As [`load`], of another member's VM.
pub fn load_of(call: &Call<'_>, node: &SandboxNode, vmid: u32) -> Run<Config> {
    let bytes = call.node.read(&node.conf_path(vmid)).map_err(|_| {
        Die::absent(format!("Configuration file 'nodes/{}/qemu-server/{vmid}.conf' does not exist", node.name()))
    })?;
    let mut file = conf::parse_file(&bytes).map_err(|error| Die::new(error.to_string()))?;
    let schema = schema();
    for section in [&mut file.main, &mut file.pending] {
        let mut bad = Vec::new();
        for (key, value) in &section.keys {
            let Some(kind) = schema.get(key).filter(|_| key != "boot") else { continue };
            if let Err(problem) = check(key, kind, value) {
                bad.push((key.clone(), problem));
            }
        }
        for (key, problem) in bad {
            section.keys.remove(&key);
            let problem = problem.trim_start_matches("invalid format - ").trim_end_matches('\n');
            let mut warned = call.warned.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if warned.insert(conf::digest(&bytes)) {
                call.warn(format!("vm {vmid} - unable to parse value of '{key}' - {problem}"))?;
            }
        }
    }
    Ok(Config { vmid, file, digest: conf::digest(&bytes) })
}

/// Stores a config through pmxcfs, which may refuse it (no quorum, VMID taken elsewhere).
pub fn store(call: &Call<'_>, config: &mut Config) -> Run<()> {
    let path = call.node.conf_path(config.vmid);
    if config.file.special.get("cloudinit").is_some_and(|section| section.keys.is_empty()) {
        config.file.special.remove("cloudinit");
    }
    let bytes = config.file.print();
    call.node.pve_write(&path, &bytes).map_err(|error| write_error(call, &path, &error))?;
    config.digest = conf::digest(&bytes);
    Ok(())
}

/// What `file_set_contents` says of a refused write.
pub fn write_error(call: &Call<'_>, path: &str, error: &std::io::Error) -> Die {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            let pid = u16::from_be_bytes([call.node.world.fresh_bytes()[0], 7]);
            Die::absent(format!("unable to open file '{path}.tmp.{pid}' - Permission denied"))
        }
        ErrorKind::AlreadyExists => Die::new(format!("close (rename) atomic file '{path}' failed: File exists")),
        _ => Die::new(format!("unable to write '{path}' - {error}")),
    }
}

/// Removes a config through pmxcfs.
pub fn remove(call: &Call<'_>, vmid: u32) -> Run<()> {
    let path = call.node.conf_path(vmid);
    call.node.pve_remove(&path).map_err(|error| write_error(call, &path, &error))
}

/// Every VM of this node, by VMID.
pub fn local_vmids(node: &SandboxNode) -> Vec<u32> {
    let here = node.name().to_owned();
    node.guests().into_iter().filter(|guest| guest.1 == here && guest.2 == "qemu").map(|guest| guest.0).collect()
}
