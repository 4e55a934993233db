//! `pvekube inventory`: the machines for Ansible, ssh, /etc/hosts.

use std::path::PathBuf;
use std::sync::Arc;

use super::session::{self, Session};
use super::{Stop, known_hosts, login_keys, look};
use crate::cli::{Global, Inventory as Args, InventoryFormat};
use crate::error::{Exit, Fault};
use crate::execute::{self, GlanceOptions, LoginKeys};
use crate::inventory::{self, Inventory};
use crate::model::desired::Desired;
use crate::model::ids::MachineName;
use crate::model::outcome::MachineReport;
use crate::remote::Remote as _;
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let done = print(ui, &session, args).await;
    session.nodes.close().await;
    done
}

/// Every machine as it is now.
pub async fn live(ui: &Ui, session: &Session, known_hosts: PathBuf) -> Result<Inventory, Stop> {
    let desired = &session.loaded.desired;
    let keys = login_keys::find(desired).await;
    let observed = look::look(ui, session).await?;
    let options = GlanceOptions { keys: keys.clone(), known_hosts: Some(known_hosts.clone()) };
    let machines = execute::glance(desired, &observed, Arc::clone(&session.nodes), options).await;
    Ok(list(desired, &machines, known_hosts, &keys))
}

/// Its file names are good in every folder: an inventory is seldom used where it was written.
pub fn list(desired: &Desired, machines: &[MachineReport], known_hosts: PathBuf, keys: &LoginKeys) -> Inventory {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let mut list = Inventory::new(desired, machines, Some(absolute(known_hosts)), keys.files.first());
    for host in &mut list.hosts {
        host.identity = host.identity.take().map(absolute);
        if let Some(jump) = &mut host.via {
            jump.identity = jump.identity.take().map(absolute);
        }
    }
    list
}

async fn print(ui: &Ui, session: &Session, args: &Args) -> Result<Exit, Stop> {
    let desired = &session.loaded.desired;
    let file = known_hosts::path(session, args.known_hosts.as_deref())?;
    let hosts = match &args.observed {
        Some(path) => {
            let machines = execute::as_observed(desired, &look::saved(path)?.0);
            list(desired, &machines, file, &login_keys::find(desired).await)
        }
        None => live(ui, session, file).await?,
    };
    ui.data(&match args.format {
        InventoryFormat::Ansible => inventory::ansible(&hosts),
        InventoryFormat::SshConfig => inventory::ssh_config(&hosts),
        InventoryFormat::Hosts => inventory::hosts_file(&hosts),
        InventoryFormat::Json => inventory::json(&hosts),
    })?;
    let reachable = |name: &MachineName| hosts.hosts.iter().any(|host| host.name == *name && host.address.is_some());
    let missing: Vec<&str> =
        desired.machines.iter().filter(|wanted| !reachable(&wanted.name)).map(|wanted| wanted.name.as_str()).collect();
    if missing.is_empty() {
        return Ok(Exit::Success);
    }
    ui.fault(&Fault::new(
        "no-address",
        format!("not in the inventory, because no address is known: {}", missing.join(", ")),
        match args.observed {
            Some(_) => "an observation knows static addresses only; ask the nodes: pvekube inventory",
            None => "see why: pvekube status",
        },
    ));
    Ok(Exit::Failure)
}
