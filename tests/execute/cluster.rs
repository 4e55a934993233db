//! A simulated cluster, and the way from its files to an applied plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pvekube::execute::{ApplyOptions, Interrupt, LoginKeys, apply, lock};
use pvekube::input::{Env, SourceFile, example_config};
use pvekube::model::desired::Desired;
use pvekube::model::ids::NodeName;
use pvekube::model::observed::{Observed, Upstream};
use pvekube::model::outcome::{Event, Outcome, StepResult};
use pvekube::model::plan::{Plan, Verdict};
use pvekube::planner::{PlanOptions, plan};
use pvekube::pve::report;
use pvekube::remote::{ObserveAsk, Remote};
use pvekube::sandbox::clock::Clock;
use pvekube::sandbox::fs::Fs;
use pvekube::sandbox::guest::hypervisor::Hypervisor;
use pvekube::sandbox::image_server;
use pvekube::sandbox::process::{Captured, Process};
use pvekube::sandbox::remote::{Conditions, SandboxRemote};
use pvekube::sandbox::tools;
use pvekube::sandbox::world::{NodeSpec, PveVersion, RealmSpec, StorageKind, StorageSpec, Topology, World};
use tokio::sync::{mpsc, watch};

const NONCE: &str = "00112233445566aa";
/// The private half of the example's key; in a simulation it is only a name.
pub const KEY: &str = "/keys/example";

pub const THREE_AND_TWO: &str = "cluster: k8s
masters:
  count: 3
  size: medium
  network: {mode: static, addresses: [10.0.0.11/24, 10.0.0.12/24, 10.0.0.13/24], gateway: 10.0.0.1, dns: [10.0.0.1]}
workers:
  count: 2
  size: small
  network: {mode: dhcp}
";

pub const ONE_WORKER: &str = "cluster: k8s
workers: {count: 1, size: small, network: {mode: dhcp}}
";

pub struct Cluster {
    pub world: Arc<World>,
    pub remote: SandboxRemote,
    pub desired: Desired,
    pub options: PlanOptions,
}

/// One apply, with everything that it told.
pub struct Applied {
    pub plan: Plan,
    pub outcome: Outcome,
    pub events: Vec<Event>,
}

impl Applied {
    /// All failures, for a message.
    pub fn failures(&self) -> String {
        let steps = self.outcome.steps.iter().filter_map(|(id, step)| match &step.result {
            StepResult::Done => None,
            other => Some(format!("{id} {} {:?}: {other:#?}", step.verb, step.subject)),
        });
        let others = self.outcome.failures.iter().map(|failure| format!("{failure:#?}"));
        steps.chain(others).collect::<Vec<_>>().join("\n")
    }
}

impl Cluster {
    /// Three nodes of one PVE cluster with thin local storage.
    pub fn new(manifest: &str) -> Self {
        Self::with_topology(manifest, topology())
    }

    /// The same, with one storage for all three.
    pub fn shared(manifest: &str) -> Self {
        let mut topology = topology();
        let mut nfs = topology.realms[0].storages[0].clone();
        (nfs.name, nfs.kind, nfs.shared) = ("nas".into(), StorageKind::Nfs, true);
        (nfs.content, nfs.place) = (vec!["images".into()], "nas.lan:/export".into());
        topology.realms[0].storages.push(nfs);
        let mut cluster = Self::with_topology(manifest, topology);
        cluster.desired.template.storage = "nas".into();
        cluster
    }

    /// The same, with machines on a local storage of another kind.
    pub fn on(kind: StorageKind, manifest: &str) -> Self {
        let mut topology = topology();
        let storages = &mut topology.realms[0].storages;
        let mut other = storages[1].clone();
        (other.name, other.kind) = ("disks".into(), kind);
        other.place = match kind {
            StorageKind::Dir | StorageKind::Nfs => "/mnt/disks",
            StorageKind::Lvm => "vg1",
            StorageKind::Lvmthin => "vg1/thin",
            StorageKind::Zfspool => "tank",
        }
        .into();
        storages.push(other);
        let mut cluster = Self::with_topology(manifest, topology);
        cluster.desired.template.storage = "disks".into();
        cluster
    }

    fn with_topology(manifest: &str, topology: Topology) -> Self {
        let world =
            World::create(Fs::memory(), topology, Clock::simulated(1_795_000_000), Arc::new(Hypervisor::default()))
                .unwrap();
        let desired = resolve(manifest);
        let mut remote = SandboxRemote::plain(world.clone());
        let key = desired.machines[0].cloud_init.ssh_keys.lines().next().unwrap().to_owned();
        remote.public_keys.insert(PathBuf::from(KEY), key);
        Self { world, remote, desired, options: PlanOptions::default() }
    }

    pub fn with_conditions(mut self, conditions: Arc<dyn Conditions>) -> Self {
        self.remote = self.remote.with_conditions(conditions);
        self
    }

    /// The template is there and the operator's own: without our mark, its cloud-init drive behind its disk.
    pub async fn own_template(&self) {
        assert!(self.apply().await.outcome.is_success());
        let node = self.world.node("pve1").unwrap();
        for line in ["stop 100", "destroy 100 --purge 1"] {
            let (_, out) = Captured::new();
            let words = std::iter::once("qm").chain(line.split(' '));
            assert_eq!(tools::run(&node, &Process::new(words, out)).await, Some(0), "{line}");
        }
        let text = node.read_text(&node.conf_path(9000)).unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        node.pve_write(&node.conf_path(9000), kept.join("\n").replace("ide2:", "scsi1:") + "\n").unwrap();
    }

    pub async fn observe(&self) -> Observed {
        let template = &self.desired.template;
        let ask = ObserveAsk {
            nonce: NONCE.into(),
            cluster: Some(self.desired.cluster.clone()),
            storages: vec![template.storage.clone(), template.snippet_storage.clone()],
            bridges: vec![template.bridge.clone()],
            snippet_folder: Some("/var/lib/vz/snippets".into()),
        };
        let mut answers = BTreeMap::new();
        for target in &self.desired.nodes {
            let bytes = loop {
                // Cut in the middle: a read is simply made again.
                if let Ok(bytes) = self.remote.observe(&target.name, &ask).await {
                    break bytes;
                }
            };
            answers.insert(target.name.clone(), Ok(report::parse(NONCE, &bytes).unwrap()));
        }
        let digest = image_server::digest(image_server::file_name(&template.image_url));
        let upstream = Upstream::Known { digest, source: "SHA256SUMS".into() };
        report::assemble(&self.desired.nodes, answers, upstream, self.world.clock.now_s())
    }

    pub async fn plan(&self) -> (Plan, Observed) {
        let observed = self.observe().await;
        let plan = plan(&self.desired, &observed, &self.options);
        let refused: Vec<_> = plan.checks.iter().filter(|check| check.verdict == Verdict::Failed).collect();
        assert!(refused.is_empty(), "{refused:#?}\n{}", configs(&observed));

        (plan, observed)
    }

    pub async fn apply(&self) -> Applied {
        self.apply_with(options()).await
    }

    pub async fn apply_with(&self, options: ApplyOptions) -> Applied {
        let planned = self.plan().await;
        self.carry_out(planned, options).await
    }

    /// Carries out a plan that may have been made long ago.
    pub async fn carry_out(&self, (plan, observed): (Plan, Observed), options: ApplyOptions) -> Applied {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (_interrupt, interrupt) = watch::channel(Interrupt::None);
        let remote = Arc::new(self.remote.clone());
        let outcome = match lock(&plan, &observed, remote.as_ref(), &options, sender, &interrupt).await {
            Ok(locks) => apply(&plan, &self.desired, &observed, remote, options, locks, interrupt).await,
            Err(outcome) => outcome,
        };
        let mut events = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            events.push(event);
        }
        Applied { plan, outcome, events }
    }

    /// Applies until nothing is left to do; what an attach or a half-made VM leaves takes a second round.
    pub async fn converge(&self, rounds: usize) -> usize {
        for round in 1..=rounds {
            let applied = self.apply().await;
            if applied.plan.steps.is_empty() {
                return round;
            }
            let last = round == rounds;
            assert!(!last || applied.outcome.is_success(), "round {round}: {}", applied.failures());
        }
        let (plan, _) = self.plan().await;
        assert!(plan.steps.is_empty(), "not converged after {rounds} rounds: {:#?}", plan.steps);
        rounds
    }

    /// Nothing but what is wanted: no stray volume, snippet, image part or operation folder.
    pub async fn assert_tidy(&self) {
        let observed = self.observe().await;
        let known: Vec<String> = observed
            .vms()
            .flat_map(|(_, _, vm)| vm.config.iter().flat_map(|config| config.keys.values().cloned()))
            .collect();
        for (name, facts) in self.desired.nodes.iter().filter_map(|n| Some((&n.name, observed.facts(&n.name)?))) {
            assert!(facts.operations.is_empty(), "{name}: {:?}", facts.operations);
            assert!(facts.snippets.is_empty(), "{name}: {:?}", facts.snippets);
            let node = self.world.node(name.as_str()).unwrap();
            let images = node.list("/var/lib/pvekube/images");
            assert!(images.iter().all(|file| !file.ends_with(".part")), "{name}: {images:?}");
            for volume in self.volumes(name).await {
                assert!(known.iter().any(|value| value.starts_with(&volume)), "{name}: stray volume {volume}");
            }
        }
    }

    async fn volumes(&self, node: &NodeName) -> Vec<String> {
        let mut all = Vec::new();
        for vmid in (100..=199).chain(9000..=9010) {
            let storage = self.desired.template.storage.clone();
            let probe = pvekube::remote::Probe::Volumes { storage, vmid: pvekube::model::ids::Vmid(vmid) };
            let answer = self.remote.probe(node, &probe).await.unwrap();
            let text = String::from_utf8(answer.stdout).unwrap();
            all.extend(text.lines().skip(1).filter_map(|line| line.split(' ').next().map(str::to_owned)));
        }
        all
    }
}

/// Every VM's config, for a message.
fn configs(observed: &Observed) -> String {
    let text = |vm: &pvekube::model::observed::Vm| format!("{} on {}: {:?}\n", vm.vmid, vm.node, vm.config);
    observed.vms().map(|(_, _, vm)| text(vm)).collect()
}

pub fn options() -> ApplyOptions {
    let keys = LoginKeys { files: vec![PathBuf::from(KEY)], agent: Vec::new() };
    ApplyOptions { owner: "test".into(), seed: 7, keys, ..ApplyOptions::default() }
}

fn resolve(manifest: &str) -> Desired {
    let manifest = SourceFile { name: "cluster.yaml".into(), text: manifest.to_owned() };
    let no_file = |path: &Path| Err(std::io::Error::new(std::io::ErrorKind::NotFound, path.display().to_string()));
    let env = Env { home: Some(PathBuf::from("/home/x")), read_file: &no_file };
    match pvekube::input::parse(&example_config(), &manifest, &env) {
        Ok(loaded) => loaded.desired,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn topology() -> Topology {
    let node = |number: u32| NodeSpec {
        name: format!("pve{number}"),
        address: format!("10.0.0.{}", 200 + number),
        cpus: 16,
        memory_mib: 65_536,
        version: PveVersion::pve9(),
        bridges: vec!["vmbr0".into()],
        resolv_conf: "search lan\nnameserver 10.0.0.1\n".into(),
    };
    let storage = |name: &str, kind, content: &[&str], place: &str| StorageSpec {
        name: name.into(),
        kind,
        content: content.iter().map(|word| (*word).to_owned()).collect(),
        size_mib: 800 << 10,
        place: place.into(),
        shared: false,
        sparse: false,
        nodes: None,
    };
    let storages = vec![
        storage("local", StorageKind::Dir, &["iso", "vztmpl", "backup", "snippets"], "/var/lib/vz"),
        storage("local-lvm", StorageKind::Lvmthin, &["images", "rootdir"], "pve/data"),
    ];
    let realm =
        RealmSpec { name: "home".into(), cluster: Some("home".into()), nodes: (1..=3).map(node).collect(), storages };
    Topology { seed: 1, realms: vec![realm] }
}
