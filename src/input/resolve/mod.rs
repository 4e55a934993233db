//! Typed files → `Desired`: every default applied once, every contradiction between keys found.
//!
//! Where a value was wrong its problem is noted already; here it is passed over in silence, so that one fault is told once.

mod addressing;
mod cloud_init;
mod hardware;
mod machines;
mod network;
mod nodes;
mod own;
mod pools;
mod template;

use std::path::{Path, PathBuf};

use super::Env;
use super::collection::Table;
use super::config::{Config, HooksSection, ReadinessSection};
use super::hint;
use super::manifest::Manifest;
use super::number::Seconds;
use super::problem::{Faults, Problem, SourceFile, listed, shown};
use super::problem_id::ProblemId;
use super::walk::{At, Given};
use super::words::{Argument, FilePath};
use crate::model::desired::{Desired, Hook, Hooks, Limits, NodeTarget, Readiness, SshSettings};
use crate::model::ids::{ClusterName, Vmid};

/// What resolving looks at: either file may be missing because it could not be read at all.
pub struct Inputs<'a> {
    pub config: Option<&'a Config>,
    pub manifest: Option<&'a Manifest>,
    pub config_file: &'a SourceFile,
    pub manifest_file: &'a SourceFile,
    pub env: &'a Env<'a>,
}

/// `None`: at least one problem is noted.
pub fn resolve(inputs: &Inputs<'_>, faults: &mut Faults) -> Option<Desired> {
    let nodes = inputs.config.and_then(|config| nodes::resolve(config, faults));
    let from_config = inputs.config.map(|config| {
        let ssh = ssh(config, inputs, faults);
        let template = template::resolve(config, nodes.as_deref(), faults);
        let cloud_init = cloud_init::resolve(config, inputs, faults);
        let readiness = readiness(config, inputs, faults);
        (ssh, template, cloud_init, readiness)
    });
    let machines = inputs.manifest.map(|manifest| machines::resolve(manifest, nodes.as_deref(), inputs, faults));
    let (config, manifest) = (inputs.config?, inputs.manifest?);
    let (ssh, template, cloud_init, readiness) = from_config?;
    let cloud_init = cloud_init?;
    let machines = machines??.into_iter().map(|draft| draft.finish(&cloud_init)).collect();
    Some(Desired {
        cluster: ClusterName::new(manifest.cluster.get()?.0.clone()),
        nodes: nodes?,
        ssh: ssh?,
        template: template?,
        machines,
        vmid_range: (Vmid(config.vmid_range.first), Vmid(config.vmid_range.last)),
        pve_pool: config.pool.get().map(|pool| pool.value.clone()),
        placement: config.placement.strategy.value,
        limits: limits(config),
        readiness: readiness?,
        prune: manifest.prune.value,
        hooks: hooks(&config.hooks),
    })
}

fn ssh(config: &Config, inputs: &Inputs<'_>, faults: &mut Faults) -> Option<SshSettings> {
    let private_key = private_key(&config.ssh_private_key_path, inputs, faults);
    let config_file = path(&config.ssh.config_file, inputs, faults);
    Some(SshSettings {
        user: config.ssh_user.0.clone(),
        private_key: private_key?,
        config_file: config_file?,
        known_hosts: config.ssh.known_hosts.value,
        connect_timeout_s: config.ssh.connect_timeout_seconds.u32(),
        sudo: config.ssh.sudo.value,
    })
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        per_node: limits.per_node.u32(),
        clones_per_storage: limits.clones_per_storage.u32(),
        memory_overcommit: limits.memory_overcommit.value.0,
        storage_overcommit: limits.storage_overcommit.value.0,
        max_unavailable: limits.max_unavailable.value.0,
    }
}

fn readiness(config: &Config, inputs: &Inputs<'_>, faults: &mut Faults) -> Option<Readiness> {
    let section: &ReadinessSection = &config.readiness_check;
    let private_key = private_key(&section.ssh_private_key_path, inputs, faults);
    let (timeout, interval) = (&section.timeout_seconds, &section.ssh_check_interval_seconds);
    if interval.value.0 > timeout.value.0 {
        let message = format!("the login is tried every {} s, but given up after {} s", interval.0, timeout.0);
        let problem = Problem::new(ProblemId::ReadinessSettings, interval.span, message).warning();
        faults.add(problem.help("make `ssh_check_interval_seconds` smaller than `timeout_seconds`"));
    }
    Some(Readiness {
        timeout_s: timeout.u32(),
        ssh_interval_s: interval.u32(),
        ssh: section.ssh.value,
        private_key: private_key?,
        ssh_port: section.ssh_port.u16(),
        exclude: values(&section.exclude_networks).map(|net| net.0.to_string()).collect(),
    })
}

fn hooks(section: &HooksSection) -> Hooks {
    let hook = |command: &Given<Vec<At<Argument>>>, timeout: &At<Seconds>| {
        let command: Vec<String> = values(command).map(|argument| argument.0.clone()).collect();
        (!command.is_empty()).then(|| Hook { command, timeout_s: timeout.u32() })
    };
    Hooks {
        before_stop: hook(&section.before_stop, &section.timeout_seconds),
        after_ready: hook(&section.after_ready, &section.timeout_seconds),
    }
}

/// A list's elements; nothing when it was left out.
fn values<T>(list: &Given<Vec<At<T>>>) -> impl Iterator<Item = &At<T>> {
    list.get().into_iter().flat_map(|list| list.value.iter())
}

/// A table's entries; nothing when it was left out.
fn entries<T>(table: &Given<Table<T>>) -> impl Iterator<Item = (&At<String>, Option<&At<T>>)> {
    table.get().into_iter().flat_map(|table| table.value.0.iter().map(|(name, value)| (name, value.as_ref())))
}

/// For a node's name that the config does not have.
fn nodes_hint(name: &str, nodes: &[NodeTarget]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    match hint::closest(name, names.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("its nodes are {}", listed(names)),
    }
}

/// `Some(None)`: not given. `None`: wrong, and noted.
fn path(given: &Given<FilePath>, inputs: &Inputs<'_>, faults: &mut Faults) -> Option<Option<PathBuf>> {
    let Some(at) = given.get() else {
        return (!given.is_bad()).then_some(None);
    };
    match expanded(&at.value.0, inputs) {
        Ok(path) => Some(Some(path)),
        Err((message, help)) => {
            faults.add(Problem::new(ProblemId::BadPath, at.span, message).help(help));
            None
        }
    }
}

fn private_key(given: &Given<FilePath>, inputs: &Inputs<'_>, faults: &mut Faults) -> Option<Option<PathBuf>> {
    if let Some(at) = given.get()
        && let Some(private) = at.value.0.strip_suffix(".pub")
    {
        let message = format!("`{}` is a public key's file; the private key is wanted", shown(&at.value.0));
        let problem = Problem::new(ProblemId::PrivateKeyPublic, at.span, message);
        faults.add(problem.help(format!("write `{}`", shown(private))));
        return None;
    }
    path(given, inputs, faults)
}

/// `~` is the home folder; relative paths start at the config's folder, wherever pvekube is called from.
fn expanded(text: &str, inputs: &Inputs<'_>) -> Result<PathBuf, (String, String)> {
    if text.contains('$') {
        return Err((
            format!("`{}`: environment variables are not expanded in paths", shown(text)),
            "write the path out; `~` stands for your home folder".to_owned(),
        ));
    }
    if let Some(rest) = text.strip_prefix('~') {
        let rest = match rest.strip_prefix('/') {
            Some(rest) => rest,
            None if rest.is_empty() => "",
            None => {
                return Err((
                    format!("`{}`: only your own home folder can be written with `~`", shown(text)),
                    "write the whole path".to_owned(),
                ));
            }
        };
        let home = inputs.env.home.as_ref().ok_or_else(|| {
            (
                format!("`{}`: your home folder is not known", shown(text)),
                "set HOME, or write the whole path".to_owned(),
            )
        })?;
        return Ok(home.join(rest));
    }
    let folder = Path::new(&inputs.config_file.name).parent().unwrap_or(Path::new(""));
    Ok(folder.join(text))
}
