//! One multiplexed connection a node, made when first needed and made again when it went.
//!
//! Sessions on it (sshd's `MaxSessions` is 10, and frees one late): the lock, the follower, two short commands. So `short`
//! has two permits; a session that sshd refuses all the same never started and is asked for again (crates.md A2).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openssh::{Child, ControlPersist, Error, KnownHosts, Session, SessionBuilder, Stdio};
use tokio::sync::{Mutex, Semaphore};

use super::control::ControlFolder;
use super::{RemoteError, RemoteErrorKind, classify, ssh_config};
use crate::model::desired::{self, NodeTarget, SshSettings};
use crate::model::ids::NodeName;

/// Connections being made at once, over all nodes: each costs a key exchange on our side, too.
const CONNECTS: usize = 8;
/// Short commands a node at once.
const SHORT: usize = 2;
/// A master whose run was killed ends after this time without a session.
const IDLE_S: usize = 600;
/// Tries for a session that sshd has no room for: 10 ms doubling, 2.5 s in all.
const SESSION_TRIES: u32 = 9;

/// A session is opened in a round trip. Keep-alives notice a dead link after 40 s, a stopped master never.
const SPAWN: Duration = Duration::from_secs(60);
/// Beyond the configured time for connecting: for logging in. `ssh` itself has no limit there.
const LOGIN: Duration = Duration::from_secs(30);

/// The connections to all nodes.
#[derive(Debug)]
pub(crate) struct Connections {
    nodes: BTreeMap<NodeName, Connection>,
    builder: SessionBuilder,
    connecting: Semaphore,
    config_file: PathBuf,
    private_key: Option<PathBuf>,
    connect_limit: Duration,
    /// Last: sessions end before their folder goes.
    _folder: ControlFolder,
}

#[derive(Debug)]
struct Connection {
    target: NodeTarget,
    session: Mutex<Option<Arc<Session>>>,
    short: Semaphore,
}

/// A remote command with all three pipes.
pub(crate) type Process = Child<Arc<Session>>;

impl Connections {
    pub(crate) fn new(settings: &SshSettings, nodes: &[NodeTarget]) -> std::io::Result<Self> {
        let folder = ControlFolder::make()?;
        let config_file = folder.path().join("config");
        std::fs::write(&config_file, ssh_config::text(settings))?;
        let nodes = nodes
            .iter()
            .map(|target| {
                let connection =
                    Connection { target: target.clone(), session: Mutex::new(None), short: Semaphore::new(SHORT) };
                (target.name.clone(), connection)
            })
            .collect();
        let private_key = settings.private_key.clone();
        let builder = builder(settings, &folder, &config_file);
        Ok(Self {
            nodes,
            builder,
            connecting: Semaphore::new(CONNECTS),
            config_file,
            private_key,
            connect_limit: Duration::from_secs(settings.connect_timeout_s.into()) + LOGIN,
            _folder: folder,
        })
    }

    pub(crate) fn config_file(&self) -> &Path {
        &self.config_file
    }

    pub(crate) fn host(&self, node: &NodeName) -> Result<&str, RemoteError> {
        Ok(&self.connection(node)?.target.host)
    }

    /// Waits for one of the node's places for short commands.
    pub(crate) async fn short(&self, node: &NodeName) -> Result<tokio::sync::SemaphorePermit<'_>, RemoteError> {
        let connection = self.connection(node)?;
        // Never closed, so this can't fail; if it did, the connection would be of no use either.
        connection.short.acquire().await.map_err(|_| classify::lost(node, "waiting", "closed"))
    }

    /// Starts a remote command with piped stdin, stdout, stderr. An error means that it never began: what it does comes
    /// on its stdin, which nobody wrote yet.
    pub(crate) async fn spawn(&self, node: &NodeName, words: &[String]) -> Result<Process, RemoteError> {
        let mut pause = Duration::from_millis(10);
        let mut refused = 0;
        let mut reconnected = false;
        loop {
            let session = self.session(node).await?;
            let mut command = session.clone().arc_command(&words[0]);
            command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let Ok(spawned) = tokio::time::timeout(SPAWN, command.spawn()).await else {
                self.discard(node, &session).await;
                return Err(classify::not_started(node, &Error::Disconnected));
            };
            match spawned {
                Ok(process) => return Ok(process),
                Err(error) if classify::is_session_refused(&error) && refused < SESSION_TRIES => {
                    refused += 1;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(640));
                }
                Err(error) if classify::is_disconnected(&error) && !reconnected => {
                    reconnected = true;
                    self.discard(node, &session).await;
                }
                Err(error) => return Err(classify::not_started(node, &error)),
            }
        }
    }

    /// The node's session, connecting when there is none.
    pub(crate) async fn session(&self, node: &NodeName) -> Result<Arc<Session>, RemoteError> {
        let connection = self.connection(node)?;
        let mut slot = connection.session.lock().await;
        if let Some(session) = slot.as_ref() {
            return Ok(session.clone());
        }
        let session = Arc::new(self.connect(node, &connection.target).await?);
        *slot = Some(session.clone());
        Ok(session)
    }

    /// Forgets a session that turned out dead; the next request connects anew.
    pub(crate) async fn discard(&self, node: &NodeName, dead: &Arc<Session>) {
        let Ok(connection) = self.connection(node) else { return };
        let mut slot = connection.session.lock().await;
        if slot.as_ref().is_some_and(|session| Arc::ptr_eq(session, dead)) {
            *slot = None;
        }
    }

    async fn connect(&self, node: &NodeName, target: &NodeTarget) -> Result<Session, RemoteError> {
        let host = &target.host;
        if host.is_empty() || host.starts_with('-') || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(RemoteError {
                node: node.clone(),
                kind: RemoteErrorKind::Unreachable,
                sentence: format!("`{}` is not a host name", host.escape_debug()),
                hint: "correct `host` in config.yaml".to_owned(),
                detail: String::new(),
            });
        }
        if let Some(key) = &self.private_key
            && let Err(error) = std::fs::File::open(key)
        {
            return Err(classify::no_key_file(node, &key.display().to_string(), &error.to_string()));
        }
        let mut builder = self.builder.clone();
        if let Some(port) = target.port {
            builder.port(port);
        }
        // Never closed.
        let _permit = self.connecting.acquire().await;
        let mut tries = 0;
        loop {
            let Ok(connected) = tokio::time::timeout(self.connect_limit, builder.connect_mux(host)).await else {
                return Err(classify::stalled(node, host, self.connect_limit));
            };
            match connected {
                Ok(session) => return Ok(session),
                Err(error) if classify::is_shed(&error) && tries < 2 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(300 * tries)).await;
                }
                Err(error) => return Err(classify::not_connected(node, host, &error)),
            }
        }
    }

    /// Closes every connection and waits until its master is told so.
    pub(crate) async fn close(&self) {
        for connection in self.nodes.values() {
            let Some(session) = connection.session.lock().await.take() else { continue };
            match Arc::try_unwrap(session) {
                Ok(session) => closed(session.close().await),
                // A request still runs; its end closes it.
                Err(shared) => drop(shared),
            }
        }
    }

    fn connection(&self, node: &NodeName) -> Result<&Connection, RemoteError> {
        self.nodes.get(node).ok_or_else(|| RemoteError {
            node: node.clone(),
            kind: RemoteErrorKind::NotStarted,
            sentence: "is not a node of this config".to_owned(),
            hint: "list it under `proxmox_nodes` in config.yaml".to_owned(),
            detail: String::new(),
        })
    }
}

fn closed(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "closing a connection");
    }
}

fn builder(settings: &SshSettings, folder: &ControlFolder, config_file: &Path) -> SessionBuilder {
    let mut builder = SessionBuilder::default();
    builder
        .control_directory(folder.path())
        .control_persist(ControlPersist::IdleFor(
            // A constant above zero.
            std::num::NonZeroUsize::new(IDLE_S).unwrap_or(std::num::NonZeroUsize::MIN),
        ))
        .config_file(config_file)
        .connect_timeout(Duration::from_secs(settings.connect_timeout_s.max(1).into()))
        .server_alive_interval(Duration::from_secs(ssh_config::KEEP_ALIVE_S.into()))
        .known_hosts_check(match settings.known_hosts {
            desired::KnownHosts::Strict => KnownHosts::Strict,
            desired::KnownHosts::AcceptNew => KnownHosts::Add,
        });
    if !settings.user.is_empty() {
        builder.user(settings.user.clone());
    }
    if let Some(key) = &settings.private_key {
        builder.keyfile(key);
    }
    builder
}
