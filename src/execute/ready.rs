//! From started to ready, stage by stage: running, agent, address, cloud-init, port, login.
//!
//! The time-out runs from the machine's own start. When it is over, or when a stage can't be reached any more, the node
//! is asked for evidence and one sentence says why (`diagnose`).

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::{Instant, sleep, timeout_at};

use super::agent::{self, CloudInitStatus, Ping};
use super::diagnose::{Evidence, NodeEvidence, diagnose, duration};
use super::failure::StepError;
use super::interrupt::{Interrupt, reached};
use super::known_hosts;
use super::read_back;
use super::run::StepRun;
use crate::model::desired::SshCheck;
use crate::model::outcome::{NOT_WAITED, Stage};
use crate::model::plan::ReadyStep;
use crate::pve::property::Net;
use crate::remote::{AgentAsk, Answer, LoginAnswer, LoginAsk, Probe, Remote};

/// A VM that is seen stopped this often, a few seconds apart, is not just being started.
const STOPPED_LOOKS: u32 = 3;
/// Refusals of every key before it counts: cloud-init writes the keys just before it is done.
const KEY_REFUSALS: u32 = 3;
/// Attempts to read host keys through the agent.
const HOST_KEY_ATTEMPTS: u32 = 3;
/// How long one login attempt may take, at most.
const LOGIN_TIMEOUT_S: u32 = 15;

/// Waiting is over: as it should be, or for a reason that no more time would mend.
enum End {
    Ready,
    Hopeless,
}

impl<R: Remote> StepRun<R> {
    pub(super) async fn ready_step(&self, step: &ReadyStep) -> Result<(), StepError> {
        if !self.run.options.wait {
            self.progress(NOT_WAITED, None);
            return Ok(());
        }
        let began = Instant::now();
        let deadline = began + Duration::from_secs(u64::from(step.timeout_s));
        let mut seen = self.nothing_seen(step);
        let ended = tokio::select! {
            biased;
            ended = timeout_at(deadline, self.stages(step, &mut seen)) => ended,
            () = reached(&self.run.interrupt, Interrupt::Finish) => return Err(StepError::LeftRunning),
        };
        match ended {
            Ok(Ok(End::Ready)) => {
                self.ready();
                self.after_ready(seen.addresses.first().copied()).await
            }
            Ok(Err(error)) => Err(error),
            Ok(Ok(End::Hopeless)) | Err(_) => {
                seen.waited_s = began.elapsed().as_secs();
                self.look_closer(&mut seen).await;
                Err(diagnose(&seen).into())
            }
        }
    }

    fn nothing_seen(&self, step: &ReadyStep) -> Evidence {
        Evidence {
            subject: self.subject(),
            vmid: self.step.vmid,
            reached: Stage::Stopped,
            waited_s: 0,
            mac: None,
            bridge: None,
            expected: step.address.clone(),
            addresses: Vec::new(),
            running: false,
            agent_configured: true,
            agent_said: None,
            cloud_init: None,
            login: None,
            known_as: None,
            accepts_first_key: false,
            known_hosts: self.run.options.known_hosts.clone(),
            node: NodeEvidence::default(),
        }
    }

    async fn stages(&self, step: &ReadyStep, seen: &mut Evidence) -> Result<End, StepError> {
        if !self.wait_running(step, seen).await? || !self.wait_agent(seen).await? {
            return Ok(End::Hopeless);
        }
        let Some(address) = self.wait_address(step, seen).await? else { return Ok(End::Hopeless) };
        seen.known_as = Some(known_hosts::entry_name(&address.to_string(), step.ssh_port));
        if !self.wait_cloud_init(seen).await? {
            return Ok(End::Hopeless);
        }
        let keys = self.read_host_keys(step, address).await?;
        seen.accepts_first_key = keys.is_empty();
        if matches!(step.ssh, SshCheck::Off) {
            return Ok(End::Ready);
        }
        let ready = self.wait_login(step, address, &keys, seen).await?;
        Ok(if ready { End::Ready } else { End::Hopeless })
    }

    fn stage(&self, seen: &mut Evidence, stage: Stage) {
        seen.reached = stage;
        self.reached(stage);
    }

    /// Also reads what the later stages need from the config: net0's MAC and bridge, whether there is an agent.
    async fn wait_running(&self, step: &ReadyStep, seen: &mut Evidence) -> Result<bool, StepError> {
        let mut stopped = 0;
        loop {
            let vm = self.read_back().await?;
            let config = vm.marked(&step.mark, &self.subject())?;
            if let Some(net) = config.get("net0").and_then(|text| Net::parse(text).ok()) {
                seen.mac = net.mac_lower();
                seen.bridge = net.bridge().map(str::to_owned);
            }
            seen.agent_configured = read_back::agent_enabled(config);
            seen.running = vm.running;
            if vm.running {
                self.stage(seen, Stage::Running);
                return Ok(true);
            }
            stopped += 1;
            if stopped >= STOPPED_LOOKS {
                return Ok(false);
            }
            sleep(Duration::from_secs(2)).await;
        }
    }

    async fn wait_agent(&self, seen: &mut Evidence) -> Result<bool, StepError> {
        let mut pause = Backoff::new();
        loop {
            self.progress("booting: agent not up yet", None);
            match agent::ping(&self.ask_agent(AgentAsk::Ping).await?) {
                Ping::Answers => {
                    seen.agent_said = None;
                    self.stage(seen, Stage::Agent);
                    return Ok(true);
                }
                Ping::NotConfigured => {
                    seen.agent_configured = false;
                    return Ok(false);
                }
                Ping::VmStopped => {
                    if !self.still_running(seen).await? {
                        return Ok(false);
                    }
                }
                Ping::Silent(said) => {
                    seen.agent_said = Some(said);
                    if !self.still_running(seen).await? {
                        return Ok(false);
                    }
                }
            }
            pause.wait().await;
        }
    }

    async fn wait_address(&self, step: &ReadyStep, seen: &mut Evidence) -> Result<Option<IpAddr>, StepError> {
        let exclude: Vec<IpNet> = step.exclude.iter().filter_map(|net| net.parse().ok()).collect();
        let mac = seen.mac.clone().unwrap_or_default();
        let mut pause = Backoff::new();
        loop {
            self.progress("booted: no address yet", None);
            let answer = self.ask_agent(AgentAsk::Interfaces).await?;
            if let Some(interfaces) = agent::interfaces(&answer) {
                let (address, all) = agent::choose_address(&interfaces, &mac, &step.address, &exclude);
                seen.addresses = all.clone();
                seen.agent_said = None;
                if let Some(address) = address {
                    self.addresses(address, all);
                    self.stage(seen, Stage::Address);
                    return Ok(Some(address));
                }
            } else {
                seen.agent_said = Some(agent::words(&answer));
                if !self.still_running(seen).await? {
                    return Ok(None);
                }
            }
            pause.wait().await;
        }
    }

    async fn wait_cloud_init(&self, seen: &mut Evidence) -> Result<bool, StepError> {
        let mut pause = Backoff::new();
        loop {
            self.progress("cloud-init running", None);
            let status = agent::cloud_init(&self.ask_agent(AgentAsk::CloudInit).await?);
            seen.cloud_init = Some(status.clone());
            seen.agent_said = None;
            match status {
                CloudInitStatus::Done => break,
                CloudInitStatus::Degraded(complaints) => {
                    let first = complaints.first().cloned().unwrap_or_default();
                    self.run.events.notice(format!("{}: cloud-init is done, with complaints: {first}", self.name()));
                    break;
                }
                CloudInitStatus::Untold(why) => {
                    self.run.events.notice(format!("{}: cloud-init could not be asked ({why})", self.name()));
                    break;
                }
                CloudInitStatus::Failed(_) => return Ok(false),
                CloudInitStatus::Running => {}
                CloudInitStatus::Silent(said) => {
                    seen.agent_said = Some(said);
                    if !self.still_running(seen).await? {
                        return Ok(false);
                    }
                }
            }
            pause.wait().await;
        }
        self.stage(seen, Stage::CloudInit);
        Ok(true)
    }

    /// Empty when they can't be had through the agent: then the first key seen on the network is taken.
    async fn read_host_keys(&self, step: &ReadyStep, address: IpAddr) -> Result<Vec<String>, StepError> {
        let mut pause = Backoff::new();
        let mut why = String::new();
        for _ in 0..HOST_KEY_ATTEMPTS {
            match agent::host_keys(&self.ask_agent(AgentAsk::HostKeys).await?) {
                Ok(keys) => {
                    self.host_keys(&keys);
                    self.write_known_hosts(step, address, &keys);
                    return Ok(keys);
                }
                Err(said) => why = said,
            }
            pause.wait().await;
        }
        if self.run.is_cloned(&step.name) {
            // What its earlier self or the address's earlier owner showed says nothing of a machine made by this very run.
            self.write_known_hosts(step, address, &[]);
        }
        self.run.events.notice(format!(
            "{}: host keys could not be read through the agent ({why}); the first one seen on the network is taken",
            self.name()
        ));
        Ok(Vec::new())
    }

    fn write_known_hosts(&self, step: &ReadyStep, address: IpAddr, keys: &[String]) {
        let Some(path) = &self.run.options.known_hosts else { return };
        let names =
            [step.name.to_string(), address.to_string()].map(|host| known_hosts::entry_name(&host, step.ssh_port));
        if let Err(error) = known_hosts::write(path, &names, keys) {
            self.run.events.notice(format!("{}: host keys not written to {}: {error}", self.name(), path.display()));
        }
    }

    async fn wait_login(
        &self,
        step: &ReadyStep,
        address: IpAddr,
        host_keys: &[String],
        seen: &mut Evidence,
    ) -> Result<bool, StepError> {
        let ask = self.login_ask(step, address, host_keys);
        let mut refusals = 0;
        loop {
            self.progress(format!("waiting for SSH on {address}"), None);
            let answer = self.run.remote.login(&ask).await;
            seen.login = Some(answer.clone());
            match answer {
                LoginAnswer::Ok => {
                    self.stage(seen, Stage::Port);
                    self.stage(seen, Stage::Login);
                    return Ok(true);
                }
                LoginAnswer::PortOk => {
                    self.stage(seen, Stage::Port);
                    return Ok(true);
                }
                // Keys that the agent told are the truth: no waiting mends this.
                LoginAnswer::HostKeyChanged { .. } => {
                    self.stage(seen, Stage::Port);
                    return Ok(false);
                }
                LoginAnswer::KeyRefused { .. } => {
                    self.stage(seen, Stage::Port);
                    refusals += 1;
                    if refusals >= KEY_REFUSALS {
                        return Ok(false);
                    }
                }
                LoginAnswer::PortClosed { .. } => {
                    if !self.still_running(seen).await? {
                        return Ok(false);
                    }
                }
                LoginAnswer::Odd { .. } => self.stage(seen, Stage::Port),
            }
            sleep(Duration::from_secs(u64::from(step.ssh_interval_s.max(1)))).await;
        }
    }

    fn login_ask(&self, step: &ReadyStep, address: IpAddr, host_keys: &[String]) -> LoginAsk {
        let keys = &self.run.options.keys;
        LoginAsk {
            address,
            port: step.ssh_port,
            user: step.user.clone(),
            keys: keys.files.clone(),
            agent: keys.agent.clone(),
            host_keys: host_keys.to_vec(),
            known_hosts: self.run.options.known_hosts.clone(),
            via: matches!(step.ssh, SshCheck::ViaNode).then(|| self.step.node.clone()),
            timeout_s: step.ssh_interval_s.clamp(5, LOGIN_TIMEOUT_S),
            log_in: !keys.is_empty(),
        }
    }

    async fn ask_agent(&self, ask: AgentAsk) -> Result<Answer, StepError> {
        match self.node.follower.agent(self.step.vmid, ask).await {
            Some(answer) => Ok(answer?),
            None => Err(StepError::LeftRunning),
        }
    }

    async fn still_running(&self, seen: &mut Evidence) -> Result<bool, StepError> {
        seen.running = self.read_back().await?.running;
        Ok(seen.running)
    }

    /// Evidence for the diagnosis. A node that can't be asked leaves it empty.
    async fn look_closer(&self, seen: &mut Evidence) {
        self.progress(format!("not ready after {}: looking for the cause", duration(seen.waited_s)), None);
        if let Ok(vm) = self.read_back().await {
            seen.running = vm.running;
            if !vm.running {
                self.reached(Stage::Stopped);
            }
        }
        let probe = Probe::Diagnose { vmid: self.step.vmid, mac: seen.mac.clone(), bridge: seen.bridge.clone() };
        if let Ok(answer) = self.node.probe(&probe).await {
            seen.node = read_back::node_evidence(&answer, seen.mac.is_some());
        }
    }
}

/// Pauses between probes: 3 s growing to 15 s (a ping of a silent agent takes the node 4 s).
struct Backoff {
    seconds: f64,
}

impl Backoff {
    fn new() -> Self {
        Self { seconds: 3.0 }
    }

    async fn wait(&mut self) {
        sleep(Duration::from_secs_f64(self.seconds)).await;
        self.seconds = (self.seconds * 1.5).min(15.0);
    }
}
