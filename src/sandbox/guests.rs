//! What runs inside a VM, as far as a node can see it: QEMU's process, the agent, cloud-init. The tools ask only this.

use std::fmt;
use std::io;

use serde_json::Value;

use super::guest::Pause;
use super::node::SandboxNode;
use crate::model::vm_config::VmConfig;

/// What a start hands to the guest.
#[derive(Clone, Debug)]
pub struct Boot {
    pub vmid: u32,
    /// As the start sees it: pending values applied.
    pub config: VmConfig,
    /// Documents of the cloud-init drive (user, network, meta, vendor), if it has one.
    pub cloudinit: Option<CloudInit>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudInit {
    pub user: String,
    pub network: String,
    pub meta: String,
    pub vendor: Option<String>,
}

/// A VM whose QEMU runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Running {
    pub pid: u32,
    /// Unix seconds.
    pub started_at: f64,
    pub paused: Option<Pause>,
}

/// What the guest agent says.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentReply {
    /// Nobody answers on its socket.
    Silent,
    /// `return`, or an `{"error": …}` object as the tools hand it on.
    Value(Value),
}

/// What a guest's command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecReply {
    Silent,
    /// The agent could not start it: its own text.
    NotStarted(String),
    /// It goes on longer than the caller waits.
    Unfinished {
        pid: u32,
    },
    Exited {
        pid: u32,
        exit: i32,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
}

/// The guests of a world. State lives in the node's files, because stand-ins may be short-lived processes.
pub trait Guests: fmt::Debug + Send + Sync {
    /// Starts QEMU: pid file, `/proc/PID/cmdline`, serial socket.
    fn start(&self, node: &SandboxNode, boot: &Boot) -> io::Result<()>;

    /// `None` when QEMU does not run (a guest that powered itself off is gone).
    fn running(&self, node: &SandboxNode, vmid: u32) -> Option<Running>;

    /// Ends QEMU at once.
    fn stop(&self, node: &SandboxNode, vmid: u32) -> io::Result<()>;

    /// Asks the guest to shut down: seconds until it is gone; `None`: it does not react.
    fn shutdown(&self, node: &SandboxNode, vmid: u32) -> Option<f64>;

    fn pause(&self, node: &SandboxNode, vmid: u32, paused: bool) -> io::Result<()>;

    /// An agent command such as `ping` or `network-get-interfaces`; its answer without the outer `return`.
    fn agent(&self, node: &SandboxNode, vmid: u32, command: &str) -> AgentReply;

    /// Runs a command in the guest, waiting at most `patience_s`.
    fn exec(&self, node: &SandboxNode, vmid: u32, argv: &[String], stdin: &[u8], patience_s: f64) -> ExecReply;
}
