//! Steps and resources in words and addresses.

use crate::model::ids::{NodeName, Vmid};
use crate::model::plan::{Action, Step, Target};

/// What a step does, without its subject: `clone template 9000`, `start`.
pub fn step_text(step: &Step) -> String {
    match &step.action {
        Action::FetchImage { url, from_controller, .. } => {
            let file = url.rsplit('/').next().unwrap_or(url);
            let way = if *from_controller { "send" } else { "download" };
            format!("{way} {file}")
        }
        Action::CreateTemplate { .. } => "create the VM".to_owned(),
        Action::ImportDisk { storage, .. } => format!("import the disk into {storage}"),
        Action::Set { set, delete, revert, .. } => {
            let keys: Vec<&str> = set.keys().chain(delete).chain(revert.keys()).map(String::as_str).collect();
            format!("set {}", keys.join(", "))
        }
        Action::Resize { disk, size_gb, .. } => format!("grow {disk} to {size_gb} GB"),
        Action::Bake(_) => "bake: boot once, install, clean".to_owned(),
        Action::ConvertTemplate { .. } => "make it a template".to_owned(),
        Action::RemoveImage { .. } => "remove the image file".to_owned(),
        Action::Clone { template, .. } => format!("clone template {template}"),
        Action::Start { .. } => "start".to_owned(),
        Action::Shutdown { .. } => "shut down".to_owned(),
        Action::Destroy { half_made: false, .. } => "destroy".to_owned(),
        Action::Destroy { half_made: true, .. } => "destroy what is half-made".to_owned(),
        Action::Ready(_) => "wait until it is ready".to_owned(),
        Action::Attach { operation } => format!("wait for {operation}"),
    }
}

/// As OpenTofu writes addresses: `pvekube_machine.k8s-worker-3`, `pvekube_template.ubuntu["pve1"]`.
pub fn address(target: &Target, node: &str) -> String {
    match target {
        Target::Template { name } => format!("pvekube_template.{name}[{}]", serde_json::Value::from(node)),
        Target::Machine { name, .. } => format!("pvekube_machine.{name}"),
    }
}

/// Whether two steps (or a change and a step), each with its subject and node, are about one resource. A machine is one
/// wherever its steps run: a clone from shared storage runs on the template's node. Templates are one for each node.
pub(crate) fn same_resource((target, node): (&Target, &NodeName), (other, other_node): (&Target, &NodeName)) -> bool {
    match target {
        Target::Template { .. } => target == other && node == other_node,
        Target::Machine { .. } => target == other,
    }
}

/// `template 9000` or the machine's name: how progress and reports call it.
pub fn subject_text(target: &Target, vmid: Vmid) -> String {
    match target {
        Target::Template { .. } => format!("template {vmid}"),
        Target::Machine { name, .. } => name.to_string(),
    }
}
