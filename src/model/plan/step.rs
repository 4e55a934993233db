//! The steps of a plan: what runs, on which node, after what; every value in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Target;
use crate::model::desired::SshCheck;
use crate::model::ids::{
    Cidr, ImageDigest, MachineName, NodeName, OperationName, PoolName, PveName, StorageName, Vmid,
};
use crate::model::mark::Mark;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One executable action on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: StepId,
    pub needs: Vec<StepId>,
    pub node: NodeName,
    /// The machine or template it is for, as shown in progress and reports.
    pub subject: Target,
    pub vmid: Vmid,
    pub action: Action,
    /// Takes a slot of its (node, storage) limit.
    pub storage: Option<StorageName>,
    /// Seconds, for the critical path; a guess that only orders.
    pub estimate_s: u32,
    /// Takes a machine out of service; at most one master at a time, workers within `max_unavailable`. Steps of one
    /// disruption share the number; the executor keeps to the planner's `needs`.
    pub disruption: Option<u32>,
}

/// What a step does. Every name, id, address and digest is here: the executor decides nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// The image file lies verified at `path` on the node.
    FetchImage {
        url: String,
        digest: ImageDigest,
        path: String,
        from_controller: bool,
    },
    /// `qm create` without a disk (design §6): name, mark and hardware.
    CreateTemplate {
        mark: Mark,
        set: Settings,
    },
    /// `qm set --scsi0 STORE:0,import-from=PATH,…` alone.
    ImportDisk {
        mark: Mark,
        disk: String,
        storage: StorageName,
        image_path: String,
        options: String,
    },
    /// One `qm set`.
    Set {
        mark: Mark,
        set: Settings,
        delete: BTreeSet<String>,
        /// Keys whose pending change is dropped, each with the value in effect (nothing: not set) that is to stay.
        revert: BTreeMap<String, Option<String>>,
    },
    /// Absolute, grow only.
    Resize {
        mark: Mark,
        disk: String,
        size_gb: u64,
    },
    Bake(BakeStep),
    /// `qm template`, after verifying that nothing of the bake is left.
    ConvertTemplate {
        mark: Mark,
    },
    /// `keep_images: false`: the image file is removed when no template step needs it any more.
    RemoveImage {
        path: String,
    },
    /// `qm clone --full 1`, run on the template's node.
    Clone {
        template: Vmid,
        /// `--target`: another node of the realm; only from a template that lies wholly on shared storage (contract §5).
        #[serde(default)]
        target: Option<PveName>,
        name: MachineName,
        mark: Mark,
        pool: Option<PoolName>,
        storage: StorageName,
    },
    Start {
        mark: Mark,
    },
    Shutdown {
        mark: Mark,
        timeout_s: u32,
    },
    /// Mark verified, stopped, destroyed with its own volumes. `half_made`: it goes only because of that, unlocked if it must
    /// be; one that is whole by then stays.
    Destroy {
        mark: Mark,
        half_made: bool,
    },
    Ready(ReadyStep),
    /// A live operation of an earlier run: wait for its end; what follows is planned anew.
    Attach {
        operation: OperationName,
    },
}

impl Action {
    /// The word shown while it runs and used in operation names.
    pub fn verb(&self) -> &'static str {
        match self {
            Action::FetchImage { .. } => "fetch",
            Action::CreateTemplate { .. } => "create",
            Action::ImportDisk { .. } => "import",
            Action::Set { .. } => "set",
            Action::Resize { .. } => "resize",
            Action::Bake(_) => "bake",
            Action::ConvertTemplate { .. } => "template",
            Action::RemoveImage { .. } => "remove-image",
            Action::Clone { .. } => "clone",
            Action::Start { .. } => "start",
            Action::Shutdown { .. } => "shutdown",
            Action::Destroy { .. } => "destroy",
            Action::Ready(_) => "ready",
            Action::Attach { .. } => "attach",
        }
    }

    /// The mark that must be in the VM's config right before this step touches it.
    pub fn expected_mark(&self) -> Option<&Mark> {
        match self {
            Action::ImportDisk { mark, .. }
            | Action::Set { mark, .. }
            | Action::Resize { mark, .. }
            | Action::ConvertTemplate { mark }
            | Action::Start { mark }
            | Action::Shutdown { mark, .. }
            | Action::Destroy { mark, .. } => Some(mark),
            Action::Bake(bake) => Some(&bake.mark),
            Action::Ready(ready) => Some(&ready.mark),
            Action::FetchImage { .. }
            | Action::CreateTemplate { .. }
            | Action::RemoveImage { .. }
            | Action::Clone { .. }
            | Action::Attach { .. } => None,
        }
    }
}

/// Config keys for one `qm create` or `qm set`, sorted as PVE writes them.
pub type Settings = BTreeMap<String, Setting>;

/// A value to set. Only `Net` and `Tags` depend on what is there; both rules are pure (`pve::commands`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    Text(String),
    /// Public keys: handed over as a file in the operation's folder (never empty).
    SshKeys(String),
    /// Model, bridge and VLAN change; MAC, firewall, mtu, queues and the rest stay as they are.
    Net {
        model: String,
        bridge: String,
        vlan: Option<u16>,
    },
    /// Added to the tags that are there.
    Tags(BTreeSet<String>),
    /// The mark, put into the description that is there.
    Description(Mark),
}

/// One boot of a template-to-be that installs and cleans (design §6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BakeStep {
    pub mark: Mark,
    /// Volume id for cicustom: `local:snippets/pvekube-bake-1f2e3d4c-9000.yaml`.
    pub snippet_volume: String,
    /// Absolute path of the file on the node.
    pub snippet_path: String,
    /// `#cloud-config` and one line of JSON.
    pub document: String,
    /// ipconfig0, nameserver, searchdomain for the bake's boot; deleted afterwards.
    pub network: BTreeMap<String, String>,
    pub timeout_s: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadyStep {
    pub mark: Mark,
    pub name: MachineName,
    pub address: ExpectedAddress,
    pub user: String,
    pub ssh: SshCheck,
    pub ssh_port: u16,
    /// From the machine's own start.
    pub timeout_s: u32,
    pub ssh_interval_s: u32,
    /// Ranges that are never its address.
    pub exclude: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedAddress {
    /// Must appear on net0.
    Static(Cidr),
    /// Whatever net0 gets.
    Dhcp,
}

impl ExpectedAddress {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            ExpectedAddress::Static(cidr) => Some(cidr.address),
            ExpectedAddress::Dhcp => None,
        }
    }
}
