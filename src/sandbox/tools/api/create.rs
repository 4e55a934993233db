//! `qm create` (Qemu.pm `create_vm`; contract §2, §4.1): the id is taken with a nameless `lock: create`, then a worker
//! makes the drives, then the whole config is written. On failure everything it made goes again.

use super::super::super::flock::Mode;
use super::super::call::{Call, Die, Run};
use super::super::conf::{self, Config, store};
use super::super::drives::{self, Drive, is_drive_key};
use super::super::storage::VolumeId;
use super::super::worker::{Task, fork_worker};
use super::set::{check_ssh_keys, normal};
use super::{Values, flag, pools, power, vmid_of};

/// Parameters of the call that are no options of the VM.
const CALL_PARAMETERS: [&str; 13] = [
    "vmid",
    "start",
    "pool",
    "storage",
    "archive",
    "force",
    "unique",
    "bwlimit",
    "live-restore",
    "node",
    "ha-managed",
    "import-working-storage",
    "skiplock",
];

pub async fn create(call: &Call<'_>, values: &Values) -> Run<Task> {
    let vmid = vmid_of(values);
    call.assert_quorum()?;
    pools::assert_exists(call, values.get("pool"))?;
    if let Some(keys) = values.get("sshkeys") {
        check_ssh_keys(keys)?;
    }
    let options: Vec<(String, String)> = values
        .iter()
        .filter(|(name, _)| !CALL_PARAMETERS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (key, value) in options.iter().filter(|(key, _)| is_drive_key(key)) {
        if let Some(drive) = Drive::parse(key, value) {
            drives::check_access(call, key, &drive, 2)?;
        }
    }
    let refused = |die: Die| die.prefixed(&format!("unable to create VM {vmid} - "));
    let held = call.lock_vm(vmid, Mode::Exclusive, 5.0).await.map_err(refused)?;
    reserve(call, vmid)?;
    let task = fork_worker(call, "qmcreate", &vmid.to_string(), async |call| {
        let done = fill(call, vmid, &options).await;
        if let Err(die) = done {
            // The config goes last, so that the id stays taken while its volumes go.
            if die != Die::Killed {
                let _ = conf::remove(call, vmid);
            }
            return Err(refused(die));
        }
        pools::add(call, values.get("pool"), vmid)
    })
    .await;
    drop(held);
    if flag(values, "start") && task.result.is_ok() {
        call.say("Execute autostart")?;
        power::start(call, values).await?;
    }
    Ok(task)
}

/// Takes the id: `VM 101 already exists on node 'pve1'`, whatever node or kind of guest has it.
fn reserve(call: &Call<'_>, vmid: u32) -> Run<()> {
    if let Some((_, owner, kind)) = call.node.guests().into_iter().find(|guest| guest.0 == vmid) {
        let what = if kind == "lxc" { "CT" } else { "VM" };
        return Err(Die::new(format!("unable to create VM {vmid} - {what} {vmid} already exists on node '{owner}'")));
    }
    let mut stub = Config { vmid, file: Default::default(), digest: String::new() };
    stub.set("lock", "create");
    store(call, &mut stub).map_err(|die| die.prefixed(&format!("unable to create VM {vmid} - ")))
}

async fn fill(call: &Call<'_>, vmid: u32, options: &[(String, String)]) -> Run<()> {
    let mut config = Config { vmid, file: Default::default(), digest: String::new() };
    let mut made: Vec<VolumeId> = Vec::new();
    call.work(0.1).await?;
    let mut ordered: Vec<&(String, String)> = options.iter().collect();
    ordered.sort_by_key(|(key, _)| is_drive_key(key));
    for (key, value) in ordered {
        let drive = Drive::parse(key, value).filter(|_| is_drive_key(key));
        let value = match drive {
            Some(drive) => match drives::realise(call, vmid, key, &drive, &mut made).await {
                Ok(drive) => drive.print(),
                Err(die) => {
                    drives::free_all(call, &made).await?;
                    return Err(die);
                }
            },
            // Tags are stored as given before 9.1.17.
            None if key == "tags" && !call.node.spec().version.qemu_server_since([9, 1, 17]) => value.clone(),
            None => normal(call, key, value),
        };
        match key.as_str() {
            "description" => config.file.main.description = value,
            _ if value.is_empty() => {}
            _ => config.set(key, value),
        }
    }
    complete(call, &mut config);
    if let Err(die) = store(call, &mut config) {
        drives::free_all(call, &made).await?;
        return Err(die);
    }
    Ok(())
}

/// What every new VM gets.
fn complete(call: &Call<'_>, config: &mut Config) {
    if config.get("boot").is_none() {
        let devices = boot_devices(config);
        let order = if devices.is_empty() { String::new() } else { format!("order={}", devices.join(";")) };
        config.set("boot", order);
    }
    let world = &call.node.world;
    let qemu = &call.node.spec().version.qemu;
    config.set("meta", format!("creation-qemu={qemu},ctime={}", world.clock.now_s()));
    if config.get("smbios1").is_none() {
        config.set("smbios1", format!("uuid={}", world.fresh_uuid()));
    }
    match config.get("vmgenid") {
        None => config.set("vmgenid", world.fresh_uuid()),
        Some("0") => drop(config.unset("vmgenid")),
        Some(_) => {}
    }
}

/// The first disk, the first CD-ROM that is not cloud-init's, the first NIC.
fn boot_devices(config: &Config) -> Vec<String> {
    let found = drives::drives(config);
    let bootable = |key: &str| !key.starts_with("efi") && !key.starts_with("tpm");
    let disk = found.iter().find(|(key, drive)| !drive.is_cdrom() && bootable(key));
    let cdrom = found.iter().find(|(_, drive)| drive.is_cdrom() && !drive.is_cloudinit());
    let net = (0..32).map(|number| format!("net{number}")).find(|key| config.get(key).is_some());
    disk.into_iter().chain(cdrom).map(|(key, _)| key.clone()).chain(net).collect()
}
