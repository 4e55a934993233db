//! Drives of a VM: making, importing and attaching what an option such as `--scsi0 local-lvm:0,import-from=…` asks for
//! (Qemu.pm `create_disks`; contract §4.1).

mod import;

use std::collections::BTreeMap;

use super::call::{Call, Die, Run};
use super::conf::Config;
use super::schema::{Type, parse_properties, schema};
use super::storage::{self, Allocation, Copy, Volume, VolumeId};
use crate::pve::size;

pub use import::{Import, import};

/// Bytes of the drive that cloud-init's documents go on.
const CLOUDINIT_BYTES: u64 = 4 << 20;
/// OVMF's variables with `efitype=4m`.
const EFI_BYTES: u64 = 540_672;

/// A drive's value, split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    pub file: String,
    pub options: BTreeMap<String, String>,
}

impl Drive {
    /// `None` for what is no drive value (checked earlier).
    pub fn parse(key: &str, value: &str) -> Option<Self> {
        let Type::Properties(properties) = schema().get(key)? else { return None };
        let mut options = parse_properties(key, properties, value).ok()?;
        Some(Self { file: options.remove("file")?, options })
    }

    pub fn volume(&self) -> Option<VolumeId> {
        if self.file.starts_with('/') { None } else { VolumeId::parse(&self.file) }
    }

    pub fn is_cdrom(&self) -> bool {
        self.options.get("media").is_some_and(|media| media == "cdrom")
    }

    pub fn is_cloudinit(&self) -> bool {
        self.volume().is_some_and(|volume| volume.file_name().contains("-cloudinit") || volume.name == "cloudinit")
    }

    pub fn size(&self) -> Option<u64> {
        size::parse(self.options.get("size")?)
    }

    /// As PVE writes it: the volume, then the keys sorted.
    pub fn print(&self) -> String {
        let mut text = self.file.clone();
        for (key, value) in &self.options {
            text.push_str(&format!(",{key}={value}"));
        }
        text
    }

    /// What is to be made, if the value asks for something new.
    pub fn wanted(&self) -> Option<Wanted> {
        let (storage, rest) = self.file.split_once(':')?;
        let storage = storage.to_owned();
        if rest == "cloudinit" {
            return Some(Wanted { storage, what: What::CloudInit });
        }
        let plain =
            rest.bytes().all(|b| b.is_ascii_digit() || b == b'.') && rest.starts_with(|c: char| c.is_ascii_digit());
        let gib: f64 = rest.parse().ok().filter(|_| plain)?;
        let what = match self.options.get("import-from") {
            Some(source) => What::Import { source: source.clone(), zero: gib == 0.0 },
            None => What::Blank { bytes: (gib * f64::from(1 << 30)) as u64 },
        };
        Some(Wanted { storage, what })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub storage: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    CloudInit,
    Blank { bytes: u64 },
    Import { source: String, zero: bool },
}

/// Whether an option names a drive (`ide2`, `scsi0`, `efidisk0`), used or not.
pub fn is_drive_key(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    stem.len() < key.len() && matches!(stem, "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate")
}

/// A config's drives in PVE's order (ide, scsi, virtio, sata, efidisk, tpmstate; then by number).
pub fn drives(config: &Config) -> Vec<(String, Drive)> {
    let mut found: Vec<(String, Drive)> = config
        .file
        .main
        .keys
        .iter()
        .filter(|(key, _)| is_drive_key(key))
        .filter_map(|(key, value)| Some((key.clone(), Drive::parse(key, value)?)))
        .collect();
    found.sort_by_key(|(key, _)| order(key));
    found
}

fn order(key: &str) -> (usize, u32) {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let place = ["ide", "scsi", "virtio", "sata", "efidisk", "tpmstate"].iter().position(|name| *name == stem);
    (place.unwrap_or(9), key[stem.len()..].parse().unwrap_or(0))
}

/// Volumes in `unusedN`.
pub fn unused(config: &Config) -> Vec<(String, VolumeId)> {
    let keys = config.file.main.keys.iter().filter(|(key, _)| key.starts_with("unused"));
    keys.filter_map(|(key, value)| Some((key.clone(), VolumeId::parse(value)?))).collect()
}

/// Notes a volume as `unusedN`, unless it is somebody else's, a cloud-init drive, or noted already.
pub fn keep_unused(config: &mut Config, drive: &Drive) -> Option<VolumeId> {
    let volume = drive.volume()?;
    if drive.is_cdrom() && !drive.is_cloudinit() {
        return None;
    }
    if drive.is_cloudinit() || volume.owner() != Some(config.vmid) {
        return Some(volume);
    }
    if !unused(config).iter().any(|(_, known)| *known == volume) {
        let free = (0..256).map(|number| format!("unused{number}")).find(|key| config.get(key).is_none())?;
        config.set(&free, volume.to_string());
    }
    None
}

/// The disk that the guest boots from: the first of `boot: order=`, else the first disk.
pub fn boot_disk(config: &Config) -> Option<Drive> {
    let order = config.get("boot").and_then(|boot| boot.strip_prefix("order=")).unwrap_or_default();
    let found = drives(config);
    let is_disk = |drive: &Drive| !drive.is_cdrom();
    for key in order.split(';') {
        if let Some((_, drive)) = found.iter().find(|(name, drive)| name == key && is_disk(drive)) {
            return Some(drive.clone());
        }
    }
    // Without a boot order PVE looks at `bootdisk` only.
    None
}

/// Checks that need no lock, before anything is printed (Qemu.pm `check_storage_access`).
pub fn check_access(call: &Call<'_>, key: &str, drive: &Drive, default_exit: i32) -> Run<()> {
    let Some(wanted) = drive.wanted() else {
        if let Some(volume) = drive.volume() {
            storage::find(call.node, &volume.storage).map_err(|die| with_exit(die, default_exit))?;
        }
        return Ok(());
    };
    if let What::Import { zero: false, .. } = wanted.what {
        let text = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>";
        return Err(Die::parameter(default_exit, key, text));
    }
    let found = storage::find(call.node, &wanted.storage).map_err(|die| with_exit(die, default_exit))?;
    if !found.holds("images") {
        let text = format!("storage '{}' does not support vm images", wanted.storage);
        return Err(Die::parameter(default_exit, "storage", text));
    }
    Ok(())
}

fn with_exit(die: Die, exit: i32) -> Die {
    match die {
        Die::Text { text, .. } => Die::Text { exit, text },
        other => other,
    }
}

/// `ide0 - cloud-init drive is already attached at 'ide2'`.
pub fn assert_single_cloudinit(config: &Config, asked: &[(String, Drive)]) -> Run<()> {
    let wants_cloudinit = |drive: &Drive| drive.wanted().is_some_and(|wanted| wanted.what == What::CloudInit);
    for (key, _) in asked.iter().filter(|(_, drive)| wants_cloudinit(drive)) {
        if let Some((other, _)) = drives(config).into_iter().find(|(other, d)| other != key && d.is_cloudinit()) {
            return Err(Die::new(format!("{key} - cloud-init drive is already attached at '{other}'")));
        }
    }
    Ok(())
}

/// Makes what a drive asks for and returns its value for the config. `made` notes new volumes, to be freed on failure.
pub async fn realise(call: &Call<'_>, vmid: u32, key: &str, drive: &Drive, made: &mut Vec<VolumeId>) -> Run<Drive> {
    let Some(wanted) = drive.wanted() else { return attach(call, drive) };
    let store = storage::find(call.node, &wanted.storage)?;
    let format = match drive.options.get("format") {
        Some(format) if !store.raw_only() => format.clone(),
        Some(_) | None => store.default_format().to_owned(),
    };
    let mut result = drive.clone();
    result.options.remove("format");
    result.options.remove("import-from");
    match wanted.what {
        What::CloudInit => {
            let format = if store.raw_only() { "raw" } else { "qcow2" };
            let volume =
                Allocation { storage: &store, vmid, format, bytes: CLOUDINIT_BYTES, cloudinit: true, base: None };
            let volume = volume.make(call).await?;
            made.push(volume.clone());
            result.file = volume.to_string();
            result.options.insert("media".into(), "cdrom".into());
            result.options.remove("size");
        }
        What::Blank { bytes } => {
            let efi = key.starts_with("efidisk");
            let bytes = if efi { EFI_BYTES } else { bytes };
            let volume = Allocation { storage: &store, vmid, format: &format, bytes, cloudinit: false, base: None }
                .make(call)
                .await?;
            made.push(volume.clone());
            if efi {
                let source = ("/usr/share/pve-edk2-firmware//OVMF_VARS_4M.fd", "raw");
                let content = storage::Content::Bytes(Vec::new());
                let plan = Copy { from: source, content, size: bytes, used: bytes, target: &volume, limit_kib_s: 0 };
                storage::copy(call, &plan).await?;
            }
            result.file = volume.to_string();
            result.options.insert("size".into(), size::format(bytes));
        }
        What::Import { source, .. } => {
            let (volume, bytes) =
                import(call, &Import { vmid, source: &source, store: &store, format: &format }, made).await?;
            result.file = volume.to_string();
            result.options.insert("size".into(), size::format(bytes));
        }
    }
    call.say(format!("{key}: successfully created disk '{}'", result.print()))?;
    Ok(result)
}

/// An existing volume, or `none`: the size is looked up.
fn attach(call: &Call<'_>, drive: &Drive) -> Run<Drive> {
    let mut result = drive.clone();
    result.options.remove("format");
    if let Some(id) = drive.volume().filter(|id| id.owner().is_some()) {
        let volume = Volume::read(call.node, &id)?;
        result.options.insert("size".into(), size::format(volume.size));
    }
    Ok(result)
}

/// Frees what a failed call had made, silently but for the storage's own lines.
///
/// A line that meets a closed pipe kills it in the middle.
pub async fn free_all(call: &Call<'_>, made: &[VolumeId]) -> Run<()> {
    let call = &call.sheltered();
    for volume in made {
        match storage::free(call, volume).await {
            Err(Die::BrokenPipe | Die::Killed) => return Err(Die::Killed),
            // The error that led here is the one to report.
            Ok(()) | Err(Die::Text { .. } | Die::Parameters { .. } | Die::Interrupted) => {}
        }
    }
    Ok(())
}
