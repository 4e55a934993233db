//! `Remote` over simulated nodes: every request is answered in process, with the bytes that the shell programs of
//! `remote/programs` print over the same files (`tests/stand_ins.rs` holds both against each other).

mod bake;
mod conditions;
mod download;
mod files;
mod follow;
mod lock;
mod login;
mod operations;
mod probe;
mod report;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use conditions::{Calm, Conditions, Moment, Weather};
pub use operations::Operations;
pub use session::{Cut, Links};

use super::node::SandboxNode;
use super::world::World;
use crate::model::ids::{NodeName, OperationName};
use crate::remote::{
    Answer, Follower, LockAnswer, LockAsk, LoginAnswer, LoginAsk, ObserveAsk, Operation, Probe, PutFile, Remote,
    RemoteError,
};

/// One pvekube's view of a world. Operations belong to the world's nodes, not to it: they go on when it is dropped, as
/// long as the process (or the simulation) lives.
#[derive(Clone, Debug)]
pub struct SandboxRemote {
    pub world: Arc<World>,
    /// Which node of the world each configured node is.
    names: BTreeMap<NodeName, String>,
    pub operations: Arc<Operations>,
    pub links: Arc<Links>,
    conditions: Arc<dyn Conditions>,
    /// Public halves of private keys that are no files (simulation): by the private key's path.
    pub public_keys: BTreeMap<std::path::PathBuf, String>,
}

impl SandboxRemote {
    /// `names`: display name of the config → node of the world.
    pub fn new(world: Arc<World>, names: BTreeMap<NodeName, String>, operations: Arc<Operations>) -> Self {
        let links = Arc::new(Links::default());
        Self { world, names, operations, links, conditions: Arc::new(Calm), public_keys: BTreeMap::new() }
    }

    /// Every node of the world under its own name.
    pub fn plain(world: Arc<World>) -> Self {
        let names = world.nodes().iter().map(|node| (NodeName::new(node.name()), node.name().to_owned())).collect();
        Self::new(world, names, Arc::new(Operations::default()))
    }

    pub fn with_conditions(mut self, conditions: Arc<dyn Conditions>) -> Self {
        self.conditions = conditions;
        self
    }

    /// Connections that are not this pvekube's but the world's to cut.
    pub fn with_links(mut self, links: Arc<Links>) -> Self {
        self.links = links;
        self
    }

    pub(crate) fn sandbox_node(&self, name: &NodeName) -> Result<SandboxNode, RemoteError> {
        let known = self.names.get(name).and_then(|name| self.world.node(name));
        known.ok_or_else(|| session::no_such_host(name))
    }
}

impl Remote for SandboxRemote {
    async fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        self.request(node, "observe", |at| async move { Ok(report::observe(&at, ask, &self.operations).await) }).await
    }

    async fn probe(&self, node: &NodeName, probe: &Probe) -> Result<Answer, RemoteError> {
        self.request(node, "probe", |at| async move { Ok(probe::answer(&at, probe, &self.operations).await) }).await
    }

    async fn start(&self, node: &NodeName, operation: &Operation) -> Result<(), RemoteError> {
        self.request(node, "start", |at| async move {
            self.operations.start(&at, operation, self.conditions.clone()).map_err(|text| session::refused(node, &text))
        })
        .await
    }

    async fn forget(&self, node: &NodeName, operation: &OperationName) -> Result<(), RemoteError> {
        self.request(node, "forget", |at| async move {
            self.operations.forget(&at, operation).map_err(|text| session::refused(node, &text))
        })
        .await
    }

    async fn put(&self, node: &NodeName, file: &PutFile) -> Result<(), RemoteError> {
        self.request(
            node,
            "put",
            |at| async move { files::put(&at, file).map_err(|text| session::refused(node, &text)) },
        )
        .await
    }

    async fn remove(&self, node: &NodeName, path: &str) -> Result<(), RemoteError> {
        self.request(node, "remove", |at| async move {
            files::remove(&at, path).map_err(|text| session::refused(node, &text))
        })
        .await
    }

    async fn follow(&self, node: &NodeName) -> Result<Follower, RemoteError> {
        self.request(
            node,
            "follow",
            |at| async move { Ok(follow::open(at, self.operations.clone(), self.links.clone())) },
        )
        .await
    }

    async fn lock(&self, node: &NodeName, ask: &LockAsk) -> Result<LockAnswer, RemoteError> {
        self.request(node, "lock", |at| async move {
            lock::take(at, ask, &self.links).await.map_err(|text| session::refused(node, &text))
        })
        .await
    }

    async fn login(&self, ask: &LoginAsk) -> LoginAnswer {
        login::login(self, ask).await
    }

    async fn close(&self) {}
}
