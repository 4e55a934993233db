//! Names and numbers as types, so that a node's display name can't be handed over as a VM's name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id!(
    /// A Proxmox host as the config calls it (`name`, default: first label of the host). Unique in a config.
    NodeName
);
text_id!(
    /// A Proxmox host as its own PVE cluster calls it (the folder name under `/etc/pve/nodes`).
    PveName
);
text_id!(
    /// The Kubernetes cluster of the manifest (`cluster:`), the prefix of every machine's name.
    ClusterName
);
text_id!(
    /// A machine's full name, which is also its VM's name and host name: `k8s-worker-3`.
    MachineName
);
text_id!(
    /// A PVE storage (`local-lvm`).
    StorageName
);
text_id!(
    /// A network bridge on a node (`vmbr0`).
    BridgeName
);
text_id!(
    /// A PVE resource pool (`kubernetes`).
    PoolName
);
text_id!(
    /// One PVE cluster or one standalone node, the space in which VMIDs are unique.
    /// `cluster:<name>` for a cluster, `node:<PVE name>@<host>` for a standalone node.
    RealmId
);
text_id!(
    /// An operation's folder name under `/run/pvekube/ops`: `<cluster>-<vmid>-<verb>-<nonce>`.
    OperationName
);

/// A guest's number: 100..=999999999 in PVE (contract §2), unique in a realm over VMs and containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vmid(pub u32);

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which pool of the manifest a machine belongs to. The order is the order of plans: masters, workers, others by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    Masters,
    Workers,
    /// A further worker pool of `pools:`; its name is the middle part of its machines' names.
    Named(String),
}

impl Pool {
    /// The middle part of a machine's name: `master`, `worker`, or the pool's own name.
    pub fn stem(&self) -> &str {
        match self {
            Pool::Masters => "master",
            Pool::Workers => "worker",
            Pool::Named(name) => name,
        }
    }

    /// Its key in the manifest; a pool of `pools:` is a key below that.
    pub fn section(&self) -> &str {
        match self {
            Pool::Masters => "masters",
            Pool::Workers => "workers",
            Pool::Named(name) => name,
        }
    }

    pub fn role(&self) -> Role {
        match self {
            Pool::Masters => Role::Master,
            Pool::Workers | Pool::Named(_) => Role::Worker,
        }
    }
}

/// What a machine is for Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Master,
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Master => "master",
            Role::Worker => "worker",
        })
    }
}

/// A machine's identity within its cluster: pool and number. Written `worker-3` in the mark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId {
    pub pool: Pool,
    /// 1-based.
    pub number: u32,
}

impl MachineId {
    /// The VM's name: `<cluster>-<pool stem>-<number>`.
    pub fn name(&self, cluster: &ClusterName) -> MachineName {
        MachineName::new(format!("{cluster}-{self}"))
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.pool.stem(), self.number))
    }
}

impl FromStr for MachineId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not <pool>-<number>");
        let (stem, number) = text.rsplit_once('-').ok_or_else(bad)?;
        let number: u32 = number.parse().map_err(|_| bad())?;
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if stem.is_empty() || !stem.bytes().all(label) || number == 0 || text != format!("{stem}-{number}") {
            return Err(bad());
        }
        let pool = match stem {
            "master" => Pool::Masters,
            "worker" => Pool::Workers,
            other => Pool::Named(other.to_owned()),
        };
        Ok(Self { pool, number })
    }
}

impl Serialize for MachineId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MachineId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of an image file, `sha256-<64 hex>` or `sha512-<128 hex>`; lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageDigest(String);

impl ImageDigest {
    /// `sha256` or `sha512`: also the prefix of the node's program that checks it (`sha256sum`).
    pub fn algorithm(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
    pub fn hex(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// For people: `sha256 5a3c…e91f`.
    pub fn short(&self) -> String {
        let hex = self.hex();
        format!("{} {}…{}", self.algorithm(), &hex[..4], &hex[hex.len() - 4..])
    }
}

impl FromStr for ImageDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase().replacen(':', "-", 1);
        let length = match lower.split_once('-') {
            Some(("sha256", hex)) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => (hex.len(), 64),
            Some(("sha512", hex)) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => (hex.len(), 128),
            _ => return Err(format!("`{text}` is not sha256-<hex> or sha512-<hex>")),
        };
        if length.0 != length.1 {
            return Err(format!("`{text}` has {} hex digits, not {}", length.0, length.1));
        }
        Ok(Self(lower))
    }
}

impl TryFrom<String> for ImageDigest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ImageDigest> for String {
    fn from(digest: ImageDigest) -> Self {
        digest.0
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An address with its subnet, as `ipconfig0` has it: `10.0.0.11/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    pub address: IpAddr,
    pub prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.prefix))
    }
}

impl FromStr for Cidr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let net: ipnet::IpNet = text
            .parse()
            .map_err(|_| format!("`{text}` is not an address with a prefix length, such as 10.0.0.11/24"))?;
        Ok(Self { address: net.addr(), prefix: net.prefix_len() })
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}
