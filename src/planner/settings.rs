//! What `qm create` and `qm set` are given: a template's hardware, a machine's whole configuration.

use std::collections::BTreeSet;

use crate::model::desired::{Address, CloudInit, Desired, Machine, Network};
use crate::model::mark::Mark;
use crate::model::observed::NodeFacts;
use crate::model::plan::{Setting, Settings};

pub(crate) const NET_MODEL: &str = "virtio";
pub(crate) const AGENT: &str = "enabled=1,fstrim_cloned_disks=1";
/// Options of a template's disk, inherited by its clones (design: discard and a thread of its own).
pub(crate) const DISK_OPTIONS: &str = "discard=on,iothread=1,ssd=1";
pub(crate) const BOOT_DISK: &str = "scsi0";

pub(crate) fn text(value: impl ToString) -> Setting {
    Setting::Text(value.to_string())
}

pub(crate) fn flag(on: bool) -> Setting {
    text(u8::from(on))
}

pub(crate) fn net(network: &Network) -> Setting {
    Setting::Net { model: NET_MODEL.to_owned(), bridge: network.bridge.to_string(), vlan: network.vlan }
}

/// `ip=10.0.0.11/24,gw=10.0.0.1,ip6=…,gw6=…`
pub(crate) fn ipconfig(network: &Network) -> String {
    let part = |address: &Address, ip: &str, gw: &str| match address {
        Address::Dhcp => format!("{ip}=dhcp"),
        Address::Static { address, gateway: None } => format!("{ip}={address}"),
        Address::Static { address, gateway: Some(gateway) } => format!("{ip}={address},{gw}={gateway}"),
    };
    let ipv4 = part(&network.ipv4, "ip", "gw");
    match &network.ipv6 {
        Some(ipv6) => format!("{ipv4},{}", part(ipv6, "ip6", "gw6")),
        None => ipv4,
    }
}

/// Everything a freshly cloned machine is given in its one `qm set`. DNS that the user did not give is the node's as
/// observed: unset, PVE would copy the node's file at each start, and a change there would make cloud-init run anew.
pub(crate) fn machine(machine: &Machine, facts: &NodeFacts) -> Settings {
    let mut settings = machine_own(machine);
    for (key, value) in dns(&machine.cloud_init, facts) {
        settings.insert(key.to_owned(), text(value));
    }
    settings
}

/// The same without DNS: what the config and the manifest say of it.
pub(crate) fn machine_own(machine: &Machine) -> Settings {
    let mut settings = Settings::from([
        ("agent".to_owned(), text(AGENT)),
        ("balloon".to_owned(), text(0)),
        ("ciupgrade".to_owned(), flag(machine.cloud_init.upgrade_packages)),
        ("ciuser".to_owned(), text(&machine.cloud_init.user)),
        ("cores".to_owned(), text(machine.cores)),
        ("ipconfig0".to_owned(), text(ipconfig(&machine.network))),
        ("memory".to_owned(), text(machine.memory_mb)),
        ("net0".to_owned(), net(&machine.network)),
        ("onboot".to_owned(), flag(machine.onboot)),
        ("protection".to_owned(), flag(machine.protection)),
        ("tags".to_owned(), Setting::Tags(machine.tags.clone())),
    ]);
    if !machine.startup.trim().is_empty() {
        settings.insert("startup".to_owned(), text(machine.startup.trim()));
    }
    if !machine.cloud_init.ssh_keys.trim().is_empty() {
        settings.insert("sshkeys".to_owned(), Setting::SshKeys(machine.cloud_init.ssh_keys.clone()));
    }
    settings
}

/// nameserver and searchdomain as given, else as the node has them.
pub(crate) fn dns(cloud_init: &CloudInit, facts: &NodeFacts) -> Vec<(&'static str, String)> {
    let given = &cloud_init.nameservers;
    let servers = if given.is_empty() { facts.nameservers.join(" ") } else { given.join(" ") };
    let domain = cloud_init.searchdomain.clone().or_else(|| facts.searchdomain.clone()).unwrap_or_default();
    [("nameserver", servers), ("searchdomain", domain)]
        .into_iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .collect()
}

/// `qm create` of a template: name, mark and hardware, no disk.
pub(crate) fn template(desired: &Desired, mark: &Mark) -> Settings {
    let spec = &desired.template;
    let network = spec.bake.as_ref().map(|bake| &bake.network);
    let net0 = network
        .map_or_else(|| Setting::Net { model: NET_MODEL.to_owned(), bridge: spec.bridge.to_string(), vlan: None }, net);
    let mut settings = Settings::from([
        ("agent".to_owned(), text(AGENT)),
        ("balloon".to_owned(), text(0)),
        ("ciupgrade".to_owned(), flag(false)),
        ("cores".to_owned(), text(spec.cores)),
        ("cpu".to_owned(), text(&spec.cpu)),
        ("description".to_owned(), Setting::Description(mark.clone())),
        ("memory".to_owned(), text(spec.memory_mb)),
        ("name".to_owned(), text(&spec.name)),
        ("net0".to_owned(), net0),
        ("ostype".to_owned(), text("l26")),
        ("scsihw".to_owned(), text("virtio-scsi-single")),
        ("serial0".to_owned(), text("socket")),
        ("tags".to_owned(), Setting::Tags(template_tags(desired))),
        ("vga".to_owned(), text("serial0")),
    ]);
    // i440fx and seabios are PVE's own defaults; `pc` is the only name that PVE knows the former by.
    if spec.machine != "i440fx" && spec.machine != "pc" {
        settings.insert("machine".to_owned(), text(&spec.machine));
    }
    if spec.bios != "seabios" {
        settings.insert("bios".to_owned(), text(&spec.bios));
    }
    settings
}

fn template_tags(desired: &Desired) -> BTreeSet<String> {
    BTreeSet::from(["pvekube".to_owned(), desired.cluster.as_str().to_lowercase()])
}

/// Where the cloud-init drive is. A q35 has AHCI in place of IDE, for which some cloud kernels (Debian's) have no driver: there
/// it goes to the controller that the boot disk is on, too. Elsewhere IDE is seen by all, and `ide2` is copied before `scsi0`,
/// so that a clone has its mark at once (Qemu.pm `clone_vm`).
fn cloud_init_key(machine: &str) -> &'static str {
    if machine.contains("q35") { "scsi1" } else { "ide2" }
}

/// The drives that come after the import: cloud-init, boot order, and UEFI's variables where it is UEFI.
pub(crate) fn template_drives(desired: &Desired) -> Settings {
    let storage = &desired.template.storage;
    let mut settings = Settings::from([
        ("boot".to_owned(), text(format!("order={BOOT_DISK}"))),
        (cloud_init_key(&desired.template.machine).to_owned(), text(format!("{storage}:cloudinit"))),
    ]);
    if desired.template.bios == "ovmf" {
        settings.insert("efidisk0".to_owned(), text(format!("{storage}:0,efitype=4m,pre-enrolled-keys=0")));
    }
    settings
}
