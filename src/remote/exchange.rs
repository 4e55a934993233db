//! One program on a node, from its text on stdin to its framed answer; and the long-lived kind, line by line.

use std::time::Duration;

use openssh::{ChildStderr, ChildStdin, ChildStdout};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

use super::program::{Framed, Program, command, nonce, unframe};
use super::session::{Connections, Process};
use super::{Answer, RemoteError, RemoteErrorKind, classify};
use crate::model::ids::NodeName;

/// An answer beyond this is a fault, not data (the whole `/etc/pve` is at most 128 MiB, contract §9).
const LONGEST_ANSWER: u64 = 256 << 20;
/// One line of a long-lived program.
const LONGEST_LINE: usize = 16 << 20;
/// Until a long-lived program says its first word.
const BEGIN: Duration = Duration::from_secs(60);

/// What a program reads after its own text.
#[derive(Debug)]
pub(crate) enum Input {
    Bytes(Vec<u8>),
    /// A local file, opened.
    File(tokio::fs::File),
}

/// A program, its parameters, its input, and how long it may take.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) program: Program,
    pub(crate) parameters: &'a [&'a str],
    pub(crate) input: Input,
    pub(crate) limit: Duration,
}

impl<'a> Request<'a> {
    pub(crate) fn new(program: Program, parameters: &'a [&'a str], limit_s: u64) -> Self {
        Self { program, parameters, input: Input::Bytes(Vec::new()), limit: Duration::from_secs(limit_s) }
    }

    pub(crate) fn with_input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }
}

/// Runs a program that has come to its end; any exit code is an answer.
pub(crate) async fn run(
    connections: &Connections,
    sudo: bool,
    node: &NodeName,
    request: Request<'_>,
) -> Result<Answer, RemoteError> {
    let what = request.program.name;
    let _place = connections.short(node).await?;
    let nonce = nonce();
    let text = request.program.text();
    let process = connections.spawn(node, &command(sudo, &nonce, text.len(), request.parameters)).await?;
    let session = process.session();
    let exchanged = tokio::time::timeout(request.limit, exchange(process, &text, request.input)).await;
    let Ok(output) = exchanged else {
        return Err(RemoteError {
            node: node.clone(),
            kind: RemoteErrorKind::Unknown,
            sentence: format!("gave no answer to `{what}` within {} s", request.limit.as_secs()),
            hint: "the node may hang (storage, pmxcfs): look at its console or `dmesg`".to_owned(),
            detail: String::new(),
        });
    };
    let output = output.map_err(|error| classify::lost(node, what, error.to_string()))?;
    match unframe(&nonce, &output.stdout, &output.stderr) {
        Framed::Whole(answer) => Ok(answer),
        Framed::NotRun => Err(not_run(node, what, "the program came incomplete")),
        Framed::NoFrame if output.exited => Err(no_shell(node, what, sudo, &output.stderr)),
        Framed::Cut | Framed::NoFrame => {
            if session.check().await.is_err() {
                connections.discard(node, &session).await;
            }
            Err(classify::lost(node, what, String::from_utf8_lossy(&output.stderr)))
        }
    }
}

fn not_run(node: &NodeName, what: &str, detail: &str) -> RemoteError {
    RemoteError {
        node: node.clone(),
        kind: RemoteErrorKind::NotStarted,
        sentence: format!("the connection broke before `{what}` began"),
        hint: "run it again".to_owned(),
        detail: detail.to_owned(),
    }
}

/// The remote command ended by itself without our frame: no `sh`, no `sudo`, a forced command, a shell that is none.
fn no_shell(node: &NodeName, what: &str, sudo: bool, stderr: &[u8]) -> RemoteError {
    let said = String::from_utf8_lossy(stderr);
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    let hint = if sudo {
        "allow it without a password (`USER ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d), or log in as root"
    } else {
        "the login shell must run commands: look for a forced command or a shell that is none"
    };
    RemoteError {
        node: node.clone(),
        kind: RemoteErrorKind::NotStarted,
        sentence: format!("the node does not run `sh` for us (`{what}`): {last}"),
        hint: hint.to_owned(),
        detail: said.trim().to_owned(),
    }
}

struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The remote command ended by itself, with a code.
    exited: bool,
}

async fn exchange(mut process: Process, text: &str, input: Input) -> std::io::Result<Output> {
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (process.stdin().take(), process.stdout().take(), process.stderr().take())
    else {
        return Err(std::io::Error::other("no pipes"));
    };
    let ((), stdout, stderr) =
        tokio::try_join!(feed(stdin, text.as_bytes(), input), read_all(stdout), read_all(stderr))?;
    let exited = match process.wait().await {
        // 127 comes as an error of its own kind.
        Ok(_) | Err(openssh::Error::Remote(_)) => true,
        Err(_) => false,
    };
    Ok(Output { stdout, stderr, exited })
}

/// Writes the program and its input. A remote side that reads no further is no error here: its answer says why.
async fn feed(mut stdin: ChildStdin, text: &[u8], input: Input) -> std::io::Result<()> {
    let written = async {
        stdin.write_all(text).await?;
        match input {
            Input::Bytes(bytes) => stdin.write_all(&bytes).await,
            Input::File(mut file) => tokio::io::copy(&mut file, &mut stdin).await.map(|_| ()),
        }
    };
    match written.await {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn read_all(from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(LONGEST_ANSWER + 1).read_to_end(&mut bytes).await?;
    if read as u64 > LONGEST_ANSWER {
        return Err(std::io::Error::other(format!("the answer is longer than {} MiB", LONGEST_ANSWER >> 20)));
    }
    Ok(bytes)
}

/// A long-lived program: lines in, lines out.
#[derive(Debug)]
pub(crate) struct Stream {
    process: Process,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// A line that has come in part.
    partial: Vec<u8>,
    trailer: Vec<u8>,
}

impl Stream {
    /// Starts the program and waits for its frame to begin.
    pub(crate) async fn open(
        connections: &Connections,
        sudo: bool,
        node: &NodeName,
        program: Program,
        parameters: &[&str],
    ) -> Result<Self, RemoteError> {
        let nonce = nonce();
        let text = program.text();
        let mut process = connections.spawn(node, &command(sudo, &nonce, text.len(), parameters)).await?;
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
            (process.stdin().take(), process.stdout().take(), process.stderr().take())
        else {
            return Err(not_run(node, program.name, "no pipes"));
        };
        let begin = format!("@@{nonce} begin");
        let trailer = format!("@@{nonce} rc=").into_bytes();
        if let Err(error) = stdin.write_all(text.as_bytes()).await {
            return Err(no_shell_of(node, program, sudo, &mut stderr, &error.to_string()).await);
        }
        let mut stream = Self { process, stdin, stdout: BufReader::new(stdout), partial: Vec::new(), trailer };
        let begun = tokio::time::timeout(BEGIN, async {
            while let Some(line) = stream.raw_line().await {
                // A shell's own words may stand before it on the same line.
                if line.ends_with(begin.as_bytes()) {
                    return true;
                }
            }
            false
        });
        match begun.await {
            Ok(true) => {
                tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
                Ok(stream)
            }
            Ok(false) => Err(no_shell_of(node, program, sudo, &mut stderr, "").await),
            Err(_) => Err(not_run(node, program.name, "no answer")),
        }
    }

    /// The next line; `None` when the program or the connection has ended. May be dropped and called again.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let line = self.raw_line().await?;
        if line.starts_with(&self.trailer) {
            return None;
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    async fn raw_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let chunk = self.stdout.fill_buf().await.ok().filter(|chunk| !chunk.is_empty())?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            self.partial.extend_from_slice(&chunk[..taken]);
            self.stdout.consume(end.map_or(taken, |end| end + 1));
            if end.is_some() {
                return Some(std::mem::take(&mut self.partial));
            }
            if self.partial.len() > LONGEST_LINE {
                return None;
            }
        }
    }

    pub(crate) async fn send(&mut self, line: &str) -> std::io::Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await
    }

    /// Closes the program's stdin and lets it come to its end.
    pub(crate) async fn finish(self) {
        let Self { process, stdin, mut stdout, partial: _, trailer: _ } = self;
        drop(stdin);
        let ended = async {
            let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
            let _ = process.wait().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
    }
}

async fn no_shell_of(
    node: &NodeName,
    program: Program,
    sudo: bool,
    stderr: &mut ChildStderr,
    detail: &str,
) -> RemoteError {
    let mut said = detail.as_bytes().to_vec();
    let _ = tokio::time::timeout(Duration::from_secs(5), stderr.take(8192).read_to_end(&mut said)).await;
    no_shell(node, program.name, sudo, &said)
}
