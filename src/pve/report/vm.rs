//! The answer to `Probe::Vm`: one VM as it is now.

use std::collections::BTreeMap;

use super::{ConfigSeen, Mount, ReportError, frame, read};
use crate::model::ids::Vmid;
use crate::model::observed::OperationSeen;
use crate::pve::members::GuestKind;

/// One VM, wherever its config lies; power and operations as its present node has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmReport {
    pub mount: Mount,
    /// `None`: no VM of this id in the realm (only if mounted).
    pub seen: Option<ConfigSeen>,
    /// Its QEMU runs on the node that was asked.
    pub running: bool,
    pub operations: Vec<OperationSeen>,
}

/// Reads an answer to `Probe::Vm`. A torn read is [`ReportError::Incomplete`]: ask again.
pub fn parse_vm(nonce: &str, vmid: Vmid, bytes: &[u8]) -> Result<VmReport, ReportError> {
    let sections = frame::split(nonce, bytes)?;
    let (mut configs, torn): (BTreeMap<Vmid, ConfigSeen>, _) = read::configs(&sections);
    if let Some(why) = torn {
        return Err(ReportError::Incomplete(why));
    }
    // A VM that moves to a folder that was just looked through is missed there and gone from the other.
    let listed = read::vmlist(&sections)
        .is_ok_and(|list| list.guests.get(&vmid).is_some_and(|listed| listed.kind == GuestKind::Qemu));
    if configs.is_empty() && listed {
        return Err(ReportError::Incomplete(format!("VM {vmid} moved while it was looked for")));
    }
    Ok(VmReport {
        mount: read::mount(&sections)?,
        seen: configs.remove(&vmid),
        running: read::running(&sections).contains(&vmid),
        operations: read::operations(&sections),
    })
}
