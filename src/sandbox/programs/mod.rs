//! The stand-ins as programs, for nodes behind a real sshd: `pvekube sandbox tool --dir DIR --node NODE -- qm ARGS…`.
//!
//! `install` puts wrappers into a node's `usr/sbin` and `usr/bin`; then the shell programs of pvekube run there as on a
//! real node. QEMU is a real process here (`kvm`), with a real pid, a serial socket, and an end.

mod kvm;
mod streams;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::clock::Clock;
use super::fs::Fs;
use super::guest::hypervisor::{Hypervisor, Launcher};
use super::node::SandboxNode;
use super::process::Process;
use super::tools;
use super::world::World;
use streams::{read_stdin, real_output, terminated};

/// How many times faster than life a folder's world is; a file in it, as every stand-in must agree.
const SPEED_FILE: &str = "/speed";

/// Programs that a node has of us, and where.
const PROGRAMS: [(&str, &str); 6] = [
    ("qm", "usr/sbin"),
    ("pvesm", "usr/sbin"),
    ("pvesh", "usr/bin"),
    ("pveversion", "usr/bin"),
    ("ip", "usr/sbin"),
    ("bridge", "usr/sbin"),
];

/// Opens a world for programs that run as processes of their own. `program`: pvekube itself.
pub fn open(folder: &Path, program: &Path) -> io::Result<Arc<World>> {
    let fs = Fs::directory(folder)?;
    let speed = fs.read_text(SPEED_FILE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1.0);
    let launcher = Launcher { program: program.to_owned(), folder: folder.to_owned() };
    World::open(fs, Clock::real(speed), Arc::new(Hypervisor { launcher: Some(launcher) }))
}

/// Sets a world's speed and puts the wrappers into every node.
pub fn install(world: &Arc<World>, program: &Path, speed: f64) -> io::Result<()> {
    let root = world.fs.root().ok_or_else(|| io::Error::other("a world in memory has no programs"))?.to_owned();
    world.fs.write(SPEED_FILE, speed.to_string())?;
    for node in world.nodes() {
        for (name, folder) in PROGRAMS {
            let text = format!(
                "#!/bin/sh\nexec {} sandbox tool --dir {} --node {} -- {name} \"$@\"\n",
                quoted(&program.display().to_string()),
                quoted(&root.display().to_string()),
                quoted(node.name()),
            );
            let path = node.at(&format!("/{folder}/{name}"));
            world.fs.write(&path, text)?;
            world.fs.set_mode(&path, 0o755)?;
        }
    }
    Ok(())
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// One stand-in program, from its arguments to its exit code.
pub fn main(folder: &Path, node: &str, argv: &[String]) -> ExitCode {
    let exit = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(folder, node, argv)),
        Err(error) => streams::complain(&format!("cannot start: {error}")),
    };
    ExitCode::from(u8::try_from(exit.rem_euclid(256)).unwrap_or(255))
}

async fn run(folder: &Path, node: &str, argv: &[String]) -> i32 {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return streams::complain(&format!("cannot find pvekube itself: {error}")),
    };
    let world = match open(folder, &program) {
        Ok(world) => world,
        Err(error) => return streams::complain(&format!("{}: no sandbox: {error}", folder.display())),
    };
    let Some(node) = world.node(node) else {
        return streams::complain(&format!("{}: no node {node} in this sandbox", folder.display()));
    };
    match argv.first().map(String::as_str) {
        Some("kvm") => kvm::run(&node, &argv[1..]).await,
        Some("ip") => neighbours(&node),
        Some("bridge") => forwarding(&node, argv.last().map_or("", String::as_str)),
        Some(_) => tool(&node, argv).await,
        None => streams::complain("no program named"),
    }
}

async fn tool(node: &SandboxNode, argv: &[String]) -> i32 {
    let locale = ["LC_ALL", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let process = Process {
        argv: argv.iter().map(|arg| within_node(node, arg)).collect(),
        stdin: if reads_stdin(argv) { read_stdin() } else { Vec::new() },
        locale: locale.unwrap_or_default(),
        out: real_output(),
        terminate: terminated(),
    };
    match tools::run(node, &process).await {
        Some(exit) => exit,
        None => streams::complain(&format!("{}: not found", argv[0])),
    }
}

/// Paths below the node's root folder, as the node itself would name them.
fn within_node(node: &SandboxNode, arg: &str) -> String {
    let Some(root) = node.fs().root() else { return arg.to_owned() };
    arg.replace(&format!("{}/nodes/{}/", root.display(), node.name()), "/")
}

fn reads_stdin(argv: &[String]) -> bool {
    argv.iter().any(|arg| arg == "/dev/stdin" || arg.starts_with("--pass-stdin") || arg.starts_with("-pass-stdin"))
}

/// `ip neigh show`, for the guests of this node.
fn neighbours(node: &SandboxNode) -> i32 {
    each_interface(node, |mac, bridge, addresses| {
        let v4 = addresses.iter().find(|cidr| cidr.address.is_ipv4())?;
        Some(format!("{} dev {bridge} lladdr {mac} REACHABLE", v4.address))
    })
}

/// `bridge fdb show br BRIDGE`.
fn forwarding(node: &SandboxNode, bridge: &str) -> i32 {
    each_interface(node, |mac, _, addresses| {
        (!addresses.is_empty()).then(|| format!("{mac} dev tap0i0 master {bridge}"))
    })
}

fn each_interface(node: &SandboxNode, line: impl Fn(&str, &str, &[crate::model::ids::Cidr]) -> Option<String>) -> i32 {
    use super::guest::hypervisor::{now_ms, settle, started};
    let now = now_ms(node);
    for boot in started(node).into_iter().filter_map(|vmid| settle(node, vmid)) {
        for interface in boot.interfaces(now).iter().filter(|interface| boot.macs.contains(&interface.mac)) {
            if let Some(text) = line(&interface.mac, "vmbr0", &interface.addresses)
                && real_output().line(text).is_err()
            {
                return 1;
            }
        }
    }
    0
}
