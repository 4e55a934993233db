//! What the nodes answered, and what is unknown. Unknown is a value here, never an absence.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ids::{
    BridgeName, ClusterName, ImageDigest, NodeName, OperationName, PoolName, PveName, RealmId, StorageName, Vmid,
};
use super::mark::Mark;
use super::vm_config::VmConfig;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Unix seconds when the observation was taken (by the controller's clock).
    pub taken_at: i64,
    /// Every configured node, answered or not.
    pub nodes: BTreeMap<NodeName, NodeState>,
    /// Every realm of which at least one node answered.
    pub realms: BTreeMap<RealmId, Realm>,
    pub upstream: Upstream,
}

/// What `checksum_url` says of the image, or the pinned digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upstream {
    Known { digest: ImageDigest, source: String },
    Unknown { reason: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Answered(Box<NodeFacts>),
    Silent(Silence),
}

/// Why a node said nothing: one sentence, the next step, and what ssh or the shell printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub reason: String,
    pub hint: String,
    pub detail: String,
}

/// What only the node itself knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    pub realm: RealmId,
    pub pve_name: PveName,
    pub version: PveVersion,
    pub memory_bytes: u64,
    pub cpus: u32,
    /// VMIDs whose QEMU runs here: pid file and `/proc/PID/cmdline` agree.
    pub running: BTreeSet<Vmid>,
    pub bridges: BTreeSet<BridgeName>,
    /// Of the storages asked about, those with a fresh sample; sizes in bytes.
    pub storages: BTreeMap<StorageName, StorageUse>,
    pub nameservers: Vec<String>,
    pub searchdomain: Option<String>,
    /// Verified image files under `/var/lib/pvekube/images`, by digest, size in bytes.
    pub images: BTreeMap<ImageDigest, u64>,
    /// Images of which a download, or what an interrupted one left, lies there as `.part`.
    #[serde(default)]
    pub image_parts: BTreeSet<ImageDigest>,
    /// Our snippet files (`pvekube-*`) on the snippet storage.
    pub snippets: BTreeSet<String>,
    /// Free bytes of the file system of `/var/lib/pvekube`.
    pub image_space_bytes: Option<u64>,
    pub operations: Vec<OperationSeen>,
    /// Programs that we need and the node lacks (`socat`, `wget`, …).
    pub missing_programs: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PveVersion {
    pub major: u32,
    pub minor: u32,
    /// As dpkg has it: `9.2.11`.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageUse {
    pub total_bytes: u64,
    pub used_bytes: u64,
}

/// A folder under `/run/pvekube/ops`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationSeen {
    pub name: OperationName,
    pub cluster: ClusterName,
    pub vmid: Vmid,
    /// `clone`, `set`, `bake`, …
    pub verb: String,
    /// Its process lives: pid, start time and boot id agree.
    pub live: bool,
    pub exit: Option<i32>,
    /// Last lines of its log.
    pub tail: Vec<String>,
}

/// A PVE cluster or a standalone node, as its members' `/etc/pve` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Realm {
    /// The PVE cluster's name; `None` for a standalone node.
    pub cluster: Option<String>,
    pub quorate: bool,
    pub members: BTreeMap<PveName, Member>,
    /// Every guest of the realm, also of members that are down; complete iff `existence_known`.
    pub guests: BTreeMap<Vmid, Guest>,
    /// A quorate member with a mounted `/etc/pve` answered, and its tree was read whole.
    pub existence_known: bool,
    pub storages: BTreeMap<StorageName, StorageDef>,
    pub pools: BTreeMap<PoolName, BTreeSet<Vmid>>,
    /// HA-managed VMs and the state asked of HA (`started`, `ignored`, …).
    pub ha: BTreeMap<Vmid, String>,
    /// datacenter.cfg `next-id`: [lower, upper), upper exclusive (contract §1.4).
    pub next_id: Option<(u32, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub online: bool,
    /// Its address as corosync knows it; `None` for a standalone node.
    #[serde(default)]
    pub address: Option<String>,
    /// The configured node that this member is; `None` when the config doesn't list it.
    pub node: Option<NodeName>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guest {
    Vm(Box<Vm>),
    Container(Container),
}

impl Guest {
    pub fn node(&self) -> &PveName {
        match self {
            Guest::Vm(vm) => &vm.node,
            Guest::Container(container) => &container.node,
        }
    }

    pub fn vm(&self) -> Option<&Vm> {
        match self {
            Guest::Vm(vm) => Some(vm),
            Guest::Container(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vm {
    pub vmid: Vmid,
    pub node: PveName,
    /// `None`: the file is listed in `.vmlist` but could not be read or parsed; then nothing may be done to it.
    pub config: Option<VmConfig>,
    pub power: Power,
}

impl Vm {
    pub fn name(&self) -> Option<&str> {
        self.config.as_ref()?.get("name")
    }

    /// The mark, if there is one that names this very VMID. A mark with another VMID is a copy: foreign.
    pub fn mark(&self) -> Option<Mark> {
        Mark::find(&self.config.as_ref()?.description).filter(|mark| mark.vmid == self.vmid)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    Running,
    Stopped,
    /// Its node did not answer.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub node: PveName,
    /// Configured memory, from `.rrd` or its config; `None` when neither was there.
    pub memory_bytes: Option<u64>,
    /// From `.rrd`; `None` when there is no fresh sample.
    pub running: Option<bool>,
}

/// One entry of `storage.cfg` (contract §1.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageDef {
    /// `dir`, `lvmthin`, `lvm`, `zfspool`, `rbd`, `nfs`, …
    pub kind: String,
    pub content: BTreeSet<String>,
    pub shared: bool,
    pub enabled: bool,
    /// Restricted to these members; `None`: all.
    pub nodes: Option<BTreeSet<PveName>>,
    pub path: Option<String>,
    /// ZFS `sparse`, or a kind that is always thin (lvmthin, rbd, file-based qcow2).
    pub thin: bool,
}

impl Observed {
    pub fn facts(&self, node: &NodeName) -> Option<&NodeFacts> {
        match self.nodes.get(node)? {
            NodeState::Answered(facts) => Some(facts),
            NodeState::Silent(_) => None,
        }
    }

    /// The realm of a node that answered.
    pub fn realm_of(&self, node: &NodeName) -> Option<&Realm> {
        self.realms.get(&self.facts(node)?.realm)
    }

    /// Every VM of every realm, in order of realm and VMID.
    pub fn vms(&self) -> impl Iterator<Item = (&RealmId, &Realm, &Vm)> {
        self.realms
            .iter()
            .flat_map(|(id, realm)| realm.guests.values().filter_map(Guest::vm).map(move |vm| (id, realm, vm)))
    }

    /// VMs with a mark of this cluster that names their own VMID.
    pub fn managed<'a>(
        &'a self,
        cluster: &'a ClusterName,
    ) -> impl Iterator<Item = (&'a RealmId, &'a Realm, &'a Vm, Mark)> {
        self.vms().filter_map(move |(id, realm, vm)| {
            let mark = vm.mark().filter(|mark| mark.cluster == *cluster)?;
            Some((id, realm, vm, mark))
        })
    }
}
