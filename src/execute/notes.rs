//! Writes a VM's Notes, for `adopt` and `disown`: guarded by the config's digest, judged by what is read back.

use crate::model::ids::{ClusterName, NodeName, OperationName, Vmid};
use crate::model::outcome::Failure;
use crate::model::vm_config::VmConfig;
use crate::pve::report::parse_vm;
use crate::remote::{FollowEvent, FollowRequest, Operation, Probe, Remote, RemoteError, Work};

use super::failure::failure;
use super::random::Random;
use super::read_back::nonce;

/// Which VM, and whose cluster's operation this is.
#[derive(Clone, Copy, Debug)]
pub struct NotesOf<'a> {
    pub node: &'a NodeName,
    pub vmid: Vmid,
    pub cluster: &'a ClusterName,
    /// As it was read; its digest guards the write.
    pub config: &'a VmConfig,
}

/// Sets the description to `text` (empty: none).
///
/// # Errors
/// When the VM was changed meanwhile, or doesn't have the text afterwards; nothing else was touched.
pub async fn write_notes<R: Remote>(remote: &R, vm: NotesOf<'_>, text: &str, seed: u64) -> Result<(), Failure> {
    let name = OperationName::new(format!("{}-{}-notes-{}", vm.cluster, vm.vmid, Random::new(seed).hex(8)));
    let work = Work::Qm { args: arguments(&vm, text) };
    let operation = Operation { name: name.clone(), work, files: Vec::new() };
    let said = run(remote, vm.node, &operation).await.map_err(|error| unanswered(&vm, &error))?;
    let now = read(remote, &vm).await?;
    if now.is_some_and(|config| config.description.trim_end() == text.trim_end()) {
        // Evidence is not needed any more; a folder that stays is cleaned up by the next apply.
        let _ = remote.forget(vm.node, &name).await;
        return Ok(());
    }
    let mut failure = failure(
        "notes-not-written",
        format!("the Notes of VM {} on {} are not as wanted; nothing else was touched", vm.vmid, vm.node),
        "run the command again: it looks at the VM anew",
    );
    failure.evidence = said;
    Err(failure)
}

fn arguments(vm: &NotesOf<'_>, text: &str) -> Vec<String> {
    let mut words = vec!["set".to_owned(), vm.vmid.to_string(), "--digest".to_owned(), vm.config.digest.clone()];
    if text.is_empty() {
        words.extend(["--delete".to_owned(), "description".to_owned()]);
    } else {
        words.extend(["--description".to_owned(), text.to_owned()]);
    }
    words
}

/// Runs to its end; its last lines.
async fn run<R: Remote>(remote: &R, node: &NodeName, operation: &Operation) -> Result<Vec<String>, RemoteError> {
    let mut follower = remote.follow(node).await?;
    remote.start(node, operation).await?;
    let _ = follower.requests.send(FollowRequest::Operation(operation.name.clone()));
    let mut said = Vec::new();
    while let Some(event) = follower.events.recv().await {
        match event {
            FollowEvent::Log { operation: of, line } if of == operation.name => said.push(line),
            FollowEvent::Exited { operation: of, .. } | FollowEvent::Lost { operation: of } if of == operation.name => {
                break;
            }
            FollowEvent::Log { .. }
            | FollowEvent::Exited { .. }
            | FollowEvent::Lost { .. }
            | FollowEvent::Agent { .. } => {}
        }
    }
    Ok(said)
}

async fn read<R: Remote>(remote: &R, vm: &NotesOf<'_>) -> Result<Option<VmConfig>, Failure> {
    let answer = remote.probe(vm.node, &Probe::Vm { vmid: vm.vmid }).await.map_err(|error| unanswered(vm, &error))?;
    let unreadable = |why: String| {
        failure("unreadable", format!("VM {} could not be read back: {why}", vm.vmid), "run the command again")
    };
    let nonce = nonce(&answer.stdout).ok_or_else(|| unreadable("the answer has no beginning".to_owned()))?;
    let report = parse_vm(&nonce, vm.vmid, &answer.stdout).map_err(|error| unreadable(error.to_string()))?;
    report.seen.map(|seen| seen.config).transpose().map_err(unreadable)
}

fn unanswered(vm: &NotesOf<'_>, error: &RemoteError) -> Failure {
    let mut failure = failure(
        "node-unreachable",
        format!("{}: {}; VM {} may or may not have been changed", vm.node, error.sentence, vm.vmid),
        error.hint.clone(),
    );
    failure.evidence.push(error.detail.clone());
    failure
}
