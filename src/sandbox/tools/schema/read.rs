//! Reads schemas from their compact text form (`vm_options.txt`, and the lists beside each command).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Format, Property, Type};

/// The options of a VM's config.
const VM_OPTIONS: &str = include_str!("vm_options.txt");

/// Keys of every kind of drive (`ide`, `sata`, `scsi`, `virtio`); what only some have is accepted for all.
const DRIVE: &str = "props:[file]=text:drive-file,aio=enum:native|threads|io_uring,backup=bool,bps=int,bps_rd=int,\
    bps_wr=int,bps_max_length=int,bps_rd_max_length=int,bps_wr_max_length=int,\
    cache=enum:none|writethrough|writeback|unsafe|directsync,detect_zeroes=bool,discard=enum:ignore|on,\
    format=enum:raw|qcow|qed|qcow2|vmdk|cloop,import-from=text:import-source,iops=int,iops_max=int,\
    iops_max_length=int,iops_rd=int,iops_rd_max=int,iops_rd_max_length=int,iops_wr=int,iops_wr_max=int,\
    iops_wr_max_length=int,iothread=bool,mbps=num,mbps_max=num,mbps_rd=num,mbps_rd_max=num,mbps_wr=num,\
    mbps_wr_max=num,media=enum:cdrom|disk,model=text:any,product=text:any,queues=int:2,replicate=bool,\
    rerror=enum:ignore|report|stop,ro=bool,scsiblock=bool,serial=text:any,shared=bool,size=text:size,snapshot=bool,\
    ssd=bool,vendor=text:any,werror=enum:enospc|ignore|report|stop,wwn=text:any";

const NET: &str = "props:[model]!=enum:e1000|e1000-82540em|e1000-82544gc|e1000-82545em|e1000e|i82551|i82557b|i82559er|\
    ne2k_isa|ne2k_pci|pcnet|rtl8139|virtio|vmxnet3,bridge=text:any,firewall=bool,host-tunnel=bool,link_down=bool,\
    macaddr=text:mac,mtu=int:1:65520,queues=int:0:64,rate=num:0,tag=int:1:4094,trunks=text:any";

const NET_MODELS: [&str; 14] = [
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
];

/// The schema of a VM's config, read once.
pub fn schema() -> &'static BTreeMap<String, Type> {
    static SCHEMA: OnceLock<BTreeMap<String, Type>> = OnceLock::new();
    SCHEMA.get_or_init(|| read(VM_OPTIONS))
}

/// Reads lines of `NAME[RANGE] TYPE`.
pub(super) fn read(text: &str) -> BTreeMap<String, Type> {
    let mut options = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, kind) = line.split_once(' ').unwrap_or((line, "text:any"));
        let kind = read_type(kind);
        match name.split_once('[') {
            None => {
                options.insert(name.to_owned(), kind);
            }
            Some((stem, range)) => {
                let (first, last) = range.trim_end_matches(']').split_once('-').unwrap_or(("0", "0"));
                let bound = |text: &str| text.parse::<u32>().unwrap_or(0);
                for number in bound(first)..=bound(last) {
                    options.insert(format!("{stem}{number}"), kind.clone());
                }
            }
        }
    }
    options
}

fn read_type(text: &str) -> Type {
    let (word, rest) = text.split_once(':').unwrap_or((text, ""));
    let bounds: Vec<&str> = rest.split(':').collect();
    let bound = |at: usize| bounds.get(at).and_then(|text| text.parse::<f64>().ok());
    match word {
        "bool" => Type::Boolean,
        "int" => Type::Integer { min: bound(0).map(|b| b as i64), max: bound(1).map(|b| b as i64) },
        "num" => Type::Number { min: bound(0), max: bound(1) },
        "enum" => Type::Enumeration(rest.split('|').map(str::to_owned).collect()),
        "props" => Type::Properties(rest.split(',').map(read_property).collect()),
        "drive" => read_type(DRIVE),
        "disks" => Type::Enumeration(disk_names()),
        "agent" => Type::Enumeration(AGENT_COMMANDS.split('|').map(str::to_owned).collect()),
        "net" => {
            let Type::Properties(mut properties) = read_type(NET) else { return Type::Text(Format::Any) };
            let alias = Some(("model".to_owned(), "macaddr".to_owned()));
            properties.extend(NET_MODELS.map(|model| Property {
                name: model.into(),
                default_key: false,
                required: false,
                alias_to: alias.clone(),
                kind: Type::Text(Format::Mac),
            }));
            Type::Properties(properties)
        }
        _ => Type::Text(Format::parse(rest).unwrap_or(Format::Any)),
    }
}

fn read_property(text: &str) -> Property {
    let text = text.trim();
    let (name, kind) = text.split_once('=').unwrap_or((text, "text:any"));
    let required = name.ends_with('!');
    let name = name.trim_end_matches('!');
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    Property {
        name: bare.to_owned(),
        default_key: bare.len() != name.len(),
        required,
        alias_to: None,
        kind: read_type(kind),
    }
}

/// Every name that a disk can have, in the tool's order.
fn disk_names() -> Vec<String> {
    let mut names = Vec::new();
    for (stem, count) in [("ide", 4), ("scsi", 31), ("virtio", 16), ("sata", 6), ("efidisk", 1), ("tpmstate", 1)] {
        names.extend((0..count).map(|number| format!("{stem}{number}")));
    }
    names
}

/// Commands of `qm guest cmd`, in the order of the tool's own refusal [c-set-and-errors/stopped-agent-bad-cmd].
const AGENT_COMMANDS: &str = "fsfreeze-freeze|fsfreeze-status|fsfreeze-thaw|fstrim|get-fsinfo|get-host-name|\
    get-memory-block-info|get-memory-blocks|get-osinfo|get-time|get-timezone|get-users|get-vcpus|info|\
    network-get-interfaces|ping|shutdown|suspend-disk|suspend-hybrid|suspend-ram";

/// The schema of an agent command's name.
pub fn agent_commands() -> BTreeMap<String, Type> {
    read("command agent")
}
