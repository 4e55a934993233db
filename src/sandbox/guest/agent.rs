//! The guest agent's answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::seed::Seed;
use super::{Boot, GuestFault, Running, network};

/// What comes back over the agent's channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Nobody answers: `QEMU guest agent is not running`.
    Silent,
    Value(Value),
    /// The agent's own error object, which `qm` prints as an answer with exit code 0 (contract §7).
    Error {
        class: String,
        description: String,
    },
}

/// A command run in the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

/// Where guests have their settings from: the cloud-init drive.
const DATASOURCE: &str = "DataSourceNoCloud [seed=/dev/sr0][dsmode=net]";

impl Boot {
    fn agent_up(&self, now_ms: u64) -> bool {
        let up = self.timeline().agent.is_some_and(|at| self.elapsed(now_ms) >= at);
        up && self.running(now_ms) == Running::Yes
    }

    fn reply(&self, now_ms: u64, value: impl FnOnce() -> Value) -> Reply {
        if !self.agent_up(now_ms) {
            return Reply::Silent;
        }
        if self.has(&GuestFault::AgentError) {
            return error("GenericError", "The command guest-network-get-interfaces has failed");
        }
        Reply::Value(value())
    }

    pub fn ping(&self, now_ms: u64) -> Reply {
        if self.agent_up(now_ms) { Reply::Value(json!({})) } else { Reply::Silent }
    }

    pub fn network_get_interfaces(&self, now_ms: u64) -> Reply {
        self.reply(now_ms, || network::as_agent_json(&self.interfaces(now_ms)))
    }

    pub fn get_host_name(&self, now_ms: u64) -> Reply {
        self.reply(now_ms, || json!({"host-name": self.hostname(now_ms)}))
    }

    pub fn get_osinfo(&self, now_ms: u64) -> Reply {
        self.reply(now_ms, || {
            json!({
                "id": "ubuntu", "kernel-release": "5.15.0-161-generic", "machine": "x86_64", "name": "Ubuntu",
                "pretty-name": "Ubuntu 22.04.5 LTS", "version": "22.04.5 LTS (Jammy Jellyfish)", "version-id": "22.04",
            })
        })
    }

    /// Nobody sits at a guest's console.
    pub fn get_users(&self, now_ms: u64) -> Reply {
        self.reply(now_ms, || json!([]))
    }

    /// A command that this agent does not know.
    pub fn unsupported(&self, now_ms: u64, command: &str) -> Reply {
        if !self.agent_up(now_ms) {
            return Reply::Silent;
        }
        error("CommandNotFound", &format!("The command guest-{command} has not been found"))
    }

    /// Until when a command runs: `cloud-init status --wait` waits, the others are over at once.
    pub fn waits_until(&self, now_ms: u64, argv: &[String]) -> u64 {
        let waits =
            argv.first().is_some_and(|program| program == "cloud-init") && argv.iter().any(|word| word == "--wait");
        match self.timeline().cloud_init_done {
            Some(done) if waits => self.moment(done).max(now_ms),
            None if waits => u64::MAX,
            Some(_) | None if argv.first().is_some_and(|program| program.ends_with("sleep")) => {
                let seconds: f64 = argv.get(1).and_then(|text| text.parse().ok()).unwrap_or(0.0);
                now_ms.saturating_add((seconds * f64::from(self.pace)) as u64)
            }
            Some(_) | None => now_ms,
        }
    }

    /// `guest exec`: `Err` is what the agent says instead of running it.
    pub fn exec(&self, now_ms: u64, argv: &[String], stdin: &[u8]) -> Result<Ran, Reply> {
        if !self.agent_up(now_ms) {
            return Err(Reply::Silent);
        }
        if self.has(&GuestFault::ExecForbidden) {
            let text = "Command guest-exec has been disabled: the command is not allowed";
            return Err(error("CommandNotFound", text));
        }
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        Ok(match words.as_slice() {
            ["true" | "/bin/true" | "sleep" | "/bin/sleep", ..] => Ran::default(),
            ["cat" | "/bin/cat"] => printed(String::from_utf8_lossy(stdin).into_owned()),
            ["false" | "/bin/false"] => Ran { exit: 1, ..Ran::default() },
            ["hostname"] => printed(format!("{}\n", self.hostname(now_ms))),
            ["echo" | "/bin/echo", rest @ ..] => printed(format!("{}\n", rest.join(" "))),
            ["cat", "/etc/machine-id"] => printed(format!("{}\n", self.disk_at(now_ms).machine_id.unwrap_or_default())),
            ["cat", "/run/cloud-init/result.json"] => self.cloud_init_result(now_ms),
            ["cloud-init", "status", options @ ..] => self.cloud_init_status(now_ms, options),
            ["sh" | "/bin/sh", "-c", script] => self.script(now_ms, script),
            [program, ..] => return Err(not_there(program)),
            [] => return Err(not_there("")),
        })
    }

    fn script(&self, now_ms: u64, script: &str) -> Ran {
        if script.contains("/etc/ssh/ssh_host_") && script.contains("cat") {
            let keys = self.host_keys(now_ms);
            if keys.is_empty() {
                let err = "cat: '/etc/ssh/ssh_host_*_key.pub': No such file or directory\n".to_owned();
                return Ran { exit: 1, err, ..Ran::default() };
            }
            return printed(keys.iter().map(|key| format!("{key}\n")).collect());
        }
        Ran { exit: 127, err: "sh: 1: this guest runs no such script\n".to_owned(), ..Ran::default() }
    }

    fn hostname(&self, now_ms: u64) -> String {
        let name = self.disk_at(now_ms).instance.map(|instance: Seed| instance.hostname).unwrap_or_default();
        if name.is_empty() { "localhost".to_owned() } else { name }
    }

    /// Whether cloud-init is through, and what went wrong in it.
    fn cloud_init(&self, now_ms: u64) -> (bool, Vec<String>) {
        let done = self.timeline().cloud_init_done.is_some_and(|at| self.elapsed(now_ms) >= at);
        if !done {
            return (false, Vec::new());
        }
        let broken = self.network_source().and_then(|seed| seed.broken.clone());
        let mut errors: Vec<String> = broken.into_iter().collect();
        errors.extend(self.faults.iter().filter_map(|fault| match fault {
            GuestFault::CloudInitFails { module, message } => Some(format!("('{module}', RuntimeError('{message}'))")),
            _ => None,
        }));
        if self.is_new_instance() && !self.missing_packages().is_empty() && !self.packages_reachable() {
            errors
                .push("('package_update_upgrade_install', ProcessExecutionError('apt-get update failed'))".to_owned());
        }
        (true, errors)
    }

    /// What cloud-init writes down at its end, with its own indentation of one blank.
    fn cloud_init_result(&self, now_ms: u64) -> Ran {
        let (done, errors) = self.cloud_init(now_ms);
        if !done || self.seed.is_none() {
            let err = "cat: /run/cloud-init/result.json: No such file or directory\n".to_owned();
            return Ran { exit: 1, err, ..Ran::default() };
        }
        let errors: Vec<String> = errors.iter().map(|error| format!("   {}", json!(error))).collect();
        let errors = if errors.is_empty() { "[]".to_owned() } else { format!("[\n{}\n  ]", errors.join(",\n")) };
        printed(format!("{{\n \"v1\": {{\n  \"datasource\": \"{DATASOURCE}\",\n  \"errors\": {errors}\n }}\n}}\n"))
    }

    /// `cloud-init status`, plain, `--long` or `--format json`: exit 1 on an error.
    fn cloud_init_status(&self, now_ms: u64, options: &[&str]) -> Ran {
        let (done, errors) = self.cloud_init(now_ms);
        let (status, exit) = match (self.seed.is_some(), done) {
            (false, _) => ("disabled", 0),
            (true, false) => ("running", 0),
            (true, true) if errors.is_empty() => ("done", 0),
            (true, true) => ("error", 1),
        };
        let last = jiff::Timestamp::from_millisecond(i64::try_from(now_ms).unwrap_or_default()).unwrap_or_default();
        let last = last.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        if !options.contains(&"json") {
            let long = format!("boot_status_code: enabled-by-generator\nlast_update: {last}\ndetail:\n{DATASOURCE}\n");
            let rest = if options.contains(&"--long") { long } else { String::new() };
            return Ran { exit, out: format!("status: {status}\n{rest}"), ..Ran::default() };
        }
        let facts = json!({
            "boot_status_code": "enabled-by-generator",
            "datasource": "nocloud",
            "detail": DATASOURCE,
            "errors": errors,
            "last_update": last,
            "status": status,
        });
        // cloud-init sorts the keys.
        let schema = [("_schema_version".to_owned(), json!("1")), ("schemas".to_owned(), json!({"1": facts.clone()}))];
        let facts = facts.as_object().cloned().unwrap_or_default();
        let whole: BTreeMap<String, Value> = schema.into_iter().chain(facts).collect();
        Ran { exit, out: format!("{}\n", serde_json::to_string_pretty(&whole).unwrap_or_default()), ..Ran::default() }
    }
}

fn printed(out: String) -> Ran {
    Ran { out, ..Ran::default() }
}

fn error(class: &str, description: &str) -> Reply {
    Reply::Error { class: class.to_owned(), description: description.to_owned() }
}

fn not_there(program: &str) -> Reply {
    let text = format!("Failed to execute child process “{program}” (No such file or directory)");
    error("GenericError", &format!("Guest agent command failed, error was '{text}'"))
}
