//! Traps that the recordings do not have: other kinds of storage, killed tools, faults (contract §11).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::clock::Clock;
use super::super::faults::AgentFault;
use super::super::fs::Fs;
use super::super::guest::disk::Disk;
use super::super::guest::hypervisor::Hypervisor;
use super::super::process::{Captured, Closed, Output, Sink, Stream};
use super::super::world::{NodeSpec, PveVersion, RealmSpec, StorageKind, StorageSpec, Topology, World};
use super::*;

/// `Remote`'s futures are sent between threads; this need only compile.
#[allow(dead_code)]
fn runs_on_any_thread(node: &'static SandboxNode, process: &'static Process) {
    fn send<T: Send>(_: T) {}
    send(run(node, process));
}

fn storage(name: &str, kind: StorageKind, place: &str, size_mib: u64, shared: bool) -> StorageSpec {
    let content = if kind.is_files() { vec!["images", "snippets", "backup"] } else { vec!["images", "rootdir"] };
    let content = content.into_iter().map(str::to_owned).collect();
    StorageSpec { name: name.into(), kind, content, size_mib, place: place.into(), shared, sparse: true, nodes: None }
}

fn world() -> Arc<World> {
    let node = |name: &str, version: PveVersion| NodeSpec {
        name: name.into(),
        address: "10.0.0.1".into(),
        cpus: 4,
        memory_mib: 8192,
        version,
        bridges: vec!["vmbr0".into()],
        resolv_conf: "nameserver 10.0.0.1\n".into(),
    };
    let realm = RealmSpec {
        name: "home".into(),
        cluster: Some("home".into()),
        nodes: vec![
            node("pve1", PveVersion::pve9()),
            node("pve2", PveVersion::pve9()),
            node("pve3", PveVersion::pve8()),
        ],
        storages: vec![
            storage("local-lvm", StorageKind::Lvmthin, "pve/data", 20_000, false),
            storage("thick", StorageKind::Lvm, "vg1", 20_000, false),
            storage("tank", StorageKind::Zfspool, "rpool/data", 20_000, false),
            storage("nas", StorageKind::Nfs, "/export", 20_000, true),
        ],
    };
    let topology = Topology { seed: 3, realms: vec![realm] };
    let guests = Arc::new(Hypervisor::default());
    let world = World::create(Fs::memory(), topology, Clock::simulated(1_795_000_000), guests).unwrap();
    let node = world.node("pve1").unwrap();
    let mut image = vec![0; 64];
    image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    image[24..32].copy_from_slice(&(2_u64 << 30).to_be_bytes());
    let packages = BTreeSet::from(["qemu-guest-agent".to_owned()]);
    image.extend(Disk { image: "noble".into(), packages, ..Disk::default() }.write());
    node.write("/tmp/noble.img", image).unwrap();
    world
}

struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
}

async fn on(world: &Arc<World>, node: &str, line: &str) -> Said {
    let (captured, out) = Captured::new();
    let process = Process::new(line.split(' '), out);
    let exit = run(&world.node(node).unwrap(), &process).await.unwrap();
    let (stdout, stderr) = captured.take();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { exit, stdout: text(stdout), stderr: text(stderr) }
}

/// Runs commands on pve1 that must succeed.
async fn all(world: &Arc<World>, lines: &[&str]) {
    for line in lines {
        let said = on(world, "pve1", line).await;
        assert_eq!(said.exit, 0, "{line}: {}{}", said.stdout, said.stderr);
    }
}

fn conf(world: &Arc<World>, vmid: u32) -> String {
    world.node("pve1").unwrap().read_text(&format!("/etc/pve/qemu-server/{vmid}.conf")).unwrap_or_default()
}

/// A template on a storage: `9000`.
async fn template(world: &Arc<World>, storage: &str) {
    let import = format!("qm set 9000 --scsi0 {storage}:0,import-from=/tmp/noble.img");
    all(
        world,
        &["qm create 9000 --name tpl --boot order=net0 --net0 virtio,bridge=vmbr0", &import, "qm template 9000"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn volume_ids_of_each_kind_of_storage() {
    for (storage, base, linked) in [
        ("local-lvm", "local-lvm:base-9000-disk-0", "local-lvm:vm-101-disk-0"),
        ("tank", "tank:base-9000-disk-0", "tank:base-9000-disk-0/vm-101-disk-0"),
        ("nas", "nas:9000/base-9000-disk-0.raw", "nas:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2"),
    ] {
        let world = world();
        template(&world, storage).await;
        assert!(conf(&world, 9000).contains(&format!("scsi0: {base},size=2G")), "{}", conf(&world, 9000));
        all(&world, &["qm clone 9000 101 --name a"]).await;
        assert!(conf(&world, 101).contains(&format!("scsi0: {linked},size=2G")), "{}", conf(&world, 101));
        let said = on(&world, "pve1", "qm destroy 9000").await;
        // Only lvmthin forgets its linked clones.
        assert_eq!(said.exit == 0, storage == "local-lvm", "{storage}: {}", said.stderr);
        all(&world, &["qm destroy 101 --purge 1"]).await;
        let left = on(&world, "pve1", &format!("pvesm list {storage} --vmid 101")).await.stdout;
        assert_eq!(left.lines().count(), 1, "{left}");
    }
}

#[tokio::test(start_paused = true)]
async fn thick_lvm_makes_a_template_that_can_not_be_linked() {
    let world = world();
    template(&world, "thick").await;
    assert!(conf(&world, 9000).contains("scsi0: thick:vm-9000-disk-0"), "silently not converted");
    let said = on(&world, "pve1", "qm clone 9000 101").await;
    assert_eq!(said.exit, 255);
    assert!(said.stderr.contains("Linked clone feature is not supported for 'thick:vm-9000-disk-0' (scsi0)"));
    assert_eq!(conf(&world, 101), "");
    all(&world, &["qm clone 9000 101 --full 1"]).await;
    let said = on(&world, "pve1", "qm disk resize 101 scsi0 30G").await;
    assert_eq!((said.exit, said.stderr.contains("lvextend")), (0, true), "exit 0 on failure");
}

#[tokio::test(start_paused = true)]
async fn a_killed_create_leaves_a_nameless_lock_and_its_volume() {
    let world = world();
    let node = world.node("pve1").unwrap();
    let line = "qm create 101 --name a --description mine --scsi0 local-lvm:0,import-from=/tmp/noble.img";
    let (_, out) = Captured::new();
    let process = Process::new(line.split(' '), out);
    // SIGKILL in the middle of the copy.
    assert!(tokio::time::timeout(Duration::from_millis(2500), run(&node, &process)).await.is_err());
    assert_eq!(conf(&world, 101), "lock: create\n");
    assert!(on(&world, "pve1", "pvesm list local-lvm --vmid 101").await.stdout.contains("local-lvm:vm-101-disk-0"));
    let said = on(&world, "pve1", "qm destroy 101").await;
    assert_eq!((said.exit, said.stderr.as_str()), (255, "VM is locked (create)\n"));
    assert!(on(&world, "pve2", "qm create 101").await.stderr.contains("VM 101 already exists on node 'pve1'"));
}

#[tokio::test(start_paused = true)]
async fn a_killed_clone_keeps_its_mark_and_a_terminated_one_cleans_up() {
    let world = world();
    template(&world, "local-lvm").await;
    all(&world, &["qm set 9000 --ide2 local-lvm:cloudinit"]).await;
    let node = world.node("pve1").unwrap();
    for (vmid, hard) in [(101, true), (102, false)] {
        let line = format!("qm clone 9000 {vmid} --full 1 --name a --description mark");
        let (_, out) = Captured::new();
        let process = Process::new(line.split(' '), out);
        let running = run(&node, &process);
        tokio::pin!(running);
        assert!(tokio::time::timeout(Duration::from_millis(2500), &mut running).await.is_err());
        assert!(conf(&world, vmid).starts_with("#mark\n") && conf(&world, vmid).contains("lock: clone"));
        if !hard {
            process.terminate.cancel();
            assert_eq!(running.await, Some(255));
        }
        let volumes = on(&world, "pve1", &format!("pvesm list local-lvm --vmid {vmid}")).await.stdout;
        assert_eq!((conf(&world, vmid).is_empty(), volumes.contains("disk-0")), (!hard, hard));
    }
    // The kernel freed the killed one's flock; the `lock:` key stays.
    assert_eq!(on(&world, "pve1", "qm start 101").await.stderr, "VM is locked (clone)\n");
}

/// Name and description come with the first drive that was copied (Qemu.pm `clone_vm`).
#[tokio::test(start_paused = true)]
async fn a_clone_has_no_mark_before_its_first_drive() {
    let world = world();
    template(&world, "local-lvm").await;
    let (_, out) = Captured::new();
    let process = Process::new("qm clone 9000 101 --full 1 --name a --description mark".split(' '), out);
    let node = world.node("pve1").unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(2000), run(&node, &process)).await.is_err());
    assert_eq!(conf(&world, 101), "# qmclone temporary file\nlock: clone\n");
    assert_eq!(on(&world, "pve2", "pvesh get /cluster/nextid").await.stdout, "100\n");
}

#[tokio::test(start_paused = true)]
async fn the_datacenter_says_which_ids_come_next_and_how_tags_are_stored() {
    let world = world();
    let node = world.node("pve1").unwrap();
    all(&world, &["qm create 200 --tags Zeta;alpha;ALPHA"]).await;
    assert!(conf(&world, 200).contains("tags: alpha;zeta\n"), "{}", conf(&world, 200));
    node.pve_write(
        "/etc/pve/datacenter.cfg",
        "next-id: lower=200,upper=202\ntag-style: case-sensitive=1,ordering=config\n",
    )
    .unwrap();
    all(&world, &["qm set 200 --tags Zeta;alpha;Zeta;ALPHA"]).await;
    assert!(conf(&world, 200).contains("tags: Zeta;alpha;ALPHA\n"), "{}", conf(&world, 200));
    assert_eq!(on(&world, "pve1", "pvesh get /cluster/nextid").await.stdout, "201\n");
    all(&world, &["qm create 201"]).await;
    let said = on(&world, "pve1", "pvesh get /cluster/nextid").await;
    assert_eq!((said.exit == 0, said.stderr.contains("unable to get any free VMID in range")), (false, true));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_holds_the_vms_lock_all_along() {
    let world = world();
    all(&world, &["qm create 101 --scsi0 nas:0,import-from=/tmp/noble.img", "qm start 101"]).await;
    world.change_faults(|faults| faults.deaf_to_shutdown.extend([101])).unwrap();
    let shutdown = on(&world, "pve1", "qm shutdown 101 --timeout 60");
    let set = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        on(&world, "pve1", "qm set 101 --cores 2").await
    };
    let (shutdown, set) = tokio::join!(shutdown, set);
    assert_eq!((shutdown.exit, shutdown.stderr.as_str()), (255, "VM quit/powerdown failed - got timeout\n"));
    assert!(
        set.stderr.ends_with("can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout\n"),
        "{}",
        set.stderr
    );
}

/// A reader that goes away after so many lines.
struct Leaving(std::sync::atomic::AtomicI32);

impl Sink for Leaving {
    fn write(&self, _: Stream, _: &[u8]) -> Result<(), Closed> {
        let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if left > 0 { Ok(()) } else { Err(Closed) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_pipe_kills_a_clone_and_on_lvm_its_cleaning_up() {
    for (storage, left) in [("nas", false), ("local-lvm", true)] {
        let world = world();
        template(&world, storage).await;
        let process = Process::new("qm clone 9000 101 --full 1".split(' '), Output(Arc::new(Leaving(20.into()))));
        run(&world.node("pve1").unwrap(), &process).await;
        // lvremove's own line meets the closed pipe: the config stays, with its lock (contract §0.2).
        assert_eq!(conf(&world, 101).contains("lock: clone"), left, "{storage}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_or_another_node_has_the_id() {
    let world = world();
    template(&world, "nas").await;
    let pve2 = world.node("pve2").unwrap();
    pve2.pve_write("/etc/pve/nodes/pve2/lxc/101.conf", "hostname: ct\n").unwrap();
    let said = on(&world, "pve1", "qm create 101").await;
    assert_eq!(said.stderr, "unable to create VM 101 - CT 101 already exists on node 'pve2'\n");
    let said = on(&world, "pve1", "qm clone 9000 101").await;
    assert_eq!(
        said.stderr,
        "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/101.conf' failed: File exists\n"
    );
    assert_eq!(on(&world, "pve1", "pvesh get /cluster/nextid").await.stdout, "100\n");
}

#[tokio::test(start_paused = true)]
async fn ha_only_notes_the_wish() {
    let world = world();
    all(&world, &["qm create 101 --name a"]).await;
    let node = world.node("pve1").unwrap();
    node.pve_write("/etc/pve/ha/resources.cfg", "vm: 101\n\tstate stopped\n").unwrap();
    let said = on(&world, "pve1", "qm start 101").await;
    assert_eq!((said.exit, said.stdout.as_str()), (0, "Requesting HA start for VM 101\n"));
    assert_eq!(on(&world, "pve1", "qm status 101").await.stdout, "status: stopped\n");
    assert!(node.read_text("/etc/pve/ha/resources.cfg").unwrap().contains("state started"));
    let said = on(&world, "pve1", "qm destroy 101").await;
    assert!(said.stderr.contains("used in HA resources and purge parameter not set."));
    all(&world, &["qm destroy 101 --purge 1"]).await;
    assert!(!node.read_text("/etc/pve/ha/resources.cfg").unwrap().contains("101"));
}

#[tokio::test(start_paused = true)]
async fn without_pmxcfs_nothing_works_and_nothing_is_there() {
    let world = world();
    all(&world, &["qm create 101"]).await;
    world.change_faults(|faults| faults.pmxcfs_unmounted.extend(["pve1".to_owned()])).unwrap();
    let said = on(&world, "pve1", "qm list").await;
    assert_eq!((said.exit, said.stdout.as_str()), (111, ""));
    assert!(said.stderr.ends_with("Unable to load access control list: Connection refused\n"));
}

#[tokio::test(start_paused = true)]
async fn a_full_storage_and_a_failing_template() {
    let world = world();
    all(&world, &["qm create 9000 --boot order=net0 --net0 virtio,bridge=vmbr0"]).await;
    world.change_faults(|faults| faults.storage_full.extend(["pve1/nas".to_owned()])).unwrap();
    let said = on(&world, "pve1", "qm set 9000 --scsi0 nas:0,import-from=/tmp/noble.img").await;
    assert!(said.exit != 0 && said.stderr.contains("No space left on device"), "{}", said.stderr);
    assert!(!conf(&world, 9000).contains("scsi0"));
    world
        .change_faults(|faults| {
            faults.storage_full.clear();
            faults.template_fails.extend([9000]);
        })
        .unwrap();
    all(&world, &["qm set 9000 --scsi0 nas:0,import-from=/tmp/noble.img"]).await;
    let said = on(&world, "pve1", "qm template 9000").await;
    assert_eq!((said.exit, said.stderr.is_empty()), (0, false), "exit 0 on failure");
    assert!(conf(&world, 9000).contains("template: 1") && !conf(&world, 9000).contains("base-9000"));
    world.change_faults(|faults| faults.template_fails.clear()).unwrap();
    all(&world, &["qm template 9000 --disk scsi0"]).await;
    assert!(conf(&world, 9000).contains("nas:9000/base-9000-disk-0.raw"));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_answers_with_an_error_object() {
    let world = world();
    all(&world, &["qm create 101 --agent 1 --scsi0 nas:0,import-from=/tmp/noble.img", "qm start 101"]).await;
    let said = on(&world, "pve1", "qm agent 101 ping").await;
    assert_eq!((said.exit, said.stderr.as_str()), (255, "QEMU guest agent is not running\n"), "it still boots");
    tokio::time::sleep(Duration::from_secs(120)).await;
    all(&world, &["qm agent 101 ping"]).await;
    world.change_faults(|faults| faults.agent.extend([(101, AgentFault::ErrorObject)])).unwrap();
    let said = on(&world, "pve1", "qm agent 101 network-get-interfaces").await;
    assert_eq!((said.exit, said.stdout.contains("\"error\" : {")), (0, true), "{}", said.stdout);
    world.change_faults(|faults| faults.agent.extend([(101, AgentFault::Absent)])).unwrap();
    assert_eq!(on(&world, "pve1", "qm agent 101 network-get-interfaces").await.exit, 255);
}

#[tokio::test(start_paused = true)]
async fn locale_noise_changes_nothing_else() {
    let world = world();
    let (captured, out) = Captured::new();
    let mut process = Process::new(["qm", "create", "101", "--description", "grün"], out);
    process.locale = "de_DE.UTF-8".into();
    assert_eq!(run(&world.node("pve1").unwrap(), &process).await, Some(0));
    assert!(String::from_utf8(captured.take().1).unwrap().starts_with("perl: warning: Setting locale failed.\n"));
    process.locale = "C".into();
    process.argv[2] = "102".into();
    run(&world.node("pve1").unwrap(), &process).await;
    assert!(conf(&world, 102).starts_with("#gr%EF%BF%BD%EF%BF%BDn\n"), "{}", conf(&world, 102));
}

#[tokio::test(start_paused = true)]
async fn shared_storage_is_one_and_pve8_says_less() {
    let world = world();
    template(&world, "nas").await;
    all(&world, &["qm clone 9000 101 --full 1 --target pve2"]).await;
    assert!(on(&world, "pve2", "pvesm list nas --vmid 101").await.stdout.contains("nas:101/vm-101-disk-0.raw"));
    let said = on(&world, "pve2", "qm clone 101 102 --full 1").await;
    assert!(said.stdout.starts_with("creating a clone of VM 101 with ID 102\n"), "{}", said.stdout);
    let node = world.node("pve2").unwrap();
    node.pve_rename(&node.conf_path(101), "/etc/pve/nodes/pve3/qemu-server/101.conf").unwrap();
    let said = on(&world, "pve3", "qm clone 101 103 --full 1").await;
    assert!(said.stdout.starts_with("create full clone of drive scsi0"), "{}{}", said.stdout, said.stderr);
}

/// Storage/Plugin.pm `list_volumes`: all kinds of content, unless one is asked for.
#[tokio::test(start_paused = true)]
async fn a_list_of_a_vms_volumes_has_its_backups_too() {
    let world = world();
    all(&world, &["qm create 101 --scsi0 nas:1"]).await;
    let node = world.node("pve1").unwrap();
    for vmid in [101, 102] {
        let file = format!("/mnt/pve/nas/dump/vzdump-qemu-{vmid}-2026_11_22-19_00_00.vma.zst");
        node.write(&file, "backup").unwrap();
    }
    let listed = async |options: &str| {
        let text = on(&world, "pve1", &format!("pvesm list nas --vmid 101{options}")).await.stdout;
        text.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let disk = "nas:101/vm-101-disk-0.raw";
    assert_eq!(listed("").await, [disk, "nas:backup/vzdump-qemu-101-2026_11_22-19_00_00.vma.zst"]);
    assert_eq!(listed(" --content images").await, [disk]);
}

#[tokio::test(start_paused = true)]
async fn a_cfs_lock_that_somebody_holds_times_out() {
    let world = world();
    all(&world, &["qm create 101"]).await;
    let node = world.node("pve2").unwrap();
    node.fs().mkdir(&node.at("/etc/pve/priv/lock/storage-nas")).unwrap();
    let said = on(&world, "pve1", "qm set 101 --scsi0 nas:1").await;
    assert_ne!(said.exit, 0);
    assert!(said.stderr.contains("cfs-lock 'storage-nas' error: got lock request timeout"), "{}", said.stderr);
}

#[tokio::test(start_paused = true)]
async fn freeing_a_volume_that_is_not_there_exits_0() {
    let world = world();
    let said = on(&world, "pve1", "pvesm free local-lvm:vm-101-disk-0").await;
    assert_eq!((said.exit, said.stderr.as_str()), (0, "volume 'local-lvm:vm-101-disk-0' does not exist\n"));
    all(&world, &["pvesm alloc local-lvm 101 vm-101-disk-0 4G", "pvesm free local-lvm:vm-101-disk-0"]).await;
    assert_eq!(on(&world, "pve1", "pvesm list local-lvm").await.stdout.lines().count(), 1);
}
