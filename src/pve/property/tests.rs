use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn net_forms() {
    let net = Net::parse("virtio=BC:24:11:0C:55:7F,bridge=vmbr0,firewall=1,mtu=1,queues=2,tag=20").unwrap();
    assert_eq!((net.model.as_str(), net.bridge(), net.vlan()), ("virtio", Some("vmbr0"), Some(20)));
    assert_eq!(net.mac_lower().as_deref(), Some("bc:24:11:0c:55:7f"));
    let other = net.with("virtio", "vmbr1", None);
    assert_eq!(other.to_string(), "virtio=BC:24:11:0C:55:7F,bridge=vmbr1,firewall=1,mtu=1,queues=2");
    assert_eq!(Net::new("virtio", "vmbr0", Some(7)).to_string(), "virtio,bridge=vmbr0,tag=7");
    let typed = Net::parse("model=virtio,macaddr=bc:24:11:00:00:01,tag=5,bridge=vmbr0").unwrap();
    assert_eq!(typed.to_string(), "virtio=bc:24:11:00:00:01,bridge=vmbr0,tag=5");
    assert!(Net::parse("bridge=vmbr0").is_err());
    assert!(Net::parse("virtio=A,model=virtio").is_err());
}

#[test]
fn equal_is_by_meaning() {
    for (key, left, right) in [
        (
            "net0",
            "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5",
            "model=virtio,tag=5,macaddr=bc:24:11:00:00:01,bridge=vmbr0",
        ),
        ("scsi0", "s:vm-1-disk-0,size=3G,ssd=1", "file=s:vm-1-disk-0,ssd=on,size=3072M"),
        ("agent", "1", "enabled=1"),
        ("agent", "enabled=1,fstrim_cloned_disks=1", "fstrim_cloned_disks=true,enabled=yes"),
        ("memory", "768", "current=768"),
        ("startup", "order=2,up=10", "up=10,order=2"),
        ("startup", "2", "order=2"),
        ("tags", "Zeta;alpha,beta alpha", "alpha;beta;zeta"),
        ("boot", "order=scsi0;net0", "order=scsi0;net0"),
        ("onboot", "yes", "1"),
        ("nameserver", "1.1.1.1  8.8.8.8", "1.1.1.1 8.8.8.8"),
        ("sshkeys", "ssh-rsa%20A%0A", "ssh-rsa%20A"),
        ("vga", "serial0", "type=serial0"),
        ("ipconfig0", "gw=10.0.0.1,ip=10.0.0.5/24", "ip=10.0.0.5/24,gw=10.0.0.1"),
        ("ipconfig0", "ip6=fd00:0::5/64", "ip6=fd00::5/64"),
        ("description", "text\n\n", "text"),
    ] {
        assert!(equal(key, left, right), "{key}: {left} / {right}");
    }
    for (key, left, right) in [
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "virtio=BC:24:11:00:00:02,bridge=vmbr0"),
        ("scsi0", "s:vm-1-disk-0,size=3G", "s:vm-1-disk-0,size=3G,ssd=1"),
        ("nameserver", "1.1.1.1 8.8.8.8", "8.8.8.8 1.1.1.1"),
        ("boot", "order=scsi0;net0", "order=net0;scsi0"),
        ("name", "A", "a"),
        ("memory", "768", "1024"),
    ] {
        assert!(!equal(key, left, right), "{key}: {left} / {right}");
    }
}

#[test]
fn boot_disk_is_the_first_disk_of_the_order() {
    let keys = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let vm = keys(&[
        ("boot", "order=ide2;net0;virtio1;scsi0"),
        ("ide2", "s:vm-1-cloudinit,media=cdrom"),
        ("scsi0", "s:vm-1-disk-0,size=3G"),
        ("virtio1", "s:vm-1-disk-1,size=5G"),
    ]);
    let (key, drive) = first_boot_disk(&vm).unwrap();
    assert_eq!((key.as_str(), drive.size_bytes()), ("virtio1", Some(5 << 30)));
    let legacy = keys(&[("boot", "cdn"), ("scsi10", "s:b,size=1G"), ("scsi2", "s:a,size=1G")]);
    assert_eq!(first_boot_disk(&legacy).unwrap().0, "scsi2");
    let old = keys(&[("boot", "c"), ("bootdisk", "virtio0"), ("scsi0", "s:data,size=1G"), ("virtio0", "s:a,size=1G")]);
    assert_eq!(first_boot_disk(&old).unwrap().0, "virtio0");
    assert_eq!(first_boot_disk(&keys(&[("boot", " ")])), None);
}

#[test]
fn drives() {
    let drive = Drive::parse("local-lvm:101/vm-101-cloudinit.qcow2,media=cdrom,size=4M").unwrap();
    assert!(drive.is_cloudinit() && drive.is_cdrom());
    assert_eq!(drive.storage(), Some("local-lvm"));
    assert!(Drive::parse("local-lvm:9000/base-9000-disk-0.raw,size=3G").unwrap().is_base());
    assert!(Drive::parse("local-lvm:base-9000-disk-0,size=3G").unwrap().is_base());
    assert!(!Drive::parse("local-lvm:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2").unwrap().is_base());
    assert_eq!(Drive::parse("/dev/disk/by-path/pci-0000:00:1f.2-ata-1,size=3G").unwrap().storage(), None);
    assert!(Drive::parse("size=3G").is_err());
}

#[test]
fn memory_and_ipconfig() {
    assert_eq!(memory_mb("current=768"), Some(768));
    assert_eq!(memory_mb("768"), Some(768));
    assert_eq!(memory_mb("much"), None);
    let config = IpConfig::parse("ip=10.0.0.11/24,gw=10.0.0.1,ip6=auto").unwrap();
    assert_eq!(config.addresses().map(|cidr| cidr.to_string()).collect::<Vec<_>>(), ["10.0.0.11/24"]);
    assert_eq!(config.to_string(), "ip=10.0.0.11/24,gw=10.0.0.1,ip6=auto");
    assert!(IpConfig::parse("ip=dhcp,gw=here").is_err());
}

proptest! {
    #[test]
    fn canonical_settles_and_never_panics(
        key in "(net0|scsi0|agent|memory|boot|tags|ipconfig0|sshkeys|startup|onboot|cores|nameserver|name)",
        value in "[a-z0-9=,;:%. /]{0,30}|\\PC{0,20}",
    ) {
        let once = canonical(&key, &value);
        if key != "sshkeys" {
            prop_assert_eq!(canonical(&key, &once), once);
        }
    }

    #[test]
    fn properties_round_trip(values in prop::collection::btree_map("[a-z][a-z0-9_]{0,5}", "[a-z0-9:;/.-]{1,8}", 0..6)) {
        let mut properties = Properties::default();
        for (key, value) in &values {
            properties.set(key, value.clone());
        }
        prop_assert_eq!(Properties::parse(&properties.to_string(), None).unwrap(), properties);
    }
}
