//! Answers that tell nothing about a node: each becomes a [`Silence`] with a next step.

use super::{Mount, NodeReport, ReportError};
use crate::model::observed::Silence;
use crate::pve::members::Members;

/// Why this report can't stand for a node, if so.
pub(super) fn of(report: &NodeReport) -> Option<Silence> {
    let silence = |reason: &str, hint: &str, detail: &str| {
        Some(Silence { reason: reason.to_owned(), hint: hint.to_owned(), detail: detail.to_owned() })
    };
    match report.mount {
        Mount::Mounted { .. } => {}
        Mount::Unmounted => {
            return silence(
                "its /etc/pve is not mounted, so nothing can be known of its VMs",
                "start the cluster file system: systemctl restart pve-cluster, then look at journalctl -u pve-cluster",
                "/etc/pve/local is no symlink",
            );
        }
        Mount::Absent => {
            return silence(
                "it is no Proxmox VE node",
                "check `proxmox_nodes` in the config: the host has no /etc/pve",
                "/etc/pve is not there",
            );
        }
    }
    match &report.members {
        Err(why) => {
            return silence(
                "its cluster membership could not be read",
                "log in as root, or set `ssh.sudo: true`; if that is so, look at /etc/pve/.members on the node",
                why,
            );
        }
        // A standalone node always has quorum. Without it, this is a member that sees nothing of its cluster.
        Ok(Members { cluster: None, .. }) if report.mount == (Mount::Mounted { writable: false }) => {
            return silence(
                "it is cut off from its cluster, so what it shows of VMs may be old",
                "start the cluster's communication: systemctl restart corosync, then look at journalctl -u corosync",
                "/etc/pve is read-only, and .members names no cluster",
            );
        }
        Ok(_) => {}
    }
    if report.version.is_none() {
        return silence(
            "its Proxmox VE version could not be read",
            "check that the package pve-manager is installed",
            "/usr/share/perl5/PVE/pvecfg.pm has no version",
        );
    }
    if report.memory_bytes.is_none() || report.cpus.is_none() {
        return silence(
            "its memory or processors could not be read",
            "look at /proc/meminfo and /sys/devices/system/cpu/online on the node",
            "",
        );
    }
    None
}

/// It answered, but other members have the quorum and do not see it.
pub(super) fn cut_off() -> Silence {
    Silence {
        reason: "it has no quorum while other members of its cluster have: it is cut off from them".to_owned(),
        hint: "look at its cluster network: pvecm status, then journalctl -u corosync".to_owned(),
        detail: "/etc/pve is read-only there".to_owned(),
    }
}

impl From<&ReportError> for Silence {
    fn from(error: &ReportError) -> Self {
        Silence {
            reason: "its answer could not be used".to_owned(),
            hint: "run it again; if it stays so, look for a broken shell or a full disk on the node".to_owned(),
            detail: error.to_string(),
        }
    }
}
