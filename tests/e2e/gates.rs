//! Holds back one chosen command of a node until it is let go, so that an interruption hits right then and nothing sleeps.
//!
//! A node's `qm`, `pvesm`, `wget`, `rm` and `chmod` are wrapped. Armed gates lie in `ROOT/gates/N`: `wanted` (when, and a
//! shell pattern for the command line), `claimed` (the command came), `held` (it stands still), `go` (let it on).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::sshd::program;

/// Gates are looked at in the order in which they were armed.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Where in its life the command is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It runs and has changed nothing yet.
    Before,
    /// In the middle of copying: the program itself is stopped.
    Within,
    /// Everything is done; only its end is missing.
    After,
}

const WRAPPER: &str = r#"#!/bin/sh
root='@ROOT@'
real='@REAL@'
for gate in "$root"/gates/*; do
  { read -r when pattern <"$gate/wanted"; } 2>/dev/null || continue
  # shellcheck disable=SC2254 # a pattern
  case "${0##*/} $*" in $pattern) ;; *) continue ;; esac
  mkdir "$gate/claimed" 2>/dev/null || continue
  hold() {
    : >"$gate/held"
    until [ -e "$gate/go" ]; do sleep 0.02; done
  }
  case $when in
    Before)
      hold
      break
      ;;
    After)
      "$real" "$@"
      code=$?
      hold
      exit $code
      ;;
    Within)
      "$real" "$@" &
      program=$!
      # Its own output is the operation's log.
      until grep -q transferred "/proc/$$/fd/1"; do sleep 0.01; done
      kill -STOP $program
      hold
      kill -CONT $program
      wait $program
      exit
      ;;
  esac
done
exec "$real" "$@"
"#;

/// Wraps a node's programs. The stand-ins must be installed.
pub fn install(root: &Path) {
    fs::create_dir_all(root.join("gates")).unwrap();
    let stand_ins = root.join("usr/libexec");
    fs::create_dir_all(&stand_ins).unwrap();
    for (name, folder) in [("qm", "usr/sbin"), ("pvesm", "usr/sbin"), ("wget", ""), ("rm", ""), ("chmod", "")] {
        let real = if folder.is_empty() {
            PathBuf::from("/usr/bin").join(name)
        } else {
            fs::rename(root.join(folder).join(name), stand_ins.join(name)).unwrap();
            stand_ins.join(name)
        };
        let folder = if folder.is_empty() { "usr/bin" } else { folder };
        let text = WRAPPER.replace("@ROOT@", root.to_str().unwrap()).replace("@REAL@", real.to_str().unwrap());
        fs::create_dir_all(root.join(folder)).unwrap();
        program(&root.join(folder).join(name), &text);
    }
}

/// One command that will be held back, once.
#[derive(Debug)]
pub struct Gate {
    folder: PathBuf,
    what: String,
}

impl Gate {
    /// `pattern`: of the shell, for the whole command line: `qm clone *`.
    pub fn arm(root: &Path, when: When, pattern: &str) -> Self {
        let gates = root.join("gates");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = gates.join(format!("{count:03}"));
        fs::create_dir(&folder).unwrap();
        let gate = Self { folder, what: format!("{when:?} {pattern}") };
        fs::write(gate.folder.join("wanted.new"), format!("{}\n", gate.what)).unwrap();
        fs::rename(gate.folder.join("wanted.new"), gate.folder.join("wanted")).unwrap();
        gate
    }

    pub fn is_held(&self) -> bool {
        self.folder.join("held").exists()
    }

    pub fn disarm(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    pub fn is_released(&self) -> bool {
        self.folder.join("go").exists()
    }

    pub fn release(&self) {
        fs::write(self.folder.join("go"), "").unwrap();
    }
}
