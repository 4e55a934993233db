//! One spelling for each meaning of a config value, so that two values can be compared.

use std::collections::BTreeSet;

use super::{Drive, IpConfig, Net, Properties, boolean, boot_order, is_drive_key, joined_tags, name_servers, tags};
use crate::pve::{size, sshkeys};

/// Whether two values of one config key mean the same.
pub fn equal(key: &str, left: &str, right: &str) -> bool {
    left == right || canonical(key, left) == canonical(key, right)
}

/// The one spelling of a value: properties sorted, units normalised, MACs in upper case, booleans 0 or 1, tags and key
/// lines as sets. A value that can't be read is its own trimmed text.
pub fn canonical(key: &str, value: &str) -> String {
    canonical_of(key, value).unwrap_or_else(|| value.trim().to_owned())
}

fn canonical_of(key: &str, value: &str) -> Option<String> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    if is_drive_key(key) {
        return drive(value);
    }
    match (stem, stem.len() < key.len()) {
        ("net", true) => net(value),
        ("ipconfig", true) => IpConfig::parse(value).ok().map(|config| config.to_string()),
        ("agent", false) => with_booleans(value, "enabled", &["enabled", "fstrim_cloned_disks", "freeze-fs"]),
        ("vga", false) => with_booleans(value, "type", &[]),
        ("cpu", false) => with_booleans(value, "cputype", &["hidden"]),
        ("memory", false) => with_booleans(value, "current", &[]),
        ("startup", false) => with_booleans(value, "order", &[]),
        ("boot", false) => Some(boot(value)),
        ("tags", false) => Some(joined_tags(&tags(value))),
        ("nameserver" | "searchdomain", false) => Some(name_servers(value).join(" ")),
        ("sshkeys", false) => Some(lines_of(&sshkeys::lines(value))),
        ("description", false) => Some(value.trim_end().to_owned()),
        ("cores" | "sockets" | "balloon" | "shares" | "vcpus", false) => {
            value.trim().parse::<u64>().ok().map(|number| number.to_string())
        }
        (
            "onboot" | "protection" | "template" | "ciupgrade" | "numa" | "tablet" | "kvm" | "acpi" | "autostart"
            | "freeze" | "reboot",
            false,
        ) => boolean(value).map(|on| u8::from(on).to_string()),
        (_, _) => None,
    }
}

fn with_booleans(value: &str, default_key: &str, booleans: &[&str]) -> Option<String> {
    let mut properties = Properties::parse(value, Some(default_key)).ok()?;
    for key in booleans {
        if let Some(on) = properties.get(key).and_then(boolean) {
            properties.set(key, u8::from(on).to_string());
        }
    }
    Some(properties.to_string())
}

fn net(value: &str) -> Option<String> {
    let mut net = Net::parse(value).ok()?;
    net.mac = net.mac.map(|mac| mac.to_ascii_uppercase());
    for key in ["firewall", "link_down"] {
        if let Some(on) = net.rest.get(key).and_then(boolean) {
            net.rest.set(key, u8::from(on).to_string());
        }
    }
    Some(net.to_string())
}

fn drive(value: &str) -> Option<String> {
    let mut drive = Drive::parse(value).ok()?;
    if let Some(bytes) = drive.size_bytes() {
        drive.options.set("size", size::format(bytes));
    }
    for key in ["iothread", "ssd", "backup", "replicate", "ro", "snapshot", "shared", "detect_zeroes", "discard"] {
        if let Some(on) = drive.options.get(key).and_then(boolean) {
            drive.options.set(key, u8::from(on).to_string());
        }
    }
    Some(drive.to_string())
}

fn boot(value: &str) -> String {
    let order = boot_order(value);
    if order.is_empty() { value.trim().to_owned() } else { format!("order={}", order.join(";")) }
}

fn lines_of(lines: &BTreeSet<String>) -> String {
    lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}
