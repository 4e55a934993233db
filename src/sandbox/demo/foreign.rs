//! Other people's guests on the demo's nodes: what pvekube must see, count and leave alone.

use std::io;
use std::sync::Arc;

use super::Layout;
use crate::pve::conf;
use crate::sandbox::guest::disk::Disk;
use crate::sandbox::guest::store;
use crate::sandbox::guests;
use crate::sandbox::node::SandboxNode;
use crate::sandbox::world::World;

struct Foreign {
    /// Index of its node; nodes beyond the layout's count are left out.
    node: usize,
    name: &'static str,
    container: bool,
    cores: u32,
    memory_mb: u64,
    disk_gb: u64,
    running: bool,
}

const fn vm(node: usize, name: &'static str, cores: u32, memory_mb: u64, disk_gb: u64, running: bool) -> Foreign {
    Foreign { node, name, container: false, cores, memory_mb, disk_gb, running }
}

const fn ct(node: usize, name: &'static str, memory_mb: u64, disk_gb: u64) -> Foreign {
    Foreign { node, name, container: true, cores: 1, memory_mb, disk_gb, running: true }
}

/// A home like many: placement has something to weigh.
const GUESTS: [Foreign; 7] = [
    vm(0, "home-assistant", 2, 4096, 32, true),
    ct(0, "pihole", 512, 8),
    vm(1, "win11", 4, 8192, 128, false),
    ct(1, "nginx-proxy", 1024, 8),
    vm(1, "media", 4, 8192, 64, true),
    vm(2, "gitea", 2, 4096, 64, true),
    ct(2, "unifi", 2048, 16),
];

/// Foreign guests get ids from here on, so that a first cluster can have the round ones.
const FIRST_VMID: u32 = 110;

/// Creates and, where they run, starts them.
pub(super) fn settle_in(world: &Arc<World>, layout: &Layout) -> io::Result<()> {
    let nodes = world.nodes();
    let free = (FIRST_VMID..).filter(|vmid| !layout.reserved_vmids.contains(vmid));
    for (guest, vmid) in GUESTS.iter().zip(free) {
        let Some(node) = nodes.get(guest.node) else { continue };
        if guest.container { add_container(node, guest, vmid)? } else { add_vm(world, node, guest, vmid, layout)? }
    }
    Ok(())
}

fn bridge(layout: &Layout) -> &str {
    layout.bridges.first().map_or("vmbr0", String::as_str)
}

fn add_container(node: &SandboxNode, guest: &Foreign, vmid: u32) -> io::Result<()> {
    let Foreign { name, cores, memory_mb, disk_gb, .. } = guest;
    let mac = node.world.fresh_mac();
    let text = format!(
        "arch: amd64\ncores: {cores}\nhostname: {name}\nmemory: {memory_mb}\n\
         net0: name=eth0,bridge=vmbr0,hwaddr={mac},ip=dhcp,type=veth\nonboot: 1\nostype: debian\n\
         rootfs: local-lvm:vm-{vmid}-disk-0,size={disk_gb}G\nswap: 512\nunprivileged: 1\n"
    );
    node.pve_write(&format!("/etc/pve/nodes/{}/lxc/{vmid}.conf", node.name()), text)
}

fn add_vm(world: &Arc<World>, node: &SandboxNode, guest: &Foreign, vmid: u32, layout: &Layout) -> io::Result<()> {
    let Foreign { name, cores, memory_mb, disk_gb, running, .. } = guest;
    let storage = layout.image_storages.first().map_or("local-lvm", String::as_str);
    let volume = format!("{storage}:vm-{vmid}-disk-0");
    let (mac, uuid) = (world.fresh_mac(), world.fresh_uuid());
    let (bridge, onboot) = (bridge(layout), u8::from(*running));
    let text = format!(
        "agent: 1\nboot: order=scsi0\ncores: {cores}\ncpu: host\nmemory: {memory_mb}\nname: {name}\n\
         net0: virtio={mac},bridge={bridge}\nonboot: {onboot}\nostype: l26\n\
         scsi0: {volume},iothread=1,size={disk_gb}G\nscsihw: virtio-scsi-single\nsmbios1: uuid={uuid}\n"
    );
    let packages = ["qemu-guest-agent".to_owned()].into();
    let disk = Disk { image: "installed by hand".to_owned(), packages, ..Disk::default() };
    store::create(node, &volume, disk_gb << 30, disk_gb << 29, &disk)?;
    node.pve_write(&node.conf_path(vmid), &text)?;
    if *running {
        let config = conf::parse(text.as_bytes()).map_err(|error| io::Error::other(error.to_string()))?;
        world.guests.start(node, &guests::Boot { vmid, config, cloudinit: None })?;
    }
    Ok(())
}
