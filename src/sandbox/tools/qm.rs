//! `qm`: its commands, their options, and what the command line makes of a result (qm.pm).

mod commands;

use serde_json::Value;

use super::api::{self, Values};
use super::call::{Call, Die, Run};
use super::cloudinit;
use super::conf::{load, local_vmids};
use super::output;
use super::schema::{Format, Options, Refusal, Type, parse};
use super::{drives, exit_of};
use crate::pve::conf::encode_text;
use commands::{COMMANDS, Command};

/// The real tool's list of commands; the sandbox has those of [`COMMANDS`].
const USAGE: &str = include_str!("qm/usage.txt");

/// Runs a whole `qm` call.
pub async fn main(call: &Call<'_>, argv: &[String]) -> i32 {
    let Some((command, rest)) = find(argv) else { return no_command(call, argv) };
    let usage = format!("qm {}{}\n", command.words, command.usage());
    let usage = usage.trim_end_matches('\n');
    match parse(&command.options(), rest) {
        Err(refusal) => refuse(call, refusal, usage),
        Ok(parsed) => match run(call, command, &parsed.values, &parsed.extra).await {
            Ok(()) => 0,
            Err(die) => exit_of(call, die, usage),
        },
    }
}

/// What is printed for a command line that does not parse, and its exit code.
pub fn refuse(call: &Call<'_>, refusal: Refusal, usage: &str) -> i32 {
    match refusal {
        Refusal::Option(lines) => {
            let _ = call.out.error(format!("{}\n400 unable to parse option\n{usage}", lines.join("\n")));
            2
        }
        Refusal::Arguments(text) => {
            let _ = call.out.error(format!("400 {text}\n{usage}"));
            255
        }
        Refusal::Schema(problems) => exit_of(call, Die::Parameters { exit: 2, problems }, usage),
    }
}

/// The command that the first words name, and what follows them.
fn find(argv: &[String]) -> Option<(&'static Command, &[String])> {
    let first = argv.first()?;
    let aliased = match first.as_str() {
        "importdisk" => Some("disk import"),
        "resize" => Some("disk resize"),
        "unlink" => Some("disk unlink"),
        "agent" => Some("guest cmd"),
        _ => None,
    };
    if let Some(words) = aliased {
        return Some((COMMANDS.iter().find(|command| command.words == words)?, &argv[1..]));
    }
    COMMANDS.iter().find_map(|command| {
        let count = command.words.split(' ').count();
        let words = argv.get(..count)?.join(" ");
        (words == command.words).then(|| (command, &argv[count..]))
    })
}

/// `ERROR: unknown command 'qm frob'`, then every command.
fn no_command(call: &Call<'_>, argv: &[String]) -> i32 {
    let mut text = match argv.first() {
        None => "ERROR: no command specified\n".to_owned(),
        Some(_) => format!("ERROR: unknown command 'qm {}'\n", argv.join(" ")),
    };
    text.push_str(USAGE);
    let _ = call.out.error(text.trim_end());
    255
}

async fn run(call: &Call<'_>, command: &Command, values: &Values, extra: &[String]) -> Run<()> {
    // Perl compiles for the better part of a second before anything happens (observed §9).
    call.work(0.8).await?;
    let vmid = api::vmid_of(values);
    match command.words {
        "create" => api::create::create(call, &with_ssh_keys(call, values)?).await?.succeed(),
        "set" => api::set::set(call, &with_ssh_keys(call, values)?).await,
        "clone" => api::clone::clone(call, values).await?.succeed(),
        "template" => api::template::template(call, values).await.map(drop),
        "disk resize" => api::resize::resize(call, values).await.map(drop),
        "disk import" => api::import::import_disk(call, values).await,
        "disk unlink" => api::set::set(call, &unlink(values)).await,
        "start" => api::power::start(call, values).await?.succeed(),
        "stop" => api::power::stop(call, values).await?.succeed(),
        "shutdown" => api::power::shutdown(call, values).await?.succeed(),
        "reboot" => api::power::reboot(call, values).await?.succeed(),
        verb @ ("suspend" | "resume" | "reset") => api::power::interrupt(call, values, verb).await?.succeed(),
        "destroy" => api::destroy::destroy(call, values).await?.succeed(),
        "migrate" => api::migrate::migrate(call, values).await?.succeed(),
        "snapshot" => api::snapshot::snapshot(call, values).await?.succeed(),
        "rollback" => api::snapshot::rollback(call, values).await?.succeed(),
        "delsnapshot" => api::snapshot::delete(call, values).await?.succeed(),
        "listsnapshot" => list_snapshots(call, vmid),
        "unlock" => api::set::unlock(call, values).await,
        "list" => list(call),
        "status" => status(call, values),
        "config" => config(call, values),
        "pending" => pending(call, &api::show::pending_changes(&load(call, vmid)?)),
        "cloudinit pending" => pending(call, &api::show::cloudinit_changes(&load(call, vmid)?)),
        "cloudinit dump" => dump(call, values),
        "cloudinit update" => update_cloudinit(call, vmid).await,
        "guest cmd" => guest_command(call, values).await,
        "guest exec" => {
            let result = api::agent::exec(call, values, extra).await?;
            call.say(output::pretty(&result))
        }
        other => Err(Die::new(format!("the sandbox has no 'qm {other}'"))),
    }
}

/// `--sshkeys` names a file on the node (or `/dev/stdin`); its content is stored URL-encoded.
fn with_ssh_keys(call: &Call<'_>, values: &Values) -> Run<Values> {
    let mut values = values.clone();
    if let Some(path) = values.get("sshkeys").cloned() {
        let missing = || Die::absent(format!("can't open '{path}' - No such file or directory"));
        let text = if path == "/dev/stdin" {
            String::from_utf8_lossy(&call.process.stdin).into_owned()
        } else {
            call.node.read_text(&path).map_err(|_| missing())?
        };
        values.insert("sshkeys".into(), crate::pve::sshkeys::encode(&text));
    }
    Ok(values)
}

fn unlink(values: &Values) -> Values {
    let mut values = values.clone();
    if let Some(list) = values.remove("idlist") {
        values.insert("delete".into(), list);
    }
    values
}

fn list(call: &Call<'_>) -> Run<()> {
    let vmids = local_vmids(call.node);
    if vmids.is_empty() {
        return Ok(());
    }
    let row = |cells: [&str; 6]| {
        let [vmid, name, status, memory, disk, pid] = cells;
        format!("{vmid:>10} {name:<20} {status:<10} {memory:<10} {disk:>12} {pid:<10}")
    };
    call.say(row(["VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID"]))?;
    for config in api::show::local_configs(call, call.node)? {
        let running = call.node.world.guests.running(call.node, config.vmid);
        let memory = config.get("memory").and_then(crate::pve::property::memory_mb).unwrap_or(512);
        let disk = drives::boot_disk(&config).and_then(|drive| drive.size()).unwrap_or(0) as f64 / f64::from(1 << 30);
        call.say(row([
            &config.vmid.to_string(),
            &config.display_name(),
            if running.is_some() { "running" } else { "stopped" },
            &memory.to_string(),
            &format!("{disk:.2}"),
            &running.map_or(0, |run| run.pid).to_string(),
        ]))?;
    }
    Ok(())
}

fn status(call: &Call<'_>, values: &Values) -> Run<()> {
    let vmid = api::vmid_of(values);
    let config = load(call, vmid)?;
    if !api::flag(values, "verbose") {
        return call.say(format!("status: {}", api::show::qmp_status(call.node, vmid)));
    }
    let entry = api::show::entry(call.node, &config, api::show::Detail::Full);
    let mut keys: Vec<(&String, &Value)> =
        entry.as_object().into_iter().flatten().filter(|(key, _)| *key != "cpu").collect();
    keys.sort_by_key(|(key, _)| key.as_str());
    for (key, value) in keys {
        match value {
            Value::Object(_) => {
                call.say(format!("{key}:"))?;
                tree(call, value, 1)?;
            }
            scalar => call.say(format!("{key}: {}", output::plain(scalar)))?,
        }
    }
    Ok(())
}

fn tree(call: &Call<'_>, value: &Value, depth: usize) -> Run<()> {
    for (key, value) in value.as_object().into_iter().flatten() {
        let pad = "\t".repeat(depth);
        match value {
            Value::Object(_) => {
                call.say(format!("{pad}{key}:"))?;
                tree(call, value, depth + 1)?;
            }
            scalar => call.say(format!("{pad}{key}: {}", output::plain(scalar)))?,
        }
    }
    Ok(())
}

fn config(call: &Call<'_>, values: &Values) -> Run<()> {
    let config = load(call, api::vmid_of(values))?;
    let snapshot = values.get("snapshot").map(String::as_str);
    for (key, value) in api::show::config_values(&config, api::flag(values, "current"), snapshot)? {
        let value = if key == "description" { one_line(&value) } else { value };
        call.say(format!("{key}: {value}"))?;
    }
    Ok(())
}

/// The description as one line: each line escaped as in the file, newlines too.
fn one_line(text: &str) -> String {
    text.split('\n').map(encode_text).collect::<Vec<_>>().join("%0A")
}

fn pending(call: &Call<'_>, changes: &[api::show::Change]) -> Run<()> {
    for change in changes {
        let shown = |value: &String| if change.key == "description" { one_line(value) } else { value.clone() };
        if let Some(value) = &change.value {
            call.say(format!("cur {}: {}", change.key, shown(value)))?;
        }
        if let Some(value) = &change.pending {
            call.say(format!("new {}: {}", change.key, shown(value)))?;
        }
        if change.delete > 0 {
            call.say(format!("del {}", change.key))?;
        }
    }
    Ok(())
}

/// The generated documents; `cicustom` is not looked at (observed §7).
fn dump(call: &Call<'_>, values: &Values) -> Run<()> {
    let config = load(call, api::vmid_of(values))?;
    let user = cloudinit::user(&config);
    let network = cloudinit::network(&config, call.node);
    call.say(match values.get("type").map(String::as_str) {
        Some("network") => network,
        Some("meta") => cloudinit::meta(&user, &network),
        Some(_) | None => user,
    })
}

async fn update_cloudinit(call: &Call<'_>, vmid: u32) -> Run<()> {
    load(call, vmid)?.assert_unlocked()?;
    let _held = call.lock_vm(vmid, super::super::flock::Mode::Exclusive, 10.0).await?;
    let mut config = load(call, vmid)?;
    if drives::drives(&config).iter().any(|(_, drive)| drive.is_cloudinit()) {
        cloudinit::documents(call, &config)?;
        call.say("generating cloud-init ISO")?;
    }
    if config.file.special.remove("cloudinit").is_some() {
        super::conf::store(call, &mut config)?;
    }
    Ok(())
}

async fn guest_command(call: &Call<'_>, values: &Values) -> Run<()> {
    let name = values.get("command").cloned().unwrap_or_default();
    match api::agent::command(call, api::vmid_of(values), &name).await? {
        Value::Object(object) if object.is_empty() => Ok(()),
        result => call.say(output::pretty(&result)),
    }
}

/// The tree of snapshots, deepest last: `` `-> name  time  description ``.
fn list_snapshots(call: &Call<'_>, vmid: u32) -> Run<()> {
    let config = load(call, vmid)?;
    let mut parent: Option<String> = None;
    let mut depth = 0;
    loop {
        let next = config.file.snapshots.iter().find(|(_, section)| section.keys.get("parent") == parent.as_ref());
        let Some((name, section)) = next else { break };
        let time = section.keys.get("snaptime").and_then(|text| text.parse().ok()).unwrap_or(0);
        let time = jiff::Timestamp::from_second(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let text = if section.description.is_empty() { "no-description" } else { section.description.as_str() };
        snapshot_line(call, depth, name, &time.strftime("%Y-%m-%d %H:%M:%S").to_string(), text)?;
        parent = Some(name.clone());
        depth += 1;
    }
    snapshot_line(call, depth, "current", "", "You are here!")
}

fn snapshot_line(call: &Call<'_>, depth: usize, name: &str, time: &str, text: &str) -> Run<()> {
    let name = format!("{}`-> {name}", " ".repeat(depth));
    call.say(format!("{name:<31} {time:<23} {text}").trim_end())
}

impl Command {
    fn options(&self) -> Options {
        let mut options = Options::new(self.options, self.fixed);
        options.optional_from = self.optional_from;
        options.extra = self.words == "guest exec";
        options.lists = &["delete", "revert", "idlist", "tags", "nameserver"];
        if self.vm_options {
            options = options.with(super::schema::schema());
            // Here it names a file; what is in it is checked once it is read.
            options.types.insert("sshkeys".into(), Type::Text(Format::Any));
        }
        options
    }
}
