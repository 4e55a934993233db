//! QEMU as the tools see it: guests of a world, kept in the nodes' files, so that any process can ask.
//!
//! A running VM has `/run/qemu-server/ID.pid`, `/proc/PID/cmdline`, and its `Boot` record in `/run/sandbox/ID.json`.
//! Whoever looks first after a guest ended by itself puts things in order (`settle`).

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::agent::Reply;
use super::seed::Seed;
use super::store;
use super::{Boot, GuestFault, Running, mix};
use crate::pve::property::{Net, Properties, boolean, first_boot_disk};
use crate::sandbox::faults::AgentFault;
use crate::sandbox::guests::{self, AgentReply, ExecReply, Guests};
use crate::sandbox::leases;
use crate::sandbox::node::SandboxNode;

/// Guests whose doings all follow from their records. With a launcher each has a real process, too (`programs::kvm`).
#[derive(Clone, Debug, Default)]
pub struct Hypervisor {
    pub launcher: Option<Launcher>,
}

/// How a real process that stands for QEMU is started.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// pvekube itself.
    pub program: PathBuf,
    /// The world's folder.
    pub folder: PathBuf,
}

/// How long a started process may take to write its pid file.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn now_ms(node: &SandboxNode) -> u64 {
    (node.world.clock.now() * 1000.0) as u64
}

fn record_path(vmid: u32) -> String {
    format!("/run/sandbox/{vmid}.json")
}

fn pid_path(vmid: u32) -> String {
    format!("/run/qemu-server/{vmid}.pid")
}

/// What QEMU said last; PVE's QEMU writes it to the journal.
const LAST_WORDS: &str = "KVM: entry failed, hardware error 0x80000021\nkvm: terminating on a fault of the sandbox\n";

fn journal_path(vmid: u32) -> String {
    format!("/var/log/sandbox/qemu-{vmid}.log")
}

/// Lines that QEMU left in the journal.
pub(crate) fn journal(node: &SandboxNode, vmid: u32) -> Vec<String> {
    node.read_text(&journal_path(vmid)).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}

/// The record of a VM that was started and not yet put away, ended or not.
pub fn record(node: &SandboxNode, vmid: u32) -> Option<Boot> {
    serde_json::from_slice(&node.read(&record_path(vmid)).ok()?).ok()
}

fn save(node: &SandboxNode, boot: &Boot) -> io::Result<()> {
    node.write(&record_path(boot.vmid), serde_json::to_vec(boot)?)
}

/// VMIDs that have a record on this node.
pub fn started(node: &SandboxNode) -> Vec<u32> {
    let names = node.list("/run/sandbox");
    names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect()
}

/// Writes back what a guest that ended by itself left, and removes its traces. Returns the record of one that still runs.
pub fn settle(node: &SandboxNode, vmid: u32) -> Option<Boot> {
    let boot = record(node, vmid)?;
    let now = now_ms(node);
    if boot.real_process && process_is_gone(node, vmid) {
        // Killed: nobody else will put it away.
        let _ = put_away(node, &boot, now);
        return None;
    }
    match boot.running(now) {
        Running::Yes | Running::Paused(_) => Some(boot),
        ended @ (Running::PoweredOff(_) | Running::Crashed(_)) => {
            if matches!(ended, Running::Crashed(_)) {
                let _ = node.write(&journal_path(vmid), LAST_WORDS);
            }
            // Traces that can't be removed are found again at the next look.
            let _ = put_away(node, &boot, now);
            None
        }
    }
}

/// A process that wrote its pid file and is not there any more.
fn process_is_gone(node: &SandboxNode, vmid: u32) -> bool {
    let Ok(pid) = node.read_text(&pid_path(vmid)) else { return false };
    !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists()
}

/// The same for every guest of a node: before anything reads the node's files.
pub fn settle_all(node: &SandboxNode) {
    for vmid in started(node) {
        settle(node, vmid);
    }
}

/// Ends a guest: its disk as it is now goes back into the volume.
pub(crate) fn put_away(node: &SandboxNode, boot: &Boot, now: u64) -> io::Result<()> {
    if let Some(volume) = &boot.volume
        && boot.disk.is_bootable()
    {
        store::save(node, volume, &boot.final_disk(now))?;
    }
    if let Ok(pid) = node.read_text(&pid_path(boot.vmid)) {
        node.fs().remove_tree(&node.at(&format!("/proc/{}", pid.trim())))?;
    }
    node.fs().remove_tree(&node.at(&pid_path(boot.vmid)))?;
    node.fs().remove_tree(&node.at(&record_path(boot.vmid)))
}

/// The record of a fresh start.
pub(crate) fn boot_record(node: &SandboxNode, start: &guests::Boot) -> io::Result<Boot> {
    let keys = &start.config.keys;
    let name = keys.get("name").cloned().unwrap_or_else(|| format!("VM {}", start.vmid));
    let volume = first_boot_disk(keys).map(|(_, drive)| (drive.volume.clone(), drive.size_bytes().unwrap_or(0)));
    let mut macs = Vec::new();
    let mut addresses = BTreeMap::new();
    for net in keys.iter().filter(|(key, _)| is_net(key)).filter_map(|(_, value)| Net::parse(value).ok()) {
        let Some(mac) = net.mac_lower() else { continue };
        let network = leases::network_name(net.bridge().unwrap_or_default(), net.vlan());
        if let Some(address) = leases::lease(node.fs(), &network, &mac)? {
            addresses.insert(mac.clone(), address);
        }
        macs.push(mac);
    }
    let uuid = keys.get("smbios1").and_then(|text| Properties::parse(text, None).ok());
    let uuid = uuid.and_then(|smbios| smbios.get("uuid").map(str::to_owned)).unwrap_or_default();
    let agent = keys.get("agent").and_then(|text| Properties::parse(text, Some("enabled")).ok());
    let agent_channel = agent.and_then(|agent| boolean(agent.get("enabled")?)).unwrap_or(false);
    let drive = start.cloudinit.as_ref();
    let mut boot = Boot {
        vmid: start.vmid,
        started_ms: now_ms(node),
        pace: (1000.0 / node.world.clock.speed()).round().clamp(1.0, 1e9) as u32,
        uuid,
        seed: drive.map(|drive| Seed::read(&drive.user, &drive.network, &drive.meta, drive.vendor.as_deref())),
        disk: volume.as_ref().map(|(volume, _)| store::load(node, volume)).unwrap_or_default(),
        disk_bytes: volume.as_ref().map_or(0, |(_, bytes)| *bytes),
        macs,
        leases: addresses,
        agent_channel,
        faults: node.world.faults().guests_of(&name),
        halts_ms: None,
        suspended: false,
        volume: volume.map(|(volume, _)| volume),
        host_keys: node.world.guest_host_keys(),
        real_process: false,
        name,
    };
    match node.world.faults().agent.get(&start.vmid) {
        Some(AgentFault::Absent) => drop(boot.faults.insert(GuestFault::AgentSilent)),
        Some(AgentFault::ErrorObject) => drop(boot.faults.insert(GuestFault::AgentError)),
        Some(AgentFault::LateBy(_)) => drop(boot.faults.insert(GuestFault::SlowBoot)),
        None => {}
    }
    Ok(boot)
}

fn is_net(key: &str) -> bool {
    key.strip_prefix("net").is_some_and(|index| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Pid file and command line, as `running` of the tools and of pvekube look for them (contract §1.4).
pub(crate) fn write_traces(node: &SandboxNode, boot: &Boot, pid: u32) -> io::Result<()> {
    let vmid = boot.vmid;
    let pid_file = pid_path(vmid);
    let name = format!("{},debug-threads=on", boot.name);
    let argv = ["/usr/bin/kvm", "-id", &vmid.to_string(), "-name", &name, "-daemonize", "-pidfile", &pid_file];
    node.write(&format!("/proc/{pid}/cmdline"), format!("{}\0", argv.join("\0")))?;
    node.write(&pid_file, format!("{pid}\n"))
}

/// The same for a real process: `/proc/PID` of the node is the kernel's own, so that it ends with the process.
#[cfg(unix)]
pub(crate) fn write_real_traces(node: &SandboxNode, boot: &Boot, pid: u32) -> io::Result<()> {
    let root = node.fs().root().ok_or_else(|| io::Error::other("a world in memory has no processes"))?;
    let link = root.join(format!("nodes/{}/proc/{pid}", node.name()));
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(format!("/proc/{pid}"), link)?;
    node.write(&pid_path(boot.vmid), format!("{pid}\n"))
}

impl Launcher {
    /// Starts the process in a session of its own and waits for its pid file.
    fn launch(&self, node: &SandboxNode, boot: &Boot) -> io::Result<()> {
        let pid_file = pid_path(boot.vmid);
        let mut command = Command::new("setsid");
        command.arg("--fork").arg(&self.program).args(["sandbox", "tool", "--dir"]).arg(&self.folder);
        command.args(["--node", node.name(), "--", "kvm", "-id", &boot.vmid.to_string()]);
        command.args(["-name", &boot.name, "-pidfile", &pid_file]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if !command.status()?.success() {
            return Err(io::Error::other("QEMU could not be started"));
        }
        let until = Instant::now() + LAUNCH_PATIENCE;
        while !node.exists(&pid_file) {
            if Instant::now() > until {
                return Err(io::Error::other("QEMU wrote no pid file"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Guests for Hypervisor {
    fn start(&self, node: &SandboxNode, start: &guests::Boot) -> io::Result<()> {
        let mut boot = boot_record(node, start)?;
        if let Some(launcher) = &self.launcher {
            boot.real_process = true;
            save(node, &boot)?;
            return launcher.launch(node, &boot);
        }
        let pid = 2_000 + mix(&[node.name(), &boot.vmid.to_string(), &boot.started_ms.to_string()]) % 4_000_000;
        write_traces(node, &boot, u32::try_from(pid).unwrap_or(2_000))?;
        save(node, &boot)
    }

    fn running(&self, node: &SandboxNode, vmid: u32) -> Option<guests::Running> {
        let boot = settle(node, vmid)?;
        let pid = node.read_text(&pid_path(vmid)).ok()?.trim().parse().ok()?;
        let paused = match boot.running(now_ms(node)) {
            Running::Paused(why) => Some(why),
            Running::Yes | Running::PoweredOff(_) | Running::Crashed(_) => None,
        };
        Some(guests::Running { pid, started_at: boot.started_ms as f64 / 1000.0, paused })
    }

    fn stop(&self, node: &SandboxNode, vmid: u32) -> io::Result<()> {
        settle(node, vmid).map_or(Ok(()), |boot| put_away(node, &boot, now_ms(node)))
    }

    fn shutdown(&self, node: &SandboxNode, vmid: u32) -> Option<f64> {
        let mut boot = settle(node, vmid)?;
        if node.world.faults().deaf_to_shutdown.contains(&vmid) {
            return None;
        }
        let now = now_ms(node);
        let at = boot.would_halt_at(now)?;
        boot.halts_ms = Some(at);
        save(node, &boot).ok()?;
        Some((at - now) as f64 / 1000.0 * node.world.clock.speed())
    }

    fn pause(&self, node: &SandboxNode, vmid: u32, paused: bool) -> io::Result<()> {
        let Some(mut boot) = settle(node, vmid) else { return Ok(()) };
        boot.suspended = paused;
        if !paused {
            boot.faults.remove(&GuestFault::Suspended);
        }
        save(node, &boot)
    }

    fn agent(&self, node: &SandboxNode, vmid: u32, command: &str) -> AgentReply {
        let Some(boot) = settle(node, vmid) else { return AgentReply::Silent };
        let now = now_ms(node);
        let reply = match command {
            "ping" => boot.ping(now),
            "network-get-interfaces" => boot.network_get_interfaces(now),
            "get-host-name" => boot.get_host_name(now),
            "get-osinfo" => boot.get_osinfo(now),
            "get-users" => boot.get_users(now),
            other => boot.unsupported(now, other),
        };
        match reply {
            Reply::Silent => AgentReply::Silent,
            Reply::Value(value) => AgentReply::Value(value),
            Reply::Error { class, description } => AgentReply::Value(error_object(&class, &description)),
        }
    }

    fn exec(&self, node: &SandboxNode, vmid: u32, argv: &[String], stdin: &[u8], patience_s: f64) -> ExecReply {
        let Some(boot) = settle(node, vmid) else { return ExecReply::Silent };
        let now = now_ms(node);
        let pid = 1_000 + u32::try_from(mix(&[&now.to_string(), &argv.join(" ")]) % 30_000).unwrap_or(0);
        let patience_ms = (patience_s * 1000.0 / node.world.clock.speed()).max(0.0) as u64;
        let until = boot.waits_until(now, argv);
        if until > now + patience_ms {
            return if boot.ping(now) == Reply::Silent { ExecReply::Silent } else { ExecReply::Unfinished { pid } };
        }
        match boot.exec(until, argv, stdin) {
            Ok(ran) => ExecReply::Exited { pid, exit: ran.exit, stdout: ran.out.into(), stderr: ran.err.into() },
            Err(Reply::Silent) => ExecReply::Silent,
            Err(Reply::Error { description, .. }) => ExecReply::NotStarted(description),
            Err(Reply::Value(value)) => ExecReply::NotStarted(value.to_string()),
        }
    }
}

fn error_object(class: &str, description: &str) -> Value {
    json!({"error": {"class": class, "desc": description}})
}
