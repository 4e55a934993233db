//! The catalogue of faults: every id that an error or a failed step can have, with cause and remedy.
//!
//! `docs/troubleshooting.md` is made from it; a test finds every id in the sources here.

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultInfo {
    pub id: &'static str,
    pub cause: &'static str,
    pub remedy: &'static str,
}

const fn info(id: &'static str, cause: &'static str, remedy: &'static str) -> FaultInfo {
    FaultInfo { id, cause, remedy }
}

/// Sorted by id.
pub const FAULTS: &[FaultInfo] = &[
    info(
        "adopt",
        "The VM can't become this machine: wrong name, another's mark, a template, a lock, or the machine exists already.",
        "Do what the message says; nothing was changed.",
    ),
    info(
        "bake-failed",
        "The template's one boot did not end with `pvekube-bake: ok`; the console's lines are shown.",
        "Mend the named module, package or command (often: no network in the bake; see `vm_template.bake.network`), then apply again.",
    ),
    info("cancelled", "The question was not answered with `yes`.", "Run it again."),
    info(
        "checks-failed",
        "A preflight check failed; nothing was changed.",
        "See the checks above the message, each with its remedy.",
    ),
    info(
        "clone-failed",
        "`qm clone` did not leave a complete VM; its last lines are shown.",
        "Mend what they say (often space on the storage), then apply again: the half-made clone is recognised and made anew.",
    ),
    info(
        "connection-lost",
        "The connection to a node went away while it worked, and did not come back in time.",
        "Apply again: what still runs on the node is attached to.",
    ),
    info(
        "create-failed",
        "`qm create` of a template did not leave a marked VM.",
        "Mend what its last lines say, then apply again.",
    ),
    info(
        "create-flags",
        "Flags of `create` that contradict each other.",
        "Follow the message; see `pvekube create --help`.",
    ),
    info(
        "destroy-failed",
        "The VM is still there after `qm destroy`.",
        "Mend what its last lines say (protection, a lock, linked clones), then apply again.",
    ),
    info(
        "expect-digest",
        "`--expect` needs 12 to 64 hex digits.",
        "Take `plan_digest` from the JSON plan, or the digest from the pull-request comment.",
    ),
    info(
        "file-exists",
        "`init` never overwrites a file.",
        "Edit the file, or name others with `--config` and `--manifest`.",
    ),
    info(
        "half-created",
        "A VM is nothing but a lock: a `qm create` or `qm clone` was killed on the node in its first moments. It has no mark, so it is not touched.",
        "Look at it on the node; if nobody works on it, run the command that the message shows.",
    ),
    info(
        "hazard",
        "The plan has a hazard that nobody accepted; nothing was changed.",
        "If you want it, add the `--accept` flags that the message lists.",
    ),
    info(
        "hook-failed",
        "A hook of the config failed or timed out; that machine's change was stopped.",
        "Mend the hook, or leave hooks out with `--no-hooks`.",
    ),
    info(
        "image-failed",
        "The image could not be fetched to the node, or its digest was wrong.",
        "Check `image_url` and `checksum_url` from the node; with `download: controller` it is streamed from here.",
    ),
    info(
        "import-failed",
        "The image could not be imported as the template's disk.",
        "Mend what `qm set` said (often space on the storage), then apply again.",
    ),
    info(
        "init-flags",
        "`init` lacks something that it can't ask for or find.",
        "Give it with the flag that the message names.",
    ),
    info(
        "internal",
        "A step of pvekube itself broke. This is a bug.",
        "Apply again; please report it with the output of `-vv`.",
    ),
    info(
        "lock-lost",
        "The apply lock of a node was lost and could not be taken again.",
        "Apply again when the node is back; nothing new was started there.",
    ),
    info(
        "lock-stolen",
        "Another apply held the lock in between: what was planned may not be true any more.",
        "Plan again.",
    ),
    info("locked", "Another apply of this cluster runs.", "Wait with `--lock-timeout 10m`; see `pvekube lock show`."),
    info("log-file", "`--log-file` can't be written.", "Name a file in a folder that you may write to."),
    info(
        "made-meanwhile",
        "Another run made this machine, or may have, between the plan's look and its locks: it is not made a second time.",
        "Run apply again: it plans with what is there now.",
    ),
    info("manifest-edit", "The manifest has a form that can't be edited in place.", "Edit it by hand, then apply."),
    info(
        "needs-approval",
        "Nobody can say yes: no terminal, and no `--auto-approve`; no node was contacted.",
        "Add `--auto-approve`, or apply a saved plan.",
    ),
    info("no-address", "Machines without a known address are not in the inventory.", "See why: `pvekube status`."),
    info("no-home", "There is no home folder for the machines' host keys.", "Give `--known-hosts FILE`."),
    info("no-manifest", "The verb edits the manifest, and there is none.", "Write one with `pvekube init`."),
    info("no-runtime", "The program could not start its event loop.", "Check the limits of this process: `ulimit -a`."),
    info(
        "node-refused",
        "A node ran our program, and it said no.",
        "Read what the node said; check permissions of the SSH user.",
    ),
    info(
        "node-unreachable",
        "A node could not be reached over SSH.",
        "Try `ssh HOST true` with the same key; see what ssh said. `plan --without-node NODE` shows what a plan without it would do.",
    ),
    info(
        "not-ours",
        "Right before a change the VM did not carry our mark any more; nothing was done to it.",
        "Look at its Notes. If they were edited: `pvekube adopt NAME --vmid N` restores the mark.",
    ),
    info(
        "not-ready",
        "A machine was not ready in time; the cause is named with its evidence.",
        "Mend the cause; apply again resumes at the stage that it waits for.",
    ),
    info(
        "notes-not-written",
        "The VM was changed meanwhile, or its Notes are not as wanted afterwards.",
        "Run the command again.",
    ),
    info(
        "observation-unreadable",
        "`--observed` names a file that is no observation of this version.",
        "Make one: `pvekube observe > observed.json`.",
    ),
    info("output", "Standard output can't be written (a full disk, for example).", "Write somewhere else."),
    info(
        "plan-differs",
        "The plan is not the one that `--expect` names.",
        "Look at the new plan and have it approved anew.",
    ),
    info("plan-flags", "Planning flags that contradict each other.", "Follow the message; see `pvekube plan --help`."),
    info(
        "plan-options",
        "A saved plan is applied as it is; planning flags can't change it.",
        "Give them to `pvekube plan --out FILE`.",
    ),
    info(
        "quorum-at-risk",
        "A master was to be stopped, but too few of the others are in service.",
        "See to the other masters (`pvekube status`), then apply again.",
    ),
    info(
        "resize-failed",
        "The disk does not have the wanted size after `qm disk resize`.",
        "Mend what it said (often space on the storage), then apply again.",
    ),
    info(
        "rust-log",
        "The environment variable RUST_LOG is no filter for the log.",
        "Write for example `RUST_LOG=pvekube=debug`, or unset it.",
    ),
    info(
        "sandbox-folder",
        "The sandbox's folder can't be opened or removed.",
        "Check its permissions, or name another with `--sandbox=DIR`.",
    ),
    info("saved-plan-changed", "The saved plan's bytes are not as they were saved.", "Plan again."),
    info(
        "saved-plan-offline",
        "The plan was made from a saved observation: for review only.",
        "Plan with access to the nodes.",
    ),
    info("saved-plan-other-cluster", "The saved plan is for another cluster, or for the sandbox.", "Plan again here."),
    info(
        "saved-plan-stale",
        "Something that the saved plan rests on has moved; it is listed.",
        "Plan again, and look at what is new.",
    ),
    info("saved-plan-unreadable", "The file is no saved plan.", "Make one: `pvekube plan --out FILE`."),
    info(
        "saved-plan-unsound",
        "The saved plan has steps that no plan of these files has, under a digest that fits: nobody but a person makes that.",
        "Plan again, and see who can write the file.",
    ),
    info("saved-plan-version", "The saved plan is of another version of pvekube.", "Plan again with this one."),
    info("scale-flags", "`scale` takes POOL=COUNT.", "For example: `pvekube scale workers=5`."),
    info(
        "set-failed",
        "The VM is not configured as wanted after `qm set`; what differs is listed.",
        "Mend what it said, then apply again.",
    ),
    info(
        "shutdown-failed",
        "The VM still runs after its shutdown time.",
        "Look at its console; stop it by hand if you must, then apply again.",
    ),
    info(
        "ssh-setup",
        "The folder for SSH connections can't be made, or `ssh.config_file` can't be read.",
        "Do what the message says.",
    ),
    info(
        "start-failed",
        "The VM does not run after `qm start`; QEMU's own words are shown.",
        "Mend what QEMU said (a bridge, memory, a snippet), then apply again.",
    ),
    info(
        "stray-volumes",
        "The storage has volumes of the chosen VMID that belong to no VM.",
        "Look at them with `pvesm list STORAGE --vmid N --content images`; free what nobody needs, or choose another VMID.",
    ),
    info(
        "template-dirty",
        "After the bake the template still had something that machines must not inherit.",
        "Apply again: the half-made template is made anew.",
    ),
    info(
        "template-failed",
        "The VM is not a template with base volumes after `qm template`.",
        "Mend what it said, then apply again.",
    ),
    info("unknown-machine", "The name is no machine of the manifest.", "Take a name that the message lists."),
    info("unknown-node", "The name is no node of the config.", "Take a name that the message lists."),
    info(
        "unknown-pool",
        "The name is no pool of the manifest.",
        "Take a name that the message lists, or add the pool to the manifest.",
    ),
    info(
        "unreadable",
        "A VM's state could not be read back, so nothing more was done.",
        "Check `pve-cluster.service` on the node, then apply again.",
    ),
    info(
        "usage",
        "The command line has a flag, value or operand that the verb does not take, or lacks one.",
        "Follow the tip; see `pvekube VERB --help`.",
    ),
    info("vm-gone", "The VM disappeared between plan and change.", "Plan again."),
    info(
        "vm-locked",
        "Another task holds the VM (`lock:` in its config).",
        "Wait until it is over (`--lock-timeout`), then apply again.",
    ),
    info("vm-moved", "The VM is on another node than planned.", "Apply again: it plans with the VM where it is."),
    info(
        "vmid-taken",
        "Somebody took the VMID between plan and change; their guest was not touched.",
        "Apply again: it plans another id.",
    ),
    info(
        "volumes-unknown",
        "The storage could not be asked for its volumes.",
        "Check the storage on the node: `pvesm status`.",
    ),
    info("write-failed", "A file can't be written.", "Check the folder's permissions and free space."),
];
