//! The table of `qm`'s commands: words, positional parameters, options in the schema's compact form.

/// One command.
#[derive(Debug)]
pub struct Command {
    pub words: &'static str,
    pub fixed: &'static [&'static str],
    pub optional_from: Option<usize>,
    pub options: &'static str,
    /// Every option of a VM's config, too.
    pub vm_options: bool,
}

const fn command(words: &'static str, fixed: &'static [&'static str], options: &'static str) -> Command {
    Command { words, fixed, optional_from: None, options, vm_options: false }
}

impl Command {
    /// ` <vmid> <newid> [OPTIONS]`
    pub fn usage(&self) -> String {
        let mut text = String::new();
        for name in self.fixed {
            text.push_str(&format!(" <{name}>"));
        }
        if self.words == "guest exec" {
            text.push_str(" [<extra-args>]");
        }
        if self.fixed.is_empty() {
            text.push(' ');
        }
        let only_fixed = self.options.split(';').filter(|part| !part.trim().is_empty()).count() <= self.fixed.len();
        if !only_fixed || self.vm_options {
            text.push_str(" [OPTIONS]");
        }
        text
    }
}

const VMID: &[&str] = &["vmid"];
const SNAPSHOT: &[&str] = &["vmid", "snapname"];

/// Every command that the sandbox has, in the order of the tool's own usage text.
pub const COMMANDS: &[Command] = &[
    command("cloudinit dump", &["vmid", "type"], "vmid text:vmid;type enum:user|network|meta"),
    command("cloudinit pending", VMID, "vmid text:vmid"),
    command("cloudinit update", VMID, "vmid text:vmid"),
    command(
        "disk resize",
        &["vmid", "disk", "size"],
        "vmid text:vmid;disk disks;size text:resize;digest text:any;skiplock bool",
    ),
    command("disk unlink", VMID, "vmid text:vmid;idlist text:keys;force bool"),
    command(
        "disk import",
        &["vmid", "source", "storage"],
        "vmid text:vmid;source text:any;storage text:storage;format enum:raw|qcow2|vmdk;target-disk disks",
    ),
    command("guest cmd", &["vmid", "command"], "vmid text:vmid;command agent"),
    command("guest exec", VMID, "vmid text:vmid;synchronous bool;timeout int:0;pass-stdin bool"),
    command(
        "clone",
        &["vmid", "newid"],
        "vmid text:vmid;newid text:vmid;name text:dns-name;description text:any;pool text:pool;snapname text:snapshot;\
        storage text:storage;format enum:raw|qcow2|vmdk;full bool;target text:any;bwlimit int:0",
    ),
    command("config", VMID, "vmid text:vmid;current bool;snapshot text:snapshot"),
    Command {
        words: "create",
        fixed: VMID,
        optional_from: None,
        options: "vmid text:vmid;archive text:any;storage text:storage;force bool;unique bool;bwlimit int:0;start bool;\
        pool text:pool;live-restore bool;ha-managed bool;import-working-storage text:storage;sshkeys text:any",
        vm_options: true,
    },
    command("delsnapshot", SNAPSHOT, "vmid text:vmid;snapname text:snapshot;force bool"),
    command("destroy", VMID, "vmid text:vmid;skiplock bool;purge bool;destroy-unreferenced-disks bool"),
    command("list", &[], "full bool"),
    command("listsnapshot", VMID, "vmid text:vmid"),
    command(
        "migrate",
        &["vmid", "target"],
        "vmid text:vmid;target text:any;online bool;force bool;with-local-disks bool;targetstorage text:any;bwlimit int:0",
    ),
    command("pending", VMID, "vmid text:vmid"),
    command("reboot", VMID, "vmid text:vmid;timeout int:0"),
    command("reset", VMID, "vmid text:vmid;skiplock bool"),
    command("resume", VMID, "vmid text:vmid;skiplock bool;nocheck bool"),
    command("rollback", SNAPSHOT, "vmid text:vmid;snapname text:snapshot;start bool"),
    Command {
        words: "set",
        fixed: VMID,
        optional_from: None,
        options: "vmid text:vmid;delete text:keys;revert text:keys;digest text:any;force bool;skiplock bool;\
        import-working-storage text:storage;sshkeys text:any",
        vm_options: true,
    },
    command("shutdown", VMID, "vmid text:vmid;skiplock bool;timeout int:0;forceStop bool;keepActive bool"),
    command("snapshot", SNAPSHOT, "vmid text:vmid;snapname text:snapshot;vmstate bool;description text:any"),
    command(
        "start",
        VMID,
        "vmid text:vmid;skiplock bool;stateuri text:any;migratedfrom text:any;machine text:any;force-cpu text:any;timeout int:0",
    ),
    command("stop", VMID, "vmid text:vmid;skiplock bool;timeout int:0;keepActive bool;overrule-shutdown bool"),
    command("suspend", VMID, "vmid text:vmid;skiplock bool;todisk bool"),
    command("template", VMID, "vmid text:vmid;disk disks"),
    command("status", VMID, "vmid text:vmid;verbose bool"),
    command("unlock", VMID, "vmid text:vmid"),
];
