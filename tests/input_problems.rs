//! Bad inputs and what is said about each: message, place, underline, hint. The snapshots are read by people.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pvekube::input::{self, Env, Problems, SourceFile};

/// A small pair of files without a problem; each case changes one thing.
const CONFIG: &str = "\
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

const MANIFEST: &str = "\
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

const RSA: &str = "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b";
const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b";

/// What a case does to the two files.
enum Change {
    /// Replaces the first text by the second in the config.
    Config(&'static str, String),
    Manifest(&'static str, String),
    WholeConfig(String),
    WholeManifest(String),
}

struct Case {
    name: &'static str,
    change: Change,
}

fn config(name: &'static str, from: &'static str, to: impl Into<String>) -> Case {
    assert!(CONFIG.contains(from), "{name}: {from}");
    Case { name, change: Change::Config(from, to.into()) }
}

/// A section of the base config, with its key.
fn section(from: &str, to: &str) -> &'static str {
    &CONFIG[CONFIG.find(from).unwrap()..CONFIG.find(to).unwrap()]
}

/// Appends lines to the config.
fn config_and(name: &'static str, lines: &str) -> Case {
    Case { name, change: Change::WholeConfig(format!("{CONFIG}{lines}")) }
}

fn manifest(name: &'static str, from: &'static str, to: impl Into<String>) -> Case {
    assert!(MANIFEST.contains(from), "{name}: {from}");
    Case { name, change: Change::Manifest(from, to.into()) }
}

/// Appends lines to the manifest; indented ones belong to `workers`.
fn manifest_and(name: &'static str, lines: &str) -> Case {
    Case { name, change: Change::WholeManifest(format!("{MANIFEST}{lines}")) }
}

fn whole(name: &'static str, text: impl Into<String>) -> Case {
    Case { name, change: Change::WholeManifest(text.into()) }
}

fn files(case: &Case) -> (String, String) {
    let (config, manifest) = (CONFIG.to_owned(), MANIFEST.to_owned());
    match &case.change {
        Change::Config(from, to) => (config.replacen(from, to, 1), manifest),
        Change::Manifest(from, to) => (config, manifest.replacen(from, to, 1)),
        Change::WholeConfig(text) => (text.clone(), manifest),
        Change::WholeManifest(text) => (config, text.clone()),
    }
}

fn parse(config: String, manifest: String) -> Result<input::Loaded, Box<Problems>> {
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

/// All cases of a table as one text. Every problem must have a place and a hint.
fn told(cases: &[Case]) -> String {
    let mut out = String::new();
    for case in cases {
        let (config, manifest) = files(case);
        let text = match parse(config, manifest) {
            Err(problems) => {
                for problem in problems.list.iter().chain(&problems.warnings) {
                    assert!(!problem.help.is_empty(), "{}: no hint: {}", case.name, problem.message);
                }
                for record in problems.records() {
                    assert!(record.line.is_some_and(|line| line > 0), "{}: no place", case.name);
                }
                problems.render(false, 100)
            }
            Ok(loaded) => {
                assert!(!loaded.warnings.is_empty(), "{}: neither a problem nor a warning", case.name);
                loaded
                    .warnings
                    .iter()
                    .map(|warning| input::render(warning, &loaded.config, &loaded.manifest, false, 100))
                    .collect()
            }
        };
        writeln!(out, "=== {}\n{text}", case.name).unwrap();
    }
    out
}

fn check(name: &str, cases: &[Case]) {
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, told(cases)) });
}

#[test]
fn the_base_files_are_fine() {
    let loaded = parse(CONFIG.to_owned(), MANIFEST.to_owned());
    assert!(loaded.is_ok_and(|loaded| loaded.warnings.is_empty()));
}

#[test]
fn yaml() {
    check(
        "yaml",
        &[
            whole("nothing", ""),
            whole("only comments", "# later\n\n"),
            whole("only a null", "~\n"),
            whole("a list", "- a\n- b\n"),
            whole("a word", "hello\n"),
            whole("tab indentation", "cluster: k8s\nworkers:\n\tcount: 1\n"),
            whole("tab after spaces", "cluster: k8s\nworkers:\n  count: 1\n \tsize: small\n"),
            whole("unclosed quote", "cluster: \"k8s\nworkers: {count: 1}\n"),
            whole("unclosed bracket", "cluster: k8s\nworkers: {count: 1, size: small\n"),
            whole("stray bracket", "cluster: k8s]\nworkers: }\n"),
            whole("wrong indentation", "cluster: k8s\nworkers:\n    count: 1\n  size: small\n"),
            whole("key without colon", "cluster: k8s\nworkers\n  count: 1\n"),
            whole("colon in text", "cluster: k8s: new\n"),
            whole("template braces", "cluster: {{ cluster }}\nworkers: {count: 1, size: small}\n"),
            whole("at sign", "cluster: @k8s\n"),
            whole("second document", format!("{MANIFEST}---\ncluster: other\n")),
            whole("duplicate key", format!("{MANIFEST}cluster: other\n")),
            manifest("duplicate key inside", "count: 2", "count: 2\n  count: 3"),
            whole("merge key", "cluster: k8s\nmasters: &m {count: 1, size: small}\nworkers:\n  <<: *m\n  count: 2\n"),
            whole("unknown alias", "cluster: k8s\nworkers: *none\n"),
            whole("alias to itself", "cluster: k8s\nworkers: &w {network: *w}\n"),
            whole("alias bomb", alias_bomb()),
            whole("tag", "cluster: !!str k8s\nworkers: {count: 1, size: small}\n"),
            whole("directive", "%YAML 1.1\n---\ncluster: k8s\n"),
            whole("too deep", format!("cluster: {}\n", "[".repeat(20_000))),
            whole("deep blocks", deep_blocks()),
            whole("list as key", "cluster: k8s\n? [a, b]\n: c\n"),
            whole("too large", format!("# {}\n", "x".repeat(1024 * 1024))),
            whole("too many values", format!("cluster: k8s\nworkers:\n  numbers: [{}]\n", "1,".repeat(60_000))),
            whole("a very long line", format!("cluster: {}\nworkers: {{count: 1, size: small}}\n", "x".repeat(5000))),
            whole(
                "a duplicate far away",
                format!("cluster: k8s\n{}cluster: k8s\nworkers: {{count: 1, size: small}}\n", "# …\n".repeat(30_000)),
            ),
            whole("byte order mark", format!("\u{feff}clutser: k8s\n{}", &MANIFEST["cluster: k8s\n".len()..])),
            whole("windows line ends", MANIFEST.replace('\n', "\r\n").replace("count: 2", "count: two")),
            whole(
                "wide characters",
                MANIFEST.replace("cluster: k8s", "cluster: k8s # größer → 日本").replace("count: 2", "\"größe\": 2"),
            ),
            whole("control character", "cluster: \"k8s\\u0007\"\nworkers: {count: 1, size: small}\n"),
            whole("line break in text", "cluster: |\n  k8s\n  two\nworkers: {count: 1, size: small}\n"),
        ],
    );
}

fn alias_bomb() -> String {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (last, next) in ('a'..='h').zip('b'..='i') {
        writeln!(text, "{next}: &{next} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}]")
            .unwrap();
    }
    text
}

fn deep_blocks() -> String {
    (0..200).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect()
}

#[test]
fn scalars() {
    check(
        "scalars",
        &[
            manifest("leading zero", "count: 2", "count: 010"),
            manifest("exponent", "count: 2", "count: 1e1"),
            manifest("underscore", "count: 2", "count: 1_0"),
            manifest("hexadecimal", "count: 2", "count: 0x2"),
            manifest("base 60", "count: 2", "count: 12:30"),
            manifest("float", "count: 2", "count: 2.5"),
            manifest("whole float", "count: 2", "count: 2.0"),
            manifest("negative", "count: 2", "count: -1"),
            manifest("huge", "count: 2", "count: 99999999999999999999999999999999999999999999"),
            manifest("number in quotes", "count: 2", "count: \"2\""),
            manifest("number in words", "count: 2", "count: two"),
            manifest("boolean for number", "count: 2", "count: yes"),
            manifest("list for number", "count: 2", "count: [2]"),
            manifest("nothing for number", "count: 2", "count:"),
            manifest("gigabytes for MB", "count: 2", "count: 2\n  memory_mb: 16GiB"),
            manifest("megabytes for MB", "count: 2", "count: 2\n  memory_mb: 4096 MB"),
            manifest("terabytes for GB", "count: 2", "count: 2\n  disk_gb: 1T"),
            config_and("minutes for seconds", "readiness_check: {timeout_seconds: 5m}\n"),
            manifest("no as a name", "cluster: k8s", "cluster: no"),
            manifest("number as a name", "cluster: k8s", "cluster: 12"),
            manifest("exponent as a name", "cluster: k8s", "cluster: 1e3"),
            manifest("date as a name", "cluster: k8s", "cluster: 2026-01-01"),
            manifest("null as a name", "cluster: k8s", "cluster: ~"),
            manifest("empty text", "cluster: k8s", "cluster: \"\""),
            manifest("map for text", "cluster: k8s", "cluster: {name: k8s}"),
            manifest_and("yes for a boolean", "prune: yes\n"),
            manifest_and("quoted boolean", "prune: \"true\"\n"),
            manifest_and("number for a boolean", "prune: 1\n"),
            manifest_and("list for a boolean", "prune: [true]\n"),
            manifest_and("true for power", "  power: true\n"),
            manifest_and("map for power", "  power: {on: 1}\n"),
            config_and("text for a factor", "limits: {memory_overcommit: lots}\n"),
            config_and("zero as a factor", "limits: {memory_overcommit: 0}\n"),
            config_and("exponent as a factor", "limits: {memory_overcommit: 1e1}\n"),
            config("no as a node name", "[pve1.lan, pve2.lan]", "[no, pve2.lan]"),
            config("on as a size name", "small: {", "on: {cpus: 1, memory_mb: 2048, disk_gb: 20}\n  small: {"),
        ],
    );
}

#[test]
fn keys() {
    check(
        "keys",
        &[
            manifest("as in ux.md", "count: 2", "count: 2\n  memory_gb: 16"),
            manifest("disk in MB", "count: 2", "count: 2\n  disk_mb: 20480"),
            manifest("typing mistake", "workers:", "wrokers:"),
            manifest("other tool's word", "count: 2", "replicas: 2"),
            manifest("far from anything", "count: 2", "count: 2\n  zzzzzz: 1"),
            manifest("key one level too high", "count: 2", "count: 2\n  gateway: 10.0.0.1"),
            manifest_and("key of the other file", "vm_sizes: {}\n"),
            manifest_and("key of a section of the other file", "readiness_check: {timeout_seconds: 3}\n"),
            manifest_and("control characters in a key", "\"a\\u001b[31m\": 1\n"),
            manifest_and("a very long key", &format!("{}: 1\n", "k".repeat(300))),
            manifest("no cluster", "cluster: k8s\n", ""),
            manifest("a pool with nothing", "workers:\n  count: 2\n  size: small\n", "workers:\n"),
            manifest("a list as pool", "workers:\n  count: 2\n  size: small\n", "workers: [a, b]\n"),
            config("no nodes", "proxmox_nodes: [pve1.lan, pve2.lan]\n", ""),
            config("no template", section("vm_template", "cloud_init"), ""),
            config("no image", "  image_url: https://images.example/jammy.img\n", ""),
            config("no storage", "  storage_pool: local-lvm\n", ""),
            config("no cloud_init", section("cloud_init", "vm_sizes"), ""),
            config("size without memory", "memory_mb: 2048, ", ""),
            config_and("section with nothing", "ssh:\n"),
            config_and("list for a section", "limits: [4]\n"),
            config_and("unknown key in a section", "limits: {per_nodes: 3}\n"),
            config_and("unknown key in a node", "pool: k8s\nnodes: [a]\n"),
        ],
    );
}

#[test]
fn config_values() {
    check(
        "config_values",
        &[
            config("one node, no list", "[pve1.lan, pve2.lan]", "pve1.lan"),
            config("empty list of nodes", "[pve1.lan, pve2.lan]", "[]"),
            config("user in the host", "[pve1.lan,", "[root@pve1.lan,"),
            config("port in the host", "[pve1.lan,", "[\"pve1.lan:2222\","),
            config("url for a host", "[pve1.lan,", "[\"https://pve1.lan:8006\","),
            config("option as a host", "[pve1.lan,", "[-oProxyCommand=x,"),
            config("host twice", "pve2.lan]", "pve1.lan]"),
            config("name twice", "pve2.lan]", "pve1.other]"),
            config("name twice by hand", "pve2.lan]", "{host: pve2.lan, name: pve1}]"),
            config("node without host", "pve2.lan]", "{name: pve2}]"),
            config("node with a wrong key", "pve2.lan]", "{host: pve2.lan, user: root}]"),
            config("port out of range", "pve2.lan]", "{host: pve2.lan, port: 70000}]"),
            config("null node", "pve2.lan]", "~]"),
            config_and("unknown user", "ssh_user: Root User\n"),
            config_and("public key as private", "readiness_check: {ssh_private_key_path: ~/.ssh/id_ed25519.pub}\n"),
            config("variable in a path", "~/.ssh/pve.key", "$HOME/.ssh/pve.key"),
            config("other user's home", "~/.ssh/pve.key", "~admin/.ssh/pve.key"),
            config_and("known_hosts", "ssh: {known_hosts: ask}\n"),
            config("template id too small", "id: 9000", "id: 90"),
            config("template name", "name: jammy", "name: my_template"),
            config("not a URL", "https://images.example/jammy.img", "jammy.img"),
            config(
                "password in the URL",
                "https://images.example/jammy.img",
                "https://me:secret@images.example/jammy.img",
            ),
            config("packed image", "jammy.img", "jammy.img.xz"),
            config("installer", "jammy.img", "jammy-live-server.iso"),
            config("no checksum", "  checksum_url: https://images.example/SHA256SUMS\n", ""),
            config("checksum over http", "https://images.example/SHA256SUMS", "http://images.example/SHA256SUMS"),
            config("digest too short", "storage_pool", "image_digest: sha256-abc\n  storage_pool"),
            config("digest of another kind", "storage_pool", "image_digest: md5-abc\n  storage_pool"),
            config("storage name", "local-lvm", "local lvm"),
            config("bridge name", "storage_pool", "network_bridge: vmbr0 and a very long one\n  storage_pool"),
            config("firmware", "storage_pool", "bios: uefi\n  storage_pool"),
            config("machine type", "storage_pool", "machine: q36\n  storage_pool"),
            config("download", "storage_pool", "download: nodes\n  storage_pool"),
            config("ids of an unknown node", "storage_pool", "ids: {pve9: 9001, pv2: 9002}\n  storage_pool"),
            config("ids as a list", "storage_pool", "ids: [9001]\n  storage_pool"),
            config("package", "storage_pool", "bake: {packages: [a b, '-y']}\n  storage_pool"),
            config("static bake without addresses", "storage_pool", "bake: {network: {mode: static}}\n  storage_pool"),
            Case {
                name: "static bake with too few addresses",
                change: Change::WholeConfig(
                    CONFIG
                        .replace("pve2.lan]", "pve2.lan, pve3.lan]")
                        .replace("storage_pool", "bake: {network: {addresses: 10.0.0.5-10.0.0.6/24}}\n  storage_pool"),
                ),
            },
            config("nameservers in one text", "cloud_init:", "cloud_init:\n  nameserver: 10.0.0.1 1.1.1.1"),
            config("search domain", "cloud_init:", "cloud_init:\n  searchdomain: -lan"),
            config("user name", "cloud_init:", "cloud_init:\n  user: Ubuntu"),
            config_and("vmid range without end", "vmid_range: 200\n"),
            config_and("vmid range turned", "vmid_range: 299-200\n"),
            config_and("vmid range below 100", "vmid_range: 1-200\n"),
            config_and("vmid range too small", "vmid_range: 200-201\n"),
            config_and("pool name", "pool: my pool\n"),
            config_and("strategy", "placement: {strategy: most_free}\n"),
            config_and("percent", "limits: {max_unavailable: 120%}\n"),
            config_and("zero unavailable", "limits: {max_unavailable: 0}\n"),
            config_and("readiness interval", "readiness_check: {timeout_seconds: 5, ssh_check_interval_seconds: 10}\n"),
            config_and("excluded network", "readiness_check: {exclude_networks: [10.244.0.0]}\n"),
            config_and("hook as a text", "hooks: {before_stop: ./drain.sh}\n"),
            config_and("hook with a number", "hooks: {before_stop: [./drain.sh, 30]}\n"),
        ],
    );
}

#[test]
fn ssh_keys() {
    let key = |name, text: &str| config(name, ED25519, text.to_owned());
    check(
        "ssh_keys",
        &[
            key("placeholder of the original plan", "\"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ...\""),
            key("angle brackets", "<your public key>"),
            key("dots", "ssh-ed25519 AAAA... you@host"),
            key("no type", "AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj"),
            key("unknown type", "ssh-foo AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813"),
            key("dsa", "ssh-dss AAAAB3NzaC1kc3MAAACBAP"),
            key("type does not fit", RSA),
            key("cut", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcW"),
            key("not base64", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPc%%%"),
            key("private key", "\"-----BEGIN OPENSSH PRIVATE KEY-----\\nc2VjcmV0\\n\""),
            key("a path", "~/.ssh/id_ed25519.pub"),
            key(
                "two lines",
                "|\n    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813\n    ssh-ed25519 AAAAC3Nz",
            ),
            key("a list", "[a, b]"),
            config(
                "none",
                "  ssh_public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b",
                "  user: ubuntu",
            ),
            config(
                "empty list",
                "ssh_public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b",
                "ssh_public_keys: []",
            ),
            config("missing file", "ssh_public_key:", "ssh_public_key_file: ~/.ssh/none.pub\n  ssh_public_key:"),
            config("file of a private key", "ssh_public_key:", "ssh_public_key_file: ~/private\n  ssh_public_key:"),
            config("file without a key", "ssh_public_key:", "ssh_public_key_file: ~/empty\n  ssh_public_key:"),
            config("file with a broken key", "ssh_public_key:", "ssh_public_key_file: ~/broken\n  ssh_public_key:"),
        ],
    );
}

#[test]
fn machines() {
    check(
        "machines",
        &[
            whole("no pools", "cluster: k8s\n"),
            manifest("upper case cluster", "cluster: k8s", "cluster: K8s"),
            manifest("underscore in cluster", "cluster: k8s", "cluster: my_k8s"),
            manifest(
                "cluster too long",
                "cluster: k8s",
                "cluster: a-name-that-is-long-enough-to-leave-no-room-for-worker-and-number",
            ),
            manifest(
                "names too long",
                "cluster: k8s",
                "cluster: a-name-that-is-long-enough-to-leave-no-room-for-worker-2",
            ),
            manifest("count and numbers", "count: 2", "count: 2\n  numbers: [1]"),
            manifest("neither count nor numbers", "  count: 2\n", ""),
            manifest("numbers twice", "count: 2", "numbers: [1, 2, 1]"),
            manifest("number zero", "count: 2", "numbers: [0, 1]"),
            manifest("numbers no list", "count: 2", "numbers: 3"),
            manifest("count too high", "count: 2", "count: 5000"),
            manifest("too many machines", "count: 2", "count: 1000").and("pools: {a: {count: 1000, size: small}}\n"),
            manifest("unknown size", "  count: 2\n  size: small", "  count: 2\n  size: smal"),
            manifest("unknown size, none like it", "  count: 2\n  size: small", "  count: 2\n  size: gigantic"),
            manifest("no size", "  count: 2\n  size: small", "  count: 2\n  cpus: 4"),
            manifest("disk too small", "count: 2", "count: 2\n  disk_gb: 10"),
            config("size with a disk too small", "disk_gb: 20", "disk_gb: 10"),
            manifest("zero cpus", "count: 2", "count: 2\n  cpus: 0"),
            manifest("two masters", "count: 1", "numbers: [1, 1]"),
            manifest(
                "even masters",
                "  count: 1\n  size: small\n  network:\n    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.1",
                "  count: 2\n  size: small",
            ),
            manifest_and("pool called master", "pools: {master: {count: 1, size: small}}\n"),
            manifest_and("pool called workers", "pools: {workers: {count: 1, size: small}}\n"),
            manifest_and("pool with a hyphen", "pools: {gpu-large: {count: 1, size: small}}\n"),
            manifest_and("pool with a space", "pools: {gpu large: {count: 1, size: small}}\n"),
            manifest_and("pool without a value", "pools: {gpu: }\n"),
            manifest_and("pools as a list", "pools: [gpu]\n"),
            manifest_and("override of no machine", "  overrides: {7: {memory_mb: 4096}}\n"),
            manifest_and("override by name", "  overrides: {k8s-worker-1: {memory_mb: 4096}}\n"),
            manifest_and("override with a wrong key", "  overrides: {1: {memory: 4096}}\n"),
            manifest_and("override of an unknown node", "  overrides: {1: {node: pve3}}\n"),
            manifest_and("override of a node far away", "  overrides: {1: {node: elsewhere}}\n"),
            manifest_and("vmid twice", "  overrides: {1: {vmid: 150}, 2: {vmid: 150}}\n"),
            manifest_and("vmid of the template", "  overrides: {1: {vmid: 9000}}\n"),
            manifest_and("vmid too small", "  overrides: {1: {vmid: 99}}\n"),
            manifest_and("tag", "  tags: [\"team:a\"]\n"),
            manifest_and("startup", "  startup: first\n"),
            manifest_and("power", "  power: onn\n"),
        ],
    );
}

impl Case {
    /// Lines at the end of the manifest, for cases that need two changes.
    fn and(self, lines: &str) -> Self {
        let (_, manifest) = files(&self);
        Self { name: self.name, change: Change::WholeManifest(format!("{manifest}{lines}")) }
    }
}

#[test]
fn addresses() {
    let network =
        |name, text: &str| manifest(name, "    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.1\n", text.to_owned());
    check(
        "addresses",
        &[
            network("gateway outside, as in ux.md", "    addresses: [10.0.0.11/24]\n    gateway: 10.0.1.1\n"),
            network("no prefix", "    addresses: [10.0.0.11]\n    gateway: 10.0.0.1\n"),
            network("no address", "    addresses: [k8s.lan]\n"),
            network("octet too large", "    addresses: [10.0.0.311/24]\n"),
            network("prefix too long", "    addresses: [10.0.0.11/33]\n"),
            network("prefix zero", "    addresses: [10.0.0.11/0]\n"),
            network("network address", "    addresses: [10.0.0.0/24]\n    gateway: 10.0.0.1\n"),
            network("broadcast address", "    addresses: [10.0.0.255/24]\n    gateway: 10.0.0.1\n"),
            network("loopback", "    addresses: [127.0.0.1/8]\n"),
            network("multicast", "    addresses: [224.0.0.1/4]\n"),
            network("link-local", "    addresses: [169.254.0.5/16]\n"),
            network("machine has the gateway's address", "    addresses: [10.0.0.1/24]\n    gateway: 10.0.0.1\n"),
            network("gateway is the network", "    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.0\n"),
            network("gateway with prefix", "    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.1/24\n"),
            network("gateway of the other family", "    addresses: [10.0.0.11/24]\n    gateway: fd00::1\n"),
            network("IPv6 among addresses", "    addresses: [\"fd00::11/64\"]\n"),
            network("IPv4 among addresses6", "    addresses6: [10.0.0.11/24]\n"),
            network("IPv6 gateway outside", "    addresses6: [\"fd00::11/64\"]\n    gateway6: fd01::1\n"),
            network("IPv6 subnet router", "    addresses6: [\"fd00::/64\"]\n"),
            network("dhcp with addresses", "    mode: dhcp\n    addresses: [10.0.0.11/24]\n"),
            network("static without addresses", "    mode: static\n"),
            network("static with some overrides", "    mode: static\n  overrides: {2: {address: 10.0.0.12/24}}\n")
                .edit("count: 1", "count: 3"),
            network("gateway without addresses", "    gateway: 10.0.0.1\n"),
            network("unknown mode", "    mode: manual\n"),
            network("range turned", "    addresses: 10.0.0.29-10.0.0.20/24\n"),
            network("range over two subnets", "    addresses: 10.0.0.20-10.0.1.29/24\n"),
            network("range without prefix", "    addresses: 10.0.0.20-10.0.0.29\n"),
            network("range by last octet", "    addresses: 10.0.0.20-29/24\n"),
            network("range of two families", "    addresses: 10.0.0.20-fd00::1/24\n"),
            network(
                "range over the broadcast address",
                "    addresses: 10.0.0.255-10.0.1.3/23\n    gateway: 10.0.0.1\n",
            )
            .edit("  count: 1\n", "  numbers: [3, 4, 5, 2]\n"),
            network("range ends at the broadcast address", "    addresses: 10.0.0.254-10.0.0.255/24\n")
                .edit("count: 1", "count: 3"),
            network("range that begins with no address", "    addresses: 0.0.0.0-0.0.0.9/24\n"),
            network("too few addresses", "    addresses: [10.0.0.11/24, 10.0.0.12/24]\n").edit("count: 1", "count: 5"),
            network("number beyond the list", "    addresses: [10.0.0.11/24]\n").edit("count: 1", "numbers: [3]"),
            network("duplicate in a list", "    addresses: [10.0.0.11/24, 10.0.0.11/24]\n")
                .edit("count: 1", "numbers: [1, 2, 3]"),
            manifest_and("duplicate over pools", "  network: {addresses: 10.0.0.10-10.0.0.19/24}\n"),
            manifest_and("duplicate by override", "  overrides: {1: {address: 10.0.0.11/24}}\n"),
            manifest_and(
                "override outside the gateway's subnet",
                "  network: {gateway: 10.0.0.1}\n  overrides: {1: {address: 10.0.9.11/24}}\n",
            ),
            manifest_and(
                "override with dhcp and address",
                "  overrides: {1: {address: 10.0.0.5/24, network: {mode: dhcp}}}\n",
            ),
            manifest_and("override static without address", "  overrides: {1: {network: {mode: static}}}\n"),
            manifest_and(
                "override with two addresses",
                "  overrides: {1: {address: 10.0.0.5/24, network: {address: 10.0.0.6/24}}}\n",
            ),
            manifest_and("override with a gateway alone", "  overrides: {1: {network: {gateway: 10.0.0.1}}}\n"),
            manifest_and(
                "override with a gateway outside",
                "  overrides: {1: {network: {address: 10.0.0.6/24, gateway: 10.0.1.1}}}\n",
            ),
            manifest_and("vlan zero", "  network: {vlan: 0}\n"),
            manifest_and("vlan too high", "  network: {vlan: 4095}\n"),
            manifest_and("dns in one text", "  network: {dns: \"10.0.0.1, 1.1.1.1\"}\n"),
            manifest_and("dns with prefix", "  network: {dns: [10.0.0.1/24]}\n"),
            manifest_and("dns name", "  network: {dns: [dns.google]}\n"),
        ],
    );
}

impl Case {
    /// A further replacement in the manifest.
    fn edit(self, from: &str, to: &str) -> Self {
        let (_, manifest) = files(&self);
        assert!(manifest.contains(from), "{}: {from}", self.name);
        Self { name: self.name, change: Change::WholeManifest(manifest.replacen(from, to, 1)) }
    }
}

#[test]
fn all_problems_of_both_files_come_at_once() {
    let config = CONFIG.replace("id: 9000", "id: 9").replace("storage_pool", "storage_pol");
    let manifest = MANIFEST.replace("count: 2", "count: two").replace("gateway: 10.0.0.1", "gateway: 10.0.1.1");
    let problems = parse(config, manifest).unwrap_err();
    insta::assert_snapshot!(problems.render(false, 100));
}

#[test]
fn a_thousand_problems_are_a_hundred_and_a_count() {
    let text = format!("{MANIFEST}{}", (0..1000).map(|n| format!("key{n}: 1\n")).collect::<String>());
    let problems = parse(CONFIG.to_owned(), text).unwrap_err();
    assert_eq!((problems.list.len(), problems.count()), (100, 1000));
    assert!(
        problems.render(false, 100).ends_with("… and 900 more, not shown\n1000 problems; nothing was contacted.\n")
    );
}

#[test]
fn a_private_key_is_never_printed() {
    let config = CONFIG.replace(ED25519, "\"-----BEGIN OPENSSH PRIVATE KEY-----\\nc2VjcmV0\\n\"");
    let problems = parse(config, MANIFEST.to_owned()).unwrap_err();
    assert!(!problems.render(true, 100).contains("c2VjcmV0"));
    assert!(!serde_json::to_string(&problems.records()).unwrap().contains("c2VjcmV0"));
}

#[test]
fn problems_as_data() {
    let manifest = MANIFEST.replace("count: 2", "count: 2\n  memory_gb: 16");
    let problems = parse(CONFIG.to_owned(), manifest).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&problems.records()).unwrap());
}

/// A problem that no bad input leads to would be one that nobody has read.
#[test]
fn every_id_has_a_case() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots");
    let told: String = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("input")))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for id in input::ProblemId::ALL {
        assert!(told.contains(&format!("[{}]", id.as_str())), "no case for {}", id.as_str());
        assert!(id.remedy().ends_with('.') && !id.cause().ends_with('.'), "{}", id.as_str());
    }
}
