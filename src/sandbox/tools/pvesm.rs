//! `pvesm`: status, list, alloc, free, path (pvesm.pm).

use super::call::{Call, Die, Run};
use super::qm::refuse;
use super::schema::{Options, Parsed, parse};
use super::storage::{self, Allocation, Storage, VolumeId, content_folder};
use super::worker::fork_worker;
use super::{api, exit_of};
use crate::pve::size;

/// Words, positional parameters, options, usage.
const COMMANDS: [(&str, &[&str], &str, &str); 5] = [
    ("status", &[], "storage text:storage;content text:any;enabled bool;target text:any;format bool", " [OPTIONS]"),
    ("list", &["storage"], "storage text:storage;vmid text:vmid;content text:any", "<storage> [OPTIONS]"),
    (
        "alloc",
        &["storage", "vmid", "filename", "size"],
        "storage text:storage;vmid text:vmid;filename text:any;size text:any;format enum:raw|qcow2|vmdk|subvol",
        "<storage> <vmid> <filename> <size> [OPTIONS]",
    ),
    ("free", &["volume"], "volume text:any;storage text:storage;delay int:1:30", "<volume> [OPTIONS]"),
    ("path", &["volume"], "volume text:any", "<volume>"),
];

pub async fn main(call: &Call<'_>, argv: &[String]) -> i32 {
    let first = argv.first().map(String::as_str).unwrap_or_default();
    let Some((word, fixed, options, usage)) = COMMANDS.iter().find(|command| command.0 == first) else {
        let text = if first.is_empty() {
            "ERROR: no command specified".into()
        } else {
            format!("ERROR: unknown command 'pvesm {}'", argv.join(" "))
        };
        let _ = call.out.error(format!("{text}\nUSAGE: pvesm <COMMAND> [ARGS] [OPTIONS]"));
        return 255;
    };
    let usage = format!("pvesm {word} {usage}");
    match parse(&Options::new(options, fixed), &argv[1..]) {
        Err(refusal) => refuse(call, refusal, &usage),
        Ok(parsed) => match run(call, word, &parsed).await {
            Ok(()) => 0,
            Err(die) => exit_of(call, die, &usage),
        },
    }
}

async fn run(call: &Call<'_>, word: &str, parsed: &Parsed) -> Run<()> {
    // Perl's start (observed §9).
    call.work(0.6).await?;
    let of = |name: &str| parsed.values.get(name).cloned();
    match word {
        "status" => status(call, of("storage"), of("content")),
        "list" => list(call, &of("storage").unwrap_or_default(), api::number(&parsed.values, "vmid"), of("content")),
        "alloc" => alloc(call, parsed).await,
        "free" => free(call, &of("volume").unwrap_or_default()).await,
        _ => path(call, &of("volume").unwrap_or_default()),
    }
}

/// `KiB` columns; a storage that is not on this node is `disabled`.
fn status(call: &Call<'_>, only: Option<String>, content: Option<String>) -> Run<()> {
    let mut places = storage::all(call.node);
    if let Some(name) = &only
        && !places.iter().any(|place| place.name == *name)
    {
        return Err(Die::parameter(255, "storage", "No such storage."));
    }
    places.retain(|place| only.as_ref().is_none_or(|name| *name == place.name));
    places.retain(|place| content.as_ref().is_none_or(|kind| place.holds(kind)));
    places.sort_by(|a, b| a.name.cmp(&b.name));
    let width = places.iter().map(|place| place.name.len()).max().unwrap_or(0).max(10);
    let row = |cells: [&str; 7]| {
        let [name, kind, state, total, used, free, percent] = cells;
        format!("{name:<width$} {kind:>10} {state:>10} {total:>15} {used:>15} {free:>15} {percent:>8}")
    };
    call.say(row(["Name", "Type", "Status", "Total (KiB)", "Used (KiB)", "Available (KiB)", "%"]))?;
    for place in &places {
        let here = place.enabled_on(call.node.name());
        let (total, used) = if here { (place.total_bytes, storage::used_bytes(call.node, place)) } else { (0, 0) };
        let percent = if total == 0 { "N/A".to_owned() } else { format!("{:.2}%", used as f64 * 100.0 / total as f64) };
        call.say(row([
            &place.name,
            place.kind.as_str(),
            if here { "active" } else { "disabled" },
            &(total >> 10).to_string(),
            &(used >> 10).to_string(),
            &(total.saturating_sub(used) >> 10).to_string(),
            &percent,
        ]))?;
    }
    Ok(())
}

/// One thing on a storage, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub volume: String,
    pub format: String,
    pub kind: &'static str,
    pub size: u64,
    /// Images only.
    pub used: Option<u64>,
    pub ctime: i64,
    pub vmid: Option<u32>,
}

/// Everything on a storage that its `content` allows, by volume id.
pub fn items(call: &Call<'_>, place: &Storage, vmid: Option<u64>, content: Option<&str>) -> Vec<Item> {
    let wanted = |kind: &str| content.is_none_or(|only| only.split(',').any(|word| word == kind));
    let mut items = Vec::new();
    if place.holds("images") && wanted("images") {
        items.extend(storage::list(call.node, place).into_iter().map(|(id, volume)| Item {
            volume: id.to_string(),
            format: volume.format,
            kind: "images",
            size: volume.size,
            used: Some(volume.used),
            ctime: volume.ctime,
            vmid: id.owner(),
        }));
    }
    for kind in ["backup", "import", "iso", "snippets", "vztmpl"] {
        let Some(folder) = content_folder(kind).filter(|_| place.kind.is_files() && place.holds(kind) && wanted(kind))
        else {
            continue;
        };
        for file in call.node.list(&format!("{}/{folder}", place.path())) {
            let bytes = call.node.read(&format!("{}/{folder}/{file}", place.path())).unwrap_or_default();
            let extension = file.rsplit('.').next().unwrap_or_default().to_owned();
            items.push(Item {
                volume: format!("{}:{kind}/{file}", place.name),
                format: if kind == "snippets" { "snippet".into() } else { extension },
                kind,
                size: bytes.len() as u64,
                used: None,
                ctime: call.node.world.clock.now_s(),
                vmid: backup_of(&file).filter(|_| kind == "backup"),
            });
        }
    }
    // Of a VM: its volumes and backups; snippets and imports are anybody's (Storage/Plugin.pm `list_volumes`).
    let anybodys = |item: &Item| matches!(item.kind, "snippets" | "import");
    items.retain(|item| vmid.is_none_or(|vmid| item.vmid.map(u64::from) == Some(vmid) || anybodys(item)));
    items.sort_by(|a, b| a.volume.cmp(&b.volume));
    items
}

/// The guest of `vzdump-qemu-101-2026_11_22-19_00_00.vma.zst`.
fn backup_of(file: &str) -> Option<u32> {
    file.strip_prefix("vzdump-")?.split('-').nth(1)?.parse().ok()
}

fn list(call: &Call<'_>, name: &str, vmid: Option<u64>, content: Option<String>) -> Run<()> {
    let place = storage::find(call.node, name)?;
    let items = items(call, &place, vmid, content.as_deref());
    let width = items.iter().map(|item| item.volume.len()).max().unwrap_or(0);
    let digits = items.iter().map(|item| item.size.to_string().len()).max().unwrap_or(0);
    let row = |volume: &str, format: &str, kind: &str, size: &str, vmid: &str| {
        format!("{volume:<width$} {format:<7} {kind:<9} {size:>digits$} {vmid}")
    };
    call.say(row("Volid", "Format", "Type", "Size", "VMID"))?;
    for item in &items {
        let vmid = item.vmid.map(|vmid| vmid.to_string()).unwrap_or_default();
        call.say(row(&item.volume, &item.format, item.kind, &item.size.to_string(), &vmid))?;
    }
    Ok(())
}

async fn alloc(call: &Call<'_>, parsed: &Parsed) -> Run<()> {
    let of = |name: &str| parsed.values.get(name).cloned().unwrap_or_default();
    let place = storage::find(call.node, &of("storage"))?;
    let vmid = api::vmid_of(&parsed.values);
    let text = of("size");
    // Without a unit the number is in KiB.
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let bytes = if plain { text.parse::<u64>().ok().map(|kib| kib << 10) } else { size::parse(&text) };
    let bytes = bytes.ok_or_else(|| Die::parameter(2, "size", "value does not match the regex pattern"))?;
    let name = of("filename");
    let format = parsed.values.get("format").map_or("raw", String::as_str);
    let allocation =
        Allocation { storage: &place, vmid, format, bytes, cloudinit: name.contains("-cloudinit"), base: None };
    let volume = allocation.make(call).await?;
    call.say(format!("successfully created '{volume}'"))
}

/// Runs in a worker that nobody looks at: exit 0 even when it fails (contract §0.1).
async fn free(call: &Call<'_>, text: &str) -> Run<()> {
    let id = VolumeId::parse(text).ok_or_else(|| Die::new(format!("unable to parse volume ID '{text}'")))?;
    storage::find(call.node, &id.storage)?;
    let body = async |call: &Call<'_>| {
        let place = storage::find(call.node, &id.storage)?;
        if !call.node.exists(&id.path(&place)) {
            return Err(Die::new(match place.kind.is_files() {
                true => format!("disk image '{}' does not exist", id.path(&place)),
                false => format!("volume '{id}' does not exist"),
            }));
        }
        storage::free(call, &id).await?;
        call.say(format!("Removed volume '{id}'"))
    };
    let _ = fork_worker(call, "imgdel", text, body).await;
    Ok(())
}

/// A path even where nothing is (contract §4.4).
fn path(call: &Call<'_>, text: &str) -> Run<()> {
    let id = VolumeId::parse(text).ok_or_else(|| Die::new(format!("unable to parse volume ID '{text}'")))?;
    let place = storage::find(call.node, &id.storage)?;
    call.say(id.path(&place))
}
