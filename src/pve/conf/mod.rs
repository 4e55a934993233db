//! The grammar of `/etc/pve/nodes/N/qemu-server/ID.conf` (contract §1.6; QemuServer.pm `parse_vm_config`, `write_vm_config`).
//!
//! [`ConfFile`] is the whole file, section by section, in PVE's own terms; [`VmConfig`] is what planning needs of it.
//! Parsing is as lenient as PVE's: lines it would skip with a warning are skipped, unknown sections too.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest as _, Sha1};

use crate::model::vm_config::VmConfig;

mod text;

pub use text::{decode_text, encode_text};

/// pmxcfs holds no larger file (contract §9).
const MAX_BYTES: usize = 1024 * 1024;

/// Why bytes are not a config file at all. Everything else parses, as PVE would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    #[error("the file has {bytes} bytes; a config on PVE's cluster file system has at most 1 MiB")]
    TooLarge { bytes: usize },
    #[error("the file is not text: a NUL byte on line {line}")]
    NotText { line: usize },
}

/// A config file with all its sections. Values are as PVE reads them: trimmed, else unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfFile {
    pub main: Section,
    pub pending: Section,
    /// `[special:NAME]` (`cloudinit`, `fleecing`), by name.
    pub special: BTreeMap<String, Section>,
    /// `[snapname]`, by name.
    pub snapshots: BTreeMap<String, Section>,
}

/// One section: its `#` lines, and its keys. `[PENDING]` may have a `delete` key, its comma list unparsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The `#` lines, decoded, joined by newlines, trailing white space removed. Empty: none.
    pub description: String,
    pub keys: BTreeMap<String, String>,
}

/// Reads a config file for planning. The digest is the SHA-1 of exactly these bytes: what `qm set --digest` compares
/// with [c-set-and-errors/digest-ok].
pub fn parse(bytes: &[u8]) -> Result<VmConfig, ConfError> {
    let file = parse_file(bytes)?;
    let mut pending = file.pending.keys;
    let pending_delete = pending.remove("delete").map(|list| split_delete(&list)).unwrap_or_default();
    Ok(VmConfig {
        description: file.main.description,
        keys: file.main.keys,
        pending,
        pending_delete,
        cloudinit: file.special.get("cloudinit").map(|section| section.keys.clone()).unwrap_or_default(),
        snapshots: file.snapshots.into_keys().collect(),
        digest: digest(bytes),
    })
}

/// SHA-1 in lower-case hex.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha1::digest(bytes))
}

/// Writes a config as PVE would. Snapshot sections are printed empty: [`VmConfig`] has their names only; whoever
/// must keep their content uses [`ConfFile`].
pub fn print(config: &VmConfig) -> Vec<u8> {
    let mut file = ConfFile {
        main: Section { description: config.description.clone(), keys: config.keys.clone() },
        pending: Section { description: String::new(), keys: config.pending.clone() },
        ..ConfFile::default()
    };
    if !config.pending_delete.is_empty() {
        let list: Vec<&str> = config.pending_delete.iter().map(String::as_str).collect();
        file.pending.keys.insert("delete".to_owned(), list.join(","));
    }
    if !config.cloudinit.is_empty() {
        let section = Section { description: String::new(), keys: config.cloudinit.clone() };
        file.special.insert("cloudinit".to_owned(), section);
    }
    for name in &config.snapshots {
        file.snapshots.insert(name.clone(), Section::default());
    }
    file.print()
}

/// `delete:` is a list with `,`, `;` or spaces; `!key` means forced.
fn split_delete(list: &str) -> BTreeSet<String> {
    list.split([',', ';', ' ', '\t'])
        .map(|key| key.trim_start_matches('!'))
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Reads all sections. Bytes that are not UTF-8 become U+FFFD in values (the digest is of the bytes, elsewhere).
pub fn parse_file(bytes: &[u8]) -> Result<ConfFile, ConfError> {
    if bytes.len() > MAX_BYTES {
        return Err(ConfError::TooLarge { bytes: bytes.len() });
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        return Err(ConfError::NotText { line });
    }
    let text = String::from_utf8_lossy(bytes);
    let mut file = ConfFile::default();
    let mut place = Place::Main;
    for line in text.split('\n') {
        if line.trim_matches(is_space).is_empty() {
            continue;
        }
        match header(line) {
            Some(next) => {
                // A repeated section starts anew, as in PVE: the last one counts.
                if let Some(section) = file.section(&next) {
                    *section = Section::default();
                }
                place = next;
            }
            None => {
                if let Some(section) = file.section(&place) {
                    section.read_line(line, &place);
                }
            }
        }
    }
    file.main.keys.remove("snapstate");
    file.finish();
    Ok(file)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Main,
    Pending,
    Special(String),
    Snapshot(String),
    /// A section PVE does not know: skipped.
    Unknown,
}

/// A section header, or none when the line is something else.
fn header(line: &str) -> Option<Place> {
    let inner = line.trim_end_matches(is_space).strip_prefix('[')?.strip_suffix(']')?;
    if inner.contains(']') {
        return None;
    }
    let lower = inner.to_ascii_lowercase();
    if lower == "pending" {
        return Some(Place::Pending);
    }
    if let Some(name @ ("cloudinit" | "fleecing")) = lower.strip_prefix("special:") {
        return Some(Place::Special(name.to_owned()));
    }
    let mut bytes = lower.bytes();
    let named = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && lower.len() > 1
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    Some(if named { Place::Snapshot(inner.to_owned()) } else { Place::Unknown })
}

/// Perl's `\s` on bytes.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// `^([a-z][a-z_\-]*\d*):\s*(.+?)\s*$`. A value of white space alone is one space, as Perl's backtracking makes it
/// (`boot:  ` of a VM without disks [h-extra/partial-set-conf]).
fn key_value(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let letters = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let first = letters.bytes().next()?;
    if !first.is_ascii_lowercase() || !letters.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'-') {
        return None;
    }
    let value = rest.trim_matches(is_space);
    match (value.is_empty(), rest.is_empty()) {
        (false, _) => Some((key, value)),
        (true, false) => Some((key, " ")),
        (true, true) => None,
    }
}

impl ConfFile {
    fn section(&mut self, place: &Place) -> Option<&mut Section> {
        match place {
            Place::Main => Some(&mut self.main),
            Place::Pending => Some(&mut self.pending),
            Place::Special(name) => Some(self.special.entry(name.clone()).or_default()),
            Place::Snapshot(name) => Some(self.snapshots.entry(name.clone()).or_default()),
            Place::Unknown => None,
        }
    }

    fn sections_mut(&mut self) -> impl Iterator<Item = &mut Section> {
        [&mut self.main, &mut self.pending]
            .into_iter()
            .chain(self.special.values_mut())
            .chain(self.snapshots.values_mut())
    }

    fn finish(&mut self) {
        for section in self.sections_mut() {
            let length = section.description.trim_end_matches(|c: char| c.is_whitespace()).len();
            section.description.truncate(length);
        }
    }

    /// The file as PVE writes it: description first, keys sorted, then `[PENDING]`, special sections, snapshots.
    pub fn print(&self) -> Vec<u8> {
        let mut out = String::new();
        self.main.print_to(&mut out);
        if !self.pending.keys.is_empty() {
            out.push_str("\n[PENDING]\n");
            self.pending.print_to(&mut out);
        }
        for (name, section) in &self.special {
            out.push_str(&format!("\n[special:{name}]\n"));
            section.print_to(&mut out);
        }
        for (name, section) in &self.snapshots {
            out.push_str(&format!("\n[{name}]\n"));
            section.print_to(&mut out);
        }
        out.into_bytes()
    }
}

impl Section {
    fn read_line(&mut self, line: &str, place: &Place) {
        if let Some(comment) = line.strip_prefix('#') {
            self.description.push_str(&decode_text(comment));
            self.description.push('\n');
            return;
        }
        let Some((key, value)) = key_value(line) else { return };
        match key {
            "description" => self.description.push_str(&decode_text(value)),
            "delete" if *place != Place::Pending => {}
            "cdrom" => {
                self.keys.insert("ide2".to_owned(), value.to_owned());
            }
            _ => {
                self.keys.insert(key.to_owned(), value.to_owned());
            }
        }
    }

    fn print_to(&self, out: &mut String) {
        if !self.description.is_empty() {
            for line in self.description.trim_end_matches('\n').split('\n') {
                out.push('#');
                out.push_str(&encode_text(line));
                out.push('\n');
            }
        }
        for (key, value) in &self.keys {
            out.push_str(&format!("{key}: {value}\n"));
        }
    }
}

#[cfg(test)]
mod tests;
