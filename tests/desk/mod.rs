//! A user's folder with config and manifest, and the built program run in it on the sandbox.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "../said/mod.rs"]
mod said;

pub use said::{Said, said};

pub const PVEKUBE: &str = env!("CARGO_BIN_EXE_pvekube");

/// A folder with config and manifest of one's own, and a home with a key.
pub struct Desk {
    pub dir: tempfile::TempDir,
}

impl Desk {
    pub fn new(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml")).unwrap();
        fs::write(dir.path().join("config.yaml"), config).unwrap();
        fs::write(dir.path().join("cluster.yaml"), manifest).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn run(&self, line: &str) -> Said {
        said(self.command(line).output().unwrap())
    }

    /// The program in this folder, with this folder as home and nothing else in its environment.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(PVEKUBE);
        command
            .args(line.split_whitespace())
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    /// The config file of a VM in the sandbox.
    pub fn vm(&self, vmid: u32) -> PathBuf {
        let nodes = self.path(".pvekube-sandbox/realms");
        let mut found = Vec::new();
        walk(&nodes, &mut found);
        let name = format!("{vmid}.conf");
        found
            .into_iter()
            .find(|path| path.ends_with(&name) && path.iter().any(|part| part == "qemu-server"))
            .expect("the VM's config")
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() { walk(&path, found) } else { found.push(path) }
    }
}

pub const ONE: &str = "\
cluster: k8s
masters:
  count: 1        # etcd alone
  size: small
  network: {mode: static, addresses: [10.0.0.11/24, 10.0.0.12/24, 10.0.0.13/24], gateway: 10.0.0.1, dns: [10.0.0.1]}

# those who work
workers:
  count: 1
  size: small
";
