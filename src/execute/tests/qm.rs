//! What the fake's `qm` does to its VMs.

use tokio::time::Instant;

use super::fake::{State, Vm, config};
use crate::model::vm_config::VmConfig;
use crate::pve::conf;
use crate::remote::Work;

pub(super) fn seconds(work: &Work) -> u64 {
    match work {
        Work::Qm { args } => match args[0].as_str() {
            "clone" => 30,
            "shutdown" => 10,
            _ => 2,
        },
        Work::FreeVolume { .. } => 1,
        Work::Download { .. } => 60,
        Work::Bake { .. } => 90,
    }
}

impl State {
    /// What is there at once: a clone's config with its mark and lock.
    pub(super) fn begin(&mut self, work: &Work) {
        let Work::Qm { args } = work else { return };
        if args[0] == "clone" && !self.vms.contains_key(&args[2].parse().unwrap()) {
            let text = format!("#{}\nname: {}\nlock: clone\n", option(args, "--description"), option(args, "--name"));
            let vmid: u32 = args[2].parse().unwrap();
            self.vms.insert(vmid, Vm { config: config(&text), started: None });
            self.volumes.entry(vmid).or_default().insert(format!("local-lvm:vm-{vmid}-disk-0"));
        }
    }

    /// A clone that fails in an orderly way cleans up after itself.
    pub(super) fn undo(&mut self, work: &Work) {
        if let Work::Qm { args } = work
            && args[0] == "clone"
        {
            let vmid: u32 = args[2].parse().unwrap();
            self.vms.remove(&vmid);
            self.volumes.remove(&vmid);
        }
    }

    pub(super) fn effect(&mut self, work: &Work, files: &[(String, Vec<u8>)], at: Instant) -> Result<(), String> {
        let args = match work {
            Work::Qm { args } => args,
            Work::FreeVolume { volume } => {
                self.volumes.values_mut().for_each(|volumes| {
                    volumes.remove(volume);
                });
                return Ok(());
            }
            Work::Download { .. } | Work::Bake { .. } => return Ok(()),
        };
        let vmid: u32 = args[if args[0] == "clone" || args[0] == "disk" { 2 } else { 1 }].parse().unwrap();
        if args[0] == "destroy" {
            let vm = self.vms.remove(&vmid).ok_or("does not exist")?;
            let named: Vec<&String> = vm.config.keys.values().collect();
            if let Some(volumes) = self.volumes.get_mut(&vmid) {
                volumes.retain(|volume| !named.iter().any(|value| value.starts_with(volume.as_str())));
            }
            return Ok(());
        }
        let vm = self.vms.get_mut(&vmid).ok_or("does not exist")?;
        let keys = &mut vm.config.keys;
        match args[0].as_str() {
            "clone" => {
                drop(keys.remove("lock"));
                keys.insert("boot".into(), "order=scsi0".into());
                keys.insert("agent".into(), "enabled=1".into());
                keys.insert("net0".into(), format!("virtio=BC:24:11:00:0{}:{:02}", vmid / 100 % 10, vmid % 100));
                keys.insert("scsi0".into(), format!("local-lvm:vm-{vmid}-disk-0,size=3G"));
            }
            "set" => set(&mut vm.config, args, files)?,
            "disk" => drop(keys.insert(args[3].clone(), format!("local-lvm:vm-{vmid}-disk-0,size={}", args[4]))),
            "start" => vm.started = Some(at),
            "shutdown" => vm.started = None,
            "unlock" => drop(keys.remove("lock")),
            other => panic!("the fake knows no {other}"),
        }
        vm.config.digest = conf::digest(&conf::print(&vm.config));
        Ok(())
    }
}

fn set(config: &mut VmConfig, args: &[String], files: &[(String, Vec<u8>)]) -> Result<(), String> {
    let mut pairs = args[2..].chunks(2);
    if args.contains(&"--digest".to_owned()) && option(args, "--digest") != config.digest {
        return Err("checksum mismatch (file change by other user?)".to_owned());
    }
    for pair in &mut pairs {
        let (key, value) = (pair[0].trim_start_matches('-').to_owned(), pair[1].clone());
        match key.as_str() {
            "digest" => {}
            "delete" => value.split(',').for_each(|key| drop(config.keys.remove(key))),
            "revert" => value.split(',').for_each(|key| drop(config.pending.remove(key))),
            "sshkeys" => {
                let text = String::from_utf8_lossy(&files[0].1).into_owned();
                config.keys.insert(key, crate::pve::sshkeys::encode(&text));
            }
            _ => drop(config.keys.insert(key, value)),
        }
    }
    Ok(())
}

fn option(args: &[String], name: &str) -> String {
    args.iter().skip_while(|arg| *arg != name).nth(1).cloned().unwrap_or_default()
}
