//! The nodes that a command talks to: real ones over SSH, or the sandbox.

use std::sync::Arc;

use crate::model::ids::{NodeName, OperationName};
use crate::remote::ssh::Ssh;
use crate::remote::{
    Answer, Follower, LockAnswer, LockAsk, LoginAnswer, LoginAsk, ObserveAsk, Operation, Probe, PutFile, Remote,
    RemoteError,
};
use crate::sandbox::remote::SandboxRemote;

pub enum Nodes {
    Ssh(Arc<Ssh>),
    Sandbox(Arc<SandboxRemote>),
}

macro_rules! delegate {
    ($self:ident, $nodes:ident => $call:expr) => {
        match $self {
            Nodes::Ssh($nodes) => $call.await,
            Nodes::Sandbox($nodes) => $call.await,
        }
    };
}

impl Remote for Nodes {
    async fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        delegate!(self, nodes => nodes.observe(node, ask))
    }
    async fn probe(&self, node: &NodeName, probe: &Probe) -> Result<Answer, RemoteError> {
        delegate!(self, nodes => nodes.probe(node, probe))
    }
    async fn start(&self, node: &NodeName, operation: &Operation) -> Result<(), RemoteError> {
        delegate!(self, nodes => nodes.start(node, operation))
    }
    async fn forget(&self, node: &NodeName, operation: &OperationName) -> Result<(), RemoteError> {
        delegate!(self, nodes => nodes.forget(node, operation))
    }
    async fn put(&self, node: &NodeName, file: &PutFile) -> Result<(), RemoteError> {
        delegate!(self, nodes => nodes.put(node, file))
    }
    async fn remove(&self, node: &NodeName, path: &str) -> Result<(), RemoteError> {
        delegate!(self, nodes => nodes.remove(node, path))
    }
    async fn follow(&self, node: &NodeName) -> Result<Follower, RemoteError> {
        delegate!(self, nodes => nodes.follow(node))
    }
    async fn lock(&self, node: &NodeName, ask: &LockAsk) -> Result<LockAnswer, RemoteError> {
        delegate!(self, nodes => nodes.lock(node, ask))
    }
    async fn login(&self, ask: &LoginAsk) -> LoginAnswer {
        delegate!(self, nodes => nodes.login(ask))
    }
    async fn close(&self) {
        delegate!(self, nodes => nodes.close())
    }
}
