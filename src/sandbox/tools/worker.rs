//! `fork_worker`: a task in the foreground, its two streams merged, its log and its line in the task index
//! (contract §0.2).

use std::sync::Arc;

use super::super::node::SandboxNode;
use super::super::process::{Closed, Output, Sink, Stream};
use super::call::{Call, Die, Run};

/// A task that ran to its end.
#[derive(Clone, Debug)]
pub struct Task {
    pub upid: String,
    /// The worker's own end.
    pub result: Run<()>,
}

impl Task {
    /// For commands that look at their task: its failure is theirs, with exit code 255. The text is already out.
    pub fn succeed(self) -> Run<()> {
        match self.result {
            Ok(()) => Ok(()),
            Err(die @ (Die::BrokenPipe | Die::Killed)) => Err(die),
            Err(Die::Text { .. } | Die::Parameters { .. } | Die::Interrupted) => {
                Err(Die::Text { exit: 255, text: String::new() })
            }
        }
    }
}

/// Copies a worker's lines to the task log and to the caller's stdout.
struct Tee {
    caller: Output,
    node: SandboxNode,
    log: String,
}

impl Sink for Tee {
    fn write(&self, _: Stream, bytes: &[u8]) -> Result<(), Closed> {
        // A task whose log can't be written goes on, as PVE's does.
        let _ = self.node.append(&self.log, bytes);
        self.caller.0.write(Stream::Stdout, bytes)
    }
}

/// Where a task's log lies: a folder by the last hex digit of its start time.
pub fn log_path(upid: &str) -> String {
    let start = upid.split(':').nth(4).unwrap_or_default();
    format!("/var/log/pve/tasks/{}/{upid}", start.chars().last().unwrap_or('0'))
}

pub const INDEX: &str = "/var/log/pve/tasks/index";

/// Tasks that run (`UPID 0`) and the last that ended (`UPID 1 TIME STATUS`), newest first. A task that was killed stays
/// as running until the next one starts or ends (contract §5).
const ACTIVE: &str = "/var/log/pve/tasks/active";
const ACTIVE_KEPT: usize = 25;

fn note_active(call: &Call<'_>, upid: &str, end: Option<&str>) {
    let node = call.node;
    // Nobody but a reader of the list misses a line.
    let _ = node.fs().exclusively(&node.at("/var/log/pve/tasks/.active.lock"), || {
        let before = node.read_text(ACTIVE).unwrap_or_default();
        let line = end.map_or_else(|| format!("{upid} 0"), |end| format!("{upid} 1 {end}"));
        let others = before.lines().filter(|line| !line.starts_with(upid)).map(str::to_owned);
        let lines: Vec<String> = [line].into_iter().chain(others).take(ACTIVE_KEPT).collect();
        node.write(ACTIVE, lines.join("\n") + "\n")
    });
}

/// Runs `body` as a task of `kind` for guest `id`. Its error text goes to the caller's stderr.
pub async fn fork_worker<B>(call: &Call<'_>, kind: &str, id: &str, body: B) -> Task
where
    B: AsyncFnOnce(&Call<'_>) -> Run<()>,
{
    let clock = &call.node.world.clock;
    let pid = u32::from_be_bytes(call.node.world.fresh_bytes()[..4].try_into().unwrap_or_default()) % 4_000_000 + 2000;
    let start = clock.now_s();
    let pstart = (start - 1_700_000_000) * 100;
    let upid = format!("UPID:{}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{id}:root@pam:", call.node.name());
    let path = log_path(&upid);
    let tee = Tee { caller: call.process.out.clone(), node: call.node.clone(), log: path.clone() };
    let _ = call.node.append(&path, "");
    let worker = Call { out: Output(Arc::new(tee)), worker: true, ..call.clone() };
    note_active(call, &upid, None);
    let result = body(&worker).await;
    let status = match &result {
        Ok(()) => "OK".to_owned(),
        Err(die) => die.summary(),
    };
    note_active(call, &upid, Some(&format!("{:08X} {status}", clock.now_s())));
    let last = if result.is_ok() { "TASK OK".to_owned() } else { format!("TASK ERROR: {status}") };
    let _ = call.node.append(&path, format!("{last}\n"));
    let _ = call.node.append(INDEX, format!("{upid} {:08X} {status}\n", clock.now_s()));
    match &result {
        Err(Die::Text { text, .. }) => drop(call.process.out.error(text.trim_end_matches('\n'))),
        Err(Die::Interrupted) => drop(call.process.out.error("interrupted by signal")),
        Err(die @ Die::Parameters { .. }) => drop(call.process.out.error(die.summary())),
        Ok(()) | Err(Die::BrokenPipe | Die::Killed) => {}
    }
    Task { upid, result }
}
