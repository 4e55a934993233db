//! End to end: pvekube as a user runs it, over real OpenSSH, against nodes whose `qm` and `/etc/pve` are stand-ins.

#![allow(clippy::unwrap_used, reason = "a test that can't set up its lab has failed")]

mod gates;
mod interruptions;
mod lab;
mod life;
mod locking;
#[path = "../said/mod.rs"]
mod said;
mod signals;
#[path = "../sshd/mod.rs"]
mod sshd;

use std::process::{Child, Stdio};

use lab::{Lab, Shape, each_in_own_namespaces, in_own_namespaces};
use said::said;
use sshd::eventually;

/// The hosts of the original plan.
const ORIGINAL_HOSTS: [&str; 2] = ["pve-pc-mini.icosahedron.org", "pve-mac-mini.icosahedron.org"];

const THREE_AND_ONE: &str = "\
cluster: k8s
masters:
  count: 3
  size: small
  network:
    mode: static
    addresses: [10.77.0.11/24, 10.77.0.12/24, 10.77.0.13/24]
    gateway: 10.77.0.1
    dns: [10.77.0.1]
workers:
  count: 1
  size: small
  network: {mode: dhcp}
";

const ONE_WORKER: &str = "cluster: k8s\nworkers: {count: 1, size: small, network: {mode: dhcp}}\n";
const TWO_WORKERS: &str = "cluster: k8s\nworkers: {count: 2, size: small, network: {mode: dhcp}}\n";

#[test]
fn a_cluster_from_nothing_to_no_changes() {
    in_own_namespaces("a_cluster_from_nothing_to_no_changes", || {
        let lab = Lab::new(Shape::Cluster, &["pve1.lan", "pve2.lan", "pve3.lan"]);
        lab.write("cluster.yaml", THREE_AND_ONE);

        lab.pvekube(&["plan", "--detailed-exitcode"]).exits(2).says("Plan: 4 to add, 0 to change, 0 to destroy");
        for node in lab.nodes.values() {
            assert_eq!((node.connections(), node.executions()), (1, 1), "one connection and one exec for a plan");
        }
        lab.pvekube(&["apply", "--auto-approve"]).exits(0).says("Apply complete! 4 added").says("10.77.0.11");
        lab.pvekube(&["plan", "--detailed-exitcode"]).exits(0).says("No changes.");
        lab.pvekube(&["status"]).exits(0);
        let inventory = lab.pvekube(&["inventory", "--format", "hosts", "-q"]).exits(0);
        let entries: Vec<Vec<&str>> = inventory.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
        for entry in [["10.77.0.11", "k8s-master-1"], ["10.77.0.13", "k8s-master-3"]] {
            assert!(entries.iter().any(|line| line == &entry), "{}", inventory.stdout);
        }
        assert!(inventory.stdout.contains("k8s-worker-1"), "{}", inventory.stdout);

        lab.write("cluster.yaml", ONE_WORKER);
        lab.pvekube(&["plan"]).exits(0).says("left alone");
        lab.pvekube(&["apply", "--auto-approve", "--prune"]).exits(1).says("--accept");
        let accept = "delete-masters,break-quorum,many-deletes";
        lab.pvekube(&["apply", "--auto-approve", "--prune", "--accept", accept]).exits(0);
        let left: Vec<_> = lab.configs().into_iter().filter(|(_, text)| text.contains("machine=")).collect();
        assert_eq!(left.len(), 1, "only the worker is left");
    });
}

#[test]
fn standalone_nodes_with_the_original_config() {
    in_own_namespaces("standalone_nodes_with_the_original_config", || {
        let lab = Lab::new(Shape::Standalone, &ORIGINAL_HOSTS);
        lab.write("cluster.yaml", TWO_WORKERS);
        lab.pvekube(&["apply", "--auto-approve"]).exits(0).says("Apply complete! 2 added");
        lab.pvekube(&["plan", "--detailed-exitcode"]).exits(0).says("No changes.");
        let mut machines: Vec<_> = lab.configs().into_iter().filter(|(_, text)| text.contains("machine=")).collect();
        machines.sort();
        machines.dedup_by(|one, other| one.0 == other.0);
        assert_eq!(machines.len(), 2, "VMIDs are unique over both realms: {machines:#?}");
    });
}

#[test]
fn doors_that_stay_shut_are_explained() {
    in_own_namespaces("doors_that_stay_shut_are_explained", || {
        let mut lab = Lab::new(Shape::Standalone, &ORIGINAL_HOSTS);
        lab.write("cluster.yaml", ONE_WORKER);

        // A key that the node doesn't know.
        let node = &lab.nodes["pve-pc-mini"];
        let keys = node.root.join("etc/ssh/authorized_keys");
        let known = std::fs::read(&keys).unwrap();
        std::fs::write(&keys, "").unwrap();
        lab.pvekube(&["plan"]).exits(1).says("accepts none of our keys").says("k8s-worker-1: may exist unseen");
        std::fs::write(&keys, known).unwrap();

        // A host key that is not the one in known_hosts.
        let known_hosts = node.root.join("known_hosts");
        let right = std::fs::read_to_string(&known_hosts).unwrap();
        let other = std::fs::read_to_string(lab.nodes["pve-mac-mini"].root.join("etc/ssh/host_key.pub")).unwrap();
        sshd::make_key(&lab.path("stranger"));
        let stranger = std::fs::read_to_string(lab.path("stranger.pub")).unwrap();
        let host = right.split(' ').next().unwrap();
        assert_ne!(other, stranger);
        std::fs::write(&known_hosts, format!("{host} {stranger}")).unwrap();
        lab.pvekube(&["plan"]).exits(1).says("host key");
        std::fs::write(&known_hosts, right).unwrap();

        // A node that is down: what might live there is held back, nothing is made twice.
        lab.nodes.get_mut("pve-mac-mini").unwrap().kill();
        lab.pvekube(&["apply", "--auto-approve"]).exits(1).says("pve-mac-mini");
        assert!(lab.configs().is_empty(), "{:#?}", lab.configs());
        lab.nodes.get_mut("pve-mac-mini").unwrap().restart();
        lab.pvekube(&["plan"]).exits(0).says("Plan: 1 to add");
    });
}

/// An apply that is in the middle of a clone.
fn cloning() -> (Lab, Child) {
    let lab = Lab::new(Shape::Cluster, &["pve1.lan"]);
    lab.write("cluster.yaml", ONE_WORKER);
    let run = lab.command(&["apply", "--auto-approve"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the clone runs", || lab.configs().iter().any(|(_, text)| text.contains("lock: clone")));
    (lab, run)
}

#[test]
fn a_lost_connection_in_the_middle_of_a_clone_costs_nothing() {
    in_own_namespaces("a_lost_connection_in_the_middle_of_a_clone_costs_nothing", || {
        let (lab, run) = cloning();
        for node in lab.nodes.values() {
            node.kill_sessions();
        }
        said(run.wait_with_output().unwrap()).exits(0).says("Apply complete! 1 added");
        lab.pvekube(&["plan", "--detailed-exitcode"]).exits(0).says("No changes.");
    });
}

#[test]
fn a_killed_pvekube_is_picked_up_where_it_was() {
    in_own_namespaces("a_killed_pvekube_is_picked_up_where_it_was", || {
        let (lab, mut run) = cloning();
        run.kill().unwrap();
        run.wait().unwrap();
        // Its lock is free at once: the session that held it has ended.
        let wait = ["apply", "--auto-approve", "--lock-timeout", "60s"];
        lab.pvekube(&wait).exits(0).says("attaching");
        lab.pvekube(&["plan", "--detailed-exitcode"]).exits(0).says("No changes.");
        let clones = lab.configs().iter().filter(|(_, text)| text.contains("machine=")).count();
        assert_eq!(clones, 1, "made once");
    });
}

#[test]
fn an_image_that_is_streamed_from_here_and_one_that_is_wrong() {
    in_own_namespaces("an_image_that_is_streamed_from_here_and_one_that_is_wrong", || {
        let lab = Lab::new(Shape::Cluster, &["pve1.lan"]);
        lab.write("cluster.yaml", ONE_WORKER);
        let config = std::fs::read_to_string(lab.path("config.yaml")).unwrap();
        let controller = config.replace("vm_template:\n", "vm_template:\n  download: controller\n");
        // Other bytes than the checksum list says: refused, and nothing is left that the next run stumbles over.
        let image = controller.lines().find(|line| line.contains("image_url:")).unwrap();
        let (before, file) = image.rsplit_once('/').unwrap();
        lab.write("config.yaml", &controller.replace(image, &format!("{before}/wrong/{file}")));
        lab.pvekube(&["apply", "--auto-approve"]).exits(1).says("error[image-failed]");
        lab.write("config.yaml", &controller);
        lab.pvekube(&["apply", "--auto-approve"]).exits(0).says("Apply complete! 1 added");
        lab.pvekube(&["plan", "--detailed-exitcode"]).exits(0).says("No changes.");
    });
}

/// An agent full of other keys, the right one last: a server hangs up after six wrong ones.
#[test]
fn only_keys_that_were_put_in_are_tried_on_a_machine() {
    in_own_namespaces("only_keys_that_were_put_in_are_tried_on_a_machine", || {
        let lab = Lab::new(Shape::Cluster, &["pve1.lan"]);
        lab.write("cluster.yaml", ONE_WORKER);
        let socket = lab.path("agent");
        let mut agent =
            std::process::Command::new("ssh-agent").arg("-Da").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        eventually("the agent listens", || socket.exists());
        let keys = (0..8).map(|number| lab.path(&format!("foreign-{number}"))).inspect(|key| sshd::make_key(key));
        for key in keys.chain([lab.path("home/.ssh/pve.key")]) {
            let mut add = std::process::Command::new("ssh-add");
            assert!(add.env("SSH_AUTH_SOCK", &socket).arg("-q").arg(key).status().unwrap().success());
        }
        let applied = lab.command(&["apply", "--auto-approve"]).env("SSH_AUTH_SOCK", &socket).output().unwrap();
        said(applied).exits(0).says("Apply complete! 1 added");
        // The agent alone has it now.
        let other = lab.path("home/.ssh/other.key");
        sshd::make_key(&other);
        let key = std::fs::read_to_string(other.with_extension("key.pub")).unwrap();
        let authorized = lab.nodes["pve1"].root.join("etc/ssh/authorized_keys");
        std::fs::write(&authorized, std::fs::read_to_string(&authorized).unwrap() + &key).unwrap();
        let config = std::fs::read_to_string(lab.path("config.yaml")).unwrap();
        lab.write("config.yaml", &config.replace("~/.ssh/pve.key", "~/.ssh/other.key"));
        let status = lab.command(&["status"]).env("SSH_AUTH_SOCK", &socket).output().unwrap();
        said(status).exits(0);
        agent.kill().unwrap();
        agent.wait().unwrap();
    });
}

/// What the log says over real SSH: each command with node, time and exit; no key, no file's content.
#[test]
fn the_log_names_every_command_and_no_secret() {
    in_own_namespaces("the_log_names_every_command_and_no_secret", || {
        let lab = Lab::new(Shape::Cluster, &["pve1.lan"]);
        lab.write("cluster.yaml", ONE_WORKER);
        let applied = lab.pvekube(&["apply", "--auto-approve", "-vv", "--log-file", "log.txt"]).exits(0);
        let log = std::fs::read_to_string(lab.path("log.txt")).unwrap();
        for text in [&applied.stderr, &log] {
            for part in ["observe: ", "lock: held", "qm clone ", "qm set ", "qm start ", "pvesm list ", " port 22: ok"]
            {
                let line = text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part}: {text}"));
                assert!(line.contains(" seconds="), "{line}");
                assert!(part.contains("port 22") || line.contains(" node=pve1") && line.contains(" exit=0"), "{line}");
            }
            assert_eq!(text.matches(" start k8s-").count(), text.matches(" end of k8s-").count(), "{text}");
        }
        assert!(!applied.stdout.contains(" DEBUG "), "{}", applied.stdout);
        // With every library's own log as well: neither half of a key pair, nor a document that goes to a node.
        let all = lab.command(&["plan"]).env("RUST_LOG", "trace").output().unwrap();
        let everything = format!("{}{log}{}", applied.stderr, String::from_utf8_lossy(&all.stderr));
        for file in ["home/.ssh/pve.key", "home/.ssh/pve.key.pub"] {
            let key = std::fs::read_to_string(lab.path(file)).unwrap();
            let body: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
            let body = body.split(' ').nth(1).unwrap_or(&body);
            assert!(!everything.contains(&body[body.len() - 40..]), "{file}");
        }
        assert!(!everything.contains("#cloud-config"));

        // A node that says no: the error is in the log, in one line.
        let keys = lab.nodes["pve1"].root.join("etc/ssh/authorized_keys");
        std::fs::write(&keys, "").unwrap();
        let refused = lab.pvekube(&["plan", "-vv"]).exits(1);
        let line = refused.stderr.lines().find(|line| line.contains(" DEBUG ")).unwrap();
        assert!(line.contains("observe") && line.contains("accepts none of our keys"), "{line}");
    });
}

#[test]
fn interrupted_at_every_command() {
    each_in_own_namespaces(
        "interrupted_at_every_command",
        &[
            ("killed", interruptions::killed_at_every_command),
            ("dropped", interruptions::dropped_at_every_command),
            ("frozen", interruptions::frozen_at_every_command),
            ("power lost", interruptions::power_lost_at_every_command),
            ("all power lost", interruptions::all_power_lost_at_every_command),
        ],
    );
}

#[test]
fn every_kind_of_operation_has_a_row() {
    life::every_kind_of_operation_has_a_row();
}

#[test]
fn one_apply_at_a_time() {
    each_in_own_namespaces(
        "one_apply_at_a_time",
        &[
            ("second", locking::second_apply_waits_or_says_who),
            ("older", locking::nothing_runs_that_is_older_than_its_lock),
            ("killed", locking::killed_holder_frees_at_once),
            ("vanished", locking::vanished_holder_is_replaced_and_stops),
        ],
    );
}

#[test]
fn signals_once_and_twice() {
    in_own_namespaces("signals_once_and_twice", signals::once_finishes_what_runs_and_twice_leaves);
}
