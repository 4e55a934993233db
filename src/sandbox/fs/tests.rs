use super::*;

fn both(check: impl Fn(&Fs)) {
    check(&Fs::memory());
    let folder = tempfile::tempdir().unwrap();
    check(&Fs::directory(folder.path()).unwrap());
}

#[test]
fn writes_make_parents_and_links_are_followed() {
    both(|fs| {
        fs.write("/realms/home/nodes/pve1/qemu-server/100.conf", "name: a\n").unwrap();
        fs.symlink("/realms/home/nodes", "/nodes/pve1/etc/pve/nodes").unwrap();
        fs.symlink("nodes/pve1", "/nodes/pve1/etc/pve/local").unwrap();
        assert_eq!(fs.read_text("/nodes/pve1/etc/pve/local/qemu-server/100.conf").unwrap(), "name: a\n");
        assert_eq!(fs.read_link("/nodes/pve1/etc/pve/local").unwrap(), "nodes/pve1");
        assert_eq!(fs.read_link("/nodes/pve1/etc/pve/nodes").unwrap(), "/realms/home/nodes");
        fs.write("/nodes/pve1/etc/pve/nodes/pve2/qemu-server/101.conf", "").unwrap();
        assert_eq!(fs.list("/realms/home/nodes").unwrap(), ["pve1", "pve2"]);
        assert_eq!(fs.kind("/nodes/pve1/etc/pve/local"), Some(Kind::Link));
    });
}

#[test]
fn mkdir_and_create_new_are_exclusive() {
    both(|fs| {
        fs.mkdir_all("/run").unwrap();
        fs.mkdir("/run/op").unwrap();
        assert_eq!(fs.mkdir("/run/op").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs.create_new("/run/op/pid", "1").unwrap();
        assert_eq!(fs.create_new("/run/op/pid", "2").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(fs.rmdir("/run/op").is_err());
        fs.remove("/run/op/pid").unwrap();
        fs.rmdir("/run/op").unwrap();
        assert!(!fs.exists("/run/op"));
    });
}

#[test]
fn rename_replaces_and_append_grows() {
    both(|fs| {
        fs.append("/a/log", "one\n").unwrap();
        fs.append("/a/log", "two\n").unwrap();
        fs.write("/a/old", "x").unwrap();
        fs.rename("/a/log", "/a/old").unwrap();
        assert_eq!(fs.read_text("/a/old").unwrap(), "one\ntwo\n");
        assert!(fs.read("/a/log").is_err());
        fs.remove_tree("/a").unwrap();
        fs.remove_tree("/a").unwrap();
        assert!(!fs.exists("/a"));
    });
}
