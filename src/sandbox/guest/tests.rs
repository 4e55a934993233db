use super::agent::Reply;
use super::login::Door;
use super::*;
use crate::model::desired::{Address, Bake, Network};
use crate::pve::cloud_init;

const START: u64 = 1_795_350_000_000;
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8hTws/zw+9Od2vOwbKc0y/iWVPVbsz31PUidkEvA+5 lab";
const MAC: &str = "bc:24:11:94:62:50";

/// The documents of contract §4.6, as c-set-and-errors/cloudinit-dump-* has them.
fn seed(network: &str) -> Seed {
    let user = format!(
        "#cloud-config\nhostname: web-1\nmanage_etc_hosts: true\nfqdn: web-1.lab.test\nuser: ubuntu\n\
         ssh_authorized_keys:\n  - {KEY}\nchpasswd:\n  expire: False\nusers:\n  - default\n"
    );
    let network = format!(
        "version: 1\nconfig:\n    - type: physical\n      name: eth0\n      mac_address: '{MAC}'\n      subnets:\n{network}\
         \x20   - type: nameserver\n      address:\n      - '10.77.0.1'\n      search:\n      - 'lab.test'\n"
    );
    Seed::read(&user, &network, "instance-id: b53bec99932c267c38e0f517bdd5eb82a9a0fdfa\n", None)
}

fn static_seed() -> Seed {
    seed(
        "      - type: static\n        address: '10.77.0.51'\n        netmask: '255.255.255.0'\n        gateway: '10.77.0.1'\n",
    )
}

fn dhcp_seed() -> Seed {
    seed("      - type: dhcp4\n")
}

/// A clone of a baked template, just switched on.
fn boot(seed: Seed) -> Boot {
    Boot {
        vmid: 101,
        name: "web-1".into(),
        started_ms: START,
        pace: 1000,
        uuid: "661ec0e1-af48-406a-a4e0-0692b549c596".into(),
        seed: Some(seed),
        disk: Disk {
            image: "jammy".into(),
            packages: BTreeSet::from(["qemu-guest-agent".to_owned()]),
            ..Disk::default()
        },
        disk_bytes: 40 << 30,
        macs: vec![MAC.into()],
        leases: BTreeMap::from([(MAC.to_owned(), "10.77.0.120/24".parse().unwrap())]),
        agent_channel: true,
        faults: BTreeSet::new(),
        halts_ms: None,
        suspended: false,
        volume: None,
        real_process: false,
        host_keys: Vec::new(),
    }
}

fn with(fault: GuestFault) -> Boot {
    let mut boot = boot(dhcp_seed());
    boot.faults.insert(fault);
    boot
}

const LATE: u64 = START + 3_600_000;

fn addresses(boot: &Boot, now: u64) -> Vec<String> {
    let net0 = boot.interfaces(now).into_iter().find(|interface| interface.mac == MAC).unwrap();
    net0.addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn the_drive_is_read_as_qm_wrote_it() {
    let seed = static_seed();
    assert_eq!(seed.broken, None);
    assert_eq!(
        (seed.hostname.as_str(), seed.user.as_str(), seed.keys.as_slice()),
        ("web-1", "ubuntu", [KEY.to_owned()].as_slice())
    );
    assert_eq!(seed.nics[0].addresses, ["10.77.0.51/24".parse().unwrap()]);
    assert_eq!(seed.nameservers, ["10.77.0.1"]);
}

#[test]
fn a_healthy_guest_comes_up_stage_by_stage() {
    let boot = boot(static_seed());
    let times = boot.timeline();
    let at = |stage: Option<u64>| START + stage.unwrap();
    assert_eq!(boot.ping(START + 1_000), Reply::Silent);
    assert_eq!(boot.door(START + 1_000), Door::Closed);
    assert!(times.network < times.sshd && times.sshd < times.agent && times.agent < times.cloud_init_done);
    assert_eq!(boot.ping(at(times.agent)), Reply::Value(serde_json::json!({})));
    assert_eq!(addresses(&boot, at(times.agent)), ["10.77.0.51/24", "fe80::be24:11ff:fe94:6250/64"]);
    let ran = boot.exec(at(times.agent), &["cloud-init".into(), "status".into()], b"").unwrap();
    assert_eq!(ran.out, "status: running\n");
    assert!(boot.lets_in(LATE, "ubuntu", &[KEY.replace(" lab", "")]));
    assert!(!boot.lets_in(LATE, "root", &[KEY.to_owned()]));
    assert!(!boot.lets_in(LATE, "ubuntu", &[]));
    assert_eq!(boot.door(LATE), Door::Open { host_keys: boot.host_keys(LATE) });
    assert!(boot.console_after_newline(LATE, LATE + 5_000).ends_with("web-1 login: "));
    assert!(boot.console_after_newline(START, START + 2_000).contains("SeaBIOS"));
}

#[test]
fn dhcp_answers_by_mac_and_a_second_boot_keeps_what_the_first_made() {
    let first = boot(dhcp_seed());
    assert_eq!(addresses(&first, LATE)[0], "10.77.0.120/24");
    let mut second = boot(dhcp_seed());
    second.disk = first.final_disk(LATE);
    second.started_ms = LATE;
    assert!(!second.is_new_instance());
    assert_eq!(second.disk.root_bytes, 40 << 30);
    assert_eq!(second.disk.machine_id.as_deref(), Some("661ec0e1af48406aa4e00692b549c596"));
    assert_eq!(second.host_keys(LATE + 3_600_000), first.host_keys(LATE));
    let mut changed = second.clone();
    changed.seed.as_mut().unwrap().instance_id = "other".into();
    assert_ne!(changed.host_keys(LATE + 3_600_000), first.host_keys(LATE), "a new instance makes new host keys");
    assert!(changed.lets_in(LATE + 3_600_000, "ubuntu", &[KEY.to_owned()]));
}

#[test]
fn a_guest_without_network_config_has_no_address() {
    let mut boot = boot(Seed { nics: Vec::new(), ..dhcp_seed() });
    assert_eq!(addresses(&boot, LATE), Vec::<String>::new());
    boot.seed = None;
    assert_eq!(boot.exec(LATE, &["cloud-init".into(), "status".into()], b"").unwrap().out, "status: disabled\n");
    assert_eq!(boot.network_get_interfaces(LATE), boot.network_get_interfaces(LATE + 1));
}

#[test]
fn each_fault_shows() {
    let dark = |fault: GuestFault| with(fault).ping(LATE) == Reply::Silent;
    assert!(dark(GuestFault::AgentSilent) && dark(GuestFault::BootHangs));
    assert!(dark(GuestFault::Crashes) && dark(GuestFault::IoError));
    assert!(matches!(with(GuestFault::Crashes).running(LATE), Running::Crashed(_)));
    assert_eq!(with(GuestFault::IoError).running(LATE), Running::Paused(Pause::IoError));
    assert!(matches!(with(GuestFault::AgentError).network_get_interfaces(LATE), Reply::Error { .. }));
    assert!(matches!(with(GuestFault::ExecForbidden).exec(LATE, &["true".into()], b""), Err(Reply::Error { .. })));
    assert_eq!(addresses(&with(GuestFault::NoLease), LATE), ["fe80::be24:11ff:fe94:6250/64"]);
    assert!(with(GuestFault::NoLease).console_between(START, LATE).contains("dhcp4 timed out"));
    assert_eq!(with(GuestFault::PortClosed).door(LATE), Door::Closed);
    assert!(!with(GuestFault::KeyRefused).lets_in(LATE, "ubuntu", &[KEY.to_owned()]));
    let changed = with(GuestFault::HostKeyChanged);
    assert_ne!(changed.door(LATE), Door::Open { host_keys: changed.host_keys(LATE) });
    assert_eq!(with(GuestFault::SlowBoot).ping(START + 30_000), Reply::Silent);
    assert_eq!(with(GuestFault::Containers).interfaces(LATE).len(), 4);
    let mut shifted = boot(static_seed());
    shifted.faults.insert(GuestFault::OtherAddress);
    assert_eq!(addresses(&shifted, LATE)[0], "10.77.0.101/24");
    let failed = with(GuestFault::CloudInitFails { module: "runcmd".into(), message: "exit 3".into() });
    let status = failed.exec(LATE, &["cloud-init", "status", "--format", "json"].map(String::from), b"").unwrap();
    assert!(status.exit == 1 && status.out.contains("\"status\": \"error\"") && status.out.contains("runcmd"));
    let mut empty = boot(static_seed());
    empty.disk = Disk::default();
    assert!(empty.console_between(START, LATE).contains("No bootable device"));
    let loops =
        |fault: GuestFault, word: &str| assert!(with(fault).console_after_newline(LATE, LATE + 5_000).contains(word));
    loops(GuestFault::Unbootable, "No bootable device");
    loops(GuestFault::KernelPanics, "Kernel panic");
    loops(GuestFault::EmergencyShell, "emergency mode");
    assert_eq!(with(GuestFault::Starved).console_between(START, LATE), "");
    assert!(with(GuestFault::Starved).cpu_seconds(START + 600_000) < 3);
    assert_eq!(with(GuestFault::Suspended).running(LATE), Running::Paused(Pause::Suspended));
    assert_eq!(with(GuestFault::InternalError).running(LATE), Running::Paused(Pause::InternalError));
}

fn baking(script: &str) -> Boot {
    let vendor = format!(
        "#cloud-config\n{}\n",
        serde_json::json!({"packages": ["qemu-guest-agent"], "runcmd": [["systemd-run", "--unit=pvekube-bake", "sh", "-c", script]]})
    );
    let mut boot = boot(dhcp_seed());
    boot.disk.packages.clear();
    let seed = boot.seed.as_mut().unwrap();
    *seed = Seed { nics: seed.nics.clone(), ..Seed::read("", "", "instance-id: bake", Some(&vendor)) };
    boot
}

const SCRIPT: &str = "cloud-init status --wait; systemctl enable --now qemu-guest-agent; cloud-init clean --logs; \
    truncate -s 0 /etc/machine-id; rm -f /etc/ssh/ssh_host_*; echo \"pvekube-bake: $r\" >/dev/ttyS0; poweroff";

#[test]
fn a_bake_installs_cleans_reports_and_powers_off() {
    let boot = baking(SCRIPT);
    assert!(boot.console_between(START, LATE).contains("pvekube-bake: ok\r\n"));
    let Running::PoweredOff(at) = boot.running(LATE) else { panic!("{:?}", boot.running(LATE)) };
    assert_eq!(boot.running(at - 1), Running::Yes);
    let disk = boot.final_disk(LATE);
    assert!(disk.packages.contains("qemu-guest-agent"));
    assert_eq!((disk.instance.as_ref(), &disk.machine_id, &disk.host_keys), (None, &None, &None));
    assert_eq!(Disk::read(&disk.write()), disk);
}

#[test]
fn a_bake_that_forgets_to_clean_shows_it() {
    let disk = baking(&SCRIPT.replace("truncate -s 0 /etc/machine-id;", "")).final_disk(LATE);
    assert!(disk.machine_id.is_some());
    let disk = baking(&SCRIPT.replace("rm -f /etc/ssh/ssh_host_*;", "")).final_disk(LATE);
    assert!(disk.host_keys.is_some());
}

#[test]
fn the_real_bake_document_is_understood() {
    let network = Network { bridge: "vmbr0".into(), vlan: None, ipv4: Address::Dhcp, ipv6: None };
    let commands = vec!["modprobe br_netfilter".to_owned(), "false".to_owned()];
    let bake =
        Bake { network, addresses: Default::default(), packages: vec!["nfs-common".into()], commands, timeout_s: 900 };
    let run = |bake: &Bake| {
        let mut boot = baking("");
        let nics = dhcp_seed().nics;
        boot.seed = Some(Seed { nics, ..Seed::read("", "", "instance-id: b", Some(&cloud_init::document(bake))) });
        boot
    };
    let failing = run(&bake);
    let said = failing.console_between(START, LATE);
    let cloud_init::BakeOutcome::Failed { module, lines } = cloud_init::bake_outcome(&said) else { panic!("{said}") };
    assert_eq!((module.as_str(), lines.len()), ("command 2 (exit 1)", 1));
    let boot = run(&Bake { commands: Vec::new(), ..bake });
    assert_eq!(cloud_init::bake_outcome(&boot.console_between(START, LATE)), cloud_init::BakeOutcome::Ok);
    let disk = boot.final_disk(LATE);
    assert!(disk.packages.contains("nfs-common") && disk.packages.contains("qemu-guest-agent"));
    assert_eq!((disk.instance, disk.machine_id, disk.host_keys), (None, None, None));
}

#[test]
fn a_bake_without_packages_or_with_a_failing_command_says_so() {
    let mut offline = baking(SCRIPT);
    offline.leases.clear();
    assert!(offline.console_between(START, LATE).contains("pvekube-bake: failed: package qemu-guest-agent (exit 100)"));
    let mut failing = baking(SCRIPT);
    failing.faults.insert(GuestFault::BakeFails { message: "command 2: exit 1".into() });
    assert!(failing.console_between(START, LATE).contains("pvekube-bake: failed: command 2: exit 1"));
    let mut hanging = baking(SCRIPT);
    hanging.faults.insert(GuestFault::BakeHangs);
    assert_eq!(hanging.running(LATE), Running::Yes);
}

proptest::proptest! {
    #[test]
    fn any_text_is_some_disk_and_some_drive(text in ".{0,200}") {
        let mut boot = boot(Seed::read(&text, &text, &text, Some(&text)));
        boot.disk = Disk::read(&[super::disk::MAGIC, text.as_bytes()].concat());
        let _ = (boot.console_between(START, LATE), boot.interfaces(LATE), boot.final_disk(LATE));
    }
}
