//! Whether a config is as a step wants it. Pure: values are compared parsed, never as text.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::mark::Mark;
use crate::model::plan::{Setting, Settings};
use crate::model::vm_config::VmConfig;
use crate::pve::property::{Drive, Net, canonical, is_disk_key, tags};
use crate::pve::sshkeys;

/// The keys of a `qm set` that are not as they should be, each with what the config has. A value that is pending counts
/// as set on a running VM: PVE applies it at the next start.
pub(super) fn unmet(config: &VmConfig, set: &Settings, delete: &BTreeSet<String>) -> Vec<String> {
    let wrong = set
        .iter()
        .filter(|(key, setting)| !is_met(config, key, setting))
        .map(|(key, _)| format!("{key} is {}", config.next(key).unwrap_or("not set")));
    let left = delete.iter().filter(|key| config.next(key).is_some()).map(|key| format!("{key} is still set"));
    wrong.chain(left).collect()
}

/// The keys whose value in effect would not stay at the next start; also where a start in between has brought into effect
/// what was pending.
pub(super) fn unkept(config: &VmConfig, kept: &BTreeMap<String, Option<String>>) -> Vec<String> {
    let is_kept = |key: &str, value: &Option<String>| {
        config.next(key).map(|next| canonical(key, next)) == value.as_ref().map(|value| canonical(key, value))
    };
    let wrong = kept.iter().filter(|(key, value)| !is_kept(key, value));
    let said = |key: &String| match config.get(key) == config.next(key) {
        true => format!("{key} is {}", config.get(key).unwrap_or("not set")),
        false => format!("{key} is still pending"),
    };
    wrong.map(|(key, _)| said(key)).collect()
}

fn is_met(config: &VmConfig, key: &str, setting: &Setting) -> bool {
    let now = config.next(key);
    match setting {
        Setting::Description(mark) => Mark::find(&config.description).as_ref() == Some(mark),
        Setting::SshKeys(keys) if sshkeys::key_lines(keys).is_empty() => now.is_none(),
        Setting::SshKeys(keys) => now.is_some_and(|now| sshkeys::lines(now) == sshkeys::key_lines(keys)),
        Setting::Tags(wanted) => tags(now.unwrap_or_default()).is_superset(wanted),
        Setting::Net { model, bridge, vlan } => now
            .and_then(|now| Net::parse(now).ok())
            .is_some_and(|net| net.model == *model && net.bridge() == Some(bridge.as_str()) && net.vlan() == *vlan),
        Setting::Text(text) if asks_for_volume(text) => now.is_some_and(|now| is_made_from(now, text)),
        Setting::Text(text) => now.is_some_and(|now| canonical(key, now) == canonical(key, text)),
    }
}

/// `STORAGE:cloudinit` or `STORAGE:0` (any number) asks for a volume; what is stored then is the volume that was made.
fn asks_for_volume(text: &str) -> bool {
    let volume = text.split(',').next().unwrap_or_default();
    let asked = volume.split_once(':').map(|(_, asked)| asked);
    asked.is_some_and(|asked| asked == "cloudinit" || !asked.is_empty() && asked.bytes().all(|b| b.is_ascii_digit()))
}

fn is_made_from(now: &str, asked: &str) -> bool {
    let (Ok(now), Ok(asked)) = (Drive::parse(now), Drive::parse(asked)) else { return false };
    now.storage() == asked.storage() && now.is_cloudinit() == asked.is_cloudinit()
}

/// What keeps a VM from becoming a template: traces of the bake's own boot, or of a user.
pub(super) fn template_leftovers(config: &VmConfig) -> Vec<String> {
    const NEVER: [&str; 7] = ["cicustom", "ipconfig0", "nameserver", "searchdomain", "ciuser", "cipassword", "sshkeys"];
    let keys = NEVER.iter().filter(|key| config.next(key).is_some()).map(|key| format!("{key} is set"));
    let pending = config.has_pending().then(|| "changes are pending".to_owned());
    keys.chain(pending).collect()
}

/// Disks of a template whose volumes were not converted; a template is whole only when there are none. `makes_bases` tells
/// of a storage whether it can convert a disk at all.
pub(super) fn unconverted(config: &VmConfig, makes_bases: impl Fn(&str) -> bool) -> Vec<String> {
    let disks = config.keys.iter().filter(|(key, _)| is_disk_key(&config.keys, key));
    let is_left = |value: &str| match Drive::parse(value) {
        Ok(drive) => !drive.is_base() && drive.storage().is_none_or(&makes_bases),
        Err(_) => true,
    };
    disks.filter(|(_, value)| is_left(value)).map(|(key, value)| format!("{key} is {value}")).collect()
}

/// Storages that hold volumes of this VM, by its config. An image in its CD drive is nobody's, and the storage of that may
/// well be out of reach.
pub(super) fn storages(config: &VmConfig) -> BTreeSet<String> {
    let drives = config.keys.iter().filter(|(key, _)| {
        crate::pve::property::is_drive_key(key)
            || key.starts_with("unused")
            || key.starts_with("efidisk")
            || key.starts_with("tpmstate")
    });
    let own = drives.filter_map(|(_, value)| Drive::parse(value).ok()).filter(|d| !d.is_cdrom() || d.is_cloudinit());
    own.filter_map(|drive| drive.storage().map(str::to_owned)).collect()
}

/// Disks in the output of `pvesm list STORAGE --vmid ID` (columns Volid, Format, Type, Size, VMID). Whatever is listed
/// here may be freed: a backup of the VM, which PVE lists beside its disks, never is.
pub(super) fn volumes(output: &str, vmid: crate::model::ids::Vmid) -> BTreeSet<String> {
    let id = vmid.to_string();
    output
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter_map(|columns| match columns[..] {
            [volume, _, "images", .., owner] if owner == id && volume.contains(':') => Some(volume.to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Vmid;
    use crate::pve::conf;

    fn config(text: &str) -> VmConfig {
        conf::parse(text.as_bytes()).unwrap()
    }

    fn set(entries: &[(&str, Setting)]) -> Settings {
        entries.iter().map(|(key, setting)| ((*key).to_owned(), setting.clone())).collect()
    }

    fn text(value: &str) -> Setting {
        Setting::Text(value.into())
    }

    /// The config and the `qm set` of [i-golden/machine-set].
    #[test]
    fn a_recorded_set_is_met_and_each_difference_is_named() {
        let config = config(concat!(
            "#pvekube/1 cluster=k8s machine=worker-1 vmid=201\n",
            "agent: enabled=1,fstrim_cloned_disks=1\nciuser: ubuntu\ncores: 1\n",
            "efidisk0: local-lvm:vm-201-disk-1,efitype=4m,size=4M\n",
            "ide2: local-lvm:201/vm-201-cloudinit.qcow2,media=cdrom,size=4M\n",
            "ipconfig0: ip=10.77.0.61/24,gw=10.77.0.1\nmemory: 768\nnameserver: 10.77.0.1 1.1.1.1\n",
            "net0: virtio=BC:24:11:95:D7:DE,bridge=vmbr0\nsshkeys: ssh-ed25519%20AAAA%20user%40laptop%0A\ntags: k8s;pvekube\n",
        ));
        let mark = Mark::find("pvekube/1 cluster=k8s machine=worker-1 vmid=201").unwrap();
        let net = |vlan| Setting::Net { model: "virtio".into(), bridge: "vmbr0".into(), vlan };
        let wanted = set(&[
            ("agent", text("fstrim_cloned_disks=1,enabled=1")),
            ("description", Setting::Description(mark)),
            ("ide2", text("local-lvm:cloudinit")),
            ("efidisk0", text("local-lvm:0,efitype=4m")),
            ("ipconfig0", text("gw=10.77.0.1,ip=10.77.0.61/24")),
            ("net0", net(None)),
            ("sshkeys", Setting::SshKeys("ssh-ed25519 AAAA user@laptop\n".into())),
            ("tags", Setting::Tags(["pvekube".to_owned()].into())),
        ]);
        assert_eq!(unmet(&config, &wanted, &BTreeSet::new()), [""; 0]);
        let other = set(&[("cores", text("2")), ("net0", net(Some(20))), ("searchdomain", text("lan"))]);
        assert_eq!(
            unmet(&config, &other, &["ciuser".to_owned()].into()),
            [
                "cores is 1",
                "net0 is virtio=BC:24:11:95:D7:DE,bridge=vmbr0",
                "searchdomain is not set",
                "ciuser is still set"
            ]
        );
    }

    #[test]
    fn pending_values_of_a_running_vm_are_met_and_pending_deletes_are_gone() {
        let config = config("cores: 1\nciuser: x\n\n[PENDING]\ncores: 2\ndelete: ciuser\n");
        assert!(unmet(&config, &set(&[("cores", text("2"))]), &["ciuser".to_owned()].into()).is_empty());
    }

    #[test]
    fn a_template_is_clean_and_wholly_converted_or_what_is_wrong_is_said() {
        let dirty = config(
            "cicustom: vendor=local:snippets/x\nscsi0: local-lvm:vm-9000-disk-0,size=3G\nide2: local-lvm:vm-9000-cloudinit,media=cdrom\n",
        );
        assert_eq!(template_leftovers(&dirty), ["cicustom is set"]);
        assert_eq!(unconverted(&dirty, |_| true), ["scsi0 is local-lvm:vm-9000-disk-0,size=3G"]);
        assert!(unconverted(&dirty, |storage| storage != "local-lvm").is_empty());
        let whole = config(
            "template: 1\nscsi0: local-lvm:9000/base-9000-disk-0.raw,size=3G\nide2: local-lvm:vm-9000-cloudinit,media=cdrom\n",
        );
        assert!(unconverted(&whole, |_| true).is_empty() && template_leftovers(&whole).is_empty());
        assert_eq!(storages(&dirty), ["local-lvm".to_owned()].into());
        let with_iso = config("ide0: nas:iso/rescue.iso,media=cdrom\nide2: local:9/vm-9-cloudinit.qcow2,media=cdrom\n");
        assert_eq!(storages(&with_iso), ["local".to_owned()].into());
    }

    #[test]
    fn volumes_of_one_vm_in_a_recorded_list() {
        let output = concat!(
            "Volid                                  Format  Type            Size VMID\n",
            "local-lvm:9000/base-9000-disk-0.raw    raw     images    3221225472 9000\n",
            "local-lvm:9000/vm-9000-cloudinit.qcow2 qcow2   images       4194304 9000\n",
        );
        assert_eq!(volumes(output, Vmid(9000)).len(), 2);
        let backup = "Volid Format Type Size VMID\nlocal:backup/vzdump-qemu-9000-x.vma.zst vma.zst backup 5 9000\n";
        assert!(volumes(backup, Vmid(9000)).is_empty());
        assert!(volumes(output, Vmid(900)).is_empty());
        assert!(volumes("Volid Format  Type      Size VMID\n", Vmid(9000)).is_empty());
    }
}
