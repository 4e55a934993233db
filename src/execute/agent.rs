//! What the guest agent's answers mean. Pure: `qm`'s output in, facts out (contract §7, transcripts `d-running`, `i-golden`).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::model::plan::ExpectedAddress;
use crate::remote::Answer;

/// What came back from a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ping {
    Answers,
    /// The config has no `agent` key: it will never answer.
    NotConfigured,
    VmStopped,
    Silent(String),
}

pub(super) fn ping(answer: &Answer) -> Ping {
    let text = text_of(answer);
    if text.contains("No QEMU guest agent configured") {
        Ping::NotConfigured
    } else if text.contains("is not running") && !text.contains("guest agent is not running") {
        Ping::VmStopped
    } else if answer.exit == 0 && error_of(&answer.stdout).is_none() {
        Ping::Answers
    } else {
        Ping::Silent(text)
    }
}

/// What it said instead of an answer: its own error object, or the tool's words.
pub(super) fn words(answer: &Answer) -> String {
    error_of(&answer.stdout).unwrap_or_else(|| text_of(answer))
}

/// A network interface as the guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    /// Lower case; empty when it has none.
    pub(super) mac: String,
    pub(super) addresses: Vec<(IpAddr, u8)>,
}

/// `None`: the agent did not answer, or with something else.
pub(super) fn interfaces(answer: &Answer) -> Option<Vec<Interface>> {
    let parsed: Value = serde_json::from_slice(&answer.stdout).ok()?;
    let list = parsed.as_array().or_else(|| parsed.get("result")?.as_array())?;
    Some(list.iter().map(interface).collect())
}

fn interface(value: &Value) -> Interface {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let addresses = value.get("ip-addresses").and_then(Value::as_array).into_iter().flatten();
    Interface {
        name: text("name"),
        mac: text("hardware-address").to_ascii_lowercase(),
        addresses: addresses
            .filter_map(|entry| {
                let address: IpAddr = entry.get("ip-address")?.as_str()?.split('%').next()?.parse().ok()?;
                let prefix = entry.get("prefix").and_then(Value::as_u64).and_then(|prefix| u8::try_from(prefix).ok());
                Some((address, prefix.unwrap_or(0)))
            })
            .collect(),
    }
}

/// Interfaces that container runtimes and cluster networks make; never a machine's own.
const CLUSTER_INTERFACES: [&str; 10] =
    ["lo", "docker", "cni", "cilium", "lxc", "flannel", "veth", "kube-", "cali", "tunl"];

/// The machine's address and all it could be reached at, from the interfaces that carry net0's MAC. A static address must
/// be there; of several, one with a real subnet goes before a /32 (a virtual address such as kube-vip's) and IPv4 before IPv6.
pub(super) fn choose_address(
    interfaces: &[Interface],
    mac: &str,
    expected: &ExpectedAddress,
    exclude: &[IpNet],
) -> (Option<IpAddr>, Vec<IpAddr>) {
    let mac = mac.to_ascii_lowercase();
    let mut candidates: Vec<(IpAddr, u8)> = interfaces
        .iter()
        .filter(|interface| interface.mac == mac)
        .filter(|interface| !CLUSTER_INTERFACES.iter().any(|prefix| interface.name.starts_with(prefix)))
        .flat_map(|interface| interface.addresses.iter().copied())
        .filter(|(address, _)| is_reachable(*address) && !exclude.iter().any(|net| net.contains(address)))
        .collect();
    candidates.sort_by_key(|(address, prefix)| {
        let host_only = *prefix == if address.is_ipv4() { 32 } else { 128 };
        (host_only, address.is_ipv6())
    });
    candidates.dedup_by_key(|(address, _)| *address);
    let all: Vec<IpAddr> = candidates.into_iter().map(|(address, _)| address).collect();
    let chosen = match expected {
        ExpectedAddress::Static(cidr) => all.contains(&cidr.address).then_some(cidr.address),
        ExpectedAddress::Dhcp => all.first().copied(),
    };
    (chosen, all)
}

fn is_reachable(address: IpAddr) -> bool {
    // `::ffff:127.0.0.1` is 127.0.0.1.
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local)
}

/// What cloud-init says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CloudInitStatus {
    Running,
    Done,
    /// Done, with complaints that it recovered from.
    Degraded(Vec<String>),
    Failed(Vec<String>),
    /// `guest exec` is not allowed, or there is no cloud-init that speaks JSON.
    Untold(String),
    /// The agent is busy or gone for the moment.
    Silent(String),
}

pub(super) fn cloud_init(answer: &Answer) -> CloudInitStatus {
    let output = match exec(answer) {
        Exec::Done { out, .. } if out.trim_start().starts_with('{') => out,
        Exec::Done { exit, err, out } => {
            return CloudInitStatus::Untold(format!("cloud-init status: exit {exit}: {}", first_line(&err, &out)));
        }
        Exec::Forbidden(text) => return CloudInitStatus::Untold(text),
        Exec::Silent(text) => return CloudInitStatus::Silent(text),
    };
    let Ok(status) = serde_json::from_str::<Value>(&output) else {
        return CloudInitStatus::Untold("cloud-init status: not JSON".to_owned());
    };
    let errors = strings(status.get("errors"));
    let recovered: Vec<String> = status
        .get("recoverable_errors")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .flat_map(|(_, list)| strings(Some(list)))
        .collect();
    let state = status.get("extended_status").or(status.get("status")).and_then(Value::as_str).unwrap_or_default();
    match state {
        text if text.starts_with("error") => {
            let detail = status.get("detail").and_then(Value::as_str).map(str::to_owned);
            CloudInitStatus::Failed(if errors.is_empty() { detail.into_iter().collect() } else { errors })
        }
        "done" | "disabled" if errors.is_empty() && recovered.is_empty() => CloudInitStatus::Done,
        "done" | "disabled" => CloudInitStatus::Degraded(if errors.is_empty() { recovered } else { errors }),
        text if text.starts_with("degraded done") => CloudInitStatus::Degraded(recovered),
        _ => CloudInitStatus::Running,
    }
}

/// Host public keys, or why they can't be had through the agent.
pub(super) fn host_keys(answer: &Answer) -> Result<Vec<String>, String> {
    match exec(answer) {
        Exec::Done { out, err, exit } => {
            let keys: Vec<String> = out.lines().filter_map(host_key).collect();
            if keys.is_empty() { Err(format!("exit {exit}: {}", first_line(&err, &out))) } else { Ok(keys) }
        }
        Exec::Forbidden(text) | Exec::Silent(text) => Err(text),
    }
}

/// `type base64`, without the comment. DSA is of no use to any client.
fn host_key(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let known = kind.starts_with("ssh-ed25519") || kind.starts_with("ssh-rsa") || kind.starts_with("ecdsa-sha2-");
    let plain = key.len() > 16 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    (known && plain).then(|| format!("{kind} {key}"))
}

enum Exec {
    Done {
        exit: i64,
        out: String,
        err: String,
    },
    /// The agent refuses `guest-exec`, or the guest has no such program.
    Forbidden(String),
    Silent(String),
}

fn exec(answer: &Answer) -> Exec {
    let parsed: Option<Value> = serde_json::from_slice(&answer.stdout).ok();
    if let Some(value) = parsed.as_ref().filter(|value| value.get("exitcode").is_some()) {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let exit = value.get("exitcode").and_then(Value::as_i64).unwrap_or(-1);
        return Exec::Done { exit, out: text("out-data"), err: text("err-data") };
    }
    let text = words(answer);
    let lower = text.to_ascii_lowercase();
    // The last: there is no such program in the guest (d-running/exec-missing).
    let forbidden = [
        "disabled",
        "not allowed",
        "commandnotfound",
        "has not been found",
        "not supported",
        "blocked",
        "failed to execute child process",
    ];
    if forbidden.iter().any(|word| lower.contains(word)) { Exec::Forbidden(text) } else { Exec::Silent(text) }
}

/// An error that the agent itself returned: on stdout, with exit 0 (contract §7).
fn error_of(stdout: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(stdout).ok()?;
    let error = value.get("error")?;
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{} {}", text("class"), text("desc")).trim().to_owned())
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.map(|entry| entry.as_str().map_or_else(|| entry.to_string(), str::to_owned)).collect()
}

fn first_line(err: &str, out: &str) -> String {
    err.lines().chain(out.lines()).map(str::trim).find(|line| !line.is_empty()).unwrap_or("no output").to_owned()
}

fn text_of(answer: &Answer) -> String {
    // Perl's complaint about its own printing says nothing (observed §6).
    let said = |line: &&str| !line.is_empty() && !line.starts_with("Wide character in ");
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.lines().map(str::trim).filter(said).collect::<Vec<_>>().join("; ")
    };
    let (err, out) = (text(&answer.stderr), text(&answer.stdout));
    if err.is_empty() { out } else { err }
}

#[cfg(test)]
mod tests;
