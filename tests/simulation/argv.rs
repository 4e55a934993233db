//! P13: the commands that a shown step implies, word by word, and what may tidy up after it.

use pvekube::model::ids::Vmid;
use pvekube::model::plan::{Action, Step};
use pvekube::model::vm_config::VmConfig;
use pvekube::pve::commands;

/// `qm`'s verb (or `free`) and the VM that it works on; `None`: it changes nothing.
pub fn subject(argv: &[String]) -> Option<(&str, u32)> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["qm", "clone", _, new, ..] => Some(("clone", new.parse().ok()?)),
        ["qm", "disk", "resize", vmid, ..] => Some(("resize", vmid.parse().ok()?)),
        ["qm", "status" | "config" | "pending" | "agent" | "list", ..] => None,
        ["qm", verb, vmid, ..] => Some((verb, vmid.parse().ok()?)),
        ["pvesm", "free", volume] => {
            let rest = volume.rsplit(['/', ':']).next()?;
            Some(("free", rest.strip_prefix("vm-").or(rest.strip_prefix("base-"))?.split('-').next()?.parse().ok()?))
        }
        _ => None,
    }
}

pub fn option<'a>(argv: &'a [String], name: &str) -> Option<&'a str> {
    argv.iter().position(|word| word == name).and_then(|at| argv.get(at + 1)).map(String::as_str)
}

/// Whether a step lets this command happen, to a VM whose config is as it is now.
pub fn is_of(step: &Step, argv: &[String], config: Option<&VmConfig>) -> bool {
    let default = VmConfig::default();
    let config = config.unwrap_or(&default);
    let now = plain(&argv[1..]);
    let own = commands::of(&step.action, step.vmid, config);
    own.iter().any(|(words, _)| plain(words) == now) || tidies_up(&step.action, step.vmid, argv, config)
}

/// Whether it does what a step does, with values that somebody else may have changed since they were read.
pub fn is_like(step: &Step, argv: &[String]) -> bool {
    let own = commands::of(&step.action, step.vmid, &VmConfig::default());
    own.iter().any(|(words, _)| words.first().map(String::as_str) == argv.get(1).map(String::as_str))
}

/// Digests differ from look to look, folders from operation to operation.
fn plain(words: &[String]) -> Vec<String> {
    let mut plain: Vec<String> = Vec::new();
    for word in words {
        let follows_digest = plain.last().is_some_and(|last| last == "--digest");
        plain.push(match word.split_once("/files/") {
            Some((folder, file)) if folder.starts_with("/run/pvekube/ops/") => format!("@FOLDER/{file}"),
            _ if follows_digest => "DIGEST".to_owned(),
            _ => word.clone(),
        });
    }
    plain
}

/// What a step that went wrong, or a VM that is to go, may need beside the step's own commands.
fn tidies_up(action: &Action, vmid: Vmid, argv: &[String], config: &VmConfig) -> bool {
    let words = plain(&argv[1..]);
    let is = |other: Vec<String>| words == plain(&other);
    let frees = argv[0] == "pvesm";
    let unlocks = is(commands::unlock(vmid)) && matches!(config.lock(), Some("clone" | "create"));
    let stops = |seconds: u32| is(commands::shutdown(vmid, seconds));
    // A failed change leaves none of its values pending.
    let reverts = |may: &dyn Fn(&str) -> bool| match words.as_slice() {
        [set, id, digest, _, revert, keys] => {
            (set == "set" && *id == vmid.to_string() && digest == "--digest" && revert == "--revert")
                && keys.split(',').all(may)
        }
        _ => false,
    };
    match action {
        Action::ImportDisk { disk, .. } => frees || reverts(&|key| key == disk),
        Action::Set { set, delete, .. } => reverts(&|key| set.contains_key(key) || delete.contains(key)),
        Action::Resize { disk, .. } => reverts(&|key| key == disk),
        Action::Bake(bake) => stops(5) || reverts(&|key| commands::bake_settings(bake).contains_key(key)),
        Action::Clone { .. } => frees || unlocks || stops(5) || is(commands::destroy(vmid)),
        Action::Destroy { .. } => frees || unlocks || stops(5) || stops(120),
        Action::CreateTemplate { .. }
        | Action::ConvertTemplate { .. }
        | Action::Start { .. }
        | Action::Shutdown { .. }
        | Action::FetchImage { .. }
        | Action::RemoveImage { .. }
        | Action::Ready(_)
        | Action::Attach { .. } => false,
    }
}
