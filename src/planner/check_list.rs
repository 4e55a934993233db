//! Every check that planning makes, as data: `docs/troubleshooting.md` is generated from it.

/// One kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckInfo {
    /// Stable, kebab-case; `checks[].id` in JSON.
    pub id: &'static str,
    pub cause: &'static str,
    pub remedy: &'static str,
}

const fn info(id: &'static str, cause: &'static str, remedy: &'static str) -> CheckInfo {
    CheckInfo { id, cause, remedy }
}

/// Sorted by id.
pub const CHECKS: &[CheckInfo] = &[
    info(
        "address-taken",
        "A static address is wanted twice, or another VM's cloud-init settings have it.",
        "Choose another address in the manifest, or change the other VM's.",
    ),
    info(
        "bridge",
        "A node lacks the network bridge that machines are put on, so nothing is placed there.",
        "Create the bridge, or name another in `vm_template.network_bridge` or the pool's `network.bridge`.",
    ),
    info(
        "cpus",
        "A machine that stays is to have more CPUs than its node has threads; Proxmox would not start it again.",
        "Choose a smaller size, or move the machine to a larger node with `--replace`.",
    ),
    info(
        "digest-unknown",
        "A template has to be made and the image's digest could not be learned, so nothing could be verified.",
        "Make `checksum_url` reachable from here, or pin `vm_template.image_digest`.",
    ),
    info(
        "disk-below-template",
        "A machine wants a smaller disk than its template has; a clone is as large as its template.",
        "Raise the machine's `disk_gb`, or make the template again with a smaller `base_disk_gb`.",
    ),
    info(
        "disk-shrink",
        "The manifest wants a smaller disk than the machine has; no disk is ever shrunk.",
        "Raise `disk_gb`, or make the machine again with `--replace NAME`.",
    ),
    info(
        "dns-loopback",
        "No name server is given, and the node's own is only reachable on the node, so guests would resolve nothing.",
        "Give `cloud_init.nameserver`, or `dns` in the pool's network.",
    ),
    info(
        "duplicate-machine",
        "Two VMs carry the mark of one machine, each with its own VMID.",
        "Decide which it is; remove the mark from the other's Notes or destroy that VM by hand.",
    ),
    info(
        "existence-unknown",
        "A machine was not found, but a node or cluster that may hold it could not be seen.",
        "Bring the silent node back. `plan --without-node` shows what a plan without it would do.",
    ),
    info(
        "ha-managed",
        "PVE's HA manager owns the VM and would start or move it again.",
        "Run the printed `ha-manager` command first, and add the VM again afterwards.",
    ),
    info(
        "image-space",
        "The file system of /var/lib/pvekube has no room for the image.",
        "Make room on the node, or use `vm_template.download: controller` with `keep_images: false`.",
    ),
    info(
        "locked",
        "Another task holds the VM: a backup, a migration, a snapshot.",
        "Wait for it. A lock that nobody works under is removed with `qm unlock ID` on its node.",
    ),
    info(
        "login-key",
        "No private key at hand belongs to a public key that the machines get: readiness ends at a matching host key.",
        "Add the key to the SSH agent, or name it in `readiness_check.ssh_private_key_path`.",
    ),
    info(
        "mark-lost",
        "A VM has a wanted name and our tag, but its Notes were edited and the mark is gone.",
        "`pvekube adopt NAME --vmid ID` puts the mark back.",
    ),
    info(
        "memory",
        "Machines that stay would together need more memory than their node has.",
        "Choose a smaller size, or make room on the node.",
    ),
    info(
        "name-taken",
        "A VM that is not ours has a wanted machine's name; it is never taken over.",
        "Rename or remove that VM, or choose another `cluster` name.",
    ),
    info(
        "no-disk",
        "A machine's config names no disk in its boot order.",
        "Attach the disk again, or make the machine again with `--replace NAME`.",
    ),
    info(
        "no-node-fits",
        "No node can take the machine; each node's reason is listed with its numbers.",
        "Make room, add a node, choose a smaller size, or raise `limits.memory_overcommit`.",
    ),
    info(
        "node-silent",
        "A node did not answer; what is on it is left as it is, and nothing is placed there.",
        "Bring it back. The rest of the plan does not wait for it where existence is known from other members.",
    ),
    info(
        "pool",
        "The resource pool of `pool:` does not exist, so PVE would refuse each clone.",
        "Create it: `pvesh create /pools --poolid NAME`.",
    ),
    info(
        "program-missing",
        "A node lacks a program that making the template needs.",
        "Install it on the node with apt.",
    ),
    info(
        "protected",
        "The VM's protection flag is set, so PVE refuses to destroy it.",
        "`qm set ID --protection 0` on its node, knowingly.",
    ),
    info("pve-version", "A node runs a PVE older than 8.0.", "Upgrade it, or take it out of `proxmox_nodes`."),
    info(
        "quorum",
        "A PVE cluster is not quorate: its configs may be stale and can't be written.",
        "Bring back enough nodes; see `pvecm status`. Machines of other realms do not wait for it.",
    ),
    info(
        "snippet-storage",
        "A bake hands its document over as a snippet, and that storage has no folder on the node.",
        "Set `vm_template.snippet_storage` to a directory storage such as `local`.",
    ),
    info(
        "space",
        "Disks that grow would need more than the storage has.",
        "Grow them less, or add space to the storage.",
    ),
    info(
        "storage",
        "The storage for disks is missing, disabled, restricted, of the wrong content, or its size is unknown.",
        "Mend it under Datacenter → Storage, or choose another `vm_template.storage_pool`.",
    ),
    info(
        "storage-overcommit",
        "The disks on a thin storage may together grow beyond `limits.storage_overcommit` times its size.",
        "Add space before they fill it, or raise the limit knowingly.",
    ),
    info(
        "template-id",
        "The VMID for a template belongs to a guest that is no such template.",
        "Choose a free `vm_template.id`, or one a node in `vm_template.ids`.",
    ),
    info(
        "unknown-machine",
        "`--only` or `--replace` names a machine that the manifest does not have.",
        "Use a name as `pvekube validate` lists them.",
    ),
    info("vmid-range-full", "Every id of `vmid_range` is taken in some realm.", "Widen `vmid_range`."),
    info(
        "vmid-taken",
        "The VMID that the manifest gives a machine belongs to another guest.",
        "Choose another `vmid`, or leave it out.",
    ),
    info(
        "what-if",
        "`--without-node` answers what would go where if a node were gone; applied, it would make machines a second time.",
        "Bring the node back. If it is gone for good, take it out of `proxmox_nodes`, and out of its PVE cluster.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_sorted_unique_and_say_something() {
        assert!(CHECKS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(CHECKS.iter().all(|check| check.cause.ends_with('.') && check.remedy.ends_with('.')));
    }
}
