//! `qm set`: changes of a config, one option after the other, each stored at once (Qemu.pm `update_vm_api`; contract §6).

use base64::Engine;
use sha2::{Digest, Sha256};

use super::super::super::flock::Mode;
use super::super::call::{Call, Die, Run};
use super::super::conf::{self, Config, load, store};
use super::super::drives::{self, Drive, What, is_drive_key};
use super::super::pending;
use super::super::schema::{Type, parse_properties, schema};
use super::super::storage;
use super::{Values, flag, vmid_of};
use crate::pve::sshkeys;

/// Parameters that are about the call, not options of the VM.
const CALL_PARAMETERS: [&str; 8] =
    ["vmid", "digest", "skiplock", "force", "delete", "revert", "background_delay", "import-working-storage"];

/// Changes a VM's config.
pub async fn set(call: &Call<'_>, values: &Values) -> Run<()> {
    let vmid = vmid_of(values);
    let digest = values.get("digest");
    let skip_lock = flag(values, "skiplock");
    let options: Vec<(String, String)> = values
        .iter()
        .filter(|(name, _)| !CALL_PARAMETERS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let deletes = list_of(values, "delete");
    let reverts = list_of(values, "revert");
    check_lists(&options, &deletes, &reverts)?;
    if options.is_empty() && deletes.is_empty() && reverts.is_empty() {
        return Err(Die::absent("no options specified"));
    }
    if let Some((_, keys)) = options.iter().find(|(name, _)| name == "sshkeys") {
        check_ssh_keys(keys)?;
    }
    for (key, drive) in asked_drives(&options) {
        drives::check_access(call, &key, &drive, 2)?;
    }
    if !skip_lock {
        load(call, vmid)?.assert_unlocked()?;
    }
    let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
    let config = load(call, vmid)?;
    config.assert_digest(digest)?;
    if !skip_lock {
        config.assert_unlocked()?;
    }
    announce(call, vmid, values)?;
    call.work(0.05).await?;
    drives::assert_single_cloudinit(&config, &asked_drives(&options))?;
    change(call, config, &options, &Lists { deletes, reverts, force: flag(values, "force") }).await
}

struct Lists {
    deletes: Vec<String>,
    reverts: Vec<String>,
    force: bool,
}

async fn change(call: &Call<'_>, mut config: Config, options: &[(String, String)], lists: &Lists) -> Run<()> {
    let vmid = config.vmid;
    for key in &lists.reverts {
        config.file.pending.keys.remove(key);
        pending::unmark(&mut config, key);
    }
    if !lists.reverts.is_empty() {
        store(call, &mut config)?;
    }
    for key in &lists.deletes {
        delete(call, &mut config, key, lists.force).await?;
    }
    for (key, value) in in_order(options) {
        config = load(call, vmid)?;
        let value = prepared(call, &config, key, value).await?;
        if key == "description" {
            config.file.main.description = value;
            continue;
        }
        pending::unmark(&mut config, key);
        config.file.pending.keys.insert(key.clone(), value);
        store(call, &mut config)?;
        // Options are stored one by one: a crash in between leaves the earlier ones pending (contract §6).
        call.work(0.02).await?;
    }
    empty_values_delete(&mut config);
    let running = call.node.world.guests.running(call.node, vmid).is_some();
    // The file is written even when nothing differs (observed §6: `.vmlist` moves, the digest does not).
    store(call, &mut config)?;
    pending::apply(call, &mut config, running).await?;
    // PVE looks at what it wrote, and warns of what it can't parse (observed §6, an empty key file).
    load(call, vmid).map(drop)
}

/// Setting an option to nothing deletes it.
fn empty_values_delete(config: &mut Config) {
    let empty: Vec<String> = config
        .file
        .pending
        .keys
        .iter()
        .filter(|(key, value)| value.is_empty() && *key != "delete")
        .map(|(k, _)| k.clone())
        .collect();
    for key in empty.into_iter().filter(|key| key != "sshkeys") {
        config.file.pending.keys.remove(&key);
        config.unset(&key);
    }
}

/// PVE goes through options in Perl's random order; here imports come first and what needs no storage before all.
fn in_order(options: &[(String, String)]) -> Vec<(&String, &String)> {
    let rank = |key: &str, value: &str| match Drive::parse(key, value).filter(|_| is_drive_key(key)) {
        None if key == "boot" => 4,
        // Several lines can't wait in `[PENDING]`; it takes effect at once anyway.
        None if key == "description" => 5,
        None => 0,
        Some(drive) => match drive.wanted().map(|wanted| wanted.what) {
            Some(What::Import { .. }) => 1,
            Some(What::CloudInit | What::Blank { .. }) => 2,
            None => 3,
        },
    };
    let mut ordered: Vec<(&String, &String)> = options.iter().map(|(key, value)| (key, value)).collect();
    ordered.sort_by_key(|(key, value)| rank(key, value));
    ordered
}

async fn delete(call: &Call<'_>, config: &mut Config, key: &str, force: bool) -> Run<()> {
    let set = match key {
        "description" => !config.file.main.description.is_empty(),
        _ => config.get(key).is_some() || config.file.pending.keys.contains_key(key),
    };
    if !set {
        return call.warn(format!("cannot delete '{key}' - not set in current configuration!"));
    }
    if is_drive_key(key) && config.flag("protection") {
        return Err(Die::new(format!("can't remove drive '{key}' - protection mode enabled")));
    }
    if key.starts_with("unused") {
        if let Some((_, volume)) = drives::unused(config).into_iter().find(|(name, _)| name == key) {
            storage::free(call, &volume).await?;
        }
        config.unset(key);
    } else {
        pending::mark_deleted(config, key, force);
    }
    store(call, config)
}

/// The value as it is stored: drives made, MACs given, tags sorted.
async fn prepared(call: &Call<'_>, config: &Config, key: &str, value: &str) -> Run<String> {
    if let Some(drive) = Drive::parse(key, value).filter(|_| is_drive_key(key)) {
        let mut made = Vec::new();
        return match drives::realise(call, config.vmid, key, &drive, &mut made).await {
            Ok(drive) => Ok(drive.print()),
            Err(die) => {
                drives::free_all(call, &made).await?;
                Err(die)
            }
        };
    }
    match key {
        "boot" => check_boot(config, value)?,
        "cipassword" => return Ok(crypted(call, value)),
        "balloon" => {
            let memory = config.get("memory").and_then(crate::pve::property::memory_mb).unwrap_or(512);
            if value.parse::<u64>().is_ok_and(|balloon| balloon > memory) {
                return Err(Die::parameter(
                    255,
                    "balloon",
                    "balloon value too large (must be smaller than assigned memory)",
                ));
            }
        }
        _ => {}
    }
    Ok(normal(call, key, value))
}

/// Tags once each, as `tag-style` of datacenter.cfg wants them (GuestHelpers.pm `get_unique_tags`): lower case and sorted
/// unless it says otherwise.
fn unique_tags(call: &Call<'_>, value: &str) -> String {
    let datacenter = call.node.read_text("/etc/pve/datacenter.cfg").unwrap_or_default();
    let style = datacenter.lines().find_map(|line| line.strip_prefix("tag-style:")).unwrap_or_default();
    let has = |option: &str| style.split(',').any(|part| part.trim() == option);
    let mut unique: Vec<String> = Vec::new();
    for tag in value.split(|c: char| matches!(c, ',' | ';') || c.is_whitespace()).filter(|tag| !tag.is_empty()) {
        let tag = if has("case-sensitive=1") { tag.to_owned() } else { tag.to_lowercase() };
        if !unique.contains(&tag) {
            unique.push(tag);
        }
    }
    if !has("ordering=config") {
        unique.sort();
    }
    unique.join(";")
}

/// What PVE rewrites at set and create alike.
pub fn normal(call: &Call<'_>, key: &str, value: &str) -> String {
    let number = |stem: &str| key.strip_prefix(stem).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    if key == "tags" {
        return unique_tags(call, value);
    }
    if key == "vmgenid" && value == "1" {
        return call.node.world.fresh_uuid();
    }
    if key == "description" {
        return value.trim_end().to_owned();
    }
    if number("net") && key.len() > 3 {
        return net_value(call, key, value);
    }
    value.to_owned()
}

/// `virtio=MAC,bridge=…`: a NIC without a MAC gets a new one each time (observed §6).
fn net_value(call: &Call<'_>, key: &str, value: &str) -> String {
    let Some(Type::Properties(properties)) = schema().get(key) else { return value.to_owned() };
    let Ok(mut parts) = parse_properties(key, properties, value) else { return value.to_owned() };
    let model = parts.remove("model").unwrap_or_default();
    let mac = parts.remove("macaddr").unwrap_or_else(|| call.node.world.fresh_mac());
    let rest: String = parts.iter().map(|(name, value)| format!(",{name}={value}")).collect();
    format!("{model}={mac}{rest}")
}

/// `invalid bootorder: device 'scsi9' does not exist'`, with PVE's stray quote.
fn check_boot(config: &Config, value: &str) -> Run<()> {
    let order = value.split(',').find_map(|part| part.strip_prefix("order=")).unwrap_or_default();
    for device in order.split(';').filter(|device| !device.is_empty()) {
        let known = config.get(device).is_some() || config.file.pending.keys.contains_key(device);
        if !known {
            return Err(Die::new(format!("invalid bootorder: device '{device}' does not exist'")));
        }
    }
    Ok(())
}

fn asked_drives(options: &[(String, String)]) -> Vec<(String, Drive)> {
    options
        .iter()
        .filter(|(key, _)| is_drive_key(key))
        .filter_map(|(key, value)| Some((key.clone(), Drive::parse(key, value)?)))
        .collect()
}

fn list_of(values: &Values, name: &str) -> Vec<String> {
    let text = values.get(name).map(String::as_str).unwrap_or_default();
    super::super::schema::split_list(text).map(str::to_owned).collect()
}

fn check_lists(options: &[(String, String)], deletes: &[String], reverts: &[String]) -> Run<()> {
    for (list, keys) in [("delete", deletes), ("revert", reverts)] {
        for key in keys {
            if options.iter().any(|(name, _)| name == key) {
                let text = format!("you can't use '-{key}' and -{list} {key}' at the same time");
                return Err(Die::parameter(255, list, text));
            }
            if !schema().contains_key(key) {
                return Err(Die::parameter(255, list, format!("unknown option '{key}'")));
            }
        }
    }
    Ok(())
}

/// Each line must be a key that `ssh-keygen -l` reads.
pub fn check_ssh_keys(encoded: &str) -> Run<()> {
    let text = sshkeys::decode(encoded);
    let good = |line: &str| {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let blob = words.next().and_then(|word| base64::engine::general_purpose::STANDARD.decode(word).ok());
        blob.is_some_and(|blob| blob.get(4..4 + kind.len()) == Some(kind.as_bytes()) && blob.len() > kind.len() + 4)
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.all(good) { Ok(()) } else { Err(Die::new("SSH public key validation error")) }
}

/// `$5$salt$hash`: what matters is its shape, and that the salt is new each time.
fn crypted(call: &Call<'_>, password: &str) -> String {
    if password.starts_with('$') {
        return password.to_owned();
    }
    let salt = hex::encode(&call.node.world.fresh_bytes()[..4]);
    let hash = Sha256::new().chain_update(&salt).chain_update(password).finalize();
    let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(hash).replace('+', ".");
    format!("$5${salt}${text}")
}

/// `update VM 101: -cores 4 -tags …` on stdout, before anything is done.
fn announce(call: &Call<'_>, vmid: u32, values: &Values) -> Run<()> {
    let mut shown = String::new();
    for (name, value) in values.iter().filter(|(name, _)| !matches!(name.as_str(), "vmid" | "digest")) {
        let value = if name == "cipassword" { "<hidden>" } else { value };
        shown.push_str(&format!(" -{name} {value}"));
    }
    call.say(format!("update VM {vmid}:{shown}"))?;
    if shown.chars().any(|c| u32::from(c) > 0xff) {
        call.warn("Wide character in print at /usr/share/perl5/PVE/API2/Qemu.pm line 2259.")?;
    }
    Ok(())
}

/// `qm unlock`: drops any lock; without one nothing happens.
pub async fn unlock(call: &Call<'_>, values: &Values) -> Run<()> {
    let _held = call.lock_vm(vmid_of(values), Mode::Exclusive, 10.0).await?;
    let mut config = conf::load(call, vmid_of(values))?;
    if config.unset("lock").is_some() {
        store(call, &mut config)?;
    }
    Ok(())
}
