//! The bake's script, run by the local `sh` in a folder that stands for the guest's root, with programs that stand in.
#![allow(clippy::unwrap_used, reason = "a guest or node that can not be made is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use pvekube::model::desired::{Address, Bake, Network};
use pvekube::pve::cloud_init::{BakeOutcome, bake_outcome, document};

struct Guest {
    folder: tempfile::TempDir,
}

impl Guest {
    /// A guest with network, without the agent; its services start.
    fn new() -> Self {
        let guest = Self { folder: tempfile::tempdir().unwrap() };
        for dir in ["bin", "dev", "run", "etc/ssh", "var/log", "var/lib/dbus", "var/lib/dhcp"] {
            fs::create_dir_all(guest.root().join(dir)).unwrap();
        }
        for file in ["dev/ttyS0", "etc/machine-id", "etc/ssh/ssh_host_rsa_key", "etc/ssh/sshd_config", "var/log/syslog"]
        {
            fs::write(guest.root().join(file), "old").unwrap();
        }
        for name in ["cloud-init", "journalctl", "fstrim", "sleep", "sync", "poweroff"] {
            guest.program(name, "exit 0");
        }
        guest.program("systemctl", "exit 0");
        guest.program(
            "apt-get",
            "case \"$*\" in *nonesuch*) echo 'E: Unable to locate package nonesuch'; exit 100;; esac",
        );
        guest
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A stand-in that also writes down how it was called.
    fn program(&self, name: &str, body: &str) {
        let path = self.root().join("bin").join(name);
        let calls = self.root().join("calls");
        fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >>'{}'\n{body}\n", calls.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn bake(&self, packages: &[&str], commands: &[&str]) -> BakeOutcome {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let network = Network { bridge: "vmbr0".into(), vlan: None, ipv4: Address::Dhcp, ipv6: None };
        let bake = Bake {
            network,
            addresses: Default::default(),
            packages: own(packages),
            commands: own(commands),
            timeout_s: 900,
        };
        let text = document(&bake);
        let value: serde_json::Value = serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        let words: Vec<String> = serde_json::from_value(value["runcmd"][0].clone()).unwrap();
        // As systemd hands them over.
        let words: Vec<String> = words.into_iter().map(|word| word.replace("$$", "$")).collect();
        let script = words[5].strip_prefix("root=''\n").expect("the root is one line at the top");
        for part in script.split(['"', ' ', '\n', '>', '<', '=', ';']) {
            assert!(!part.starts_with('/') || part == "/dev/null", "`{part}` is outside the guest's root");
        }
        let script = format!("root='{}'\n{script}", self.root().display());
        let path = format!("{}/bin:/usr/bin:/bin", self.root().display());
        let status =
            Command::new("/bin/sh").arg("-c").arg(script).args(&words[6..]).env_clear().env("PATH", path).status();
        assert!(status.unwrap().success());
        bake_outcome(&self.read("dev/ttyS0").or_else(|| self.read("dev/console")).unwrap())
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.root().join("calls")).unwrap_or_default()
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root().join(path)).ok()
    }
}

#[test]
fn installs_runs_cleans_reports_and_powers_off() {
    let guest = Guest::new();
    let made = guest.root().join("made");
    let command = format!("x='${{HOME}} it'\\''s'; printf %s \"$x $$\" >'{}'", made.display());
    assert_eq!(guest.bake(&["nfs-common"], &[&command]), BakeOutcome::Ok);
    let calls = guest.calls();
    let at = |text: &str| calls.find(text).unwrap_or_else(|| panic!("{text} in\n{calls}"));
    assert!(at("cloud-init status --wait") < at("apt-get -o DPkg::Lock::Timeout=300 -y install qemu-guest-agent"));
    assert!(at("install qemu-guest-agent") < at("install nfs-common"));
    assert!(at("systemctl is-active qemu-guest-agent") < at("cloud-init clean --logs"));
    assert!(at("fstrim") < at("systemctl poweroff"));
    assert_eq!(calls.matches("apt-get -o DPkg::Lock::Timeout=300 update").count(), 1);
    assert!(guest.read("made").unwrap().contains("it's"));
    assert_eq!(guest.read("etc/machine-id").as_deref(), Some(""));
    assert_eq!(guest.read("var/log/syslog").as_deref(), Some(""));
    assert_eq!(guest.read("etc/ssh/ssh_host_rsa_key"), None);
    assert!(guest.read("etc/ssh/sshd_config").is_some());
}

#[test]
fn lists_that_another_apt_refreshes_are_waited_for() {
    let guest = Guest::new();
    let tried = guest.root().join("tried").display().to_string();
    guest.program(
        "apt-get",
        &format!(
            "case \" $* \" in *' update '*) [ -e '{tried}' ] || {{ : >'{tried}'; echo 'E: Could not get lock'; exit 100; }} ;; esac"
        ),
    );
    assert_eq!(guest.bake(&["nfs-common"], &[]), BakeOutcome::Ok);
    assert_eq!(guest.calls().matches("apt-get -o DPkg::Lock::Timeout=300 update").count(), 2);
}

#[test]
fn an_image_with_the_agent_needs_no_network() {
    let guest = Guest::new();
    guest.program("qemu-ga", "exit 0");
    guest.program("apt-get", "[ \"$1\" = clean ] || exit 100");
    assert_eq!(guest.bake(&[], &[]), BakeOutcome::Ok);
    assert!(!guest.calls().contains("install"));
}

fn failed(outcome: BakeOutcome) -> (String, Vec<String>) {
    match outcome {
        BakeOutcome::Failed { module, lines } => (module, lines),
        BakeOutcome::Ok | BakeOutcome::Silent => panic!("{outcome:?}"),
    }
}

#[test]
fn a_failing_package_is_named_with_its_lines() {
    let guest = Guest::new();
    let (module, lines) = failed(guest.bake(&["nfs-common", "nonesuch", "later"], &[]));
    assert_eq!(module, "package nonesuch (exit 100)");
    assert_eq!(lines, ["E: Unable to locate package nonesuch"]);
    let calls = guest.calls();
    assert!(!calls.contains("install later") && !calls.contains("clean"));
    assert!(calls.contains("systemctl poweroff"), "a failed bake powers off too");
    assert_eq!(guest.read("etc/machine-id").as_deref(), Some("old"));
}

#[test]
fn a_failing_command_is_named_by_its_number() {
    let guest = Guest::new();
    let long = "for n in 1 2 3 4 5 6 7 8 9; do echo \"line $n\"; done; exit 7";
    let (module, lines) = failed(guest.bake(&[], &["true", long, "touch never"]));
    assert_eq!(module, "command 2 (exit 7)");
    assert_eq!((lines.len(), lines.first().map(String::as_str)), (8, Some("line 2")));
}

#[test]
fn an_agent_that_does_not_run_fails_the_bake() {
    let guest = Guest::new();
    guest.program("systemctl", "case $1 in is-active|status) echo inactive; exit 3;; esac");
    let (module, lines) = failed(guest.bake(&[], &[]));
    assert_eq!(module, "service qemu-guest-agent (exit 1)");
    assert_eq!(lines.last().map(String::as_str), Some("inactive"));
}

#[test]
fn the_system_console_is_the_second_choice() {
    let guest = Guest::new();
    fs::remove_file(guest.root().join("dev/ttyS0")).unwrap();
    fs::create_dir(guest.root().join("dev/ttyS0")).unwrap();
    fs::write(guest.root().join("dev/console"), "").unwrap();
    assert_eq!(guest.bake(&[], &[]), BakeOutcome::Ok);
}
