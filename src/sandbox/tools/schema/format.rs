//! Named string formats, and what PVE says of a value that is not in one (JSONSchema.pm `register_format`).

use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Any,
    DnsName,
    Tags,
    VolumeId,
    /// `none`, `cdrom`, or a volume id.
    DriveFile,
    /// Also an absolute path.
    ImportSource,
    StorageId,
    /// URL-encoded.
    UrlEncoded,
    Vmid,
    SnapshotName,
    CpuType,
    Mac,
    IpConfig4,
    IpConfig6,
    Ip4,
    Ip6,
    /// `10G`, `1.5T`, plain bytes.
    Size,
    ResizeTo,
    PoolName,
    Serial,
    Boot,
    Startup,
    Uuid,
    ConfigKeys,
}

impl Format {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "any" => Format::Any,
            "dns-name" => Format::DnsName,
            "tags" => Format::Tags,
            "volume" => Format::VolumeId,
            "drive-file" => Format::DriveFile,
            "import-source" => Format::ImportSource,
            "storage" => Format::StorageId,
            "urlencoded" => Format::UrlEncoded,
            "vmid" => Format::Vmid,
            "snapshot" => Format::SnapshotName,
            "cputype" => Format::CpuType,
            "mac" => Format::Mac,
            "ipconfig4" => Format::IpConfig4,
            "ipconfig6" => Format::IpConfig6,
            "ip4" => Format::Ip4,
            "ip6" => Format::Ip6,
            "size" => Format::Size,
            "resize" => Format::ResizeTo,
            "pool" => Format::PoolName,
            "serial" => Format::Serial,
            "boot" => Format::Boot,
            "startup" => Format::Startup,
            "uuid" => Format::Uuid,
            "keys" => Format::ConfigKeys,
            _ => return None,
        })
    }

    /// The error is what stands after `name: `. A failed format ends with a newline, a failed pattern does not.
    pub fn check(self, value: &str) -> Result<(), String> {
        let complaint = match self {
            Format::Vmid => {
                let number: u64 =
                    value.parse().map_err(|_| format!("type check ('integer') failed - got '{value}'"))?;
                let fits = (100..=999_999_999).contains(&number) && !value.starts_with('0');
                (!fits).then(|| "value does not look like a valid VM ID".to_owned())
            }
            Format::Size | Format::ResizeTo | Format::Serial | Format::Uuid => {
                let fits = match self {
                    Format::Size => crate::pve::size::parse(value).is_some(),
                    Format::ResizeTo => is_resize(value),
                    Format::Serial => value == "socket" || value.strip_prefix("/dev/").is_some_and(|d| !d.is_empty()),
                    _ => value == "0" || value == "1" || is_uuid(value),
                };
                return if fits { Ok(()) } else { Err("value does not match the regex pattern".into()) };
            }
            _ => self.complaint(value),
        };
        complaint.map_or(Ok(()), |text| Err(format!("invalid format - {text}\n")))
    }

    fn complaint(self, value: &str) -> Option<String> {
        let unless = |fits: bool, text: &str| (!fits).then(|| text.to_owned());
        match self {
            Format::DnsName => unless(is_dns_name(value), "value does not look like a valid DNS name"),
            Format::Tags => unless(split_list(value).all(is_tag), "invalid characters in tag"),
            Format::VolumeId => unless(is_volume_id(value), &format!("unable to parse volume ID '{value}'")),
            Format::DriveFile => unless(
                matches!(value, "none" | "cdrom") || value.starts_with('/') || is_volume_id(value),
                &format!("unable to parse volume ID '{value}'"),
            ),
            Format::ImportSource => {
                unless(value.starts_with('/') || is_volume_id(value), &format!("unable to parse volume ID '{value}'"))
            }
            Format::StorageId => {
                unless(is_storage_id(value), &format!("storage ID '{value}' contains illegal characters"))
            }
            Format::UrlEncoded => {
                let fits = !value.trim().is_empty()
                    && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()%".contains(&b));
                unless(fits, &format!("invalid urlencoded string: {value}"))
            }
            Format::SnapshotName => unless(is_config_id(value), &format!("invalid configuration ID '{value}'")),
            Format::CpuType => {
                let first = value.split(',').next().unwrap_or_default();
                let kind = first.strip_prefix("cputype=").unwrap_or(first);
                let known = CPU_TYPES.contains(&kind) || kind.starts_with("custom-") || kind.contains('=');
                unless(known, &format!("Built-in cputype '{kind}' is not defined (missing 'custom-' prefix?)"))
            }
            Format::Mac => unless(is_unicast_mac(value), "value does not look like a valid unicast MAC address"),
            Format::IpConfig4 => {
                let fits = matches!(value, "dhcp" | "manual") || cidr(value, 32, |a| a.parse::<Ipv4Addr>().is_ok());
                unless(fits, "value does not look like a valid ipv4 network configuration")
            }
            Format::IpConfig6 => {
                let fits =
                    matches!(value, "auto" | "dhcp" | "manual") || cidr(value, 128, |a| a.parse::<Ipv6Addr>().is_ok());
                unless(fits, "value does not look like a valid ipv6 network configuration")
            }
            Format::Ip4 => unless(value.parse::<Ipv4Addr>().is_ok(), "value does not look like a valid ipv4 address"),
            Format::Ip6 => unless(value.parse::<Ipv6Addr>().is_ok(), "value does not look like a valid ipv6 address"),
            Format::PoolName => {
                let fits = value.split('/').count() <= 3 && value.split('/').all(is_pool_part);
                unless(fits, "value contains invalid characters")
            }
            Format::Startup => unless(is_startup(value), "unable to parse startup options"),
            Format::Any | Format::Boot | Format::ConfigKeys => None,
            Format::Vmid | Format::Size | Format::ResizeTo | Format::Serial | Format::Uuid => None,
        }
    }
}

/// A list with PVE's separators: comma, semicolon, white space.
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ';', ' ', '\t', '\n', '\0']).filter(|part| !part.is_empty())
}

fn is_dns_name(value: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    !value.is_empty()
        && value.split('.').all(|label| {
            edge(label.chars().next())
                && edge(label.chars().last())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(&b))
}

/// `STORAGE:NAME`.
pub fn is_volume_id(value: &str) -> bool {
    value.split_once(':').is_some_and(|(storage, name)| is_storage_id(storage) && !name.is_empty())
}

fn is_storage_id(value: &str) -> bool {
    let mut bytes = value.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && value.len() > 1
        && value.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_config_id(value: &str) -> bool {
    let mut bytes = value.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && value.len() > 1
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_pool_part(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_unicast_mac(value: &str) -> bool {
    let parts: Vec<&str> = value.split(':').collect();
    parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
        && u8::from_str_radix(parts[0], 16).is_ok_and(|first| first & 1 == 0)
}

fn cidr(value: &str, bits: u8, address: impl Fn(&str) -> bool) -> bool {
    let Some((ip, prefix)) = value.split_once('/') else { return false };
    address(ip) && prefix.parse::<u8>().is_ok_and(|prefix| (1..=bits).contains(&prefix))
}

fn is_resize(value: &str) -> bool {
    let number = value.strip_prefix('+').unwrap_or(value);
    let number = number.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction)
}

fn is_uuid(value: &str) -> bool {
    let lengths: Vec<usize> = value.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn is_startup(value: &str) -> bool {
    value.split(',').all(|part| {
        let number = ["order=", "up=", "down="].iter().find_map(|key| part.strip_prefix(key)).unwrap_or(part);
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    })
}

const CPU_TYPES: &[&str] = &[
    "486",
    "Broadwell",
    "Broadwell-IBRS",
    "Broadwell-noTSX",
    "Broadwell-noTSX-IBRS",
    "Cascadelake-Server",
    "Cascadelake-Server-noTSX",
    "Conroe",
    "Cooperlake",
    "EPYC",
    "EPYC-Genoa",
    "EPYC-IBPB",
    "EPYC-Milan",
    "EPYC-Rome",
    "EPYC-Turin",
    "GraniteRapids",
    "Haswell",
    "Haswell-IBRS",
    "Haswell-noTSX",
    "Haswell-noTSX-IBRS",
    "Icelake-Server",
    "IvyBridge",
    "IvyBridge-IBRS",
    "KnightsMill",
    "Nehalem",
    "Nehalem-IBRS",
    "Opteron_G1",
    "Opteron_G2",
    "Opteron_G3",
    "Opteron_G4",
    "Opteron_G5",
    "Penryn",
    "SandyBridge",
    "SandyBridge-IBRS",
    "SapphireRapids",
    "SierraForest",
    "Skylake-Client",
    "Skylake-Server",
    "Westmere",
    "Westmere-IBRS",
    "athlon",
    "core2duo",
    "coreduo",
    "host",
    "kvm32",
    "kvm64",
    "max",
    "pentium",
    "pentium2",
    "pentium3",
    "phenom",
    "qemu32",
    "qemu64",
    "x86-64-v2",
    "x86-64-v2-AES",
    "x86-64-v3",
    "x86-64-v4",
];
