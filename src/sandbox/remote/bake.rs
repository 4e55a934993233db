//! `Work::Bake`: starts the VM, reads its serial console into the log, waits until QEMU is gone.

use std::time::Duration;

use tokio::time::Instant;

use super::operations::Context;
use crate::sandbox::guest::hypervisor;

/// The console is looked at this often, in seconds of the node.
const LOOK_S: f64 = 1.0;

/// Exit code of the VM's start, 124 when it still runs after `timeout_s`.
pub(super) async fn bake(context: &Context, vmid: crate::model::ids::Vmid, timeout_s: u32) -> i32 {
    let node = &context.node;
    let vmid = vmid.0;
    let exit = context.program(["qm".to_owned(), "start".to_owned(), vmid.to_string()]).await;
    if exit != 0 {
        // 124 means a time-out of the bake.
        return if exit == 124 { 125 } else { exit };
    }
    let limit = Instant::now() + Duration::from_secs(u64::from(timeout_s));
    let Some(boot) = hypervisor::record(node, vmid) else { return 0 };
    let mut read_until = boot.started_ms;
    loop {
        let now = hypervisor::now_ms(node);
        let said = boot.console_between(read_until, now);
        if !said.is_empty() {
            context.say(&said);
        }
        read_until = now;
        let still = hypervisor::settle(node, vmid).is_some_and(|record| record.started_ms == boot.started_ms);
        if !still {
            return 0;
        }
        if Instant::now() >= limit {
            return 124;
        }
        node.world.clock.work(LOOK_S).await;
    }
}
