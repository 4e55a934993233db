//! `Remote` over real SSH: each request is one fixed program on the node.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{Input, Request, Stream, run};
use super::session::Connections;
use super::{
    Answer, Follower, Lock, LockAnswer, LockAsk, LoginAnswer, LoginAsk, ObserveAsk, Operation, Probe, PutContent,
    PutFile, Remote, RemoteError, RemoteErrorKind, Work, follow, lock, login, program,
};
use crate::model::desired::{NodeTarget, SshSettings};
use crate::model::ids::{NodeName, OperationName};

/// Time limits in seconds. A read of files takes 0.4 s; a `pvesm` call 1 s and up on a busy storage.
const READ_S: u64 = 60;
const START_S: u64 = 60;
/// Reading and checking an image of gigabytes on a slow disk.
const IMAGE_S: u64 = 3600;
/// Bytes a second of the slowest line that an image is sent over.
const SLOWEST: u64 = 50_000;
/// Ends of streams take one round trip, 5 s at most.
const CLOSE: Duration = Duration::from_secs(10);

/// Real nodes. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Ssh {
    connections: Arc<Connections>,
    sudo: bool,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// Why not even a connection can be tried.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot make a private folder for SSH connections: {0}")]
    Folder(std::io::Error),
    #[error("cannot read {}: {cause}", file.display())]
    ConfigFile { file: PathBuf, cause: std::io::Error },
}

impl SetupError {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            SetupError::Folder(_) => "make $XDG_RUNTIME_DIR or /tmp writable",
            SetupError::ConfigFile { .. } => "correct ssh.config_file in config.yaml",
        }
    }
}

impl Ssh {
    /// Connects to nothing yet. Must live within a tokio runtime when used.
    ///
    /// # Errors
    /// When the private folder for the connections cannot be made, or `ssh.config_file` can't be read (ssh would pass over
    /// it in silence).
    pub fn new(settings: &SshSettings, nodes: &[NodeTarget]) -> Result<Self, SetupError> {
        if let Some(file) = &settings.config_file
            && let Err(cause) = std::fs::File::open(file)
        {
            return Err(SetupError::ConfigFile { file: file.clone(), cause });
        }
        let connections = Connections::new(settings, nodes).map_err(SetupError::Folder)?;
        Ok(Self {
            connections: Arc::new(connections),
            sudo: settings.sudo,
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
        })
    }

    async fn run(&self, node: &NodeName, request: Request<'_>) -> Result<Answer, RemoteError> {
        run(&self.connections, self.sudo, node, request).await
    }

    /// Runs a program whose only answer is that it worked.
    async fn act(&self, node: &NodeName, request: Request<'_>) -> Result<(), RemoteError> {
        let what = request.program.name;
        let answer = self.run(node, request).await?;
        if answer.exit == 0 { Ok(()) } else { Err(refused(node, what, &answer)) }
    }

    async fn stream(
        &self,
        node: &NodeName,
        program: program::Program,
        parameters: &[&str],
    ) -> Result<Stream, RemoteError> {
        Stream::open(&self.connections, self.sudo, node, program, parameters).await
    }
}

impl Remote for Ssh {
    async fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        let cluster = ask.cluster.as_ref().map_or("", |cluster| cluster.as_str());
        let storages = joined(ask.storages.iter().map(|storage| storage.as_str()));
        let bridges = joined(ask.bridges.iter().map(|bridge| bridge.as_str()));
        let snippets = ask.snippet_folder.as_deref().unwrap_or("");
        let parameters = [&ask.nonce, cluster, &storages, &bridges, snippets];
        let answer = self.run(node, Request::new(program::OBSERVE, &parameters, READ_S)).await?;
        if answer.exit == 0 { Ok(answer.stdout) } else { Err(refused(node, "observe", &answer)) }
    }

    async fn probe(&self, node: &NodeName, probe: &Probe) -> Result<Answer, RemoteError> {
        let (program, parameters, limit_s) = match probe {
            Probe::Vm { vmid } => (program::VM, vec![program::nonce(), vmid.to_string()], READ_S),
            Probe::Volumes { storage, vmid } => {
                (program::VOLUMES, vec![storage.to_string(), vmid.to_string()], 2 * READ_S)
            }
            Probe::Operation { name, lines } => (program::STATUS, vec![name.to_string(), lines.to_string()], READ_S),
            Probe::Image { path, digest } => {
                let parameters = vec![path.clone(), digest.algorithm().to_owned(), digest.hex().to_owned()];
                (program::IMAGE, parameters, IMAGE_S)
            }
            Probe::Diagnose { vmid, mac, bridge } => {
                let bridge = bridge.as_ref().map(ToString::to_string).unwrap_or_default();
                (program::DIAGNOSE, vec![vmid.to_string(), mac.clone().unwrap_or_default(), bridge], READ_S)
            }
            Probe::LockOwner { cluster } => (program::OWNER, vec![cluster.to_string()], READ_S),
        };
        let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
        self.run(node, Request::new(program, &parameters, limit_s)).await
    }

    async fn start(&self, node: &NodeName, operation: &Operation) -> Result<(), RemoteError> {
        let runner = program::OPERATION.text().into_bytes();
        let words = words(&operation.work);
        let Some(argv) = program::encode_argv(words.iter().map(String::as_str)) else {
            return Err(bad_request(node, "an argument holds a NUL byte"));
        };
        let mut parameters = vec![operation.name.to_string(), runner.len().to_string(), argv.len().to_string()];
        let mut input = [runner, argv].concat();
        for (name, content) in &operation.files {
            parameters.extend([name.clone(), content.len().to_string()]);
            input.extend_from_slice(content);
        }
        let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
        self.act(node, Request::new(program::START, &parameters, START_S).with_input(Input::Bytes(input))).await
    }

    async fn forget(&self, node: &NodeName, operation: &OperationName) -> Result<(), RemoteError> {
        self.act(node, Request::new(program::FORGET, &[operation.as_str()], READ_S)).await
    }

    async fn put(&self, node: &NodeName, file: &PutFile) -> Result<(), RemoteError> {
        let (input, length, algorithm, hex) = match &file.content {
            PutContent::Bytes(bytes) => (Input::Bytes(bytes.clone()), bytes.len() as u64, "-", "-"),
            PutContent::File { path, digest } => {
                let unreadable = |error| bad_request(node, &format!("cannot read {}: {error}", path.display()));
                let opened = tokio::fs::File::open(path).await.map_err(unreadable)?;
                let length = opened.metadata().await.map_err(unreadable)?.len();
                (Input::File(opened), length, digest.algorithm(), digest.hex())
            }
        };
        let limit_s = IMAGE_S.saturating_add(length / SLOWEST);
        let (mode, length) = (format!("{:o}", file.mode), length.to_string());
        let parameters = [file.path.as_str(), &mode, &length, algorithm, hex];
        self.act(node, Request::new(program::PUT, &parameters, limit_s).with_input(input)).await
    }

    async fn remove(&self, node: &NodeName, path: &str) -> Result<(), RemoteError> {
        self.act(node, Request::new(program::REMOVE, &[path], READ_S)).await
    }

    async fn follow(&self, node: &NodeName) -> Result<Follower, RemoteError> {
        let stream = self.stream(node, program::FOLLOW, &follow::PARAMETERS).await?;
        let (requests, asked) = mpsc::unbounded_channel();
        let (told, events) = mpsc::unbounded_channel();
        self.tasks.spawn(follow::drive(stream, asked, told, self.end.clone()));
        Ok(Follower { requests, events })
    }

    async fn lock(&self, node: &NodeName, ask: &LockAsk) -> Result<LockAnswer, RemoteError> {
        let (wait, patience) = (ask.wait_s.max(1).to_string(), lock::PATIENCE_S.to_string());
        let owner = ask.owner.replace(['\n', '\r'], " ");
        let parameters = [ask.cluster.as_str(), &ask.nonce, &owner, &wait, &patience];
        let mut stream = self.stream(node, program::LOCK, &parameters).await?;
        match stream.line().await.as_deref().and_then(lock::first) {
            Some(lock::First::Held { previous }) => {
                let (holds, held) = watch::channel(true);
                let (release, released) = mpsc::channel(1);
                self.tasks.spawn(lock::drive(stream, holds, released, self.end.clone()));
                Ok(LockAnswer::Held(Lock { previous, held, release }))
            }
            Some(lock::First::Busy { owner }) => {
                stream.finish().await;
                Ok(LockAnswer::Busy { owner })
            }
            None => Err(RemoteError {
                node: node.clone(),
                kind: RemoteErrorKind::Unknown,
                sentence: "the lock could not be taken: its holder ended at once".to_owned(),
                hint: "check that /run on the node is writable and not full".to_owned(),
                detail: String::new(),
            }),
        }
    }

    async fn login(&self, ask: &LoginAsk) -> LoginAnswer {
        login::login(&self.connections, ask).await
    }

    async fn close(&self) {
        self.end.cancel();
        self.tasks.close();
        // One that is stuck in a dead connection must not keep us: it ends with the connection.
        let _ = tokio::time::timeout(CLOSE, self.tasks.wait()).await;
        self.connections.close().await;
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // The last clone ends what still follows or holds a lock; `close` had done so.
        if Arc::strong_count(&self.connections) == 1 {
            self.end.cancel();
        }
    }
}

/// The words that an operation's runner takes: the kind of work, then its arguments.
fn words(work: &Work) -> Vec<String> {
    match work {
        Work::Qm { args } => std::iter::once("qm".to_owned()).chain(args.iter().cloned()).collect(),
        Work::FreeVolume { volume } => ["pvesm", "free", volume].map(str::to_owned).to_vec(),
        Work::Download { url, digest, path } => {
            ["download", url, digest.algorithm(), digest.hex(), path].map(str::to_owned).to_vec()
        }
        Work::Bake { vmid, timeout_s } => vec!["bake".to_owned(), vmid.to_string(), timeout_s.to_string()],
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// It ran and said no.
fn refused(node: &NodeName, what: &str, answer: &Answer) -> RemoteError {
    let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
    let last = said.lines().last().unwrap_or("it gave no reason").to_owned();
    RemoteError {
        node: node.clone(),
        kind: RemoteErrorKind::Refused,
        sentence: format!("`{what}` failed on the node: {last}"),
        hint: "see what it said, and the space and state of /run and /var/lib/pvekube on the node".to_owned(),
        detail: format!("exit {}: {said}", answer.exit),
    }
}

/// Nothing was sent.
fn bad_request(node: &NodeName, why: &str) -> RemoteError {
    RemoteError {
        node: node.clone(),
        kind: RemoteErrorKind::NotStarted,
        sentence: why.to_owned(),
        hint: "nothing was sent to the node".to_owned(),
        detail: String::new(),
    }
}
