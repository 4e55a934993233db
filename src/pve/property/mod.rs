//! Property strings: `virtio=BC:24:…,bridge=vmbr0,tag=20` and the other value forms of a config, parsed and printed in
//! PVE's order (contract §1.6). Configs are compared by [`equal`], never as text: PVE keeps some values as typed
//! (`agent 1`, `memory current=768` [f-more/memory-forms, f-more/bool-forms]) and rewrites others.

use std::collections::BTreeMap;
use std::fmt;

mod canonical;
mod drive;
mod ipconfig;
mod net;
mod plain;

pub use canonical::{canonical, equal};
pub use drive::{Drive, first_boot_disk, has_disk, is_disk_key, is_drive_key};
pub use ipconfig::{IpConfig, IpSetting};
pub use net::Net;
pub use plain::{boolean, boot_order, joined_tags, memory_mb, name_servers, tags};

/// Why a value is no property string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    #[error("`{part}` in `{text}` has no `=`, and no bare value may stand there")]
    NoKey { part: String, text: String },
    #[error("`{key}` stands twice in `{text}`")]
    Twice { key: String, text: String },
    #[error("`{text}` lacks {what}")]
    Lacks { what: &'static str, text: String },
}

/// `k=v,k2=v2`, where one key (the default key) may stand without its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, String>,
}

impl Properties {
    /// Reads a property string. `default_key` names the key of a part without `=`.
    pub fn parse(text: &str, default_key: Option<&str>) -> Result<Self, PropertyError> {
        let mut values = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = match (part.split_once('='), default_key) {
                (Some((key, value)), _) if !key.is_empty() => (key, value),
                (None, Some(key)) => (key, part),
                (Some(_), _) | (None, None) => {
                    return Err(PropertyError::NoKey { part: part.to_owned(), text: text.to_owned() });
                }
            };
            if values.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(PropertyError::Twice { key: key.to_owned(), text: text.to_owned() });
            }
        }
        Ok(Self { values })
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_owned(), value.into());
    }

    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.values.remove(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// As PVE prints it: the default key first and bare, the rest sorted.
    pub fn print(&self, default_key: Option<&str>) -> String {
        let first = default_key.and_then(|key| self.get(key)).map(str::to_owned);
        let rest = self.values.iter().filter(|(key, _)| Some(key.as_str()) != default_key);
        let parts: Vec<String> = first.into_iter().chain(rest.map(|(key, value)| format!("{key}={value}"))).collect();
        parts.join(",")
    }
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(None))
    }
}

#[cfg(test)]
mod tests;
