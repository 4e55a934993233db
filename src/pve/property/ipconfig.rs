//! `ipconfigN`: `ip=10.0.0.11/24,gw=10.0.0.1,ip6=auto` (contract §6).

use std::fmt;
use std::net::IpAddr;

use super::{Properties, PropertyError};
use crate::model::ids::Cidr;

/// Addresses of one network device as cloud-init will set them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpConfig {
    pub ip: Option<IpSetting>,
    pub gw: Option<IpAddr>,
    pub ip6: Option<IpSetting>,
    pub gw6: Option<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpSetting {
    Static(Cidr),
    Dhcp,
    /// IPv6 only.
    Auto,
    /// `manual`, or text that PVE let through; kept as it is.
    Other(String),
}

impl IpConfig {
    /// Reads what PVE stores; a gateway that is no address is an error, as it is in PVE.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        let properties = Properties::parse(text, None)?;
        let gateway = |key: &str| -> Result<Option<IpAddr>, PropertyError> {
            let Some(value) = properties.get(key) else { return Ok(None) };
            let lacks = |_| PropertyError::Lacks { what: "a gateway address", text: text.to_owned() };
            value.parse().map(Some).map_err(lacks)
        };
        Ok(Self {
            ip: properties.get("ip").map(IpSetting::parse),
            gw: gateway("gw")?,
            ip6: properties.get("ip6").map(IpSetting::parse),
            gw6: gateway("gw6")?,
        })
    }

    /// Every address that is set here.
    pub fn addresses(&self) -> impl Iterator<Item = Cidr> {
        [&self.ip, &self.ip6].into_iter().filter_map(|setting| match setting {
            Some(IpSetting::Static(cidr)) => Some(*cidr),
            Some(IpSetting::Dhcp | IpSetting::Auto | IpSetting::Other(_)) | None => None,
        })
    }
}

impl IpSetting {
    fn parse(text: &str) -> Self {
        match text {
            "dhcp" => IpSetting::Dhcp,
            "auto" => IpSetting::Auto,
            other => other.parse().map_or_else(|_| IpSetting::Other(other.to_owned()), IpSetting::Static),
        }
    }
}

impl fmt::Display for IpSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpSetting::Static(cidr) => write!(f, "{cidr}"),
            IpSetting::Dhcp => f.write_str("dhcp"),
            IpSetting::Auto => f.write_str("auto"),
            IpSetting::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for IpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.ip.as_ref().map(|ip| format!("ip={ip}")),
            self.gw.map(|gw| format!("gw={gw}")),
            self.ip6.as_ref().map(|ip6| format!("ip6={ip6}")),
            self.gw6.map(|gw6| format!("gw6={gw6}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}
