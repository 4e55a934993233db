//! Sections → [`NodeReport`].

use std::collections::{BTreeMap, BTreeSet};

use super::frame::Section;
use super::{ConfigSeen, Mount, NodeReport, ReportError, operations};
use crate::model::ids::{BridgeName, ImageDigest, PveName, StorageName, Vmid};
use crate::model::observed::{PveVersion, StorageUse};
use crate::pve::members::{VmList, parse_members, parse_vmlist};
use crate::pve::{cluster_cfg, conf, rrd, storage_cfg};

pub(super) fn node(sections: &[Section<'_>]) -> Result<NodeReport, ReportError> {
    let now = text(sections, "clock").and_then(|text| text.trim().parse().ok());
    let now = now.ok_or_else(|| ReportError::Odd("it does not say the time".to_owned()))?;
    let before = vmlist(sections);
    let after = file(sections, "vmlist-after").and_then(parse_vmlist);
    let (configs, torn) = configs(sections);
    let unsteady = before.is_ok() && before != after;
    let optional = |name: &str| file(sections, name).unwrap_or_default();
    let resolv = String::from_utf8_lossy(optional("resolv.conf")).into_owned();
    let (nameservers, searchdomain) = resolv_conf(&resolv);
    Ok(NodeReport {
        now,
        mount: mount(sections)?,
        members: file(sections, "members").and_then(parse_members),
        vmlist: after,
        configs,
        container_memory: container_memory(sections),
        containers: guests_in(&lines(sections, "containers"), "lxc"),
        torn,
        unsteady,
        rrd: rrd::parse(optional("rrd")),
        storage_defs: storage_cfg::parse(optional("storage.cfg")),
        datacenter: cluster_cfg::parse_datacenter(optional("datacenter.cfg")),
        pools: cluster_cfg::parse_pools(optional("user.cfg")),
        ha: cluster_cfg::parse_ha(optional("ha/resources.cfg")),
        version: version(&String::from_utf8_lossy(optional("pvecfg.pm"))),
        memory_bytes: memory(&String::from_utf8_lossy(optional("meminfo"))),
        cpus: cpus(&String::from_utf8_lossy(optional("cpus"))),
        nameservers,
        searchdomain,
        running: running(sections),
        bridges: lines(sections, "bridges").into_iter().map(BridgeName::new).collect(),
        images: images(&lines(sections, "images")),
        image_parts: image_parts(&lines(sections, "images")),
        image_space_bytes: space(&lines(sections, "space")),
        snippets: lines(sections, "snippets").into_iter().collect(),
        missing_programs: lines(sections, "missing").into_iter().collect(),
        operations: operations(sections),
        pvesm: pvesm(sections),
    })
}

fn find<'a, 'b>(sections: &'a [Section<'b>], name: &str) -> Option<&'a Section<'b>> {
    sections.iter().find(|section| section.name == name)
}

fn text(sections: &[Section<'_>], name: &str) -> Option<String> {
    find(sections, name).map(|section| String::from_utf8_lossy(section.content).into_owned())
}

fn lines(sections: &[Section<'_>], name: &str) -> Vec<String> {
    find(sections, name).map(Section::lines).unwrap_or_default()
}

/// A file's bytes, or why there are none.
fn file<'a>(sections: &'a [Section<'_>], name: &str) -> Result<&'a [u8], String> {
    let about = |kind: &str| sections.iter().find(|s| s.name == kind && s.args.first().is_some_and(|arg| arg == name));
    if about("failed").is_some() {
        return Err(format!("{name} could not be read to its end"));
    }
    about("file").map(|section| section.content).ok_or_else(|| format!("{name} is not there"))
}

pub(super) fn vmlist(sections: &[Section<'_>]) -> Result<VmList, String> {
    file(sections, "vmlist").and_then(parse_vmlist)
}

pub(super) fn mount(sections: &[Section<'_>]) -> Result<Mount, ReportError> {
    let line = text(sections, "local").unwrap_or_default();
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        // A link whose target is not there has no mode: pmxcfs is just starting or going.
        (Some("link"), mode) => Ok(match mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()) {
            Some(mode) => Mount::Mounted { writable: mode & 0o200 != 0 },
            None => Mount::Unmounted,
        }),
        (Some("unmounted"), None) => Ok(Mount::Unmounted),
        (Some("absent"), None) => Ok(Mount::Absent),
        _ => Err(ReportError::Odd("it does not say whether /etc/pve is mounted".to_owned())),
    }
}

/// Config files by VMID, and why the read was torn.
pub(super) fn configs(sections: &[Section<'_>]) -> (BTreeMap<Vmid, ConfigSeen>, Option<String>) {
    let mut found = BTreeMap::new();
    let Some(section) = find(sections, "configs").filter(|section| !section.content.is_empty()) else {
        return (found, None);
    };
    let Some(table_end) = section.content.windows(2).position(|pair| pair == b"\n\n") else {
        return (found, Some("the table of configs is not whole".to_owned()));
    };
    let table = String::from_utf8_lossy(&section.content[..table_end]).into_owned();
    let mut rest = &section.content[table_end + 2..];
    for line in table.lines() {
        let parsed = line.split_once(' ').and_then(|(size, path)| Some((size.parse::<usize>().ok()?, path)));
        let Some((size, path)) = parsed else {
            return (BTreeMap::new(), Some(format!("`{line}` is no size and path")));
        };
        if size > rest.len() {
            return (BTreeMap::new(), Some(format!("{path} changed while it was read")));
        }
        let (bytes, after) = rest.split_at(size);
        rest = after;
        let Some((node, vmid)) = guest_path(path, "qemu-server") else { continue };
        let config = conf::parse(bytes).map_err(|error| error.to_string());
        if found.insert(vmid, ConfigSeen { node, config }).is_some() {
            return (BTreeMap::new(), Some(format!("VM {vmid} moved while it was read")));
        }
    }
    if rest.is_empty() {
        (found, None)
    } else {
        (BTreeMap::new(), Some("configs grew while they were read".to_owned()))
    }
}

/// `NODE/qemu-server/VMID.conf`.
fn guest_path(path: &str, folder: &str) -> Option<(PveName, Vmid)> {
    let mut parts = path.split('/');
    let node = parts.next()?;
    if parts.next()? != folder {
        return None;
    }
    let vmid = parts.next()?.strip_suffix(".conf")?.parse().ok()?;
    parts.next().is_none().then(|| (PveName::new(node), Vmid(vmid)))
}

fn guests_in(paths: &[String], folder: &str) -> BTreeMap<Vmid, PveName> {
    paths.iter().filter_map(|path| guest_path(path, folder)).map(|(node, vmid)| (vmid, node)).collect()
}

/// What `memory:` says before any snapshot's; PVE's default where it is not there.
fn container_memory(sections: &[Section<'_>]) -> BTreeMap<Vmid, u64> {
    const DEFAULT_MIB: u64 = 512;
    let mut memory = BTreeMap::new();
    for line in lines(sections, "container-memory") {
        let Some((path, value)) = line.split_once(":memory:") else { continue };
        let Some((_, vmid)) = guest_path(path, "lxc") else { continue };
        let mib: u64 = value.trim().parse().unwrap_or(DEFAULT_MIB);
        memory.entry(vmid).or_insert(mib.saturating_mul(1 << 20));
    }
    for vmid in guests_in(&lines(sections, "containers"), "lxc").into_keys() {
        memory.entry(vmid).or_insert(DEFAULT_MIB << 20);
    }
    memory
}

/// VMs whose pid file names a process that is their QEMU.
pub(super) fn running(sections: &[Section<'_>]) -> BTreeSet<Vmid> {
    let real: BTreeSet<(String, Vmid)> = lines(sections, "cmdlines")
        .iter()
        .filter_map(|line| {
            let (process, path) = line.split_once(':')?;
            let vmid = path.rsplit('/').next()?.strip_suffix(".pid")?.parse().ok()?;
            Some((process.strip_suffix("/cmdline")?.to_owned(), Vmid(vmid)))
        })
        .collect();
    lines(sections, "pids")
        .iter()
        .filter_map(|line| {
            let (vmid, pid) = line.split_once(' ')?;
            let vmid = Vmid(vmid.parse().ok()?);
            real.contains(&(pid.to_owned(), vmid)).then_some(vmid)
        })
        .collect()
}

pub(super) fn operations(sections: &[Section<'_>]) -> Vec<crate::model::observed::OperationSeen> {
    let mut found: Vec<_> = sections.iter().filter(|s| s.name == "op").filter_map(operations::seen).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// `sub version { return '9.2.11'; }` of PVE's own pvecfg.pm; also `7.4-17`, `9.0.0~1`.
pub fn version(pvecfg: &str) -> Option<PveVersion> {
    let (_, rest) = pvecfg.split_once("sub version {")?;
    let text = rest.split('\'').nth(1)?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Some(PveVersion { major, minor, text: text.to_owned() })
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// `/sys/devices/system/cpu/online`: `0-3,8-11`.
fn cpus(online: &str) -> Option<u32> {
    let mut count = 0u32;
    for range in online.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// As PVE reads it for cloud-init: at most three name servers, one search domain (INotify.pm `read_etc_resolv_conf`).
fn resolv_conf(text: &str) -> (Vec<String>, Option<String>) {
    let mut servers = Vec::new();
    let mut search = None;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("nameserver"), Some(address)) if servers.len() < 3 && address.parse::<std::net::IpAddr>().is_ok() => {
                servers.push(address.to_owned());
            }
            (Some("search" | "domain"), Some(domain)) if !line.starts_with(char::is_whitespace) => {
                search = Some(domain.to_owned());
            }
            _ => {}
        }
    }
    (servers, search)
}

/// Files are named by digest, `sha256-<hex>.img`; parts of downloads don't count.
fn images(lines: &[String]) -> BTreeMap<ImageDigest, u64> {
    lines
        .iter()
        .filter_map(|line| {
            let (size, name) = line.split_once(' ')?;
            let stem = name.strip_suffix(".img").or_else(|| name.strip_suffix(".qcow2")).unwrap_or(name);
            Some((stem.parse().ok()?, size.parse().ok()?))
        })
        .collect()
}

fn image_parts(lines: &[String]) -> BTreeSet<ImageDigest> {
    lines.iter().filter_map(|line| line.split_once(' ')?.1.strip_suffix(".img.part")?.parse().ok()).collect()
}

fn space(lines: &[String]) -> Option<u64> {
    let (blocks, size) = lines.first()?.split_once(' ')?;
    blocks.parse::<u64>().ok()?.checked_mul(size.trim().parse().ok()?)
}

/// Rows `NAME TYPE STATUS TOTAL USED AVAILABLE %` in KiB [a-info/pvesm-status-one]; an inactive storage says nothing.
fn pvesm(sections: &[Section<'_>]) -> BTreeMap<StorageName, StorageUse> {
    let mut found = BTreeMap::new();
    for section in sections.iter().filter(|section| section.name == "pvesm") {
        let [storage, exit] = section.args.as_slice() else { continue };
        let lines = section.lines();
        let row = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut row = row.filter(|words| words.first() == Some(&storage.as_str()) && words.get(2) == Some(&"active"));
        let kib = |word: Option<&&str>| word.and_then(|n| n.parse::<u64>().ok()).and_then(|n| n.checked_mul(1024));
        let Some(words) = row.next_back().filter(|_| exit == "0") else { continue };
        if let (Some(total_bytes), Some(used_bytes)) = (kib(words.get(3)), kib(words.get(4))) {
            found.insert(StorageName::new(storage.clone()), StorageUse { total_bytes, used_bytes });
        }
    }
    found
}
