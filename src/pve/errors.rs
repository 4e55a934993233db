//! What `qm` and `pvesm` meant: their texts as kinds, with a cause and a next step for people.
//!
//! Exit codes carry no meaning (contract §0.1), so the texts are all there is. They only explain and decide whether another
//! try makes sense; whether something worked is read from the state.

use std::fmt;

/// Why a command failed, as far as its text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// PVE's own short waits for a lock ran out (1 s to 10 s) before work began [c-set-and-errors/flock-held].
    LockTimeout,
    /// The config's `lock:` key: somebody else's work, or what is left of it [c-set-and-errors/locked-set].
    Locked {
        kind: String,
    },
    /// The VMID belongs to another guest (observed §5).
    IdTaken,
    /// The config changed between our read and our write [i-golden/machine-set-again-stale-digest].
    Changed,
    NoQuorum,
    NoSpace,
    /// Cut off from outside: signal, closed pipe, killed worker (contract §0.2).
    Interrupted,
    /// QEMU would not start for want of memory or processors.
    NoResources {
        text: String,
    },
    NoBridge {
        bridge: String,
    },
    /// A volume, snippet or image file that should be there.
    NoFile {
        text: String,
    },
    NoStorage {
        text: String,
    },
    NoPool {
        text: String,
    },
    /// No config of this id on this node: gone, or moved to another node.
    NoVm,
    Protected,
    /// Linked clones hold a template's volume.
    InUse,
    Running,
    /// The guest did not go down in time.
    Timeout,
    BadKeys,
    /// An option was refused; nothing was changed (400).
    BadOption {
        text: String,
    },
}

impl Trouble {
    /// Another try of the very same command may work.
    pub fn passes(&self) -> bool {
        matches!(self, Trouble::LockTimeout | Trouble::Changed)
    }

    /// What the operator does about it.
    pub fn next(&self) -> &'static str {
        match self {
            Trouble::LockTimeout => "another task works on this VM or storage; run apply again when it is done",
            Trouble::Locked { .. } => {
                "wait for that task; if nothing runs any more, remove the lock with qm unlock, then run apply again"
            }
            Trouble::IdTaken => "run plan again: it takes the next free id",
            Trouble::Changed => "somebody else changed the VM at the same time; run plan again and look",
            Trouble::NoQuorum => "bring the cluster's other nodes back (pvecm status), then run apply again",
            Trouble::NoSpace => "free space on that storage, or take another one, then run apply again",
            Trouble::Interrupted => "run apply again: it starts from what is there",
            Trouble::NoResources { .. } => "make the machine smaller, or place it on a larger node",
            Trouble::NoBridge { .. } => "make that bridge on the node, or name another in the manifest",
            Trouble::NoFile { .. } => {
                "run apply again; if it stays so, look at the storage: a machine whose disk is gone is made again by --replace NAME"
            }
            Trouble::NoStorage { .. } => "correct storage_pool in the config, or the storage's content and nodes",
            Trouble::NoPool { .. } => {
                "create the pool (pvesh create /pools --poolid NAME), or correct it in the config"
            }
            Trouble::NoVm => "run plan again: the VM is gone, or was moved to another node",
            Trouble::Protected => "set protection: false in the manifest first",
            Trouble::InUse => "destroy the clones that depend on this template first",
            Trouble::Running => "run apply again: it stops the VM first",
            Trouble::Timeout => "look at the guest's console; then run apply again",
            Trouble::BadKeys => "correct the SSH public keys in the config",
            Trouble::BadOption { .. } => "correct the value it names; if pvekube made it up, this is a bug of pvekube",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::LockTimeout => f.write_str("Proxmox waited in vain for a lock that another task holds"),
            Trouble::Locked { kind } => write!(f, "the VM is locked ({kind})"),
            Trouble::IdTaken => f.write_str("the VMID was taken by another guest in the meantime"),
            Trouble::Changed => f.write_str("the VM's config was changed by somebody else in the meantime"),
            Trouble::NoQuorum => f.write_str("the Proxmox cluster has no quorum, so nothing can be written"),
            Trouble::NoSpace => f.write_str("the storage is full"),
            Trouble::Interrupted => f.write_str("the command was cut off"),
            Trouble::NoResources { text } => write!(f, "the node can't run it: {text}"),
            Trouble::NoBridge { bridge } => write!(f, "the node has no bridge {bridge}"),
            Trouble::NoFile { text } => write!(f, "a file is missing: {text}"),
            Trouble::NoStorage { text } => write!(f, "the storage can't be used: {text}"),
            Trouble::NoPool { text } => write!(f, "the resource pool is missing: {text}"),
            Trouble::NoVm => f.write_str("there is no VM of this id on the node"),
            Trouble::Protected => f.write_str("the VM is protected from removal"),
            Trouble::InUse => f.write_str("linked clones still use its disk"),
            Trouble::Running => f.write_str("the VM runs"),
            Trouble::Timeout => f.write_str("the guest did not shut down in time"),
            Trouble::BadKeys => f.write_str("Proxmox refused the SSH public keys"),
            Trouble::BadOption { text } => write!(f, "Proxmox refused an option: {text}"),
        }
    }
}

/// What the lines of a failed command say; the most telling one counts, wherever it stands (a failed start says why on
/// stdout and only `QEMU exited with code 1` at the end). `None`: nothing that is known.
pub fn classify<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Trouble> {
    let found = lines.into_iter().filter_map(|line| line_trouble(line.trim()));
    found.min_by_key(rank)
}

/// Lower: tells more than what the same failure says elsewhere.
fn rank(trouble: &Trouble) -> u8 {
    match trouble {
        Trouble::NoSpace | Trouble::NoQuorum | Trouble::NoBridge { .. } | Trouble::NoResources { .. } => 0,
        Trouble::Locked { .. } | Trouble::Changed | Trouble::IdTaken | Trouble::Protected | Trouble::InUse => 1,
        Trouble::NoPool { .. } | Trouble::NoStorage { .. } | Trouble::BadKeys | Trouble::Running => 1,
        Trouble::LockTimeout | Trouble::NoFile { .. } | Trouble::NoVm => 2,
        Trouble::Interrupted | Trouble::Timeout => 3,
        Trouble::BadOption { .. } => 4,
    }
}

fn line_trouble(line: &str) -> Option<Trouble> {
    let has = |text: &str| line.contains(text);
    let text = || line.to_owned();
    let trouble = if has("got lock request timeout") || (has("can't lock file") && has("got timeout")) {
        Trouble::LockTimeout
    } else if let Some(kind) = between(line, "VM is locked (", ")") {
        Trouble::Locked { kind: kind.to_owned() }
    } else if has("already exists on node") || has("config file already exists") || has(".conf' failed: File exists") {
        Trouble::IdTaken
    } else if has("checksum mismatch (file change by other user") {
        Trouble::Changed
    } else if has("no quorum") || (has("/etc/pve/") && has("Permission denied")) {
        Trouble::NoQuorum
    } else if is_full(line) {
        Trouble::NoSpace
    } else if has("interrupted by signal") || has("broken pipe") || has("got unexpected control message") {
        Trouble::Interrupted
    } else if let Some(bridge) = between(line, "bridge '", "' does not exist") {
        Trouble::NoBridge { bridge: bridge.to_owned() }
    } else if has("Cannot allocate memory") || has("cannot set up guest memory") || has("vcpus allowed per VM") {
        Trouble::NoResources { text: text() }
    } else {
        return other_trouble(line);
    };
    Some(trouble)
}

fn other_trouble(line: &str) -> Option<Trouble> {
    let has = |text: &str| line.contains(text);
    let text = || line.to_owned();
    let trouble = if has("Permission check failed (pool") {
        Trouble::NoPool { text: text() }
    } else if has("protection mode enabled") {
        Trouble::Protected
    } else if has("still in use by linked clone") {
        Trouble::InUse
    } else if has("is running - destroy failed") || has("if VM is running") {
        Trouble::Running
    } else if has("powerdown failed - got timeout") {
        Trouble::Timeout
    } else if has("SSH public key validation error") {
        Trouble::BadKeys
    } else if has("Configuration file 'nodes/") || has("unable to find configuration file for VM") {
        Trouble::NoVm
    } else if is_storage(line) {
        Trouble::NoStorage { text: text() }
    } else if (line.starts_with("volume '") && has("' does not exist")) || line.starts_with("can't find file '") {
        Trouble::NoFile { text: text() }
    } else if has(": invalid format - ") || has(": value ") || has("Unknown option: ") || has("type check (") {
        Trouble::BadOption { text: text() }
    } else {
        return None;
    };
    Some(trouble)
}

/// File systems, LVM, thin pools, ZFS and Ceph each say it their own way.
fn is_full(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    [
        "no space left on device",
        "out of space",
        "insufficient free space",
        "not enough free space",
        "insufficient suitable allocatable extents",
        "data space exhausted",
        "free space in thin pool",
        "disk quota exceeded",
    ]
    .iter()
    .any(|text| lower.contains(text))
}

fn is_storage(line: &str) -> bool {
    let named = line.contains("storage '")
        && ["does not exist", "does not support", "is not available", "is not online", "is disabled"]
            .iter()
            .any(|text| line.contains(text));
    named || line.contains("No such storage")
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before)?;
    rest.split_once(after).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Option<Trouble> {
        classify(text.lines())
    }

    /// Texts as they were recorded on real nodes.
    #[test]
    fn recorded_texts() {
        let text = |line: &str| line.to_owned();
        for (line, trouble) in [
            ("can't lock file '/var/lock/qemu-server/lock-141.conf' - got timeout", Trouble::LockTimeout),
            ("clone failed: cfs-lock 'storage-ceph' error: got lock request timeout", Trouble::LockTimeout),
            ("VM is locked (clone)", Trouble::Locked { kind: text("clone") }),
            ("unable to create VM 140 - VM 140 already exists on node 'pve1'", Trouble::IdTaken),
            ("unable to create VM 101: config file already exists", Trouble::IdTaken),
            (
                "close (rename) atomic file '/etc/pve/nodes/c1/qemu-server/200.conf' failed: File exists",
                Trouble::IdTaken,
            ),
            ("checksum mismatch (file change by other user?)", Trouble::Changed),
            ("cluster not ready - no quorum?", Trouble::NoQuorum),
            (
                "unable to open file '/etc/pve/nodes/c1/qemu-server/9100.conf.tmp.1135' - Permission denied",
                Trouble::NoQuorum,
            ),
            ("qemu-img: error while writing at byte 175636480: No space left on device", Trouble::NoSpace),
            ("clone failed: interrupted by signal", Trouble::Interrupted),
            ("bridge 'vmbr9' does not exist", Trouble::NoBridge { bridge: text("vmbr9") }),
            (
                "MAX 2 vcpus allowed per VM on this node",
                Trouble::NoResources { text: text("MAX 2 vcpus allowed per VM on this node") },
            ),
            ("can't remove VM 102 - protection mode enabled", Trouble::Protected),
            ("base volume 'local-lvm:9000/base-9000-disk-0.raw' is still in use by linked cloned", Trouble::InUse),
            ("VM 101 is running - destroy failed", Trouble::Running),
            ("VM quit/powerdown failed - got timeout", Trouble::Timeout),
            ("SSH public key validation error", Trouble::BadKeys),
            ("Configuration file 'nodes/c1/qemu-server/200.conf' does not exist", Trouble::NoVm),
            ("unable to find configuration file for VM 999 on node 'pve1'", Trouble::NoVm),
        ] {
            assert_eq!(of(line), Some(trouble), "{line}");
        }
        for (line, word) in [
            ("403 Permission check failed (pool 'nopool' does not exist)", "pool"),
            ("storage: storage 'local' does not support vm images", "storage"),
            ("storage 'nosuch' does not exist", "storage"),
            ("volume 'local:snippets/nope.yaml' does not exist", "file"),
            ("can't find file '/var/lib/vz/import/nope.qcow2'", "file"),
            ("ipconfig0.ip: invalid format - value does not look like a valid ipv4 network configuration", "option"),
        ] {
            let trouble = of(line).unwrap();
            assert!(trouble.to_string().contains(word) && !trouble.next().is_empty(), "{line}: {trouble}");
        }
    }

    #[test]
    fn the_telling_line_counts() {
        let start = "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\nstart failed: QEMU exited with code 1\n";
        assert!(matches!(of(start), Some(Trouble::NoResources { .. })));
        let clone = "transferred 15.1 MiB of 1.5 GiB (1.01%)\nqemu-img: error while writing: No space left on device\nclone failed: copy failed: got unexpected control message: \n";
        assert_eq!(of(clone), Some(Trouble::NoSpace));
    }

    #[test]
    fn noise_is_no_trouble() {
        for line in [
            "trying to acquire lock...",
            " OK",
            "Wide character in print at /usr/share/perl5/PVE/API2/Qemu.pm line 2259.",
            "cannot delete 'description' - not set in current configuration!",
            "transferred 1.0 GiB of 3.0 GiB (33.63%)",
            "VM 101 already running",
            "update VM 201: -cores 2 -nameserver 10.77.0.1 1.1.1.1",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn only_what_began_nothing_is_tried_again() {
        assert!(Trouble::LockTimeout.passes() && Trouble::Changed.passes());
        assert!(!Trouble::NoSpace.passes() && !Trouble::Interrupted.passes());
    }

    proptest! {
        #[test]
        fn any_text_is_classified_or_not(text in "\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
