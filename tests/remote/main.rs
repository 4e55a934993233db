//! `remote::ssh::Ssh` against real sshds: what the simulation can't show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../sshd/mod.rs"]
mod sshd;

mod connection;
mod files;
mod follow;
mod lock;
mod login;
mod operations;

use std::fs;
use std::path::PathBuf;

use pvekube::model::desired::{NodeTarget, SshSettings};
use pvekube::model::ids::{NodeName, OperationName, StorageName, Vmid};
use pvekube::remote::ssh::Ssh;
use pvekube::remote::{Answer, Operation, Probe, Remote, RemoteError, Work};
use sshd::{Node, fresh_address, settings, target};
use tempfile::TempDir;

/// One node, called `pve1`, and a client of it.
struct Bench {
    node: Node,
    ssh: Ssh,
    name: NodeName,
    settings: SshSettings,
    folder: TempDir,
}

fn bench() -> Bench {
    bench_with("", |_| {})
}

/// With further lines of sshd_config, and settings changed.
fn bench_with(sshd_config: &str, change: impl FnOnce(&mut SshSettings)) -> Bench {
    let folder = tempfile::Builder::new().prefix("pvk").tempdir().unwrap();
    let node = Node::start_with(&folder.path().join("root"), &fresh_address(), sshd_config);
    node.program("usr/sbin/qm", include_str!("../sshd/qm.sh"));
    bench_of(folder, node, change)
}

/// A node with everything at its real place, as far as who runs the test may do that.
fn bench_mounted() -> Bench {
    let folder = tempfile::Builder::new().prefix("pvk").tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("usr/sbin")).unwrap();
    sshd::program(&root.join("usr/sbin/qm"), include_str!("../sshd/qm.sh"));
    let node = Node::start_mounted(&root, &fresh_address());
    bench_of(folder, node, |_| {})
}

fn bench_of(folder: TempDir, node: Node, change: impl FnOnce(&mut SshSettings)) -> Bench {
    let config = folder.path().join("ssh_config");
    fs::write(&config, node.ssh_config("pve1")).unwrap();
    let mut settings = settings(&config);
    change(&mut settings);
    let ssh = Ssh::new(&settings, &[target("pve1")]).unwrap();
    Bench { node, ssh, name: NodeName::new("pve1"), settings, folder }
}

impl Bench {
    /// Another client of the same node, as a second pvekube is.
    fn another(&self) -> Ssh {
        Ssh::new(&self.settings, &[target("pve1")]).unwrap()
    }

    fn root(&self, path: &str) -> PathBuf {
        self.node.root.join(path)
    }

    /// Gives the node a `pvesm` of these lines, which `volumes` runs.
    fn pvesm(&self, lines: &str) {
        self.node.program("usr/sbin/pvesm", &format!("#!/bin/sh\n{lines}\n"));
    }

    async fn volumes(&self) -> Result<Answer, RemoteError> {
        let probe = Probe::Volumes { storage: StorageName::new("local-lvm"), vmid: Vmid(101) };
        self.ssh.probe(&self.name, &probe).await
    }

    async fn status(&self, name: &str) -> String {
        let probe = Probe::Operation { name: OperationName::new(name), lines: 1000 };
        let answer = self.ssh.probe(&self.name, &probe).await.unwrap();
        assert_eq!(answer.exit, 0, "{answer:?}");
        String::from_utf8(answer.stdout).unwrap()
    }
}

fn nobody() -> NodeTarget {
    target("nobody")
}

fn qm(name: &str, args: &[&str]) -> Operation {
    Operation {
        name: OperationName::new(name),
        work: Work::Qm { args: args.iter().map(|arg| (*arg).to_owned()).collect() },
        files: Vec::new(),
    }
}
