//! A small scripted cluster: just enough of `qm` for the executor's own logic. (The sandbox is the strict one.)
//!
//! Time is tokio's. An operation takes the seconds of its verb; its effect comes at its end, in the order of the ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::qm::seconds;
use crate::model::ids::{NodeName, OperationName};
use crate::model::vm_config::VmConfig;
use crate::pve::conf;
use crate::pve::report::frame::Writer;
use crate::remote::*;

const NONCE: &str = "0123456789abcdef";
/// Seconds after its start at which a guest's agent answers; its address and cloud-init follow.
pub(super) const AGENT_S: u64 = 20;

/// What goes wrong with one operation, once.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Ends with 255 and these lines, and did nothing.
    Fails(&'static str),
    /// Exit 0 after these lines, and did nothing.
    Pretends(&'static str),
    /// Killed half-way: no exit code.
    Lost,
    /// The connection breaks while it is started; it runs, or not.
    StartUnknown { runs: bool },
    /// Somebody writes to the config just before it.
    ConfigMoves,
}

#[derive(Clone, Debug)]
pub(super) struct Vm {
    pub(super) config: VmConfig,
    pub(super) started: Option<Instant>,
}

#[derive(Debug)]
struct Op {
    node: NodeName,
    work: Work,
    files: Vec<(String, Vec<u8>)>,
    ends: Instant,
    trouble: Option<Trouble>,
    exit: Option<i32>,
    lost: bool,
    log: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) vms: BTreeMap<u32, Vm>,
    pub(super) volumes: BTreeMap<u32, BTreeSet<String>>,
    ops: BTreeMap<OperationName, Op>,
    /// Every operation started, as `NODE VERB VMID`, with the second it began.
    pub(super) begun: Vec<(u64, String)>,
    pub(super) troubles: Vec<(&'static str, u32, Trouble)>,
    pub(super) logins: BTreeMap<u32, LoginAnswer>,
    pub(super) silent_agents: BTreeSet<u32>,
    pub(super) lock_takers: u32,
    /// What `lock` answers when it is taken again.
    pub(super) next_lock: Option<&'static str>,
    /// Follower sessions end after this many seconds.
    pub(super) followers_last_s: Option<u64>,
    pub(super) most_at_once: usize,
    /// So many reads of a VM, once it is whole, still show it on another node.
    pub(super) arrives_late: BTreeMap<u32, u32>,
}

#[derive(Clone, Debug)]
pub(super) struct Fake {
    pub(super) state: Arc<Mutex<State>>,
    began: Instant,
    /// Set to false: every held lock may be lost.
    pub(super) locks: Arc<watch::Sender<bool>>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let fake = Self { state: Arc::default(), began: Instant::now(), locks: Arc::new(watch::channel(true).0) };
        for template in [9000, 9001] {
            let text = format!(
                "name: tmpl\ntemplate: 1\nboot: order=scsi0\nscsi0: local-lvm:base-{template}-disk-0,size=3G\n"
            );
            fake.with(|state| state.vms.insert(template, Vm { config: config(&text), started: None }));
        }
        fake
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        state.tick();
        change(&mut state)
    }

    pub(super) fn trouble(&self, verb: &'static str, vmid: u32, trouble: Trouble) {
        self.with(|state| state.troubles.push((verb, vmid, trouble)));
    }

    pub(super) fn begun(&self) -> Vec<String> {
        self.with(|state| state.begun.iter().map(|(_, what)| what.clone()).collect())
    }

    pub(super) fn config_of(&self, vmid: u32) -> Option<VmConfig> {
        self.with(|state| state.vms.get(&vmid).map(|vm| vm.config.clone()))
    }

    fn agent(&self, vmid: u32, ask: AgentAsk) -> Answer {
        let age = self.with(|state| {
            let vm = state.vms.get(&vmid).filter(|_| !state.silent_agents.contains(&vmid));
            vm.and_then(|vm| vm.started).map(|started| started.elapsed().as_secs())
        });
        let mac =
            self.config_of(vmid).and_then(|c| c.get("net0").map(|net| net[7..24].to_lowercase())).unwrap_or_default();
        let out = |text: String| Answer { exit: 0, stdout: text.into_bytes(), stderr: vec![] };
        let exec = |text: &str| out(serde_json::json!({"exitcode": 0, "exited": 1, "out-data": text}).to_string());
        match (ask, age) {
            (_, None | Some(0..AGENT_S)) => {
                Answer { exit: 255, stdout: vec![], stderr: b"QEMU guest agent is not running\n".to_vec() }
            }
            (AgentAsk::Ping, _) => out(String::new()),
            (AgentAsk::Interfaces, _) => out(format!(
                r#"[{{"name":"eth0","hardware-address":"{mac}","ip-addresses":[{{"ip-address":"10.0.0.{vmid}","prefix":24}}]}}]"#
            )),
            (AgentAsk::CloudInit, _) => exec(r#"{"status":"done","errors":[]}"#),
            (AgentAsk::HostKeys, _) => exec("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAKEY root@x\n"),
        }
    }
}

pub(super) fn config(text: &str) -> VmConfig {
    conf::parse(text.as_bytes()).unwrap()
}

fn unknown(node: &NodeName) -> RemoteError {
    let text = |text: &str| text.to_owned();
    RemoteError {
        node: node.clone(),
        kind: RemoteErrorKind::Unknown,
        sentence: text("connection lost"),
        hint: text("run apply again"),
        detail: String::new(),
    }
}

impl State {
    /// Everything whose time has come.
    fn tick(&mut self) {
        let now = Instant::now();
        let mut due: Vec<(Instant, OperationName)> = self
            .ops
            .iter()
            .filter(|(_, op)| op.exit.is_none() && !op.lost && op.ends <= now)
            .map(|(name, op)| (op.ends, name.clone()))
            .collect();
        due.sort();
        for (_, name) in due {
            let Some(mut op) = self.ops.remove(&name) else { continue };
            match op.trouble.take() {
                Some(Trouble::Lost) => op.lost = true,
                Some(Trouble::Fails(text)) => {
                    self.undo(&op.work);
                    op.log = text.lines().map(str::to_owned).collect();
                    op.exit = Some(255);
                }
                Some(Trouble::Pretends(text)) => {
                    op.log = text.lines().map(str::to_owned).collect();
                    op.exit = Some(0);
                }
                Some(Trouble::StartUnknown { .. } | Trouble::ConfigMoves) | None => {
                    let result = self.effect(&op.work, &op.files, op.ends);
                    op.exit = Some(if let Err(text) = result {
                        op.log.push(text);
                        255
                    } else {
                        0
                    });
                }
            }
            self.ops.insert(name, op);
        }
    }
}

impl Remote for Fake {
    /// Asked before the first clone, whether another run made anything: there is none here.
    async fn observe(&self, _node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        let mut writer = Writer::new(&ask.nonce);
        writer.section(&["clock"], b"0\n");
        writer.section(&["local"], b"link 755 nodes/x\n");
        Ok(writer.finish())
    }

    async fn probe(&self, node: &NodeName, probe: &Probe) -> Result<Answer, RemoteError> {
        let answer = |stdout: Vec<u8>| Answer { exit: 0, stdout, stderr: vec![] };
        Ok(answer(self.with(|state| match probe {
            Probe::Vm { vmid } => {
                let mut writer = Writer::new(NONCE);
                writer.section(&["local"], b"link 755 nodes/x\n");
                let late = match state.arrives_late.get_mut(&vmid.0) {
                    Some(reads) if *reads > 0 && state.vms.contains_key(&vmid.0) => {
                        *reads -= 1;
                        true
                    }
                    Some(_) | None => false,
                };
                let vm = state.vms.get(&vmid.0);
                let folder = if late { "elsewhere" } else { node.as_str() };
                let path = format!("{folder}/qemu-server/{vmid}.conf");
                writer.configs(&vm.map(|vm| (path, conf::print(&vm.config))).into_iter().collect::<Vec<_>>());
                let running = vm.is_some_and(|vm| vm.started.is_some());
                writer.lines(&["pids"], running.then(|| format!("{vmid} 77")));
                writer.lines(&["cmdlines"], running.then(|| format!("77/cmdline:/run/qemu-server/{vmid}.pid")));
                writer.finish()
            }
            Probe::Volumes { vmid, .. } => {
                let rows =
                    state.volumes.get(&vmid.0).into_iter().flatten().map(|v| format!("{v} raw images 1 {vmid}\n"));
                format!("Volid Format Type Size VMID\n{}", rows.collect::<String>()).into_bytes()
            }
            Probe::Operation { name, .. } => {
                let log = state.ops.get(name).map(|op| op.log.join("\n")).unwrap_or_default();
                format!("exit -\nlive no\nlog\n{log}\n").into_bytes()
            }
            Probe::Diagnose { .. } => b"qemu running\ncpu 30\nconsole\nlogin: ".to_vec(),
            Probe::Image { .. } | Probe::LockOwner { .. } => Vec::new(),
        })))
    }

    async fn start(&self, node: &NodeName, operation: &Operation) -> Result<(), RemoteError> {
        let ends = Instant::now() + Duration::from_secs(seconds(&operation.work));
        let at = self.began.elapsed().as_secs();
        self.with(|state| {
            if state.ops.contains_key(&operation.name) {
                return Ok(());
            }
            let words: Vec<&str> = operation.name.as_str().split('-').collect();
            let (vmid, verb): (u32, &str) = (words[1].parse().unwrap(), words[2]);
            let found = state.troubles.iter().position(|(v, id, _)| *v == verb && *id == vmid);
            let trouble = found.map(|at| state.troubles.remove(at).2);
            if matches!(trouble, Some(Trouble::StartUnknown { runs: false })) {
                return Err(unknown(node));
            }
            if matches!(trouble, Some(Trouble::ConfigMoves)) {
                let vm = state.vms.get_mut(&vmid).unwrap();
                vm.config.keys.insert("hookscript".into(), "local:snippets/x".into());
                vm.config.digest = conf::digest(&conf::print(&vm.config));
            }
            state.begun.push((at, format!("{node} {verb} {vmid}")));
            state.begin(&operation.work);
            let lost = matches!(trouble, Some(Trouble::StartUnknown { runs: true }));
            let (node, work, files) = (node.clone(), operation.work.clone(), operation.files.clone());
            let op = Op { node: node.clone(), work, files, ends, trouble, exit: None, lost: false, log: vec![] };
            state.ops.insert(operation.name.clone(), op);
            let live = state.ops.values().filter(|op| op.node == node && op.exit.is_none() && !op.lost).count();
            state.most_at_once = state.most_at_once.max(live);
            if lost { Err(unknown(&node)) } else { Ok(()) }
        })
    }

    async fn forget(&self, _node: &NodeName, operation: &OperationName) -> Result<(), RemoteError> {
        self.with(|state| state.ops.remove(operation));
        Ok(())
    }

    async fn put(&self, _node: &NodeName, _file: &PutFile) -> Result<(), RemoteError> {
        Ok(())
    }

    async fn remove(&self, _node: &NodeName, _path: &str) -> Result<(), RemoteError> {
        Ok(())
    }

    async fn follow(&self, _node: &NodeName) -> Result<Follower, RemoteError> {
        let (requests, mut asked) = mpsc::unbounded_channel();
        let (events, receiver) = mpsc::unbounded_channel();
        let fake = self.clone();
        let until = self.with(|state| state.followers_last_s).map(|s| Instant::now() + Duration::from_secs(s));
        tokio::spawn(async move {
            let mut open: BTreeSet<OperationName> = BTreeSet::new();
            while !events.is_closed() && until.is_none_or(|until| Instant::now() < until) {
                while let Ok(request) = asked.try_recv() {
                    match request {
                        FollowRequest::Operation(name) => drop(open.insert(name)),
                        FollowRequest::Agent { vmid, ask } => {
                            let answer = fake.agent(vmid.0, ask);
                            let _ = events.send(FollowEvent::Agent { vmid, ask, answer });
                        }
                    }
                }
                let over = fake.with(|state| {
                    let end = |name: &OperationName| match state.ops.get(name) {
                        Some(Op { exit: Some(exit), .. }) => {
                            Some(FollowEvent::Exited { operation: name.clone(), exit: *exit })
                        }
                        Some(Op { lost: false, .. }) => None,
                        Some(_) | None => Some(FollowEvent::Lost { operation: name.clone() }),
                    };
                    open.iter().filter_map(end).collect::<Vec<_>>()
                });
                for event in over {
                    if let FollowEvent::Exited { operation, .. } | FollowEvent::Lost { operation } = &event {
                        open.remove(operation);
                    }
                    let _ = events.send(event);
                }
                sleep(Duration::from_millis(250)).await;
            }
        });
        Ok(Follower { requests, events: receiver })
    }

    async fn lock(&self, _node: &NodeName, ask: &LockAsk) -> Result<LockAnswer, RemoteError> {
        let (takers, next) = self.with(|state| {
            state.lock_takers += 1;
            (state.lock_takers, state.next_lock)
        });
        match next {
            Some("busy") => return Ok(LockAnswer::Busy { owner: "ci@runner-7 pid 4121".into() }),
            Some("stolen") if takers > 2 => {}
            _ => drop(self.locks.send_replace(true)),
        }
        let previous = if takers > 2 && next == Some("stolen") { "another".to_owned() } else { ask.nonce.clone() };
        let (release, _) = mpsc::channel(1);
        Ok(LockAnswer::Held(Lock { previous, held: self.locks.subscribe(), release }))
    }

    async fn login(&self, ask: &LoginAsk) -> LoginAnswer {
        let std::net::IpAddr::V4(v4) = ask.address else { return LoginAnswer::Ok };
        let scripted = self.with(|state| state.logins.get(&u32::from(v4.octets()[3])).cloned());
        scripted.unwrap_or(if ask.log_in { LoginAnswer::Ok } else { LoginAnswer::PortOk })
    }

    async fn close(&self) {}
}
