//! The cloud-init drive as the guest reads it: the documents that `qm start` generates (contract §4.6), plus a vendor
//! document of a snippet.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use crate::model::ids::Cidr;
use crate::pve::cloud_init;

/// What the drive's documents say, as far as a guest acts on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seed {
    pub instance_id: String,
    pub hostname: String,
    /// The login user; cloud images call theirs after the distribution when none is given.
    pub user: String,
    pub keys: Vec<String>,
    pub nics: Vec<SeedNic>,
    pub nameservers: Vec<String>,
    pub upgrade: bool,
    /// Of the vendor document.
    pub packages: BTreeSet<String>,
    pub bake: Option<Bake>,
    /// A document that cloud-init can't read: its complaint.
    pub broken: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedNic {
    /// Lower case.
    pub mac: String,
    pub name: String,
    pub dhcp4: bool,
    pub addresses: Vec<Cidr>,
}

/// What the bake's script does, told by its text: a script that forgets a part bakes a disk that shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bake {
    #[serde(default)]
    pub commands: Vec<String>,
    pub cleans_cloud_init: bool,
    pub cleans_machine_id: bool,
    pub cleans_host_keys: bool,
    pub reports: bool,
    pub powers_off: bool,
}

impl Seed {
    /// Reads the documents of a drive. Never fails: what can't be read is `broken`, as cloud-init would go on without it.
    pub fn read(user: &str, network: &str, meta: &str, vendor: Option<&str>) -> Seed {
        let mut seed = Seed { user: "ubuntu".to_owned(), ..Seed::default() };
        seed.read_user(user);
        seed.read_network(network);
        if let Some(meta) = seed.document("meta-data", meta) {
            seed.instance_id = text(&meta, "instance-id");
        }
        if let Some(vendor) = vendor {
            seed.read_vendor(vendor);
        }
        seed
    }

    fn document(&mut self, name: &str, content: &str) -> Option<Value> {
        match serde_yaml::from_str::<Value>(content) {
            Ok(value) => Some(value),
            Err(error) => {
                self.broken = Some(format!("{name}: {error}"));
                None
            }
        }
    }

    fn read_user(&mut self, content: &str) {
        let Some(user) = self.document("user-data", content) else { return };
        self.hostname = text(&user, "hostname");
        let name = text(&user, "user");
        if !name.is_empty() {
            self.user = name;
        }
        self.keys = list(&user, "ssh_authorized_keys").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        self.upgrade = user.get("package_upgrade").and_then(Value::as_bool).unwrap_or(false);
    }

    fn read_network(&mut self, content: &str) {
        let Some(network) = self.document("network-config", content) else { return };
        for entry in list(&network, "config") {
            if text(entry, "type") == "nameserver" {
                self.nameservers = list(entry, "address").iter().filter_map(Value::as_str).map(str::to_owned).collect();
                continue;
            }
            let mut nic = SeedNic {
                mac: text(entry, "mac_address").to_ascii_lowercase(),
                name: text(entry, "name"),
                ..SeedNic::default()
            };
            for subnet in list(entry, "subnets") {
                match text(subnet, "type").as_str() {
                    "dhcp4" | "dhcp" => nic.dhcp4 = true,
                    _ => nic.addresses.extend(static_address(subnet)),
                }
            }
            self.nics.push(nic);
        }
    }

    fn read_vendor(&mut self, content: &str) {
        if !content.starts_with("#cloud-config") {
            self.broken = Some("vendor-data: does not begin with #cloud-config".to_owned());
            return;
        }
        let Some(vendor) = self.document("vendor-data", content) else { return };
        self.packages = list(&vendor, "packages").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let ours = cloud_init::read(content);
        if let Some(bake) = &ours {
            self.packages.extend(bake.packages.iter().cloned());
            self.packages.insert("qemu-guest-agent".to_owned());
        }
        let commands = format!("{:?}", vendor.get("runcmd"));
        if commands.contains("pvekube-bake") {
            self.bake = Some(Bake {
                commands: ours.map(|bake| bake.commands).unwrap_or_default(),
                cleans_cloud_init: commands.contains("cloud-init clean"),
                cleans_machine_id: commands.contains("/etc/machine-id"),
                cleans_host_keys: commands.contains("ssh_host_"),
                reports: commands.contains("/dev/ttyS0"),
                powers_off: commands.contains("poweroff"),
            });
        }
    }
}

/// `address` with a netmask (`255.255.255.0`) or with a prefix length.
fn static_address(subnet: &Value) -> Option<Cidr> {
    let address = text(subnet, "address");
    if address.contains('/') {
        return address.parse().ok();
    }
    let mask: std::net::Ipv4Addr = text(subnet, "netmask").parse().ok()?;
    format!("{address}/{}", u32::from(mask).leading_ones()).parse().ok()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}
