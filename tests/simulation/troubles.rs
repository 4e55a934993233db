//! What befalls a cluster while pvekube works: nodes that fail, connections that break, storages that fill, and an
//! administrator.

use std::sync::Arc;
use std::time::Duration;

use pvekube::model::mark::MarkSubject;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::power;
use pvekube::sandbox::process::{Captured, Process};
use pvekube::sandbox::remote::{Cut, Links, Operations};
use pvekube::sandbox::tools;
use pvekube::sandbox::world::World;
use tokio::sync::oneshot;

use crate::faults::Fault;
use crate::random::Random;
use crate::view::{marked, realms};
use crate::watch::Watch;

#[derive(Clone)]
pub struct Stage {
    pub world: Arc<World>,
    pub operations: Arc<Operations>,
    pub links: Arc<Links>,
    pub watch: Arc<Watch>,
}

/// One trouble after the other, until `quiet`: what has begun by then comes to its end, as nobody kills an administrator's
/// command.
pub async fn go_on(stage: Stage, kinds: Vec<Fault>, mut random: Random, mut quiet: oneshot::Receiver<()>) {
    while !kinds.is_empty() {
        let pause = Duration::from_secs(random.between(2, 60));
        if tokio::time::timeout(pause, &mut quiet).await.is_ok() {
            return;
        }
        let kind = *random.pick(&kinds);
        let nodes = stage.world.nodes();
        let node = random.pick(&nodes).clone();
        befall(&stage, kind, &node, &mut random).await;
    }
}

async fn befall(stage: &Stage, kind: Fault, node: &SandboxNode, random: &mut Random) {
    let world = &stage.world;
    let name = node.name().to_owned();
    let change = |body: &dyn Fn(&mut pvekube::sandbox::faults::Faults)| {
        world.change_faults(|faults| body(faults)).expect("memory takes all files");
    };
    let pause = Duration::from_secs(random.between(5, 90));
    stage.watch.note(world.clock.now(), &format!("{kind:?} on {name} for {pause:?}"));
    match kind {
        Fault::PowerLoss => {
            power::off(node, &stage.operations, &stage.links).expect("memory takes all files");
            stage.watch.node_down(&node.realm().name);
            tokio::time::sleep(pause).await;
            power::on(node).await.expect("memory takes all files");
        }
        Fault::CutReset => stage.links.cut(&name, Cut::Reset),
        Fault::CutVanished => stage.links.cut(&name, Cut::Vanished),
        Fault::StorageFull => {
            change(&|faults| faults.storage_full.extend([format!("{name}/disks")]));
            tokio::time::sleep(pause).await;
            change(&|faults| faults.storage_full.clear());
        }
        Fault::SlowNode => {
            change(&|faults| faults.slow.extend([(name.clone(), 8.0)]));
            tokio::time::sleep(pause).await;
            change(&|faults| faults.slow.clear());
        }
        Fault::NoQuorum => {
            let realm = node.realm().name.clone();
            change(&|faults| faults.no_quorum.extend([realm.clone()]));
            tokio::time::sleep(pause).await;
            change(&|faults| faults.no_quorum.clear());
        }
        Fault::EditsValues
        | Fault::RewritesNotes
        | Fault::ClonesWithMark
        | Fault::StopsVm
        | Fault::DestroysVm
        | Fault::Migrates
        | Fault::TakesVmid
        | Fault::LocksForBackup => administer(stage, kind, random).await,
        Fault::Refused
        | Fault::LostBefore
        | Fault::LostAfter
        | Fault::SlowRequest
        | Fault::Frozen
        | Fault::Torn
        | Fault::Kill
        | Fault::TwoAtOnce => {}
    }
}

/// The administrator acts on one of our machines, with PVE's own tools.
async fn administer(stage: &Stage, kind: Fault, random: &mut Random) {
    let views = realms(&stage.world);
    if views.is_empty() {
        return;
    }
    let view = random.pick(&views).clone();
    let machines: Vec<_> =
        marked(&view).into_iter().filter(|(_, _, mark)| matches!(mark.subject, MarkSubject::Machine(_))).collect();
    let id = random.between(100, 119).to_string();
    if kind == Fault::TakesVmid {
        return act(stage, &view, &["create", &id, "--name", "intruder", "--memory", "512"], &id).await;
    }
    if machines.is_empty() {
        return;
    }
    let (vmid, owner, _) = random.pick(&machines).clone();
    let offline = stage.world.faults().offline;
    let Some(node) = stage.world.node(&owner).filter(|node| !offline.contains(node.name())) else { return };
    let vmid = vmid.to_string();
    match kind {
        Fault::EditsValues => {
            let memory = random.pick(&["1536", "3072"]).to_string();
            act(stage, &node, &["set", &vmid, "--memory", &memory, "--cores", "3"], &vmid).await;
        }
        Fault::RewritesNotes => act(stage, &node, &["set", &vmid, "--description", "my notes"], &vmid).await,
        Fault::ClonesWithMark => act(stage, &node, &["clone", &vmid, &id, "--full", "1"], &id).await,
        Fault::StopsVm => act(stage, &node, &["stop", &vmid], &vmid).await,
        Fault::DestroysVm => {
            act(stage, &node, &["stop", &vmid], &vmid).await;
            act(stage, &node, &["destroy", &vmid, "--purge", "1"], &vmid).await;
        }
        Fault::Migrates => {
            let others: Vec<String> = node.members().iter().map(|member| member.name().to_owned()).collect();
            let target = random.pick(&others).clone();
            act(stage, &node, &["stop", &vmid], &vmid).await;
            act(stage, &node, &["migrate", &vmid, &target], &vmid).await;
        }
        Fault::LocksForBackup => {
            act(stage, &node, &["set", &vmid, "--lock", "backup"], &vmid).await;
            tokio::time::sleep(Duration::from_secs(random.between(10, 90))).await;
            act(stage, &node, &["unlock", &vmid], &vmid).await;
        }
        _ => {}
    }
}

async fn act(stage: &Stage, node: &SandboxNode, args: &[&str], touched: &str) {
    let vmid: u32 = touched.parse().unwrap_or(0);
    stage.watch.admin_begins(vmid, &stage.world, &format!("qm {} on {}", args.join(" "), node.name()));
    let (_, out) = Captured::new();
    let argv = ["qm"].into_iter().chain(args.iter().copied());
    tools::run(node, &Process::new(argv, out)).await;
    stage.watch.admin_is_done(vmid, &stage.world);
}
