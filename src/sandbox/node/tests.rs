use std::io::ErrorKind;
use std::sync::Arc;

use super::*;
use crate::sandbox::clock::Clock;
use crate::sandbox::guests::Guests;
use crate::sandbox::world::{PveVersion, RealmSpec, StorageKind, StorageSpec, Topology};

#[derive(Debug)]
struct NoGuests;

impl Guests for NoGuests {
    fn start(&self, _: &SandboxNode, _: &crate::sandbox::guests::Boot) -> io::Result<()> {
        Ok(())
    }
    fn running(&self, _: &SandboxNode, _: u32) -> Option<crate::sandbox::guests::Running> {
        None
    }
    fn stop(&self, _: &SandboxNode, _: u32) -> io::Result<()> {
        Ok(())
    }
    fn shutdown(&self, _: &SandboxNode, _: u32) -> Option<f64> {
        None
    }
    fn pause(&self, _: &SandboxNode, _: u32, _: bool) -> io::Result<()> {
        Ok(())
    }
    fn agent(&self, _: &SandboxNode, _: u32, _: &str) -> crate::sandbox::guests::AgentReply {
        crate::sandbox::guests::AgentReply::Silent
    }
    fn exec(&self, _: &SandboxNode, _: u32, _: &[String], _: &[u8], _: f64) -> crate::sandbox::guests::ExecReply {
        crate::sandbox::guests::ExecReply::Silent
    }
}

fn cluster(fs: Fs) -> Arc<World> {
    let node = |name: &str, last: u32| NodeSpec {
        name: name.into(),
        address: format!("10.77.0.{last}"),
        cpus: 4,
        memory_mib: 8192,
        version: PveVersion::pve9(),
        bridges: vec!["vmbr0".into()],
        resolv_conf: "nameserver 10.77.0.1\n".into(),
    };
    let realm = RealmSpec {
        name: "home".into(),
        cluster: Some("labcluster".into()),
        nodes: vec![node("c1", 13), node("c2", 14), node("c3", 15)],
        storages: vec![StorageSpec {
            name: "local-lvm".into(),
            kind: StorageKind::Lvmthin,
            content: vec!["images".into(), "rootdir".into()],
            size_mib: 102_400,
            place: "pve/data".into(),
            shared: false,
            sparse: false,
            nodes: None,
        }],
    };
    World::create(fs, Topology { seed: 1, realms: vec![realm] }, Clock::real(1.0), Arc::new(NoGuests)).unwrap()
}

#[tokio::test]
async fn pmxcfs_is_shared_and_guards_vmids() {
    let folder = tempfile::tempdir().unwrap();
    for fs in [Fs::memory(), Fs::directory(folder.path()).unwrap()] {
        let world = cluster(fs);
        let (c1, c2) = (world.node("c1").unwrap(), world.node("c2").unwrap());
        c1.pve_write(&c1.conf_path(100), "name: a\n").unwrap();
        assert_eq!(c2.read_text("/etc/pve/nodes/c1/qemu-server/100.conf").unwrap(), "name: a\n");
        assert_eq!(c1.read_text("/etc/pve/qemu-server/100.conf").unwrap(), "name: a\n");
        assert_eq!(c2.pve_write(&c2.conf_path(100), "x\n").unwrap_err().kind(), ErrorKind::AlreadyExists);
        c1.pve_write(&c1.conf_path(100), "name: b\n").unwrap();
        let list = c2.read_text("/etc/pve/.vmlist").unwrap();
        assert_eq!(
            list,
            "{\n\"version\": 2,\n\"ids\": {\n\"100\": { \"node\": \"c1\", \"type\": \"qemu\", \"version\": 2 }}\n\n}\n"
        );
        c1.pve_rename(&c1.conf_path(100), &c2.conf_path(100)).unwrap();
        assert_eq!(c1.guests(), [(100, "c2".to_owned(), "qemu")]);
    }
}

#[tokio::test]
async fn two_of_three_down_is_no_quorum_and_reads_go_on() {
    let world = cluster(Fs::memory());
    let c1 = world.node("c1").unwrap();
    c1.pve_write(&c1.conf_path(100), "name: a\n").unwrap();
    world.change_faults(|faults| faults.offline.extend(["c2".to_owned(), "c3".to_owned()])).unwrap();
    assert!(c1.read_text("/etc/pve/.members").unwrap().contains("\"quorate\": 0"));
    assert_eq!(c1.pve_write(&c1.conf_path(100), "x\n").unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(c1.read_text("/etc/pve/qemu-server/100.conf").unwrap(), "name: a\n");
    world.change_faults(|faults| faults.offline.clear()).unwrap();
    c1.pve_write(&c1.conf_path(100), "x\n").unwrap();
}

#[tokio::test]
async fn without_pmxcfs_the_folder_is_empty() {
    let world = cluster(Fs::memory());
    let c1 = world.node("c1").unwrap();
    c1.pve_write(&c1.conf_path(100), "name: a\n").unwrap();
    world.change_faults(|faults| faults.pmxcfs_unmounted.extend(["c1".to_owned()])).unwrap();
    assert!(c1.list("/etc/pve").is_empty());
    assert!(c1.guests().is_empty());
    world.change_faults(|faults| faults.pmxcfs_unmounted.clear()).unwrap();
    assert_eq!(c1.guests().len(), 1);
}
