//! Short reads, with the words of the shell programs of the same name.

use std::time::Duration;

use super::files::own_path;
use super::operations::{OPERATIONS, Operations};
use super::{follow, lock, report};
use crate::model::ids::{ImageDigest, OperationName, Vmid};
use crate::remote::{Answer, Probe};
use crate::sandbox::guest::hypervisor::{journal, now_ms, settle};
use crate::sandbox::image_server::has_digest;
use crate::sandbox::node::SandboxNode;

/// The console is read so long: 0.3 s before the newline, 5 s after it.
const CONSOLE_S: f64 = 5.3;

pub(super) async fn answer(node: &SandboxNode, probe: &Probe, operations: &Operations) -> Answer {
    match probe {
        Probe::Vm { vmid } => printed(report::vm(node, *vmid, operations)),
        Probe::Volumes { storage, vmid } => {
            let id = vmid.to_string();
            let argv = vec!["pvesm", "list", storage.as_str(), "--vmid", &id, "--content", "images"];
            follow::run(node, argv, Duration::from_secs(60)).await
        }
        Probe::Operation { name, lines } => operation(node, name, *lines, operations),
        Probe::Image { path, digest } => image(node, path, digest),
        Probe::Diagnose { vmid, mac, bridge } => diagnose(node, *vmid, mac.as_deref(), bridge.as_deref()).await,
        Probe::LockOwner { cluster } => match lock::owner(node, cluster).await {
            Ok(owner) => printed(owner),
            Err(text) => failed(64, &text),
        },
    }
}

fn printed(text: impl Into<Vec<u8>>) -> Answer {
    Answer { exit: 0, stdout: text.into(), stderr: Vec::new() }
}

fn failed(exit: i32, text: &str) -> Answer {
    Answer { exit, stdout: Vec::new(), stderr: format!("{text}\n").into_bytes() }
}

fn operation(node: &SandboxNode, name: &OperationName, lines: u32, operations: &Operations) -> Answer {
    let folder = format!("{OPERATIONS}/{name}");
    if !node.exists(&folder) {
        return printed("absent\n");
    }
    let live = if operations.is_live(node, name.as_str()) { "yes" } else { "no" };
    let code = node.read_text(&format!("{folder}/rc")).map_or_else(|_| "-".to_owned(), |text| text.trim().to_owned());
    let mut out = format!("exit {code}\nlive {live}\nlog\n").into_bytes();
    let log = node.read(&format!("{folder}/log")).unwrap_or_default();
    out.extend_from_slice(tail(&log, lines as usize));
    printed(out)
}

/// The last lines, as `tail -n` counts them.
fn tail(log: &[u8], lines: usize) -> &[u8] {
    let body = log.strip_suffix(b"\n").unwrap_or(log);
    let starts = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    match (lines, starts.take(lines).last()) {
        (0, _) => &[],
        (_, Some(start)) if body.iter().filter(|byte| **byte == b'\n').count() >= lines => &log[start..],
        (_, _) => log,
    }
}

fn image(node: &SandboxNode, path: &str, digest: &ImageDigest) -> Answer {
    if let Err(text) = own_path(path) {
        return failed(64, &text);
    }
    printed(match node.read(path) {
        Err(_) => "absent\n".to_owned(),
        Ok(bytes) if has_digest(&bytes, digest) => format!("ok {}\n", bytes.len()),
        Ok(bytes) => format!("wrong {}\n", bytes.len()),
    })
}

async fn diagnose(node: &SandboxNode, vmid: Vmid, mac: Option<&str>, bridge: Option<&str>) -> Answer {
    let from = now_ms(node);
    let boot = settle(node, vmid.0);
    let journal: String = journal(node, vmid.0).iter().map(|line| format!("qemu-log {line}\n")).collect();
    let Some(boot) = boot else { return printed(format!("qemu gone\n{journal}console\n")) };
    let mut out = format!("qemu running\ncpu {}\n", boot.cpu_seconds(from));
    let id = vmid.to_string();
    let status = follow::run(node, vec!["qm", "status", &id], Duration::from_secs(30)).await;
    if let Some(word) = String::from_utf8_lossy(&status.stdout).trim().strip_prefix("status: ") {
        out.push_str(&format!("status {word}\n"));
    }
    out.push_str(&journal);
    if let (Some(mac), Some(bridge)) = (mac.map(str::to_ascii_lowercase), bridge) {
        let sent =
            boot.interfaces(from).iter().any(|interface| interface.mac == mac && !interface.addresses.is_empty());
        if let Some(interface) = boot.interfaces(from).iter().find(|interface| interface.mac == mac) {
            let v4 = interface.addresses.iter().find(|cidr| cidr.address.is_ipv4());
            if let Some(cidr) = v4 {
                out.push_str(&format!("neighbour {} dev {bridge} lladdr {mac} REACHABLE\n", cidr.address));
            }
        }
        if sent {
            out.push_str(&format!("seen {mac} dev tap{vmid}i0 master {bridge}\n"));
        }
    }
    node.world.clock.work(CONSOLE_S).await;
    out.push_str("console\n");
    out.push_str(&boot.console_after_newline(from, now_ms(node)));
    printed(out)
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn tail_counts_lines_as_the_program_does() {
        assert_eq!(tail(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(tail(b"a\nb\nc", 1), b"c");
        assert_eq!(tail(b"a\n", 5), b"a\n");
        assert_eq!(tail(b"a\nb", 2), b"a\nb");
        assert_eq!(tail(b"", 5), b"");
        assert_eq!(tail(b"a\n", 0), b"");
        assert_eq!(tail(b"\n\n", 1), b"\n");
    }
}
