//! Where a guest's disk lies: in the contents of its volume, which the tools carry along with copies.

use std::io;

use super::disk::Disk;
use crate::sandbox::contents;
use crate::sandbox::node::SandboxNode;
use crate::sandbox::tools::storage::{Volume, VolumeId};

/// What is on a volume; nothing bootable where there is none.
pub(crate) fn load(node: &SandboxNode, volume: &str) -> Disk {
    Disk::read(&contents::read(node, volume))
}

/// Puts a disk back. A volume that is gone (an administrator removed it under a running guest) takes nothing.
pub(crate) fn save(node: &SandboxNode, volume: &str, disk: &Disk) -> io::Result<()> {
    let there = VolumeId::parse(volume).is_some_and(|id| Volume::read(node, &id).is_ok());
    if there { contents::write(node, volume, &disk.write()) } else { Ok(()) }
}

/// A volume made by hand, outside of the tools.
pub(crate) fn create(node: &SandboxNode, volume: &str, bytes: u64, used: u64, disk: &Disk) -> io::Result<()> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("{volume}: no such storage"));
    let id = VolumeId::parse(volume).ok_or_else(bad)?;
    let ctime = node.world.clock.now_s();
    let made = Volume { format: "raw".to_owned(), size: bytes, used, ctime, base: false, linked_to: None };
    made.write(node, &id).map_err(|_| bad())?;
    contents::write(node, volume, &disk.write())
}
