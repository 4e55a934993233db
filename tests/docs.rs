//! The docs tell the truth: every pvekube command in them that can run on the sandbox is run there, and the README's plan is
//! what the program prints.
//!
//! After a change of the plan's text: `UPDATE_DOCS=1 cargo test --test docs`.

#![allow(clippy::unwrap_used, reason = "a test that can't read the docs has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clap::Parser as _;
use pvekube::cli::Cli;

const PVEKUBE: &str = env!("CARGO_BIN_EXE_pvekube");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command line of a document, as it stands there.
struct Line {
    place: String,
    text: String,
}

/// Lines of code blocks, and of the workflow examples, that run pvekube.
fn lines() -> Vec<Line> {
    let mut files: Vec<PathBuf> = vec![root().join("README.md")];
    for folder in ["docs", "docs/examples"] {
        let mut here: Vec<PathBuf> =
            fs::read_dir(root().join(folder)).into_iter().flatten().map(|e| e.unwrap().path()).collect();
        here.sort();
        files.extend(here.into_iter().filter(|path| {
            path.extension().is_some_and(|kind| ["md", "yml", "yaml"].iter().any(|known| kind == *known))
        }));
    }
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let workflow = file.extension().is_some_and(|kind| kind != "md");
        let mut code = workflow;
        let mut continued = String::new();
        for (number, line) in text.lines().enumerate() {
            if let Some(fence) = line.trim_start().strip_prefix("```") {
                code = ["sh", "yaml", "shell"].contains(&fence.trim());
                continue;
            }
            let line = line.trim();
            let line =
                line.strip_prefix("- run:").or(line.strip_prefix("run:")).or(line.strip_prefix("- ")).unwrap_or(line);
            if let Some(part) = line.strip_suffix('\\').filter(|_| code) {
                continued.push_str(part);
                continue;
            }
            let whole = format!("{continued}{}", line.trim());
            continued.clear();
            if code && whole.starts_with("pvekube ") {
                let place = format!("{}:{}", file.strip_prefix(root()).unwrap().display(), number + 1);
                found.push(Line { place, text: whole });
            }
        }
    }
    assert!(found.len() > 10, "the docs were not read: {} commands", found.len());
    found
}

/// Words up to the first shell operator or comment.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        if word.starts_with('#') || word.starts_with('>') || word.starts_with('|') || word == "&&" || word == "||" {
            break;
        }
        words.push(word.trim_matches(['"', '\'']).to_owned());
    }
    words
}

#[test]
fn every_command_in_the_docs_is_one() {
    let mut faults = Vec::new();
    for line in lines() {
        let words = words(&line.text);
        if words.iter().any(|word| word.contains("--help")) {
            continue;
        }
        if let Err(error) = Cli::try_parse_from(&words) {
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            faults.push(format!("{}: {}\n    {first}", line.place, line.text));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Why a command of the docs is not run here; `None`: it is.
fn not_here(words: &[String]) -> Option<&'static str> {
    let has = |flag: &str| words.iter().any(|word| word.starts_with(flag));
    match words.get(1).map(String::as_str) {
        Some("init") => Some("writes files that are there; tests/cli has it"),
        Some("adopt" | "disown") => Some("needs a VM made by hand; tests/cli has it"),
        Some("destroy") => Some("would take away what the other commands need; tests/cli has it"),
        Some("man") => Some("writes outside the test's folder; tests/cli has it"),
        _ if has("--watch") => Some("never ends"),
        _ if words.iter().any(|word| {
            word.contains("...") || word.contains('…') || word == "FILE" || word == "NAME" || word == "DIGEST"
        }) =>
        {
            Some("has a placeholder")
        }
        _ => None,
    }
}

#[test]
fn the_commands_run_on_the_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [("config.example.yaml", "config.yaml"), ("cluster.example.yaml", "cluster.yaml")] {
        fs::copy(root().join(from), dir.path().join(to)).unwrap();
    }
    // As in the docs, but on the sandbox, and with nobody to ask.
    let wrapper = format!(
        "#!/bin/sh\ncase \"$1\" in\napply) for word; do case $word in *.json|--auto-approve) yes=;; esac; done\n       extra=${{yes---auto-approve}} ;;\n\
         create|scale|remove) extra=--auto-approve ;;\nesac\n\
         case \" $* \" in *' --sandbox'*) sandbox= ;; *) sandbox=--sandbox ;; esac\n\
         exec '{PVEKUBE}' \"$@\" $sandbox $extra\n"
    );
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("pvekube"), wrapper).unwrap();
    fs::set_permissions(bin.join("pvekube"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = |text: &str| {
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Command::new("sh")
            .args(["-c", text])
            .current_dir(dir.path())
            .env_remove("GITHUB_OUTPUT")
            .env_remove("GITHUB_STEP_SUMMARY")
            .env("HOME", dir.path())
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    // Machines to speak of, a digest to expect, an observation to read.
    succeed("pvekube apply", &run("pvekube apply"));
    let mut faults = Vec::new();
    for line in lines() {
        if not_here(&words(&line.text)).is_some() {
            continue;
        }
        let digest =
            run("pvekube plan --format json -q | sed -n 's/.*\"plan_digest\": \"\\([0-9a-f]*\\)\".*/\\1/p' | head -1");
        let digest = String::from_utf8_lossy(&digest.stdout).trim().to_owned();
        let text = format!("DIGEST={digest} digest={digest}; export DIGEST digest; {}", line.text);
        let output = run(&text);
        // 2: changes, or not all ready; said by the docs where it matters.
        if !matches!(output.status.code(), Some(0 | 2)) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            faults.push(format!(
                "{}: {}\n    exit {:?}: {}",
                line.place,
                line.text,
                output.status.code(),
                stderr.trim()
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn succeed(what: &str, output: &Output) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_readme_shows_a_real_plan() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(PVEKUBE)
        .args(["plan", "--sandbox"])
        .current_dir(dir.path())
        .env_clear()
        .env("COLUMNS", "100")
        .env("HOME", dir.path())
        .output()
        .unwrap();
    succeed("plan", &output);
    let plan = String::from_utf8(output.stdout).unwrap();
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("```text\n").expect("README.md has a text block");
    let (_, after) = rest.split_once("```\n").unwrap();
    let expected = format!("{before}```text\n$ pvekube plan --sandbox\n{plan}```\n{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(readme == expected, "the README's plan differs: UPDATE_DOCS=1 cargo test --test docs");
}
