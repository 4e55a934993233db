//! Files that can't be read or written, odd variables, nodes that nobody answers on.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::{case, check, with, with_bad_files};

#[test]
fn surroundings() {
    let desk = with_bad_files();
    check(
        &desk,
        "surroundings",
        &[
            case("config: no such file", "validate --config nowhere.yaml"),
            case("config: a folder", "validate --config folder"),
            case("config: below a file", "validate --config key.pub/config.yaml"),
            case("config: empty", "validate --config empty"),
            case("config: /dev/null", "validate --config /dev/null"),
            case("config: endless", "validate --config /dev/zero"),
            case("config: huge", "validate --config huge.yaml"),
            case("config: binary", "validate --config binary.yaml"),
            case("config: Latin-1", "validate --config latin1.yaml"),
            case("manifest: no such file", "validate --manifest nowhere.yaml"),
            case("manifest: a private key", "validate --manifest private.key"),
            case("manifest: the config", "validate --manifest config.yaml"),
            case("config: the manifest", "validate --config cluster.yaml"),
            case("both files are missing", "plan --config a.yaml --manifest b.yaml"),
            with("PVEKUBE_CONFIG: no such file", "plan", |command| {
                command.env("PVEKUBE_CONFIG", "elsewhere/config.yaml");
            }),
            with("PVEKUBE_MANIFEST: a folder", "plan", |command| {
                command.env("PVEKUBE_MANIFEST", "folder");
            }),
            with("PVEKUBE_CONFIG: empty", "validate", |command| {
                command.env("PVEKUBE_CONFIG", "");
            }),
            with("PVEKUBE_CONFIG: no text", "validate", |command| {
                command.env("PVEKUBE_CONFIG", OsString::from_vec(vec![b'c', 0xff]));
            }),
            with("RUST_LOG: no filter", "plan --sandbox", |command| {
                command.env("RUST_LOG", "pvekube=lots=1");
            }),
            with("no ssh on PATH", "plan --config refusing.yaml", |command| {
                command.env("PATH", "/nowhere");
            }),
            case("nobody answers", "plan --config refusing.yaml"),
            case("nobody answers: apply", "apply --auto-approve --config refusing.yaml"),
            case("nobody answers: status", "status --config refusing.yaml"),
            case("nobody answers: lock", "lock show --config refusing.yaml"),
            case(
                "nobody answers: init",
                "init --node 127.0.0.1:1 --ssh-public-key key.pub --config c.yaml --manifest m.yaml",
            ),
            case("ssh.config_file is missing", "plan --config no-config.yaml"),
            case("--sandbox: a file", "plan --sandbox=key.pub"),
            case("--sandbox: cannot be made", "plan --sandbox=/proc/nowhere"),
            case("--sandbox: some folder", "plan --sandbox=folder/../.ssh/.."),
            case("sandbox reset: no sandbox", "sandbox reset folder"),
            case("sandbox reset: home", "sandbox reset ."),
            case("plan --out: no such folder", "plan --sandbox --out nowhere/plan.json"),
            case("plan --out: a folder", "plan --sandbox --out folder"),
            case("plan --out: cannot be written", "plan --sandbox --out /proc/plan.json"),
            case("man --out: no such folder", "man --out nowhere"),
            case("man --out: a file", "man --out key.pub"),
            case("--log-file: no such folder", "plan --sandbox --log-file nowhere/log.txt"),
            case("--log-file: a folder", "plan --sandbox --log-file folder"),
            case("--inventory: no such folder", "apply --sandbox --auto-approve --inventory nowhere/hosts.yaml"),
            case("--timeline: a folder", "apply --sandbox --auto-approve --timeline folder"),
            case("--known-hosts: a folder", "apply --sandbox --auto-approve --known-hosts folder"),
            with("GITHUB_OUTPUT: cannot be written", "plan --sandbox --github", |command| {
                command.env("GITHUB_OUTPUT", "nowhere/output");
            }),
            with("a terminal of no width, and a typo", "plan --pruned", |command| {
                command.env("COLUMNS", "0").env("TERM", "dumb").env("NO_COLOR", "1");
            }),
            with("a width that is none, and a problem", "validate --manifest binary.yaml", |command| {
                command.env("COLUMNS", "wide");
            }),
            with("locale and time zone that are none", "validate --manifest latin1.yaml", |command| {
                command.env("LC_ALL", "xx_YY.nothing").env("TZ", "Mars/Olympus");
            }),
        ],
    );
    assert!(desk.path("folder").is_dir() && desk.path("config.yaml").is_file(), "nothing of ours was removed");
}
