//! Value forms that are not key=value lists: booleans, memory, tags, boot order, name servers.

use std::collections::BTreeSet;

use super::Properties;

/// `1|on|yes|true`, `0|off|no|false` (contract §0.3).
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// MiB of `memory: 2048` or `memory: current=2048` [f-more/memory-forms].
pub fn memory_mb(value: &str) -> Option<u64> {
    Properties::parse(value, Some("current")).ok()?.get("current")?.parse().ok()
}

/// Tags as a case-folded set; `,`, `;` and white space separate (contract §3).
pub fn tags(value: &str) -> BTreeSet<String> {
    value
        .split(|c: char| matches!(c, ',' | ';') || c.is_whitespace())
        .filter(|tag| !tag.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// As PVE stores them: sorted, joined by `;`.
pub fn joined_tags(tags: &BTreeSet<String>) -> String {
    tags.iter().map(String::as_str).collect::<Vec<_>>().join(";")
}

/// Devices of `boot: order=scsi0;net0`. The legacy form (`cdn`) names no device: empty.
pub fn boot_order(value: &str) -> Vec<String> {
    let Ok(properties) = Properties::parse(value, Some("legacy")) else { return Vec::new() };
    let order = properties.get("order").unwrap_or_default();
    order.split(';').map(str::trim).filter(|device| !device.is_empty()).map(str::to_owned).collect()
}

/// `nameserver` and `searchdomain`: white space separates; the order matters.
pub fn name_servers(value: &str) -> Vec<String> {
    value.split_whitespace().map(str::to_owned).collect()
}
