//! As much of a shell as the recorded probes use, over a sandbox node: `cat`, `ls`, `grep`, pipes, `;`, `&&`, loops.
//! What it does not know it refuses (`None`), so that nothing is compared by accident.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::programs::{cat, grep, ls, redirect, remove};
use super::words::{Token, expand, tokenise};
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::process::{Captured, Closed, Output, Process, Sink, Stream};
use pvekube::sandbox::tools;
use pvekube::sandbox::world::World;
use sha1::{Digest, Sha1};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

pub struct Shell {
    pub world: Arc<World>,
    pub background: Vec<Job>,
}

/// A command that goes on beside others.
pub struct Job {
    pub task: JoinHandle<()>,
    pub terminate: CancellationToken,
    pub closed: Arc<AtomicBool>,
    /// Where its output goes in the end.
    pub log: Option<(SandboxNode, String, Arc<Captured>)>,
}

/// A pipe whose reader may go away.
struct Pipe(Arc<AtomicBool>);

impl Sink for Pipe {
    fn write(&self, _: Stream, _: &[u8]) -> Result<(), Closed> {
        if self.0.load(Ordering::Relaxed) { Err(Closed) } else { Ok(()) }
    }
}

impl Shell {
    pub fn new(world: Arc<World>) -> Self {
        Self { world, background: Vec::new() }
    }

    pub fn node(&self, name: &str) -> SandboxNode {
        self.world.node(name).unwrap_or_else(|| panic!("no node {name}"))
    }

    pub async fn run(&mut self, node: &str, argv: &[String], stdin: &[u8]) -> Option<Answer> {
        let node = self.node(node);
        match argv {
            [sh, flag, script] if sh == "sh" && flag == "-c" => self.script(&node, script, stdin).await,
            _ => self.simple(&node, argv, stdin).await,
        }
    }

    /// Starts a command whose output nobody compares.
    pub fn background(&mut self, node: &str, argv: &[String]) {
        let node = self.node(node);
        let closed = Arc::new(AtomicBool::new(false));
        let process = Process::new(argv.to_vec(), Output(Arc::new(Pipe(closed.clone()))));
        let terminate = process.terminate.clone();
        let task = tokio::spawn(async move {
            let _ = tools::run(&node, &process).await;
        });
        self.background.push(Job { task, terminate, closed, log: None });
    }

    pub fn close_background(&mut self) {
        self.background.iter().for_each(|job| job.closed.store(true, Ordering::Relaxed));
    }

    pub async fn await_background(&mut self) {
        for job in self.background.drain(..) {
            let _ = job.task.await;
            if let Some((node, path, captured)) = job.log {
                node.write(&path, captured.take().0).unwrap();
            }
        }
    }

    /// A program and its arguments.
    async fn simple(&mut self, node: &SandboxNode, argv: &[String], stdin: &[u8]) -> Option<Answer> {
        let mut words = argv;
        let mut locale = String::new();
        if words.first().is_some_and(|word| word == "env") {
            words = &words[1..];
            while let Some((name, value)) = words.first().and_then(|word| word.split_once('=')) {
                if name == "LC_ALL" || (name == "LANG" && locale.is_empty()) {
                    locale = value.to_owned();
                }
                words = &words[1..];
            }
        }
        let program = words.first()?.rsplit('/').next()?.to_owned();
        if matches!(program.as_str(), "qm" | "pvesh" | "pvesm" | "pveversion") {
            let (captured, out) = Captured::new();
            let mut process = Process::new(words.to_vec(), out);
            process.stdin = stdin.to_vec();
            process.locale = locale;
            let exit = tools::run(node, &process).await?;
            let (stdout, stderr) = captured.take();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            return Some(Answer { exit, stdout: text(stdout), stderr: text(stderr) });
        }
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        self.program(node, &program, &arguments, stdin).await
    }

    async fn program(&mut self, node: &SandboxNode, name: &str, arguments: &[&str], stdin: &[u8]) -> Option<Answer> {
        let said = |stdout: String| Some(Answer { stdout, ..Answer::default() });
        let failed = |exit, stderr: String| Some(Answer { exit, stderr, ..Answer::default() });
        let input = || String::from_utf8_lossy(stdin).into_owned();
        match (name, arguments) {
            ("cat", []) => said(input()),
            ("cat", files) => Some(cat(node, files)),
            ("echo", words) => said(format!("{}\n", words.join(" "))),
            ("printf", [text]) => said(text.replace("\\n", "\n")),
            ("true", []) => said(String::new()),
            ("sleep", [seconds]) => {
                tokio::time::sleep(std::time::Duration::from_secs_f64(seconds.parse().ok()?)).await;
                said(String::new())
            }
            ("exit", [code]) => Some(Answer { exit: code.parse().ok()?, ..Answer::default() }),
            ("head" | "tail", [count, files @ ..]) => {
                let count: usize = count.trim_start_matches("-n").trim_start_matches('-').parse().ok()?;
                let read =
                    if files.is_empty() { Answer { stdout: input(), ..Answer::default() } } else { cat(node, files) };
                let lines: Vec<&str> = read.stdout.lines().collect();
                let kept = if name == "head" {
                    &lines[..count.min(lines.len())]
                } else {
                    &lines[lines.len() - count.min(lines.len())..]
                };
                Some(Answer { stdout: kept.iter().map(|line| format!("{line}\n")).collect(), ..read })
            }
            ("grep" | "egrep", arguments) => grep(node, arguments, &input()),
            ("ls", arguments) => ls(node, arguments),
            ("sha1sum", [file]) => {
                let bytes = node.read(file).ok()?;
                said(format!("{}  {file}\n", hex::encode(Sha1::digest(bytes))))
            }
            ("wc", ["-l", file]) => said(format!("{} {file}\n", node.read_text(file).ok()?.lines().count())),
            ("mkdir", folders) => {
                let mut stderr = String::new();
                for folder in
                    folders.iter().filter(|word| !word.starts_with('-') && !word.bytes().all(|b| b.is_ascii_digit()))
                {
                    let made = if folders.contains(&"-p") {
                        node.fs().mkdir_all(&node.at(folder))
                    } else {
                        node.fs().mkdir(&node.at(folder))
                    };
                    if made.is_err() {
                        stderr.push_str(&format!("mkdir: cannot create directory '{folder}': File exists\n"));
                    }
                }
                Some(Answer { exit: i32::from(!stderr.is_empty()), stderr, ..Answer::default() })
            }
            ("rmdir", [folder]) => {
                for name in folder.strip_suffix("/*").map(|parent| node.list(parent)).unwrap_or_default() {
                    node.fs().rmdir(&node.at(&format!("{}{name}", folder.trim_end_matches('*')))).ok()?;
                }
                said(String::new())
            }
            ("rm", arguments) => {
                for path in arguments.iter().filter(|word| !word.starts_with('-')) {
                    remove(node, path)?;
                }
                said(String::new())
            }
            ("cp" | "mv", [from, to]) => {
                let Ok(bytes) = node.read(from) else { return failed(1, format!("{name}: cannot stat '{from}'\n")) };
                node.write(to, bytes).ok()?;
                if name == "mv" {
                    node.remove(from).ok()?;
                }
                said(String::new())
            }
            ("stat", ["-c", format, file]) if format.starts_with("%Y") => {
                node.read(file).ok()?;
                said(format!("{}.2026-11-22 11:38:40.000000000 +0000\n", node.world.clock.now_s()))
            }
            _ => None,
        }
    }

    /// A script: lists joined by `;`, `&&`, newlines; pipes; redirections; `for`.
    pub async fn script(&mut self, node: &SandboxNode, script: &str, stdin: &[u8]) -> Option<Answer> {
        if let Some(answer) = self.idiom(node, script).await {
            return answer;
        }
        let mut variables = BTreeMap::new();
        let script = Box::pin(self.assigned(node, script, &mut variables)).await?;
        let tokens = tokenise(script)?;
        Box::pin(self.list(node, &tokens, stdin, &mut variables)).await
    }

    async fn list(
        &mut self,
        node: &SandboxNode,
        tokens: &[Token],
        stdin: &[u8],
        variables: &mut BTreeMap<String, String>,
    ) -> Option<Answer> {
        let mut total = Answer::default();
        let mut at = 0;
        let mut skip = false;
        while at < tokens.len() {
            if tokens[at] == Token::word("for") {
                let done = tokens.iter().position(|token| *token == Token::word("done"))?;
                let answer = Box::pin(self.for_loop(node, &tokens[at..done], stdin, variables)).await?;
                add(&mut total, answer);
                at = done + 1;
                continue;
            }
            let end = tokens[at..]
                .iter()
                .position(|token| matches!(token, Token::Operator(op) if matches!(op.as_str(), ";" | "&&" | "\n")))
                .map_or(tokens.len(), |offset| at + offset);
            if !skip && end > at {
                variables.insert("?".into(), total.exit.to_string());
                let answer = self.pipeline(node, &tokens[at..end], stdin, variables).await?;
                add(&mut total, answer);
            }
            skip = tokens.get(end) == Some(&Token::Operator("&&".into())) && total.exit != 0;
            at = end + 1;
        }
        Some(total)
    }

    async fn for_loop(
        &mut self,
        node: &SandboxNode,
        tokens: &[Token],
        stdin: &[u8],
        variables: &mut BTreeMap<String, String>,
    ) -> Option<Answer> {
        let Token::Word(name, _) = tokens.get(1)? else { return None };
        let name = name.clone();
        let start = tokens.iter().position(|token| *token == Token::word("do"))?;
        let values: Vec<String> = tokens[3..start]
            .iter()
            .filter_map(|token| match token {
                Token::Word(word, _) => Some(word.clone()),
                Token::Operator(_) => None,
            })
            .collect();
        let mut total = Answer::default();
        for value in values {
            variables.insert(name.clone(), value);
            let answer = Box::pin(self.list(node, &tokens[start + 1..], stdin, variables)).await?;
            add(&mut total, answer);
        }
        Some(total)
    }

    async fn pipeline(
        &mut self,
        node: &SandboxNode,
        tokens: &[Token],
        stdin: &[u8],
        variables: &mut BTreeMap<String, String>,
    ) -> Option<Answer> {
        let mut input = stdin.to_vec();
        let mut stderr = String::new();
        let mut last = Answer::default();
        for part in tokens.split(|token| *token == Token::Operator("|".into())) {
            last = self.command(node, part, &input, variables).await?;
            input = last.stdout.clone().into_bytes();
            stderr.push_str(&last.stderr);
        }
        Some(Answer { stderr, ..last })
    }

    async fn command(
        &mut self,
        node: &SandboxNode,
        tokens: &[Token],
        stdin: &[u8],
        variables: &mut BTreeMap<String, String>,
    ) -> Option<Answer> {
        let mut words = Vec::new();
        let mut target = None;
        let mut merge = false;
        let mut tokens = tokens.iter();
        while let Some(token) = tokens.next() {
            match token {
                Token::Word(word, quoted) => {
                    words.push(if *quoted == '\'' { word.clone() } else { expand(word, variables)? })
                }
                Token::Operator(op) if op == "2>&1" => merge = true,
                Token::Operator(op) if op == ">" => {
                    let Some(Token::Word(path, _)) = tokens.next() else { return None };
                    target = Some(path.clone());
                }
                Token::Operator(_) => return None,
            }
        }
        let mut answer = Box::pin(self.simple(node, &words, stdin)).await?;
        if merge {
            answer.stdout.push_str(&std::mem::take(&mut answer.stderr));
        }
        if let Some(path) = target {
            let text = std::mem::take(&mut answer.stdout);
            if path != "/dev/null"
                && let Some(problem) = redirect(node, &path, &text)
            {
                return Some(Answer {
                    exit: 2,
                    stdout: String::new(),
                    stderr: format!("sh: 1: cannot create {path}: {problem}\n"),
                });
            }
        }
        Some(answer)
    }
}

fn add(total: &mut Answer, answer: Answer) {
    total.stdout.push_str(&answer.stdout);
    total.stderr.push_str(&answer.stderr);
    total.exit = answer.exit;
}
