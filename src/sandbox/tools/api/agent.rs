//! The guest agent's commands (API2/Qemu/Agent.pm; contract §7).

use serde_json::{Value, json};

use super::super::super::faults::AgentFault;
use super::super::super::guests::{AgentReply, ExecReply};
use super::super::call::{Call, Die, Run};
use super::super::conf::{Config, load};
use super::{Values, flag, number, vmid_of};

/// Whether the config has an agent that is on.
pub fn configured(config: &Config) -> bool {
    let text = config.get("agent").unwrap_or_default();
    let first = text.split(',').find(|part| !part.contains('=') || part.starts_with("enabled="));
    first.is_some_and(|part| part.trim_start_matches("enabled=") == "1")
}

/// Seconds that a ping of a silent agent takes.
const PING_S: f64 = 3.0;

/// One agent command: its answer without the outer `return`.
pub async fn command(call: &Call<'_>, vmid: u32, name: &str) -> Run<Value> {
    available(call, vmid).await?;
    match ask(call, vmid, name) {
        AgentReply::Value(value) => Ok(value),
        AgentReply::Silent => Err(Die::new("QEMU guest agent is not running")),
    }
}

/// `VM 101 is not running`, `No QEMU guest agent configured`, `QEMU guest agent is not running`.
async fn available(call: &Call<'_>, vmid: u32) -> Run<()> {
    let config = load(call, vmid)?;
    if call.node.world.guests.running(call.node, vmid).is_none() {
        return Err(Die::absent(format!("VM {vmid} is not running")));
    }
    // The test is for the key alone: `enabled=0` passes it (contract §7).
    if config.get("agent").is_none() {
        return Err(Die::new("No QEMU guest agent configured"));
    }
    if !configured(&config) || ask(call, vmid, "ping") == AgentReply::Silent {
        call.work(PING_S).await?;
        return Err(Die::new("QEMU guest agent is not running"));
    }
    Ok(())
}

/// The guest's answer, or what a fault makes of it.
fn ask(call: &Call<'_>, vmid: u32, name: &str) -> AgentReply {
    let guests = &call.node.world.guests;
    match call.node.world.faults().agent.get(&vmid) {
        Some(AgentFault::Absent) => AgentReply::Silent,
        Some(AgentFault::LateBy(seconds)) => {
            let now = call.node.world.clock.now();
            let up = guests.running(call.node, vmid).is_some_and(|run| now - run.started_at >= *seconds);
            if up { guests.agent(call.node, vmid, name) } else { AgentReply::Silent }
        }
        Some(AgentFault::ErrorObject) if name != "ping" => AgentReply::Value(json!({
            "error": {"class": "CommandNotFound", "desc": format!("Command guest-{name} has been disabled")}
        })),
        Some(AgentFault::ErrorObject) | None => guests.agent(call.node, vmid, name),
    }
}

/// `qm guest exec`: exit 0 whatever the guest's command did.
pub async fn exec(call: &Call<'_>, values: &Values, argv: &[String]) -> Run<Value> {
    let vmid = vmid_of(values);
    let synchronous = values.get("synchronous").is_none_or(|value| value == "1");
    if !synchronous && values.contains_key("timeout") {
        return Err(Die::parameter(255, "synchronous", "the timeout parameter requires synchronous"));
    }
    available(call, vmid).await?;
    let stdin: &[u8] = if flag(values, "pass-stdin") { &call.process.stdin } else { &[] };
    let patience = if synchronous { number(values, "timeout").unwrap_or(30) as f64 } else { 0.0 };
    if call.node.world.faults().agent.get(&vmid) == Some(&AgentFault::ErrorObject) {
        return Err(Die::new(
            "Agent error: Guest agent command failed, error was 'Command guest-exec has been disabled'",
        ));
    }
    // The tool looks once a second.
    call.work(1.0).await?;
    match call.node.world.guests.exec(call.node, vmid, argv, stdin, patience) {
        ExecReply::Silent => Err(Die::new("QEMU guest agent is not running")),
        ExecReply::NotStarted(text) => {
            call.warn("Wide character in die at /usr/share/perl5/PVE/RESTHandler.pm line 1131.")?;
            Err(Die::Text { exit: 29, text: format!("Agent error: {text}") })
        }
        ExecReply::Unfinished { pid } => {
            if synchronous {
                call.work(patience).await?;
                call.warn("timeout reached, returning pid")?;
            }
            Ok(json!({ "pid": pid }))
        }
        ExecReply::Exited { pid, .. } if !synchronous => Ok(json!({ "pid": pid })),
        ExecReply::Exited { exit, stdout, stderr, .. } => Ok(exited(exit, &stdout, &stderr)),
    }
}

fn exited(exit: i32, stdout: &[u8], stderr: &[u8]) -> Value {
    let mut result = json!({"exitcode": exit, "exited": 1});
    for (name, bytes) in [("err", stderr), ("out", stdout)] {
        if !bytes.is_empty() {
            result[format!("{name}-data")] = String::from_utf8_lossy(bytes).into_owned().into();
            result[format!("{name}-truncated")] = 0.into();
        }
    }
    result
}
