use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::*;
use crate::model::desired::SshCheck;
use crate::model::ids::{ImageDigest, MachineId, OperationName, Pool};
use crate::model::mark::MarkSubject;
use crate::model::plan::{ExpectedAddress, ReadyStep};
use crate::pve::conf;

const MACHINE: &[u8] = include_bytes!("../../../tests/fixtures/pve/conf/i-golden.machine-conf-1.conf");

fn image() -> ImageDigest {
    format!("sha256-{}", "ab".repeat(32)).parse().unwrap()
}

fn mark(subject: MarkSubject, vmid: u32) -> Mark {
    Mark { cluster: "k8s".into(), subject, vmid: Vmid(vmid), image: Some(image()), recipe: None }
}

fn worker() -> Mark {
    mark(MarkSubject::Machine(MachineId { pool: Pool::Workers, number: 1 }), 201)
}

fn text(value: &str) -> Setting {
    Setting::Text(value.to_owned())
}

fn settings<const N: usize>(pairs: [(&str, Setting); N]) -> Settings {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn net() -> Setting {
    Setting::Net { model: "virtio".to_owned(), bridge: "vmbr0".to_owned(), vlan: None }
}

fn tags() -> Setting {
    Setting::Tags(["pvekube", "k8s"].map(str::to_owned).into())
}

/// One command a line, words quoted where they have blanks; files after them.
fn shown(action: &Action, vmid: u32, config: &VmConfig) -> String {
    let mut out = String::new();
    for (words, files) in of(action, Vmid(vmid), config) {
        let quoted = words.iter().map(|word| if word.contains(' ') { format!("'{word}'") } else { word.clone() });
        out.push_str(&format!("qm {}\n", quoted.collect::<Vec<_>>().join(" ")));
        for (name, content) in files {
            out.push_str(&format!("  @FOLDER/{name}: {:?}\n", String::from_utf8_lossy(&content)));
        }
    }
    out
}

/// One sample of every action: a new variant does not compile without one.
fn samples() -> Vec<(Action, u32, VmConfig)> {
    let template = mark(MarkSubject::Template, 9000);
    let machine = conf::parse(MACHINE).unwrap();
    let none = VmConfig { digest: "d0".to_owned(), ..VmConfig::default() };
    let bake = BakeStep {
        mark: template.clone(),
        snippet_volume: "local:snippets/pvekube-bake-1f2e3d4c.yaml".to_owned(),
        snippet_path: "/var/lib/vz/snippets/pvekube-bake-1f2e3d4c.yaml".to_owned(),
        document: String::new(),
        network: BTreeMap::from([("ipconfig0".to_owned(), "ip=dhcp".to_owned())]),
        timeout_s: 900,
    };
    let ready = ReadyStep {
        mark: worker(),
        name: "k8s-worker-1".into(),
        address: ExpectedAddress::Dhcp,
        user: "ubuntu".to_owned(),
        ssh: SshCheck::Off,
        ssh_port: 22,
        timeout_s: 300,
        ssh_interval_s: 10,
        exclude: Vec::new(),
    };
    vec![
        (
            Action::CreateTemplate {
                mark: template.clone(),
                set: settings([
                    ("name", text("ubuntu-2204-cloud-template")),
                    ("memory", text("768")),
                    ("balloon", text("0")),
                    ("cpu", text("x86-64-v2-AES")),
                    ("scsihw", text("virtio-scsi-single")),
                    ("net0", net()),
                    ("agent", text("enabled=1,fstrim_cloned_disks=1")),
                    ("tags", tags()),
                ]),
            },
            9000,
            none.clone(),
        ),
        (
            Action::ImportDisk {
                mark: template.clone(),
                disk: "scsi0".to_owned(),
                storage: "local-lvm".into(),
                image_path: "/var/lib/pvekube/images/sha256-ab12.img".to_owned(),
                options: "discard=on,iothread=1,ssd=1".to_owned(),
            },
            9000,
            none.clone(),
        ),
        (
            Action::Set {
                mark: worker(),
                set: settings([
                    ("cores", text("2")),
                    ("net0", net()),
                    ("nameserver", text("10.77.0.1 1.1.1.1")),
                    ("sshkeys", Setting::SshKeys("ssh-ed25519 AAAA user@laptop\n\n".to_owned())),
                    ("onboot", text("1")),
                    ("tags", Setting::Tags(["k8s", "pvekube", "web"].map(str::to_owned).into())),
                    ("description", Setting::Description(worker())),
                ]),
                delete: BTreeSet::from(["hookscript".to_owned()]),
                revert: BTreeMap::from([("cores".to_owned(), Some("2".to_owned())), ("memory".to_owned(), None)]),
            },
            201,
            machine.clone(),
        ),
        (Action::Resize { mark: worker(), disk: "scsi0".to_owned(), size_gb: 5 }, 201, machine.clone()),
        (Action::Bake(bake), 9000, none.clone()),
        (Action::ConvertTemplate { mark: template }, 9000, none.clone()),
        (
            Action::Clone {
                template: Vmid(9000),
                target: Some("c2".into()),
                name: "k8s-worker-1".into(),
                mark: worker(),
                pool: Some("kubernetes".into()),
                storage: "local-lvm".into(),
            },
            201,
            none.clone(),
        ),
        (Action::Start { mark: worker() }, 201, none.clone()),
        (Action::Shutdown { mark: worker(), timeout_s: 120 }, 201, none.clone()),
        (Action::Destroy { mark: worker(), half_made: false }, 201, none.clone()),
        (Action::Destroy { mark: worker(), half_made: true }, 201, none.clone()),
        (
            Action::FetchImage { url: "u".to_owned(), digest: image(), path: "p".to_owned(), from_controller: false },
            9000,
            none.clone(),
        ),
        (Action::RemoveImage { path: "p".to_owned() }, 9000, none.clone()),
        (Action::Ready(ready), 201, none.clone()),
        (Action::Attach { operation: OperationName::new("k8s-201-clone-x") }, 201, none),
    ]
}

#[test]
fn every_action() {
    let all: Vec<String> = samples()
        .iter()
        .map(|(action, vmid, config)| format!("# {}\n{}", action.verb(), shown(action, *vmid, config)))
        .collect();
    assert_snapshot!(all.join("\n").replace(image().as_str(), "sha256-ab…"));
}

/// What the recorded way ran, word for word, where a digest makes no difference.
#[test]
fn as_recorded() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(shutdown(Vmid(201), 120), words("shutdown 201 --timeout 120 --forceStop 1"));
    assert_eq!(destroy(Vmid(201)), words("destroy 201 --purge 1"));
    assert_eq!(resize(Vmid(9000), "scsi0", 3, "d")[..5], words("disk resize 9000 scsi0 3G"));
    let import = import_disk(
        Vmid(9000),
        "scsi0",
        &"local-lvm".into(),
        "/var/lib/pvekube/images/sha256-ab12cd34.img",
        "discard=on,iothread=1,ssd=1",
        "d",
    );
    let recorded = "local-lvm:0,import-from=/var/lib/pvekube/images/sha256-ab12cd34.img,discard=on,iothread=1,ssd=1";
    assert_eq!(import[5], recorded);
}

#[test]
fn what_is_there_stays() {
    let mut config = conf::parse(MACHINE).unwrap();
    config
        .keys
        .insert("net0".to_owned(), "virtio=BC:24:11:95:D7:DE,bridge=vmbr0,firewall=1,mtu=1,queues=2,tag=5".to_owned());
    config.keys.insert("tags".to_owned(), "Lab;k8s".to_owned());
    config.description = "mine\npvekube/1 old\nyours".to_owned();
    let wanted = settings([
        ("net0", Setting::Net { model: "virtio".to_owned(), bridge: "vmbr1".to_owned(), vlan: Some(7) }),
        ("tags", Setting::Tags(["lab", "pvekube"].map(str::to_owned).into())),
        ("description", Setting::Description(worker())),
    ]);
    let (words, _) = set(Vmid(201), &wanted, &BTreeSet::new(), &config);
    let value = |key: &str| words[words.iter().position(|word| word == key).unwrap() + 1].as_str();
    assert_eq!(value("--net0"), "virtio=BC:24:11:95:D7:DE,bridge=vmbr1,firewall=1,mtu=1,queues=2,tag=7");
    assert_eq!(value("--tags"), "Lab;k8s;pvekube");
    assert_eq!(value("--description"), format!("mine\n{}\nyours", worker()));
    assert_eq!(value("--digest"), config.digest);
}

#[test]
fn a_pending_mac_is_the_one_that_counts() {
    let mut config = conf::parse(MACHINE).unwrap();
    config.pending.insert("net0".to_owned(), "virtio=BC:24:11:00:00:99,bridge=vmbr0".to_owned());
    let (words, _) = set(Vmid(201), &settings([("net0", net())]), &BTreeSet::new(), &config);
    assert!(words.contains(&"virtio=BC:24:11:00:00:99,bridge=vmbr0".to_owned()));
}

#[test]
fn an_empty_key_file_is_never_written() {
    let wanted = settings([("sshkeys", Setting::SshKeys(" \n".to_owned()))]);
    let (words, files) = set(Vmid(201), &wanted, &BTreeSet::new(), &VmConfig::default());
    assert!(files.is_empty());
    assert_eq!(words[4..], ["--delete", "sshkeys"]);
}

#[test]
fn a_key_is_never_set_and_deleted_in_one_call() {
    let delete = BTreeSet::from(["cores".to_owned(), "hookscript".to_owned()]);
    let (words, _) = set(Vmid(201), &settings([("cores", text("2"))]), &delete, &VmConfig::default());
    assert_eq!(words.last().map(String::as_str), Some("hookscript"));
}
