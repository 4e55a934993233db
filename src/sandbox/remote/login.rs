//! Reaching a guest by SSH: the guest model answers for it.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::SandboxRemote;
use crate::remote::{LoginAnswer, LoginAsk};
use crate::sandbox::guest::hypervisor::{now_ms, settle, started};
use crate::sandbox::guest::keys::bare;
use crate::sandbox::guest::login::Door;
use crate::sandbox::guest::{Boot, GuestFault};

/// Connect, key exchange, log in.
const LOGIN_S: f64 = 0.3;

pub(super) async fn login(remote: &SandboxRemote, ask: &LoginAsk) -> LoginAnswer {
    remote.world.clock.work(LOGIN_S).await;
    let port = ask.port;
    let unreachable = |why: &str| PortClosedDetail(ask.address, port).with(why);
    if let Some(via) = &ask.via
        && remote.sandbox_node(via).is_ok_and(|node| remote.world.faults().offline.contains(node.name()))
    {
        return unreachable("No route to host");
    }
    let Some((now, boot)) = guest_at(remote, ask.address) else {
        tokio::time::sleep(Duration::from_secs(3)).await;
        return unreachable("No route to host");
    };
    let host_keys = match boot.door(now) {
        Door::Open { host_keys } if port == 22 => host_keys,
        Door::Open { .. } | Door::Closed => return unreachable("Connection refused"),
    };
    if let Err(detail) = check_host_key(ask, &host_keys) {
        return LoginAnswer::HostKeyChanged { detail };
    }
    if !ask.log_in {
        return LoginAnswer::PortOk;
    }
    let mut offered = Vec::new();
    let mut public = Vec::new();
    for path in &ask.keys {
        offered.push(path.display().to_string());
        public.extend(remote.public_keys.get(path).cloned().or_else(|| public_half(path)));
    }
    if !ask.agent.is_empty() {
        offered.push("the SSH agent".to_owned());
        public.extend(ask.agent.iter().cloned());
    }
    if boot.lets_in(now, &ask.user, &public) {
        if boot.has(&GuestFault::OddShell) {
            return LoginAnswer::Odd { detail: "This account is currently not available.".to_owned() };
        }
        LoginAnswer::Ok
    } else {
        let detail = format!("{}@{}: Permission denied (publickey).", ask.user, ask.address);
        LoginAnswer::KeyRefused { offered, detail }
    }
}

struct PortClosedDetail(IpAddr, u16);

impl PortClosedDetail {
    fn with(&self, why: &str) -> LoginAnswer {
        LoginAnswer::PortClosed { detail: format!("connect to host {} port {}: {why}", self.0, self.1) }
    }
}

/// The guest that has an address now, on whichever node.
fn guest_at(remote: &SandboxRemote, address: IpAddr) -> Option<(u64, Boot)> {
    let offline = remote.world.faults().offline;
    for node in remote.world.nodes().into_iter().filter(|node| !offline.contains(node.name())) {
        let now = now_ms(&node);
        for vmid in started(&node) {
            let Some(boot) = settle(&node, vmid) else { continue };
            let has = |interface: &crate::sandbox::guest::network::Interface| {
                interface.mac != "00:00:00:00:00:00" && interface.addresses.iter().any(|cidr| cidr.address == address)
            };
            if boot.interfaces(now).iter().any(has) {
                return Some((now, boot));
            }
        }
    }
    None
}

/// Expected keys, or (none expected) accept-new into the known-hosts file.
fn check_host_key(ask: &LoginAsk, shown: &[String]) -> Result<(), String> {
    let shown: Vec<String> = shown.iter().map(|key| bare(key)).collect();
    let changed = || format!("REMOTE HOST IDENTIFICATION HAS CHANGED for {}", ask.address);
    if !ask.host_keys.is_empty() {
        let expected = ask.host_keys.iter().any(|key| shown.contains(&bare(key)));
        return if expected { Ok(()) } else { Err(changed()) };
    }
    let Some(file) = &ask.known_hosts else { return Ok(()) };
    let address = ask.address.to_string();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let known: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(' ').filter(|(host, _)| *host == address).map(|(_, key)| bare(key)))
        .collect();
    if known.iter().any(|key| shown.contains(key)) {
        return Ok(());
    }
    if !known.is_empty() {
        return Err(changed());
    }
    let lines: String = shown.iter().map(|key| format!("{address} {key}\n")).collect();
    let mut options = std::fs::OpenOptions::new();
    // A file that can't be written is no reason to refuse the login, as with ssh.
    let _ = options.create(true).append(true).open(file).and_then(|mut file| file.write_all(lines.as_bytes()));
    Ok(())
}

/// The public half of a private key: its `.pub` file, or what `ssh-keygen` makes of it.
fn public_half(path: &Path) -> Option<String> {
    let beside = std::path::PathBuf::from(format!("{}.pub", path.display()));
    if let Ok(text) = std::fs::read_to_string(beside) {
        return text.lines().next().map(str::to_owned);
    }
    let made = std::process::Command::new("ssh-keygen").args(["-y", "-P", "", "-f"]).arg(path).output().ok()?;
    made.status.success().then(|| String::from_utf8_lossy(&made.stdout).trim().to_owned())
}
