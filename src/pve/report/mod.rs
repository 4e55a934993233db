//! What a node answers to an observation: the format, and how it becomes facts.
//!
//! `remote/programs/observe.sh` and `vm.sh` (with `report.sh`) write it, the sandbox writes it with [`frame::Writer`]; both are the same bytes.
//!
//! # Format
//!
//! Sections. A section begins with a header line and lasts until the next one:
//!
//! ```text
//! \n@@NONCE NAME ARGS\n
//! content, exact bytes
//! ```
//!
//! The newline before `@@` belongs to the header, so content keeps its bytes, with or without a final newline. The nonce
//! (16 hex digits, new for each observation) keeps content from looking like a header. Bytes before the first header are
//! ignored. An answer without the `end` section is incomplete: the node's state is then unknown.
//!
//! | section | args | content |
//! |---|---|---|
//! | `begin` | `1`, the format's version | |
//! | `clock` | | the node's Unix seconds |
//! | `local` | | `link MODE TARGET` (`/etc/pve/local` is a symlink: its target's octal mode, and the target), `unmounted`, or `absent` (no `/etc/pve`) |
//! | `file` | name | a file's bytes: `members`, `vmlist`, `vmlist-after`, `rrd`, `storage.cfg`, `datacenter.cfg`, `user.cfg`, `ha/resources.cfg`, `pvecfg.pm`, `meminfo`, `cpus`, `resolv.conf` |
//! | `absent`, `failed` | name | the file is not there; it could not be read to its end |
//! | `configs` | | lines `SIZE NODE/qemu-server/VMID.conf`, sorted; an empty line; the files' bytes, joined. Empty when there are none |
//! | `containers` | | lines `NODE/lxc/VMID.conf`, sorted |
//! | `container-memory` | | lines `NODE/lxc/VMID.conf:memory: MIB`, also of snapshots, which follow; no section without containers |
//! | `pids` | | lines `VMID PID`: `/run/qemu-server/VMID.pid` |
//! | `cmdlines` | | lines `PID/cmdline:PATH`: processes of `pids` with an argument that ends in `/run/qemu-server/VMID.pid` |
//! | `bridges` | | lines: names of bridges |
//! | `images` | | lines `SIZE NAME` of `/var/lib/pvekube/images/sha*-*` |
//! | `space` | | `BLOCKS BLOCKSIZE` free at `/var/lib/pvekube` |
//! | `snippets` | | lines: names `pvekube-*` in the snippet folder |
//! | `missing` | | lines: programs that the node lacks |
//! | `op` | `NAME LIVE EXIT` (`0`/`1`, number or `-`) | the last 4096 bytes of the operation's log |
//! | `pvesm` | `STORAGE EXIT` | output of `pvesm status --storage STORAGE`, for a storage of this node without a fresh sample in `rrd` |
//! | `end` | | |
//!
//! An observation has them in this order: `begin clock local members vmlist configs containers container-memory vmlist-after rrd storage.cfg
//! datacenter.cfg user.cfg ha/resources.cfg pvecfg.pm meminfo cpus resolv.conf pids cmdlines bridges images space snippets missing
//! op… pvesm… end`. The answer to `Probe::Vm` has `begin local configs vmlist pids cmdlines op… end`, for one VMID.
//!
//! # Torn reads
//!
//! Files are read one after the other while the cluster goes on. `.vmlist` is read before and after (its versions rise
//! with every write), and sizes are taken right before the bytes. When they disagree ([`NodeReport::torn`],
//! [`NodeReport::unsteady`]) the observation is made once more, and what is still unclear is unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::{BridgeName, ImageDigest, PoolName, PveName, StorageName, Vmid};
use crate::model::observed::{OperationSeen, PveVersion, StorageDef, StorageUse};
use crate::model::vm_config::VmConfig;
use crate::pve::cluster_cfg::Datacenter;
use crate::pve::members::{Members, VmList};
use crate::pve::rrd::Rrd;

mod assemble;
pub mod frame;
mod operations;
mod read;
mod realms;
mod silence;
mod vm;

pub use assemble::assemble;
pub use operations::{log_tail, parse_name, plain};
pub use vm::{VmReport, parse_vm};

/// One node's answer, section by section. Nothing is decided here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// The node's own clock, Unix seconds: ages of samples are counted by it.
    pub now: i64,
    pub mount: Mount,
    /// Error: the file is absent or unreadable, and why.
    pub members: Result<Members, String>,
    /// As read after the configs.
    pub vmlist: Result<VmList, String>,
    /// Config files by VMID.
    pub configs: BTreeMap<Vmid, ConfigSeen>,
    pub containers: BTreeMap<Vmid, PveName>,
    /// Configured memory of containers, in bytes; 512 MiB where the config does not say.
    pub container_memory: BTreeMap<Vmid, u64>,
    /// Why the configs' bytes can't be told apart: none of them is known then.
    pub torn: Option<String>,
    /// `.vmlist` was another one before the configs were read. Each config is whole, but they are not of one moment.
    pub unsteady: bool,
    pub rrd: Rrd,
    pub storage_defs: BTreeMap<StorageName, StorageDef>,
    pub datacenter: Datacenter,
    pub pools: BTreeMap<PoolName, BTreeSet<Vmid>>,
    pub ha: BTreeMap<Vmid, String>,
    pub version: Option<PveVersion>,
    pub memory_bytes: Option<u64>,
    pub cpus: Option<u32>,
    pub nameservers: Vec<String>,
    pub searchdomain: Option<String>,
    pub running: BTreeSet<Vmid>,
    pub bridges: BTreeSet<BridgeName>,
    pub images: BTreeMap<ImageDigest, u64>,
    pub image_parts: BTreeSet<ImageDigest>,
    pub image_space_bytes: Option<u64>,
    pub snippets: BTreeSet<String>,
    pub missing_programs: BTreeSet<String>,
    pub operations: Vec<OperationSeen>,
    /// From `pvesm status`, where `.rrd` had no fresh sample.
    pub pvesm: BTreeMap<StorageName, StorageUse>,
}

impl NodeReport {
    /// The read met a write: asking again most likely gives one state.
    pub fn worth_asking_again(&self) -> bool {
        self.torn.is_some() || self.unsteady
    }
}

/// What `/etc/pve/local` is: without its symlink the folder is empty, which looks like "no VMs" (contract §1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// Writable: the mode of the link's target has the owner's write bit, which pmxcfs takes away without quorum.
    Mounted {
        writable: bool,
    },
    Unmounted,
    /// No `/etc/pve` at all: no Proxmox VE.
    Absent,
}

/// A config file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSeen {
    pub node: PveName,
    /// Error: the bytes are no config, and why.
    pub config: Result<VmConfig, String>,
}

/// Why an answer can't be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("the answer is incomplete: {0}")]
    Incomplete(String),
    #[error("the answer is not in our format: {0}")]
    Odd(String),
}

/// Reads an answer to `observe`. `nonce` is the one that was asked with.
pub fn parse(nonce: &str, bytes: &[u8]) -> Result<NodeReport, ReportError> {
    read::node(&frame::split(nonce, bytes)?)
}

#[cfg(test)]
mod tests;
