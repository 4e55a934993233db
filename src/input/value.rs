//! Values of single keys that have a form of their own.

use serde_json::{Value, json};

use super::collection::choice;
use super::number::Int;
use super::problem::{Problem, shown};
use super::problem_id::ProblemId;
use super::walk::{Read, Walk};
use super::word::{Bad, Word};
use super::yaml::{Kind, Node};
use crate::model::desired::{Download, KnownHosts, MaxUnavailable, SshCheck, Strategy};

/// Firmware of the template and its machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bios {
    Seabios,
    Ovmf,
}

choice!(Bios { "seabios" => Bios::Seabios, "ovmf" => Bios::Ovmf });
choice!(Download { "node" => Download::Node, "controller" => Download::Controller });
choice!(KnownHosts { "strict" => KnownHosts::Strict, "accept-new" => KnownHosts::AcceptNew });
choice!(SshCheck { "direct" => SshCheck::Direct, "via_node" => SshCheck::ViaNode, "off" => SshCheck::Off });
choice!(Strategy { "vm_count" => Strategy::VmCount, "memory" => Strategy::Memory, "pack" => Strategy::Pack });

/// How a network card gets its IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Dhcp,
    Static,
}

choice!(Mode { "dhcp" => Mode::Dhcp, "static" => Mode::Static });

/// A public key's text; checked in `resolve`, where a private key's line can be kept out of the output.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct KeyText(pub String);

impl Read for KeyText {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let Kind::Scalar { text, .. } = &node.kind else {
            walk.wrong_type(node, "one public key", "several keys go to `ssh_public_keys: [...]`");
            return None;
        };
        match super::ssh_key::check(text) {
            Ok(key) => Some(Self(key.line)),
            Err(bad) => {
                let mut problem = Problem::new(bad.id, walk.span(node), bad.message).help(bad.help);
                problem.secret = bad.secret;
                walk.add(problem);
                None
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }

    fn example() -> &'static str {
        "ssh-ed25519 AAAAC3Nza… you@host"
    }
}

/// `1`, or `25%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable(pub MaxUnavailable);

impl serde::Serialize for Unavailable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            MaxUnavailable::Count(count) => serializer.serialize_u32(count),
            MaxUnavailable::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl Read for Unavailable {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        if let Kind::Scalar { text, .. } = &node.kind
            && let Some(percent) = text.trim().strip_suffix('%')
        {
            let digits = !percent.starts_with(['0', '+']);
            let percent = percent.parse::<u32>().ok().filter(|percent| digits && (1..=100).contains(percent));
            if percent.is_none() {
                let message = format!("`{}` is no percentage from 1% to 100%", shown(text));
                let problem = Problem::new(ProblemId::OutOfRange, walk.span(node), message);
                walk.add(problem.help("write a number of machines, or `25%`"));
            }
            return percent.map(|percent| Self(MaxUnavailable::Percent(percent)));
        }
        Int::<1, 1000>::read(node, walk).map(|count| Self(MaxUnavailable::Count(count.u32())))
    }

    fn schema() -> Value {
        json!({"anyOf": [Int::<1, 1000>::schema(), {"type": "string", "pattern": "^([1-9][0-9]?|100)%$"}]})
    }

    fn example() -> &'static str {
        "1"
    }
}

/// `10.244.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Subnet(pub ipnet::IpNet);

impl Word for Subnet {
    const EXAMPLE: &'static str = "10.244.0.0/16";

    fn parse(text: &str) -> Result<Self, Bad> {
        let net: ipnet::IpNet = text.parse().map_err(|_| {
            let help = "write address and prefix length, such as `10.244.0.0/16`";
            Bad::new(ProblemId::BadAddress, format!("`{}` is no network", shown(text)), help)
        })?;
        Ok(Self(net.trunc()))
    }
}

/// `200-299`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmidRange {
    pub first: u32,
    pub last: u32,
}

impl VmidRange {
    pub fn len(self) -> usize {
        (self.last - self.first) as usize + 1
    }

    pub fn contains(self, vmid: u32) -> bool {
        (self.first..=self.last).contains(&vmid)
    }
}

impl serde::Serialize for VmidRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}-{}", self.first, self.last))
    }
}

impl Word for VmidRange {
    const EXAMPLE: &'static str = "200-299";

    fn parse(text: &str) -> Result<Self, Bad> {
        let help = "write two ids from 100 to 999999999, such as `200-299`";
        let bad = |message: String| Bad::new(ProblemId::VmidRange, message, help);
        let number = |text: &str| -> Option<u32> {
            let text = text.trim();
            (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
        };
        let ends = text.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
        let Some((first, last)) = ends else {
            return Err(bad(format!("`{}` is no range of ids", shown(text))));
        };
        if first > last {
            return Err(bad(format!("the range begins at {first}, after its end {last}")));
        }
        if first < 100 || last > 999_999_999 {
            return Err(bad(format!("Proxmox has no ids outside 100 to 999999999; the range is {first}-{last}")));
        }
        Ok(Self { first, last })
    }

    fn constraints() -> Value {
        json!({"pattern": "^\\s*[1-9][0-9]{2,8}\\s*-\\s*[1-9][0-9]{2,8}\\s*$"})
    }
}
