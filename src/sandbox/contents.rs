//! What volumes hold, beside their names and sizes: the bytes of the image that was imported, later what guests made of
//! them. `qm` carries contents along: an import puts the file's bytes, a clone copies, `qm template` renames, a destroy
//! and `pvesm free` remove. A volume without contents is an empty disk, on which nothing boots.

use std::io;

use super::node::SandboxNode;

/// Where the contents of a volume (`local-lvm:vm-101-disk-0`) lie in the world: with the node, or with the realm when
/// the storage is shared.
fn place(node: &SandboxNode, volume: &str) -> String {
    let (storage, name) = volume.split_once(':').unwrap_or(("", volume));
    let shared = node.realm().storages.iter().any(|spec| spec.name == storage && spec.shared);
    let owner = if shared { format!("/realms/{}", node.realm().name) } else { format!("/nodes/{}", node.name()) };
    format!("{owner}/sandbox/contents/{storage}/{}", name.replace('/', "%2F"))
}

pub fn read(node: &SandboxNode, volume: &str) -> Vec<u8> {
    node.fs().read(&place(node, volume)).unwrap_or_default()
}

pub fn write(node: &SandboxNode, volume: &str, bytes: &[u8]) -> io::Result<()> {
    node.fs().write(&place(node, volume), bytes)
}

/// A full copy; a linked clone is one, too, as nothing can tell the difference.
pub fn copy(node: &SandboxNode, from: &str, to: &str) -> io::Result<()> {
    write(node, to, &read(node, from))
}

pub fn rename(node: &SandboxNode, from: &str, to: &str) -> io::Result<()> {
    copy(node, from, to)?;
    remove(node, from)
}

/// Absent is fine.
pub fn remove(node: &SandboxNode, volume: &str) -> io::Result<()> {
    node.fs().remove_tree(&place(node, volume))
}
