//! Thousands of seeded histories of a cluster, in one process, in memory, under simulated time: the real observation,
//! planner and executor against the sandbox's nodes, with faults and an administrator (docs/testing.md).

mod cast;
mod pvekube;
mod random;

use std::sync::Arc;

use ::pvekube::model::ids::NodeName;
use ::pvekube::sandbox::remote::{Operations, SandboxRemote};

#[tokio::test(start_paused = true)]
async fn without_faults_one_apply_is_enough() {
    for seed in 0..20 {
        let mut random = random::Random::new(seed);
        let world = cast::world(cast::topology(&mut random));
        let desired = cast::desired(&mut random, &world);
        let names = world.nodes().iter().map(|node| (NodeName::new(node.name()), node.name().to_owned())).collect();
        let mut remote = SandboxRemote::new(world.clone(), names, Arc::new(Operations::default()));
        remote.public_keys.insert(cast::KEY_PATH.into(), cast::PUBLIC_KEY.into());
        let remote = Arc::new(remote);
        let consent = pvekube::Consent::default();
        let observed = pvekube::observe(remote.as_ref(), &desired).await;
        let plan = pvekube::plan(&desired, &observed, &consent);
        assert!(pvekube::is_allowed(&plan), "seed {seed}: {:?}", plan.refusals().collect::<Vec<_>>());
        let outcome = pvekube::carry_out(remote.clone(), &desired, &observed, &plan, "sim", seed).await;
        assert!(outcome.is_success(), "seed {seed}: {outcome:?}");
        let observed = pvekube::observe(remote.as_ref(), &desired).await;
        let again = pvekube::plan(&desired, &observed, &consent);
        assert!(!again.has_changes(), "seed {seed}: {:?}", again.changes);
    }
}
