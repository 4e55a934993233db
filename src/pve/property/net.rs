//! `netN`: model with MAC, then the rest sorted (Network.pm; [f-more/net-options-normalized]).

use std::fmt;

use super::{Properties, PropertyError};

/// Names that may stand for the model with the MAC as value: `virtio=BC:24:…`.
const MODELS: [&str; 14] = [
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

/// One network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    pub model: String,
    /// As written; PVE keeps the case it was given in. Absent: PVE invents one at the next set, so never send it so.
    pub mac: Option<String>,
    /// `bridge`, `tag`, `firewall`, `mtu`, `queues`, `rate`, `link_down`, `trunks`.
    pub rest: Properties,
}

impl Net {
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        let mut rest = Properties::parse(text, Some("model"))?;
        for name in MODELS {
            let Some(mac) = rest.remove(name) else { continue };
            for (key, value) in [("model", name.to_owned()), ("macaddr", mac)] {
                if rest.get(key).is_some() {
                    return Err(PropertyError::Twice { key: key.to_owned(), text: text.to_owned() });
                }
                rest.set(key, value);
            }
        }
        let lacks = || PropertyError::Lacks { what: "a model (such as virtio)", text: text.to_owned() };
        let model = rest.remove("model").ok_or_else(lacks)?;
        Ok(Self { model, mac: rest.remove("macaddr"), rest })
    }

    pub fn bridge(&self) -> Option<&str> {
        self.rest.get("bridge")
    }

    /// VLAN; `None` when untagged or not a number.
    pub fn vlan(&self) -> Option<u16> {
        self.rest.get("tag")?.parse().ok()
    }

    /// In lower case, as the guest agent prints it.
    pub fn mac_lower(&self) -> Option<String> {
        self.mac.as_deref().map(str::to_ascii_lowercase)
    }

    /// The same device with another model, bridge and VLAN: MAC, firewall, mtu, queues and the rest stay.
    pub fn with(&self, model: &str, bridge: &str, vlan: Option<u16>) -> Net {
        let mut net = Net { model: model.to_owned(), ..self.clone() };
        net.rest.set("bridge", bridge);
        match vlan {
            Some(tag) => net.rest.set("tag", tag.to_string()),
            None => {
                net.rest.remove("tag");
            }
        }
        net
    }

    /// A new device without a MAC: PVE gives it one. For `qm create` only.
    pub fn new(model: &str, bridge: &str, vlan: Option<u16>) -> Net {
        Net { model: model.to_owned(), mac: None, rest: Properties::default() }.with(model, bridge, vlan)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        if let Some(mac) = &self.mac {
            write!(f, "={mac}")?;
        }
        if !self.rest.is_empty() {
            write!(f, ",{}", self.rest)?;
        }
        Ok(())
    }
}
