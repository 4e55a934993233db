//! One look at every machine that exists: which stage it is in now, without waiting. For `status` and `inventory`.
//!
//! Nothing is changed and no lock is needed: one follower a node, all nodes at once, two machines of a node at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::LoginKeys;
use super::agent::{self, CloudInitStatus, Ping};
use super::known_hosts;
use crate::model::desired::{Address, Desired, Machine, SshCheck};
use crate::model::ids::{NodeName, Vmid};
use crate::model::mark::MarkSubject;
use crate::model::observed::{Observed, Power, Vm};
use crate::model::outcome::{MachineReport, Stage};
use crate::model::plan::ExpectedAddress;
use crate::pve::property::Net;
use crate::remote::{AgentAsk, Answer, FollowEvent, FollowRequest, LoginAnswer, LoginAsk, Remote};

/// What a look needs beyond the nodes.
#[derive(Clone, Debug, Default)]
pub struct GlanceOptions {
    pub keys: LoginKeys,
    /// The cluster's own known_hosts: read keys are written to it.
    pub known_hosts: Option<PathBuf>,
}

/// The machines of the manifest that exist, in its order. A machine on a silent node is as far as its config tells.
pub async fn glance<R: Remote>(
    desired: &Desired,
    observed: &Observed,
    remote: Arc<R>,
    options: GlanceOptions,
) -> Vec<MachineReport> {
    let mut by_node: BTreeMap<NodeName, Vec<Looked>> = BTreeMap::new();
    for machine in &desired.machines {
        if let Some(looked) = find(desired, observed, machine) {
            by_node.entry(looked.report.node.clone()).or_default().push(looked);
        }
    }
    let mut nodes = JoinSet::new();
    for (node, machines) in by_node {
        let look = Look {
            remote: Arc::clone(&remote),
            options: options.clone(),
            ssh: desired.readiness.ssh,
            port: desired.readiness.ssh_port,
            exclude: excluded(desired),
        };
        nodes.spawn(async move { look.node(node, machines).await });
    }
    let mut found: BTreeMap<_, MachineReport> = BTreeMap::new();
    while let Some(reports) = nodes.join_next().await {
        // A look that panicked has nothing to say of its node's machines.
        found.extend(reports.unwrap_or_default().into_iter().map(|report| (report.name.clone(), report)));
    }
    desired.machines.iter().filter_map(|machine| found.remove(&machine.name)).collect()
}

/// What an observation alone tells of the machines: where they are and whether they run; no node is asked.
pub fn as_observed(desired: &Desired, observed: &Observed) -> Vec<MachineReport> {
    desired.machines.iter().filter_map(|machine| find(desired, observed, machine)).map(|looked| looked.report).collect()
}

fn excluded(desired: &Desired) -> Vec<IpNet> {
    desired.readiness.exclude.iter().filter_map(|net| net.parse().ok()).collect()
}

/// A machine, its VM, and how far it has got.
struct Looked {
    report: MachineReport,
    user: String,
    expected: ExpectedAddress,
    mac: String,
}

fn find(desired: &Desired, observed: &Observed, machine: &Machine) -> Option<Looked> {
    let subject = MarkSubject::Machine(machine.id.clone());
    let (_, realm, vm, _) = observed.managed(&desired.cluster).find(|(_, _, _, mark)| mark.subject == subject)?;
    let node = realm.members.get(&vm.node).and_then(|member| member.node.clone());
    Some(Looked {
        report: MachineReport {
            name: machine.name.clone(),
            node: node.unwrap_or_else(|| NodeName::new(vm.node.as_str())),
            vmid: vm.vmid,
            address: None,
            addresses: Vec::new(),
            ready: false,
            stage: match vm.power {
                Power::Running => Stage::Running,
                Power::Stopped => Stage::Stopped,
                Power::Unknown => Stage::Unknown,
            },
            stages_s: BTreeMap::new(),
            host_keys: Vec::new(),
        },
        user: machine.cloud_init.user.clone(),
        expected: match &machine.network.ipv4 {
            Address::Static { address, .. } => ExpectedAddress::Static(*address),
            Address::Dhcp => ExpectedAddress::Dhcp,
        },
        mac: mac(vm).unwrap_or_default(),
    })
}

fn mac(vm: &Vm) -> Option<String> {
    Net::parse(vm.config.as_ref()?.get("net0")?).ok()?.mac_lower()
}

struct Look<R> {
    remote: Arc<R>,
    options: GlanceOptions,
    ssh: SshCheck,
    port: u16,
    exclude: Vec<IpNet>,
}

impl<R: Remote> Look<R> {
    async fn node(self, node: NodeName, machines: Vec<Looked>) -> Vec<MachineReport> {
        let Ok(follower) = self.remote.follow(&node).await else {
            return machines.into_iter().map(|looked| looked.report).collect();
        };
        let agents = Arc::new(Agents::new(follower.requests));
        // Ends with this look, however that ends.
        let mut serving = JoinSet::new();
        serving.spawn(Arc::clone(&agents).serve(follower.events));
        let look = Arc::new(self);
        let mut looks = JoinSet::new();
        for mut looked in machines {
            let (look, agents, node) = (Arc::clone(&look), Arc::clone(&agents), node.clone());
            looks.spawn(async move {
                if looked.report.stage == Stage::Running {
                    look.machine(&node, &mut looked, &agents).await;
                }
                looked.report
            });
        }
        looks.join_all().await
    }

    /// Each stage that holds is noted; the first that doesn't ends the look.
    async fn machine(&self, node: &NodeName, looked: &mut Looked, agents: &Agents) -> Option<()> {
        let vmid = looked.report.vmid;
        if agent::ping(&agents.ask(vmid, AgentAsk::Ping).await?) != Ping::Answers {
            return None;
        }
        looked.report.stage = Stage::Agent;
        let interfaces = agent::interfaces(&agents.ask(vmid, AgentAsk::Interfaces).await?)?;
        let (address, all) = agent::choose_address(&interfaces, &looked.mac, &looked.expected, &self.exclude);
        looked.report.addresses = all.into_iter().filter(|other| Some(*other) != address).collect();
        looked.report.address = address;
        let address = address?;
        looked.report.stage = Stage::Address;
        match agent::cloud_init(&agents.ask(vmid, AgentAsk::CloudInit).await?) {
            CloudInitStatus::Done | CloudInitStatus::Degraded(_) | CloudInitStatus::Untold(_) => {}
            CloudInitStatus::Running | CloudInitStatus::Failed(_) | CloudInitStatus::Silent(_) => return None,
        }
        looked.report.stage = Stage::CloudInit;
        looked.report.host_keys = agent::host_keys(&agents.ask(vmid, AgentAsk::HostKeys).await?).unwrap_or_default();
        if let (Some(path), false) = (&self.options.known_hosts, looked.report.host_keys.is_empty()) {
            let names = [looked.report.name.to_string(), address.to_string()]
                .map(|host| known_hosts::entry_name(&host, self.port));
            // Status must not fail over a file that only saves later questions.
            let _ = known_hosts::write(path, &names, &looked.report.host_keys);
        }
        if self.ssh == SshCheck::Off {
            looked.report.ready = true;
            return Some(());
        }
        let ask = LoginAsk {
            address,
            port: self.port,
            user: looked.user.clone(),
            keys: self.options.keys.files.clone(),
            agent: self.options.keys.agent.clone(),
            host_keys: looked.report.host_keys.clone(),
            known_hosts: self.options.known_hosts.clone(),
            via: (self.ssh == SshCheck::ViaNode).then(|| node.clone()),
            timeout_s: 10,
            log_in: !self.options.keys.is_empty(),
        };
        match self.remote.login(&ask).await {
            LoginAnswer::Ok => looked.report.stage = Stage::Login,
            LoginAnswer::PortOk => looked.report.stage = Stage::Port,
            LoginAnswer::KeyRefused { .. } | LoginAnswer::Odd { .. } => {
                looked.report.stage = Stage::Port;
                return None;
            }
            LoginAnswer::PortClosed { .. } | LoginAnswer::HostKeyChanged { .. } => return None,
        }
        looked.report.ready = true;
        Some(())
    }
}

type Waiting = BTreeMap<(Vmid, AgentAsk), oneshot::Sender<Answer>>;

/// Who asked which agent what, through one follower; a node answers two at a time, in the order asked.
struct Agents {
    requests: UnboundedSender<FollowRequest>,
    /// `None` once the follower is gone.
    waiting: Mutex<Option<Waiting>>,
}

impl Agents {
    fn new(requests: UnboundedSender<FollowRequest>) -> Self {
        Self { requests, waiting: Mutex::new(Some(BTreeMap::new())) }
    }

    /// One probe; `None` when the follower is gone.
    async fn ask(&self, vmid: Vmid, ask: AgentAsk) -> Option<Answer> {
        let (sender, answer) = oneshot::channel();
        self.waiting().as_mut()?.insert((vmid, ask), sender);
        self.requests.send(FollowRequest::Agent { vmid, ask }).ok()?;
        answer.await.ok()
    }

    async fn serve(self: Arc<Self>, mut events: UnboundedReceiver<FollowEvent>) {
        while let Some(event) = events.recv().await {
            if let FollowEvent::Agent { vmid, ask, answer } = event
                && let Some(sender) = self.waiting().as_mut().and_then(|waiting| waiting.remove(&(vmid, ask)))
            {
                // Who asked may have gone.
                let _ = sender.send(answer);
            }
        }
        *self.waiting() = None;
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
