//! One-line texts of the two files and what makes each valid. PVE's own rules: contract §3.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};

use super::problem::shown;
use super::problem_id::ProblemId;
use super::walk::{Read, Walk};
use super::word::{Bad, Word};
use super::yaml::{Kind, Node};
use crate::model::ids::{BridgeName, ImageDigest, PoolName, StorageName};

/// A word that is kept as it is.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $example:literal, $pattern:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl Word for $name {
            const EXAMPLE: &'static str = $example;

            fn parse(text: &str) -> Result<Self, Bad> {
                let check: fn(&str) -> Result<(), Bad> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }

            fn constraints() -> Value {
                match $pattern {
                    "" => json!({}),
                    pattern => json!({"pattern": pattern}),
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

fn need(fine: bool, message: impl FnOnce() -> String, help: &str) -> Result<(), Bad> {
    if fine { Ok(()) } else { Err(Bad::value(message(), help)) }
}

/// Lower-case letters, digits and inner hyphens.
pub fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// As `is_dns_name`, for the schema.
macro_rules! dns_name {
    () => {
        "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
    };
}

fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(&label.to_ascii_lowercase()))
}

word!(
    /// The Kubernetes cluster's name.
    ClusterLabel, "k8s", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    |text| need(
        is_label(text),
        || match text.len() {
            0..=63 => format!("`{}` can't be part of host names", shown(text)),
            length => format!("the name has {length} characters; a host name has at most 63"),
        },
        "take lower-case letters, digits and inner hyphens, such as `k8s`",
    )
);

word!(
    /// A host as ssh takes it: a name, an address, an alias of ssh_config.
    Host, "pve1.lan", "^([A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+)$", check_host
);

fn check_host(text: &str) -> Result<(), Bad> {
    if let Some((user, host)) = text.split_once('@') {
        return Err(Bad::value(
            format!("`{}` names a user; a host is wanted", shown(text)),
            format!("write `{}` and `ssh_user: {}`", shown(host), shown(user)),
        ));
    }
    if text.contains("://") {
        return Err(Bad::value(
            format!("`{}` is a URL; a host is wanted", shown(text)),
            "pvekube connects with SSH: write the host's name or address alone",
        ));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if let Some((host, port)) = text.trim_start_matches('[').rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(Bad::value(
            format!("`{}` has a port in it", shown(text)),
            format!("write `{{host: {}, port: {}}}`", shown(host.trim_end_matches(']')), shown(port)),
        ));
    }
    // A leading hyphen would be an option to ssh.
    need(
        text.len() <= 253
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            && !text.starts_with(['-', '.']),
        || format!("`{}` is no host name or address", shown(text)),
        "write a name such as `pve1.lan`, an address, or a `Host` of your ssh_config",
    )
}

word!(
    /// A node's display name.
    NodeWord, "pve1", "^[A-Za-z0-9._:][A-Za-z0-9._:-]{0,63}$", |text| need(
        text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'))
            && !text.starts_with('-'),
        || format!("`{}` can't be a node's name", shown(text)),
        "take letters, digits, `.`, `-` and `_`, such as `pve1`",
    )
);

word!(
    /// A free name: of a zone, of a size.
    Label, "rack-a", "^[A-Za-z0-9._-]{1,64}$", |text| need(
        text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
        || format!("`{}` can't be a name here", shown(text)),
        "take letters, digits, `.`, `-` and `_`",
    )
);

word!(
    /// A login name on Linux.
    User, "ubuntu", "^[a-z_][a-z0-9_-]{0,31}$", |text| need(
        text.len() <= 32
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-')),
        || format!("`{}` is no user name", shown(text)),
        "take lower-case letters, digits, `_` and `-`, such as `ubuntu`",
    )
);

word!(
    /// A file on this machine; `~` is resolved later.
    FilePath, "~/.ssh/id_ed25519", "", |_| Ok(())
);

word!(
    /// A VM's name in PVE, `dns-name`.
    VmName, "ubuntu-2204-cloud-template", concat!("^", dns_name!(), "$"), |text| need(
        is_dns_name(text),
        || format!("`{}` is no name that Proxmox takes", shown(text)),
        "take letters, digits, inner hyphens and dots: a DNS name",
    )
);

word!(
    /// A URL that is fetched.
    Url, "https://cloud-images.ubuntu.com/jammy/current/jammy-server-cloudimg-amd64.img", "^https?://[^/@]+/[^\\s\\\\\"']+$", check_url
);

fn check_url(text: &str) -> Result<(), Bad> {
    let help = "write a whole URL, such as `https://cloud-images.ubuntu.com/…/SHA256SUMS`";
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (authority, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
    if authority.contains('@') {
        let mut bad = Bad::value(
            "the URL has a user or password in it, which would stand in plans and logs",
            "serve the file without a password, inside your own network",
        );
        bad.secret = true;
        return Err(bad);
    }
    need(
        text.starts_with("https://") || text.starts_with("http://"),
        || format!("`{}` is no http or https URL", shown(text)),
        help,
    )?;
    need(
        !authority.is_empty()
            && !path.is_empty()
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'"' && b != b'\''),
        || format!("`{}` is no URL of a file", shown(text)),
        help,
    )
}

word!(
    /// A CPU type with flags, as `qm set --cpu` takes it.
    CpuType, "x86-64-v2-AES", "^[A-Za-z0-9][A-Za-z0-9._,;=+-]*$", |text| need(
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._,;=+-".contains(&b)),
        || format!("`{}` is no CPU type", shown(text)),
        "take one of Proxmox's, such as `x86-64-v2-AES` or `host`",
    )
);

word!(
    /// A machine type, as `qm set --machine` takes it; `i440fx` is PVE's default.
    MachineType, "q35", "^(i440fx|q35|pc|pc-(i440fx|q35)-[0-9][A-Za-z0-9.+]*)$", |text| need(
        matches!(text, "i440fx" | "q35" | "pc")
            || ["pc-i440fx-", "pc-q35-"].iter().any(|prefix| {
                text.strip_prefix(prefix).is_some_and(|version| {
                    version.starts_with(|c: char| c.is_ascii_digit())
                        && version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+'))
                })
            }),
        || format!("`{}` is no machine type", shown(text)),
        "take `i440fx` or `q35`, or a version such as `pc-q35-9.0`",
    )
);

word!(
    /// A DNS search domain.
    Domain, "lan", concat!("^", dns_name!(), "( ", dns_name!(), ")*$"), |text| need(
        text.split(' ').all(is_dns_name),
        || format!("`{}` is no DNS domain", shown(text)),
        "write a domain such as `lan` or `k8s.example.org`; several are separated by a space",
    )
);

word!(
    /// A tag of the user's; kept in lower case, as PVE stores it.
    Tag, "team-a", "^[A-Za-z0-9_][A-Za-z0-9_+.-]*$", |text| need(
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(&b)),
        || format!("`{}` is no tag that Proxmox takes", shown(text)),
        "take letters, digits, `_`, `-`, `+` and `.`",
    )
);

word!(
    /// PVE's `startup`: order and delays.
    Startup, "order=2,up=30", "^((order|up|down)=)?[0-9]{1,6}(,((order|up|down)=)?[0-9]{1,6})*$", |text| need(
        text.split(',').all(|part| {
            let (key, number) = part.split_once('=').unwrap_or(("order", part));
            matches!(key, "order" | "up" | "down") && !number.is_empty() && number.len() <= 6
                && number.bytes().all(|b| b.is_ascii_digit())
        }),
        || format!("`{}` is no start-up order", shown(text)),
        "write `order=2`, with delays in seconds `order=2,up=30,down=60`",
    )
);

word!(
    /// A package's name for the guest's package manager.
    Package, "containerd", "^[A-Za-z0-9][A-Za-z0-9+.:=~_*-]*$", |text| need(
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.:=~_*".contains(&b)),
        || format!("`{}` is no package name", shown(text)),
        "one package an element, such as `containerd` or `kubelet=1.31.2-1.1`",
    )
);

word!(
    /// One argument of a command, taken as it is.
    Argument, "./drain.sh", "", |_| Ok(())
);

/// A shell command, of one line or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Command(pub String);

impl Read for Command {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        match &node.kind {
            // A block scalar or quoted text may have line breaks; NUL can't be in a command.
            Kind::Scalar { text, plain: false } if !text.trim().is_empty() && !text.contains('\0') => {
                Some(Self(text.clone()))
            }
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => {
                let (text, taken_for) = super::word::text(node, walk, Self::example())?;
                match taken_for {
                    None => Some(Self(text.to_owned())),
                    Some(taken_for) => {
                        super::word::ambiguous(node, walk, text, taken_for);
                        None
                    }
                }
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }

    fn example() -> &'static str {
        "swapoff -a"
    }
}

impl Word for StorageName {
    const EXAMPLE: &'static str = "local-lvm";
    fn parse(text: &str) -> Result<Self, Bad> {
        need(
            text.len() >= 2
                && text.len() <= 100
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.ends_with(|c: char| c.is_ascii_alphanumeric())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
            || format!("`{}` is no storage's name", shown(text)),
            "take a name that `pvesm status` lists on the node, such as `local-lvm`",
        )?;
        Ok(Self::new(text))
    }

    fn constraints() -> Value {
        json!({"pattern": "^[A-Za-z][A-Za-z0-9._-]{0,98}[A-Za-z0-9]$"})
    }
}

impl Word for BridgeName {
    const EXAMPLE: &'static str = "vmbr0";
    fn parse(text: &str) -> Result<Self, Bad> {
        // 15: IFNAMSIZ without its final NUL.
        need(
            text.len() <= 15
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
            || format!("`{}` is no bridge's name", shown(text)),
            "take a bridge of the node, such as `vmbr0`; at most 15 characters",
        )?;
        Ok(Self::new(text))
    }

    fn constraints() -> Value {
        json!({"pattern": "^[A-Za-z][A-Za-z0-9._-]{0,14}$"})
    }
}

impl Word for PoolName {
    const EXAMPLE: &'static str = "kubernetes";
    fn parse(text: &str) -> Result<Self, Bad> {
        let level =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        need(
            text.split('/').all(level) && text.split('/').count() <= 3,
            || format!("`{}` is no resource pool's name", shown(text)),
            "take a pool of Datacenter → Permissions → Pools, such as `kubernetes`",
        )?;
        Ok(Self::new(text))
    }

    fn constraints() -> Value {
        json!({"pattern": "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$"})
    }
}

impl Word for ImageDigest {
    const EXAMPLE: &'static str = "sha256-5a3c…";
    fn parse(text: &str) -> Result<Self, Bad> {
        text.parse().map_err(|error: String| {
            Bad::value(error, "write `sha256-` and the 64 hex digits of the image's line in SHA256SUMS")
        })
    }

    fn constraints() -> Value {
        json!({"pattern": "^[Ss][Hh][Aa](256[:-][0-9A-Fa-f]{64}|512[:-][0-9A-Fa-f]{128})$"})
    }
}

impl Word for IpAddr {
    const EXAMPLE: &'static str = "10.0.0.1";
    fn parse(text: &str) -> Result<Self, Bad> {
        text.parse().map_err(|_| {
            let help = match text.split_once('/') {
                Some((address, _)) => format!("leave the prefix length away: `{}`", shown(address)),
                None if text.contains([' ', ',']) => "write a list: `[10.0.0.1, 1.1.1.1]`".to_owned(),
                None => "write an address such as `10.0.0.1`".to_owned(),
            };
            Bad::new(ProblemId::BadAddress, format!("`{}` is no IP address", shown(text)), help)
        })
    }
}

#[cfg(test)]
mod tests;
