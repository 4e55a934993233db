//! The documents of the cloud-init drive, as PVE generates them (Cloudinit.pm; contract §4.6).

use std::net::Ipv4Addr;

use sha1::{Digest, Sha1};

use super::super::guests::CloudInit;
use super::super::node::SandboxNode;
use super::call::{Call, Die, Run};
use super::conf::Config;
use super::schema::{Type, parse_properties, schema};
use super::storage::{self, VolumeId};
use crate::pve::sshkeys;

/// Options that end up on the drive, apart from `ipconfigN`; in the order `qm cloudinit pending` looks at them.
pub const KEYS: [&str; 8] =
    ["cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "nameserver", "searchdomain", "sshkeys"];

/// Whether a change of this option changes the drive.
pub fn is_key(key: &str) -> bool {
    KEYS.contains(&key) || (key.starts_with("ipconfig") && key[8..].bytes().all(|b| b.is_ascii_digit()))
}

/// `#cloud-config` of the user document.
pub fn user(config: &Config) -> String {
    let name = config.get("name").map_or_else(|| format!("VM{}", config.vmid), str::to_owned);
    let host = name.split('.').next().unwrap_or(&name).to_owned();
    let fqdn = match config.get("searchdomain") {
        Some(search) if !name.contains('.') => format!("{host}.{search}"),
        Some(_) | None => name.clone(),
    };
    let mut text = format!("#cloud-config\nhostname: {host}\nmanage_etc_hosts: true\nfqdn: {fqdn}\n");
    let user = config.get("ciuser");
    if let Some(user) = user {
        text.push_str(&format!("user: {user}\n"));
    }
    if user == Some("root") {
        text.push_str("disable_root: False\n");
    }
    if let Some(password) = config.get("cipassword") {
        text.push_str(&format!("password: {password}\n"));
    }
    if let Some(keys) = config.get("sshkeys") {
        text.push_str("ssh_authorized_keys:\n");
        for key in sshkeys::decode(keys).lines().map(str::trim).filter(|line| !line.is_empty()) {
            text.push_str(&format!("  - {key}\n"));
        }
    }
    text.push_str("chpasswd:\n  expire: False\n");
    if user != Some("root") {
        text.push_str("users:\n  - default\n");
    }
    if config.get("ciupgrade") != Some("0") {
        text.push_str("package_upgrade: true\n");
    }
    text
}

/// Version 1 network document: only NICs with an `ipconfigN`, matched by MAC.
pub fn network(config: &Config, node: &SandboxNode) -> String {
    let mut text = "version: 1\nconfig:\n".to_owned();
    for number in 0..32 {
        let (Some(net), Some(ip)) = (config.get(&format!("net{number}")), config.get(&format!("ipconfig{number}")))
        else {
            continue;
        };
        let mac = properties(&format!("net{number}"), net).remove("macaddr").unwrap_or_default().to_lowercase();
        text.push_str(&format!(
            "    - type: physical\n      name: eth{number}\n      mac_address: '{mac}'\n      subnets:\n"
        ));
        text.push_str(&subnets(&properties(&format!("ipconfig{number}"), ip)));
    }
    let (servers, search) = dns(config, node);
    text.push_str("    - type: nameserver\n");
    for (label, values) in [("address", servers), ("search", search)] {
        if !values.is_empty() {
            text.push_str(&format!("      {label}:\n"));
            values.iter().for_each(|value| text.push_str(&format!("      - '{value}'\n")));
        }
    }
    text
}

fn properties(key: &str, value: &str) -> std::collections::BTreeMap<String, String> {
    match schema().get(key) {
        Some(Type::Properties(properties)) => parse_properties(key, properties, value).unwrap_or_default(),
        Some(_) | None => Default::default(),
    }
}

fn subnets(ip: &std::collections::BTreeMap<String, String>) -> String {
    let mut text = String::new();
    match ip.get("ip").map(String::as_str) {
        Some("dhcp") => text.push_str("      - type: dhcp4\n"),
        Some(cidr) => {
            let (address, prefix) = cidr.split_once('/').unwrap_or((cidr, "32"));
            let bits: u32 = prefix.parse().unwrap_or(32);
            let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0));
            text.push_str(&format!("      - type: static\n        address: '{address}'\n        netmask: '{mask}'\n"));
            if let Some(gateway) = ip.get("gw") {
                text.push_str(&format!("        gateway: '{gateway}'\n"));
            }
        }
        None => {}
    }
    match ip.get("ip6").map(String::as_str) {
        Some("dhcp") => text.push_str("      - type: dhcp6\n"),
        Some("auto") => text.push_str("      - type: ipv6_slaac\n"),
        Some(cidr) => {
            text.push_str(&format!("      - type: static6\n        address: '{cidr}'\n"));
            if let Some(gateway) = ip.get("gw6") {
                text.push_str(&format!("        gateway: '{gateway}'\n"));
            }
        }
        None => {}
    }
    text
}

/// Name servers and search domains: the config's, or the node's own when it has neither.
fn dns(config: &Config, node: &SandboxNode) -> (Vec<String>, Vec<String>) {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (servers, search) = (config.get("nameserver"), config.get("searchdomain"));
    if servers.is_some() || search.is_some() {
        return (words(servers.unwrap_or_default()), words(search.unwrap_or_default()));
    }
    let resolv = node.read_text("/etc/resolv.conf").unwrap_or_default();
    let of =
        |word: &str| resolv.lines().filter_map(|line| line.strip_prefix(word)).flat_map(words).collect::<Vec<String>>();
    (of("nameserver "), of("search "))
}

/// The meta document: its instance-id covers user data and network (Cloudinit.pm:606).
pub fn meta(user: &str, network: &str) -> String {
    format!("instance-id: {}\n", hex::encode(Sha1::new().chain_update(user).chain_update(network).finalize()))
}

/// All documents, with those of `cicustom` in place of the generated ones.
pub fn documents(call: &Call<'_>, config: &Config) -> Run<CloudInit> {
    let mut custom = properties("cicustom", config.get("cicustom").unwrap_or_default());
    let mut own =
        |kind: &str| -> Run<Option<String>> { custom.remove(kind).map(|volume| snippet(call, &volume)).transpose() };
    let user_document = own("user")?.unwrap_or_else(|| user(config));
    let network_document = own("network")?.unwrap_or_else(|| network(config, call.node));
    let meta_document = own("meta")?.unwrap_or_else(|| meta(&user_document, &network_document));
    let vendor = own("vendor")?;
    Ok(CloudInit { user: user_document, network: network_document, meta: meta_document, vendor })
}

/// A snippet's text; it must be on this node.
fn snippet(call: &Call<'_>, volume: &str) -> Run<String> {
    let missing = || Die::new(format!("volume '{volume}' does not exist"));
    let id = VolumeId::parse(volume).ok_or_else(missing)?;
    let store = storage::find(call.node, &id.storage)?;
    call.node.read_text(&id.path(&store)).map_err(|_| missing())
}
