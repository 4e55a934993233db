//! A world: realms of nodes, their storages, one clock, one seed, and the faults that are switched on.
//!
//! Layout of its files: `/world.json` (topology), `/faults.json`, `/counter`, `/realms/REALM/` (what pmxcfs shares) and
//! `/nodes/NODE/` (a node's root folder, whose `etc/pve` links into the realm).

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clock::Clock;
use super::faults::Faults;
use super::fs::Fs;
use super::guests::Guests;
use super::node::SandboxNode;

/// What the world consists of; fixed once it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// MACs, UUIDs and salts follow from it.
    pub seed: u64,
    pub realms: Vec<RealmSpec>,
}

/// A cluster, or one standalone node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealmSpec {
    /// Folder name under `/realms`.
    pub name: String,
    /// The PVE cluster's name; `None`: a standalone node.
    pub cluster: Option<String>,
    pub nodes: Vec<NodeSpec>,
    pub storages: Vec<StorageSpec>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeSpec {
    pub name: String,
    pub address: String,
    pub cpus: u32,
    pub memory_mib: u64,
    pub version: PveVersion,
    pub bridges: Vec<String>,
    /// Content of `/etc/resolv.conf`.
    pub resolv_conf: String,
}

/// Package versions (contract §10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PveVersion {
    /// pve-manager: `9.2.11`.
    pub manager: String,
    pub qemu_server: String,
    pub storage: String,
    /// `pveversion` and `/version` show it.
    pub repoid: String,
    pub kernel: String,
    /// QEMU's: `10.2.1`.
    pub qemu: String,
}

impl PveVersion {
    pub fn pve9() -> Self {
        Self {
            manager: "9.2.11".into(),
            qemu_server: "9.2.6".into(),
            storage: "9.1.7".into(),
            repoid: "36ce3d03d4ba4f05".into(),
            kernel: "6.17.2-1-pve".into(),
            qemu: "10.2.1".into(),
        }
    }

    pub fn pve8() -> Self {
        Self {
            manager: "8.4.14".into(),
            qemu_server: "8.4.5".into(),
            storage: "8.3.7".into(),
            repoid: "b502d23c55afcba1".into(),
            kernel: "6.8.12-15-pve".into(),
            qemu: "9.2.0".into(),
        }
    }

    /// Whether qemu-server is at least this version (contract §10).
    pub fn qemu_server_since(&self, wanted: [u32; 3]) -> bool {
        let mut numbers = self.qemu_server.split('.').map(|part| part.parse().unwrap_or(0));
        [0, 1, 2].map(|_| numbers.next().unwrap_or(0)) >= wanted
    }

    /// The first number of pve-manager's version.
    pub fn major(&self) -> u32 {
        self.manager.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    Dir,
    Nfs,
    Lvm,
    Lvmthin,
    Zfspool,
}

impl StorageKind {
    /// As `storage.cfg` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            StorageKind::Dir => "dir",
            StorageKind::Nfs => "nfs",
            StorageKind::Lvm => "lvm",
            StorageKind::Lvmthin => "lvmthin",
            StorageKind::Zfspool => "zfspool",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Dir, Self::Nfs, Self::Lvm, Self::Lvmthin, Self::Zfspool].into_iter().find(|kind| kind.as_str() == text)
    }

    /// Volumes are files in folders, with a format in their name.
    pub fn is_files(self) -> bool {
        matches!(self, StorageKind::Dir | StorageKind::Nfs)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StorageSpec {
    pub name: String,
    pub kind: StorageKind,
    pub content: Vec<String>,
    /// Size on each node (once, where shared).
    pub size_mib: u64,
    /// A path (dir), an export (nfs), a volume group or `vg/thinpool`, a ZFS pool.
    pub place: String,
    pub shared: bool,
    /// ZFS: allocate thinly.
    pub sparse: bool,
    /// Only on these nodes; `None`: all of the realm.
    pub nodes: Option<Vec<String>>,
}

impl StorageSpec {
    /// Where it lies on its nodes.
    pub fn folder(&self) -> String {
        match self.kind {
            StorageKind::Dir => self.place.clone(),
            StorageKind::Nfs => format!("/mnt/pve/{}", self.name),
            StorageKind::Lvm | StorageKind::Lvmthin => {
                format!("/dev/{}", self.place.split('/').next().unwrap_or(&self.place))
            }
            StorageKind::Zfspool => format!("/dev/zvol/{}", self.place),
        }
    }
}

/// One simulated installation. Every tool runs on a [`SandboxNode`] of it.
pub struct World {
    pub fs: Fs,
    pub clock: Clock,
    pub topology: Topology,
    pub guests: Arc<dyn Guests>,
    /// Kept in memory where the files are; a directory world reads the file each time.
    faults: Mutex<Faults>,
    counter: Mutex<u64>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("topology", &self.topology).finish_non_exhaustive()
    }
}

const TOPOLOGY_FILE: &str = "/world.json";
const FAULTS_FILE: &str = "/faults.json";
const GUEST_KEYS_FILE: &str = "/guest-host-keys";
const COUNTER_FILE: &str = "/counter";

impl World {
    /// Makes a fresh world: every node installed, no guests.
    pub fn create(fs: Fs, topology: Topology, clock: Clock, guests: Arc<dyn Guests>) -> io::Result<Arc<Self>> {
        fs.write(TOPOLOGY_FILE, serde_json::to_vec_pretty(&topology)?)?;
        let world = Arc::new(Self::assemble(fs, topology, clock, guests));
        for node in world.nodes() {
            node.install()?;
        }
        world.refresh_members()?;
        Ok(world)
    }

    /// Opens a world that `create` made, in this or another process.
    pub fn open(fs: Fs, clock: Clock, guests: Arc<dyn Guests>) -> io::Result<Arc<Self>> {
        let topology: Topology = serde_json::from_slice(&fs.read(TOPOLOGY_FILE)?)?;
        Ok(Arc::new(Self::assemble(fs, topology, clock, guests)))
    }

    /// A copy of a world in memory, from this moment on; `None`: the world is a folder. What runs here does not run there,
    /// but guests do: they are functions of time.
    pub fn fork(&self, clock: Clock) -> Option<Arc<Self>> {
        let copy = Self::assemble(self.fs.fork()?, self.topology.clone(), clock, self.guests.clone());
        *copy.faults.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = self.faults();
        let counter = *self.counter.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *copy.counter.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = counter;
        Some(Arc::new(copy))
    }

    fn assemble(fs: Fs, topology: Topology, clock: Clock, guests: Arc<dyn Guests>) -> Self {
        Self { fs, clock, topology, guests, faults: Mutex::default(), counter: Mutex::default() }
    }

    pub fn node(self: &Arc<Self>, name: &str) -> Option<SandboxNode> {
        self.nodes().into_iter().find(|node| node.name() == name)
    }

    /// Every node, in the topology's order.
    pub fn nodes(self: &Arc<Self>) -> Vec<SandboxNode> {
        let mut nodes = Vec::new();
        for (realm, spec) in self.topology.realms.iter().enumerate() {
            nodes.extend((0..spec.nodes.len()).map(|member| SandboxNode::new(self.clone(), realm, member)));
        }
        nodes
    }

    pub fn faults(&self) -> Faults {
        match &self.fs {
            Fs::Memory(_) => self.faults.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone(),
            Fs::Directory(_) => {
                self.fs.read(FAULTS_FILE).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
            }
        }
    }

    /// Switches faults on or off; members' views of each other follow.
    pub fn change_faults(self: &Arc<Self>, change: impl FnOnce(&mut Faults)) -> io::Result<()> {
        let before = self.faults();
        let mut after = before.clone();
        change(&mut after);
        for node in self.nodes().iter().filter(|node| after.offline.contains(node.name())) {
            if !before.offline.contains(node.name()) {
                // It sent its samples as long as it was up.
                super::statd::broadcast(node);
            }
        }
        match &self.fs {
            Fs::Memory(_) => *self.faults.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = after.clone(),
            Fs::Directory(_) => self.fs.write(FAULTS_FILE, serde_json::to_vec_pretty(&after)?)?,
        }
        if before.offline != after.offline || before.no_quorum != after.no_quorum {
            self.refresh_members()?;
        }
        for node in self.nodes() {
            if before.pmxcfs_unmounted.contains(node.name()) != after.pmxcfs_unmounted.contains(node.name()) {
                node.mount_pmxcfs(!after.pmxcfs_unmounted.contains(node.name()))?;
            }
        }
        Ok(())
    }

    /// Brings a folder's files in line with its `faults.json`, which somebody may have written since the last run.
    pub(in crate::sandbox) fn follow_faults(self: &Arc<Self>) -> io::Result<()> {
        let faults: Faults = match self.fs.read(FAULTS_FILE) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("faults.json: {error}")))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Faults::default(),
            Err(error) => return Err(error),
        };
        for node in self.nodes() {
            let mounted = !faults.pmxcfs_unmounted.contains(node.name());
            if mounted != node.exists("/etc/pve/local") {
                node.mount_pmxcfs(mounted)?;
            }
        }
        self.refresh_members()
    }

    /// Writes every node's `.members` anew (observed §4: a standalone node has neither cluster nor nodelist).
    fn refresh_members(self: &Arc<Self>) -> io::Result<()> {
        self.nodes().iter().try_for_each(SandboxNode::refresh_members)
    }

    /// Host keys that guests say they have, if a real sshd stands for them (`/guest-host-keys`, a line a key).
    pub fn guest_host_keys(&self) -> Vec<String> {
        self.fs.read_text(GUEST_KEYS_FILE).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// 32 bytes that follow from the seed and how many were asked for before.
    pub fn fresh_bytes(&self) -> [u8; 32] {
        let count = match &self.fs {
            Fs::Memory(_) => {
                let mut counter = self.counter.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                *counter += 1;
                *counter
            }
            Fs::Directory(_) => self.fs.exclusively("/counter.lock", || self.count_up()).unwrap_or(0),
        };
        Sha256::new().chain_update(self.topology.seed.to_be_bytes()).chain_update(count.to_be_bytes()).finalize().into()
    }

    fn count_up(&self) -> u64 {
        let before: u64 = self.fs.read_text(COUNTER_FILE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        // A counter that can't be written shows up as a double MAC, which the tests look for.
        let _ = self.fs.write(COUNTER_FILE, (before + 1).to_string());
        before + 1
    }

    /// A new MAC with PVE's prefix (contract §10: since 8.1).
    pub fn fresh_mac(&self) -> String {
        let bytes = self.fresh_bytes();
        format!("BC:24:11:{:02X}:{:02X}:{:02X}", bytes[0], bytes[1], bytes[2])
    }

    /// A random (version 4) UUID.
    pub fn fresh_uuid(&self) -> String {
        let mut bytes = self.fresh_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = hex::encode(&bytes[..16]);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
