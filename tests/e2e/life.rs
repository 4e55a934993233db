//! A machine's whole life, command by command: what an interruption can hit, and what must not be left of it.

use std::collections::BTreeSet;

use super::gates::Gate;
use super::gates::When::{self, After, Before, Within};
use super::interruptions::Life;
use super::lab::Lab;

/// One command of a life, at which it is interrupted.
pub struct Point {
    pub when: When,
    /// For the shell: the whole command line.
    pub command: &'static str,
    /// The operation that runs it; nothing for a short request, which is simply made again.
    pub operation: &'static str,
    /// What the next apply says of it when the node lost its power in between.
    pub after_power_loss: &'static str,
}

const fn point(when: When, command: &'static str, operation: &'static str, after_power_loss: &'static str) -> Point {
    Point { when, command, operation, after_power_loss }
}

/// A part of a life: what is asked for, and every command that leads there.
pub struct Phase {
    /// Makes that there is something to do, where the phase before or an interruption left nothing.
    pub prepare: fn(&mut Life),
    manifest: &'static str,
    pub words: &'static [&'static str],
    pub points: &'static [Point],
    /// VMs of ours that there are in the end, the template among them.
    pub vms: usize,
}

const HALF_MADE: &str = "half-made";
const APPLY: &[&str] = &["apply", "--auto-approve", "--lock-timeout", "30s"];
const MACHINE: &str = "cluster: k8s\nworkers: {count: 1, size: small, onboot: false, network: {mode: dhcp}}\n";
const CHANGING: &str =
    "cluster: k8s\nworkers: {count: 1, size: small, memory_mb: MEMORY, disk_gb: DISK, network: {mode: dhcp}}\n";

impl Phase {
    /// What is asked for; where a change is asked for, another one each time.
    pub fn manifest(&self, time: u64) -> String {
        let (memory_mb, disk_gb) = (3072 + 256 * time, 24 + time);
        self.manifest.replace("MEMORY", &memory_mb.to_string()).replace("DISK", &disk_gb.to_string())
    }

    /// Each command once: where an operation survives what befalls it, it never runs a second time.
    pub fn commands(&self) -> Vec<&Point> {
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.dedup_by_key(|point| point.command);
        points
    }
}

/// The guest does not start with its node, so that what follows is reached after a loss of power, too.
pub const MAKE: Phase = Phase {
    prepare: |_| {},
    manifest: MACHINE,
    words: APPLY,
    points: &[
        point(Before, "qm create 9000 *", "create", ""),
        point(After, "qm create 9000 *", "create", HALF_MADE),
        point(Before, "wget *", "fetch", HALF_MADE),
        point(After, "wget *", "fetch", HALF_MADE),
        point(Within, "qm set 9000 *import-from=*", "import", HALF_MADE),
        point(After, "qm set 9000 *import-from=*", "import", HALF_MADE),
        point(Before, "qm set 9000 *--boot*", "set", HALF_MADE),
        point(After, "qm disk resize 9000 *", "resize", HALF_MADE),
        point(Before, "qm set 9000 *--cicustom*", "set", HALF_MADE),
        point(Before, "chmod 644 */snippets/pvekube-*", "", HALF_MADE),
        point(Before, "qm start 9000", "bake", HALF_MADE),
        point(After, "qm start 9000", "bake", HALF_MADE),
        point(Before, "rm -f */snippets/pvekube-* *", "", HALF_MADE),
        point(After, "qm set 9000 *--delete*cicustom*", "set", HALF_MADE),
        point(Before, "qm template 9000", "template", HALF_MADE),
        point(After, "qm template 9000", "template", ""),
        point(Before, "rm -f */images/sha256-*.img *", "", ""),
        point(Before, "qm clone 9000 *", "clone", ""),
        point(Within, "qm clone 9000 *", "clone", HALF_MADE),
        point(After, "qm clone 9000 *", "clone", ""),
        point(Before, "qm set [!9]* --digest *", "set", ""),
        point(After, "qm disk resize [!9]*", "resize", ""),
        point(Before, "qm start [!9]*", "start", ""),
        point(After, "qm start [!9]*", "start", ""),
        point(Before, "qm guest cmd [!9]* ping", "", ""),
    ],
    vms: 2,
};

pub const CHANGE: Phase = Phase {
    prepare: |life| life.time += 1,
    manifest: CHANGING,
    words: &["apply", "--auto-approve", "--lock-timeout", "30s", "--accept", "reboot-workers"],
    points: &[
        point(After, "qm set [!9]* --digest *", "set", ""),
        point(Before, "qm disk resize [!9]*", "resize", ""),
        point(Before, "qm shutdown [!9]*", "shutdown", ""),
        point(After, "qm shutdown [!9]*", "shutdown", ""),
        point(Before, "qm start [!9]*", "start", ""),
    ],
    vms: 2,
};

/// A change that waited for a reboot is taken back.
pub const REVERT: Phase = Phase {
    prepare: |life| {
        let changed = CHANGE.manifest(life.time).replace("size: small", "size: small, cpus: 4");
        life.lab.write("cluster.yaml", &changed);
        life.lab.pvekube(APPLY).exits(0);
        assert!(life.lab.configs().iter().any(|(_, text)| text.contains("[PENDING]")), "{:#?}", life.lab.configs());
    },
    manifest: CHANGING,
    words: CHANGE.words,
    points: &[
        point(Before, "qm set [!9]* --revert *", "revert", ""),
        point(After, "qm set [!9]* --revert *", "revert", ""),
    ],
    vms: 2,
};

pub const REMOVE: Phase = Phase {
    prepare: |_| {},
    manifest: "cluster: k8s\nworkers: {count: 0, size: small, network: {mode: dhcp}}\n",
    words: &["apply", "--auto-approve", "--lock-timeout", "30s", "--prune", "--accept", "many-deletes"],
    points: &[
        point(Before, "qm shutdown [!9]*", "shutdown", ""),
        point(Before, "qm destroy [!9]*", "destroy", ""),
        point(After, "qm destroy [!9]*", "destroy", ""),
    ],
    vms: 1,
};

/// What a clone left that was cut off while it copied is removed, and the machine made again.
pub const MEND: Phase = Phase {
    prepare: |life| {
        let gate = Gate::arm(&life.lab.nodes["pve1"].root, Within, "qm clone 9000 *");
        let mut apply = life.apply(&MEND);
        gate.wait_until_held_by(&apply);
        apply.kill();
        life.lab.lose_power("pve1");
    },
    manifest: MACHINE,
    words: APPLY,
    points: &[
        point(Before, "pvesm free *", "free", HALF_MADE),
        point(After, "pvesm free *", "free", HALF_MADE),
        point(Before, "qm unlock [!9]*", "unlock", HALF_MADE),
        point(After, "qm unlock [!9]*", "unlock", HALF_MADE),
        point(Before, "qm destroy [!9]*", "destroy", HALF_MADE),
        point(After, "qm destroy [!9]*", "destroy", ""),
    ],
    vms: 2,
};

/// The image comes from this computer.
pub const SEND: Phase = Phase {
    prepare: |life| {
        life.lab.pvekube(&["destroy", "--auto-approve", "--templates"]).exits(0);
        let config = std::fs::read_to_string(life.lab.path("config.yaml")).unwrap();
        let sent = config.replace("  download: controller\n", "");
        life.lab.write("config.yaml", &sent.replace("vm_template:\n", "vm_template:\n  download: controller\n"));
    },
    manifest: MACHINE,
    words: APPLY,
    points: &[
        point(Before, "chmod 644 */images/sha256-*", "", HALF_MADE),
        point(After, "chmod 644 */images/sha256-*", "", HALF_MADE),
    ],
    vms: 2,
};

pub const LIFE: [Phase; 6] = [MAKE, CHANGE, REVERT, REMOVE, MEND, SEND];

/// Every kind of operation that the executor can start is interrupted somewhere: its sources say which there are.
pub fn every_kind_of_operation_has_a_row() {
    let mut kinds = BTreeSet::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/execute")).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path()) else { continue };
        let text: String = text.split_whitespace().collect();
        for start in ["operate(\"", ".qm(\"", "verb:\""] {
            kinds.extend(text.split(start).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    let rows = LIFE.iter().flat_map(|phase| phase.points).map(|point| point.operation.to_owned());
    let rows: BTreeSet<String> = rows.filter(|operation| !operation.is_empty()).collect();
    assert_eq!(kinds, rows);
}

/// Nothing is left of any interruption: VMs as many as wanted, each volume named by a config, no part of an image, no
/// snippet, no operation's folder, no follower, a free lock, no connection.
pub fn nothing_is_left(lab: &Lab, vms: usize) {
    lab.pvekube(&["plan", "--detailed-exitcode"]).exits(0).says("No changes.");
    let configs = lab.configs();
    let ours = configs.iter().filter(|(_, text)| text.contains("pvekube/1")).count();
    assert_eq!((configs.len(), ours), (vms, vms), "{configs:#?}");
    for (vmid, text) in &configs {
        assert!(!text.contains("lock: ") && !text.contains("[PENDING]"), "VM {vmid}:\n{text}");
    }
    for (name, node) in &lab.nodes {
        for folder in ["run/pvekube/ops", "var/lib/pvekube/images", "var/lib/vz/snippets"] {
            assert_eq!(entries(&node.root.join(folder)), Vec::<String>::new(), "{name}: {folder}");
        }
        super::sshd::eventually("the followers have ended", || {
            !entries(&node.root.join("run/pvekube")).iter().any(|name| name.starts_with("follow."))
        });
        for volume in lab.volumes(name) {
            assert!(configs.iter().any(|(_, text)| text.contains(&volume)), "{name}: {volume} belongs to nobody");
        }
    }
    let locks = lab.pvekube(&["lock", "show"]).exits(0).stdout;
    assert!(locks.lines().all(|line| line.ends_with("  free")), "{locks}");
    assert_eq!(entries(&lab.path("runtime/pvekube")), Vec::<String>::new(), "control sockets");
    // One that was just told to end takes a moment.
    super::sshd::eventually("the SSH masters have ended", || super::sshd::processes("ssh").is_empty());
}

fn entries(folder: &std::path::Path) -> Vec<String> {
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
    found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
