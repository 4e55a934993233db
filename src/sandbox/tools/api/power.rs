//! Starting and stopping (Qemu.pm `vm_start`, `vm_shutdown`, …; QemuServer.pm `vm_start_nolock`; contract §7).

use super::super::super::flock::Mode;
use super::super::super::guests::{AgentReply, Boot};
use super::super::call::{Call, Die, Run};
use super::super::conf::{Config, load, store};
use super::super::drives;
use super::super::pending;
use super::super::storage::Volume;
use super::super::worker::{Task, fork_worker};
use super::super::{cloudinit, schema};
use super::{Values, flag, ha_managed, number, vmid_of};
use crate::model::vm_config::VmConfig;

/// Seconds that a shutdown waits when nothing says otherwise.
const SHUTDOWN_S: u64 = 180;

pub async fn start(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    call.assert_quorum()?;
    if ha_managed(call.node, vmid) {
        return request_ha(call, vmid, "start", "hastart").await;
    }
    let body = async |call: &Call<'_>| {
        let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
        start_locked(call, vmid, flag(values, "skiplock")).await
    };
    Ok(fork_worker(call, "qmstart", &vmid.to_string(), body).await)
}

/// HA only notes the wish; its manager acts later (contract §7).
async fn request_ha(call: &Call<'_>, vmid: u32, verb: &str, kind: &str) -> Run<Task> {
    let wish = if verb == "start" { "started" } else { "stopped" };
    let body = async |call: &Call<'_>| {
        call.say(format!("Requesting HA {verb} for VM {vmid}"))?;
        call.work(0.5).await?;
        let path = "/etc/pve/ha/resources.cfg";
        let text = call.node.read_text(path).unwrap_or_default();
        let mut inside = false;
        let lines: Vec<String> = text
            .lines()
            .map(|line| {
                if !line.starts_with(['\t', ' ']) {
                    inside = line.trim() == format!("vm: {vmid}");
                }
                if inside && line.trim().starts_with("state ") { format!("\tstate {wish}") } else { line.to_owned() }
            })
            .collect();
        let refused = |error| super::super::conf::write_error(call, path, &error);
        call.node.pve_write(path, lines.join("\n") + "\n").map_err(refused)
    };
    Ok(fork_worker(call, kind, &vmid.to_string(), body).await)
}

async fn start_locked(call: &Call<'_>, vmid: u32, skip_lock: bool) -> Run<()> {
    let mut config = load(call, vmid)?;
    if config.is_template() {
        return Err(Die::new("you can't start a vm if it's a template"));
    }
    if !skip_lock {
        config.assert_unlocked()?;
    }
    let guests = &call.node.world.guests;
    if guests.running(call.node, vmid).is_some() {
        return Err(Die::new(format!("VM {vmid} already running")));
    }
    pending::apply(call, &mut config, false).await?;
    let documents = cloudinit::documents(call, &config)?;
    let has_drive = drives::drives(&config).iter().any(|(_, drive)| drive.is_cloudinit());
    if has_drive {
        call.say("generating cloud-init ISO")?;
        if config.file.special.remove("cloudinit").is_some() {
            store(call, &mut config)?;
        }
    }
    check_start(call, &config)?;
    call.work(1.5).await?;
    let boot = Boot { vmid, config: as_model(&config), cloudinit: has_drive.then_some(documents) };
    guests.start(call.node, &boot).map_err(|error| Die::new(format!("start failed: {error}")))
}

/// The model's view of a config, for the guest.
fn as_model(config: &Config) -> VmConfig {
    crate::pve::conf::parse(&config.file.print()).unwrap_or_default()
}

/// What only a start finds out (observed §6).
fn check_start(call: &Call<'_>, config: &Config) -> Run<()> {
    let spec = call.node.spec();
    let of = |key: &str| config.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(1);
    if of("sockets") * of("cores") > u64::from(spec.cpus) {
        return Err(Die::new(format!("MAX {} vcpus allowed per VM on this node", spec.cpus)));
    }
    check_machine(call, config)?;
    for (_, drive) in drives::drives(config) {
        if let Some(volume) = drive.volume().filter(|volume| volume.owner().is_some()) {
            Volume::read(call.node, &volume)?;
        }
    }
    for number in 0..32 {
        let key = format!("net{number}");
        let Some(net) = config.get(&key) else { continue };
        let Some(schema::Type::Properties(properties)) = schema::schema().get(&key) else { continue };
        let parts = schema::parse_properties(&key, properties, net).unwrap_or_default();
        if let Some(bridge) = parts.get("bridge")
            && !call.node.exists(&format!("/sys/class/net/{bridge}"))
        {
            return Err(Die::new(format!("bridge '{bridge}' does not exist")));
        }
    }
    let memory = config.get("memory").and_then(crate::pve::property::memory_mb).unwrap_or(512);
    if memory > spec.memory_mib {
        call.say("kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory")?;
        return Err(Die::new("start failed: QEMU exited with code 1"));
    }
    Ok(())
}

/// `pc-i440fx-99.0` is newer than the node's QEMU.
fn check_machine(call: &Call<'_>, config: &Config) -> Run<()> {
    let Some(machine) = config.get("machine") else { return Ok(()) };
    let version = |text: &str| {
        let mut numbers = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    };
    let name = machine.split(',').next().unwrap_or_default();
    let asked = name.rsplit('-').next().filter(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    let qemu = &call.node.spec().version.qemu;
    match asked {
        Some(asked) if version(asked) > version(qemu) => Err(Die::new(format!(
            "Installed QEMU version '{qemu}' is too old to run machine type '{name}+pve0', please upgrade node '{}'",
            call.node.name()
        ))),
        Some(_) | None => Ok(()),
    }
}

pub async fn stop(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    if ha_managed(call.node, vmid) {
        return request_ha(call, vmid, "stop", "hastop").await;
    }
    let body = async |call: &Call<'_>| {
        if !call.node.exists(&call.node.conf_path(vmid)) {
            let text = format!("unable to find configuration file for VM {vmid} on node '{}'", call.node.name());
            return Err(Die::new(text));
        }
        let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
        if call.node.world.guests.running(call.node, vmid).is_some() {
            call.work(0.8).await?;
            halt(call, vmid).await?;
        }
        Ok(())
    };
    Ok(fork_worker(call, "qmstop", &vmid.to_string(), body).await)
}

/// Ends QEMU, then applies what was pending (QemuServer.pm:6232).
async fn halt(call: &Call<'_>, vmid: u32) -> Run<()> {
    let failed = |error: std::io::Error| Die::new(format!("VM quit/powerdown failed - {error}"));
    call.node.world.guests.stop(call.node, vmid).map_err(failed)?;
    after_stop(call, vmid).await
}

async fn after_stop(call: &Call<'_>, vmid: u32) -> Run<()> {
    let mut config = load(call, vmid)?;
    pending::apply(call, &mut config, false).await
}

/// `qm shutdown`; holds the VM's lock as long as it waits. A stopped VM is told on stderr, exit 0.
pub async fn shutdown(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    let config = load(call, vmid)?;
    if ha_managed(call.node, vmid) {
        return request_ha(call, vmid, "stop", "hashutdown").await;
    }
    if call.node.world.guests.running(call.node, vmid).is_none() {
        call.warn(format!("VM {vmid} not running\n"))?;
        return Ok(Task { upid: String::new(), result: Ok(()) });
    }
    if call.node.world.guests.running(call.node, vmid).is_some_and(|run| run.paused.is_some())
        && !flag(values, "forceStop")
    {
        return Err(Die::new("VM is paused - cannot shutdown"));
    }
    let down = config.get("startup").and_then(|text| text.split(',').find_map(|part| part.strip_prefix("down=")));
    let down = down.and_then(|text| text.parse().ok());
    let timeout = number(values, "timeout").or(down).unwrap_or(SHUTDOWN_S);
    let force = flag(values, "forceStop");
    let body = async |call: &Call<'_>| {
        let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
        power_down(call, vmid, timeout as f64, force).await
    };
    Ok(fork_worker(call, "qmshutdown", &vmid.to_string(), body).await)
}

async fn power_down(call: &Call<'_>, vmid: u32, timeout_s: f64, force: bool) -> Run<()> {
    let config = load(call, vmid)?;
    let guests = &call.node.world.guests;
    if super::agent::configured(&config) && guests.agent(call.node, vmid, "ping") == AgentReply::Silent {
        call.work(3.0).await?;
        call.say(format!("QEMU Guest Agent is not running - VM {vmid} qga command 'guest-ping' failed - got timeout"))?;
    }
    // Whether and when it goes is the guest's business.
    let _ = guests.shutdown(call.node, vmid);
    let mut waited = 0.0;
    while guests.running(call.node, vmid).is_some() {
        if waited >= timeout_s {
            if !force {
                return Err(Die::new("VM quit/powerdown failed - got timeout"));
            }
            call.say("VM still running - terminating now with SIGTERM")?;
            return halt(call, vmid).await;
        }
        call.work(1.0).await?;
        waited += 1.0;
    }
    after_stop(call, vmid).await
}

pub async fn reboot(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    load(call, vmid)?;
    assert_running(call, vmid).map_err(|die| match die {
        Die::Text { exit, text } => Die::Text { exit, text: format!("{text}\n\n{text}") },
        other => other,
    })?;
    let timeout = number(values, "timeout").unwrap_or(SHUTDOWN_S) as f64;
    let body = async |call: &Call<'_>| {
        let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
        power_down(call, vmid, timeout, false).await?;
        start_locked(call, vmid, false).await
    };
    Ok(fork_worker(call, "qmreboot", &vmid.to_string(), body).await)
}

/// `VM 101 not running`.
fn assert_running(call: &Call<'_>, vmid: u32) -> Run<()> {
    match call.node.world.guests.running(call.node, vmid) {
        Some(_) => Ok(()),
        None => Err(Die::absent(format!("VM {vmid} not running"))),
    }
}

/// `suspend`, `resume` and `reset`: the word tells which.
pub async fn interrupt(call: &Call<'_>, values: &Values, verb: &str) -> Run<Task> {
    let vmid = vmid_of(values);
    load(call, vmid)?;
    assert_running(call, vmid)?;
    let body = async |call: &Call<'_>| {
        let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
        let done = match verb {
            "suspend" => call.node.world.guests.pause(call.node, vmid, true),
            "resume" => call.node.world.guests.pause(call.node, vmid, false),
            _ => Ok(()),
        };
        done.map_err(|error| Die::new(error.to_string()))
    };
    Ok(fork_worker(call, &format!("qm{verb}"), &vmid.to_string(), body).await)
}
