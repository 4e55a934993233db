//! A pair of files without a problem, and the cases that change one thing in it.

use std::path::{Path, PathBuf};

use pvekube::input::{self, Env, Problems, SourceFile};

/// A small pair of files without a problem; each case changes one thing.
pub const CONFIG: &str = "\
proxmox_nodes: [pve1.lan, pve2.lan]
ssh_private_key_path: ~/.ssh/pve.key
vm_template:
  name: jammy
  id: 9000
  image_url: https://images.example/jammy.img
  checksum_url: https://images.example/SHA256SUMS
  storage_pool: local-lvm
cloud_init:
  ssh_public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b
vm_sizes:
  small: {cpus: 1, memory_mb: 2048, disk_gb: 20}
";

pub const MANIFEST: &str = "\
cluster: k8s
masters:
  count: 1
  size: small
  network:
    addresses: [10.0.0.11/24]
    gateway: 10.0.0.1
workers:
  count: 2
  size: small
";

pub const RSA: &str = "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b";
pub const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b";

/// What a case does to the two files.
pub enum Change {
    /// Replaces the first text by the second in the config.
    Config(&'static str, String),
    Manifest(&'static str, String),
    WholeConfig(String),
    WholeManifest(String),
}

pub struct Case {
    pub name: &'static str,
    pub change: Change,
}

pub fn config(name: &'static str, from: &'static str, to: impl Into<String>) -> Case {
    assert!(CONFIG.contains(from), "{name}: {from}");
    Case { name, change: Change::Config(from, to.into()) }
}

/// A section of the base config, with its key.
pub fn section(from: &str, to: &str) -> &'static str {
    &CONFIG[CONFIG.find(from).unwrap()..CONFIG.find(to).unwrap()]
}

/// Appends lines to the config.
pub fn config_and(name: &'static str, lines: &str) -> Case {
    Case { name, change: Change::WholeConfig(format!("{CONFIG}{lines}")) }
}

pub fn manifest(name: &'static str, from: &'static str, to: impl Into<String>) -> Case {
    assert!(MANIFEST.contains(from), "{name}: {from}");
    Case { name, change: Change::Manifest(from, to.into()) }
}

/// Appends lines to the manifest; indented ones belong to `workers`.
pub fn manifest_and(name: &'static str, lines: &str) -> Case {
    Case { name, change: Change::WholeManifest(format!("{MANIFEST}{lines}")) }
}

pub fn whole(name: &'static str, text: impl Into<String>) -> Case {
    Case { name, change: Change::WholeManifest(text.into()) }
}

pub fn files(case: &Case) -> (String, String) {
    let (config, manifest) = (CONFIG.to_owned(), MANIFEST.to_owned());
    match &case.change {
        Change::Config(from, to) => (config.replacen(from, to, 1), manifest),
        Change::Manifest(from, to) => (config, manifest.replacen(from, to, 1)),
        Change::WholeConfig(text) => (text.clone(), manifest),
        Change::WholeManifest(text) => (config, text.clone()),
    }
}

pub fn parse(config: String, manifest: String) -> Result<input::Loaded, Box<Problems>> {
    let read_file = |path: &Path| match path.to_str() {
        Some("/home/op/private") => {
            Ok("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n".to_owned())
        }
        Some("/home/op/empty") => Ok("# none yet\n".to_owned()),
        Some("/home/op/broken") => Ok(format!("{ED25519}\nssh-rsa AAAA\n")),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let env = Env { home: Some(PathBuf::from("/home/op")), read_file: &read_file };
    let file = |name: &str, text| SourceFile { name: name.to_owned(), text };
    input::parse(&file("config.yaml", config), &file("cluster.yaml", manifest), &env)
}

impl Case {
    pub fn and(self, lines: &str) -> Self {
        let (_, manifest) = files(&self);
        Self { name: self.name, change: Change::WholeManifest(format!("{manifest}{lines}")) }
    }

    pub fn edit(self, from: &str, to: &str) -> Self {
        let (_, manifest) = files(&self);
        assert!(manifest.contains(from), "{}: {from}", self.name);
        Self { name: self.name, change: Change::WholeManifest(manifest.replacen(from, to, 1)) }
    }
}
