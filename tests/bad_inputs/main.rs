//! Bad flags, surroundings, saved plans and observations, given to the built program: what it says about each. The
//! snapshots are read by people. (Bad configs and manifests: tests/input_problems.)

#![allow(clippy::unwrap_used, reason = "a test that can't run the program has failed")]

#[path = "../desk/mod.rs"]
mod desk;
mod flags;
mod saved;
mod surroundings;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use desk::{Desk, ONE, Said, said};

/// One bad input: its name, and the command line after `pvekube`.
struct Case {
    name: &'static str,
    line: &'static str,
    /// What else is done to the command: variables, words that are no text.
    tweak: fn(&mut Command),
}

fn case(name: &'static str, line: &'static str) -> Case {
    Case { name, line, tweak: |_| () }
}

/// With other variables.
fn with(name: &'static str, line: &'static str, tweak: fn(&mut Command)) -> Case {
    Case { name, line, tweak }
}

/// Every id that is in docs/troubleshooting.md.
fn catalogue() -> BTreeSet<String> {
    let faults = pvekube::error::FAULTS.iter().map(|fault| fault.id);
    let problems = pvekube::input::ProblemId::ALL.iter().map(|id| id.as_str());
    let checks = pvekube::planner::CHECKS.iter().map(|check| check.id);
    faults.chain(problems).chain(checks).map(str::to_owned).collect()
}

/// What stderr says, without what differs from run to run.
fn steady(desk: &Desk, text: &str) -> String {
    let mut text = text.replace(&desk.dir.path().display().to_string(), "DIR");
    for (pattern, instead) in [
        (r"answered in [0-9.]+ s", "answered in 0.0 s"),
        (r"at\s+line\s+\d+\s+column\s+\d+", "at line N column N"),
        (r"\.pvekube-[A-Za-z0-9]{6}", ".pvekube-RANDOM"),
        (r"pvekube[-.][A-Za-z0-9]{6,}", "pvekube-RANDOM"),
        (r"[0-9a-f]{4,}…[0-9a-f]{4}", "DIGEST"),
        (r"\b[0-9a-f]{12,}\b", "DIGEST"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

/// Runs all cases: each is refused with exit code 1, an id of the catalogue, and a next step.
fn check(desk: &Desk, snapshot: &str, cases: &[Case]) {
    let known = catalogue();
    let heading = regex::Regex::new(r"(?m)^error\[([a-z0-9-]+)\]: \S").unwrap();
    let mut out = String::new();
    let mut faults = Vec::new();
    for case in cases {
        let mut command = desk.command(case.line);
        (case.tweak)(&mut command);
        let Said { exit, stdout, stderr } = said(command.output().unwrap());
        let stderr = steady(desk, &stderr);
        writeln!(out, "=== {}\n$ pvekube {}\n{}\n", case.name, case.line, stderr.trim_end()).unwrap();
        let ids: Vec<&str> = heading.captures_iter(&stderr).map(|found| found.get(1).unwrap().as_str()).collect();
        let wrong = if exit != Some(1) {
            Some(format!("exit {exit:?}, stdout {stdout}"))
        } else if ids.is_empty() {
            Some("no id".to_owned())
        } else if let Some(id) = ids.iter().find(|id| !known.contains(**id)) {
            Some(format!("{id} is not in the catalogue"))
        } else if !["next: ", "= help: "].iter().any(|word| stderr.contains(word)) {
            Some("no next step".to_owned())
        } else {
            None
        };
        faults.extend(wrong.map(|why| format!("{}: {why}\n{stderr}", case.name)));
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(snapshot, out) });
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

impl Case {
    fn and(self, tweak: fn(&mut Command)) -> Self {
        Self { tweak, ..self }
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj me@here\n";

/// Files beside the two good ones, each bad in its way.
fn with_bad_files() -> Desk {
    let desk = Desk::new(ONE);
    desk.write("key.pub", KEY);
    desk.write("private.key", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n");
    desk.write("empty", "");
    desk.write("one.yaml", "cluster: k8s\nworkers: {count: 1, size: small}\n");
    fs::write(desk.path("latin1.yaml"), b"cluster: k\xe48s\n").unwrap();
    fs::write(desk.path("binary.yaml"), [0x7f, b'E', b'L', b'F', 0, 1, 2, 3]).unwrap();
    desk.write("huge.yaml", &"# a comment\n".repeat(200_000));
    fs::create_dir(desk.path("folder")).unwrap();
    // Nothing answers on port 1 of this machine.
    let here = desk.read("config.yaml");
    let nodes = here.find("proxmox_nodes:").unwrap()..here.find("ssh_user:").unwrap();
    let mut refusing = here.clone();
    refusing.replace_range(nodes, "proxmox_nodes:\n  - {host: 127.0.0.1, port: 1, name: pve1}\n");
    desk.write("refusing.yaml", &refusing);
    fs::create_dir_all(desk.path(".ssh")).unwrap();
    desk.write(".ssh/id_ed25519", "no key");
    desk.write("no-config.yaml", &format!("{refusing}ssh: {{config_file: nowhere/ssh_config}}\n"));
    desk
}
