//! Machines as other tools want them: Ansible, ssh_config, /etc/hosts, JSON. Pure.
//!
//! A machine without a known address is left out of what can't do without one, and named in a comment there.

mod ansible;
mod hosts_file;
mod json;
mod ssh_config;

use std::net::IpAddr;
use std::path::PathBuf;

pub use ansible::ansible;
pub use hosts_file::hosts_file;
pub use json::json;
pub use ssh_config::ssh_config;

use crate::model::desired::{Address, Desired, SshCheck};
use crate::model::ids::{ClusterName, MachineId, MachineName, NodeName, Role, Vmid};
use crate::model::outcome::{MachineReport, Stage};

/// Everything that the formats need.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    pub cluster: ClusterName,
    /// In plan order: masters, workers, named pools; by number.
    pub hosts: Vec<Host>,
    /// The cluster's own known_hosts file, when there is one.
    pub known_hosts: Option<PathBuf>,
}

/// One machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub name: MachineName,
    pub id: MachineId,
    pub role: Role,
    pub node: NodeName,
    pub vmid: Vmid,
    pub address: Option<IpAddr>,
    pub stage: Stage,
    /// As far as readiness goes here: a login, or the host key where no private key is at hand.
    pub ready: bool,
    pub user: String,
    pub port: u16,
    /// Its host keys were read through the guest agent; else the first one seen is taken, unless `known_hosts` has one.
    pub keys_read: bool,
    /// The private key that readiness logs in with, when one is at hand.
    pub identity: Option<PathBuf>,
    /// Reached over its node (`readiness_check.ssh: via_node`).
    pub via: Option<Jump>,
}

impl Host {
    /// For ssh's `StrictHostKeyChecking`: what known_hosts has is binding either way.
    fn host_key_checking(&self) -> &'static str {
        if self.keys_read { "yes" } else { "accept-new" }
    }
}

/// A node as a jump host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    pub node: NodeName,
    pub user: String,
    pub host: String,
    pub port: Option<u16>,
    pub identity: Option<PathBuf>,
}

impl Inventory {
    /// Joins what is wanted with what was seen. A machine that nothing was reported of is left out: it does not exist.
    /// `login_key`: the private key whose public half was put in, where one is at hand.
    pub fn new(
        desired: &Desired,
        reports: &[MachineReport],
        known_hosts: Option<PathBuf>,
        login_key: Option<&PathBuf>,
    ) -> Self {
        let hosts = desired.machines.iter().filter_map(|machine| {
            let report = reports.iter().find(|report| report.name == machine.name)?;
            let fixed = match &machine.network.ipv4 {
                Address::Static { address, .. } => Some(address.address),
                Address::Dhcp => None,
            };
            Some(Host {
                name: machine.name.clone(),
                id: machine.id.clone(),
                role: machine.role,
                node: report.node.clone(),
                vmid: report.vmid,
                address: report.address.or(fixed),
                stage: report.stage,
                ready: report.ready,
                user: machine.cloud_init.user.clone(),
                port: desired.readiness.ssh_port,
                identity: login_key.or(desired.readiness.private_key.as_ref()).cloned(),
                keys_read: !report.host_keys.is_empty(),
                via: jump(desired, &report.node),
            })
        });
        Self { cluster: desired.cluster.clone(), hosts: hosts.collect(), known_hosts }
    }

    /// Machines whose address nobody knows yet.
    pub fn without_address(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.address.is_none())
    }

    fn reachable(&self) -> impl Iterator<Item = (&Host, IpAddr)> {
        self.hosts.iter().filter_map(|host| Some((host, host.address?)))
    }
}

fn jump(desired: &Desired, node: &NodeName) -> Option<Jump> {
    if desired.readiness.ssh != SshCheck::ViaNode {
        return None;
    }
    let target = desired.nodes.iter().find(|target| target.name == *node)?;
    Some(Jump {
        node: node.clone(),
        user: desired.ssh.user.clone(),
        host: target.host.clone(),
        port: target.port,
        identity: desired.ssh.private_key.clone(),
    })
}

/// Comment lines for the machines that are left out.
fn left_out(inventory: &Inventory) -> String {
    inventory
        .without_address()
        .map(|host| {
            format!("# {} (VM {} on {}) has no known address and is left out\n", host.name, host.vmid, host.node)
        })
        .collect()
}

#[cfg(test)]
mod tests;
