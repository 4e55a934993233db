//! Connecting, failing to connect, losing the connection; and that nothing of ours is left behind.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use pvekube::model::desired::KnownHosts;
use pvekube::model::ids::Vmid;
use pvekube::remote::ssh::Ssh;
use pvekube::remote::{ObserveAsk, Probe, Remote, RemoteError, RemoteErrorKind};

use crate::sshd::{Node, PORT, eventually, fresh_address, make_key, settings, signal, target, until};
use crate::{Bench, bench, bench_with, nobody, qm};

#[tokio::test]
async fn observation_is_one_execution_on_one_connection() {
    let bench = bench();
    let ask = ObserveAsk { nonce: "00112233445566ff".to_owned(), ..ObserveAsk::default() };
    let report = bench.ssh.observe(&bench.name, &ask).await.unwrap();
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains("@@00112233445566ff begin") && report.contains("@@00112233445566ff end"), "{report}");
    assert_eq!((bench.node.connections(), bench.node.executions()), (1, 1));
    let vm = bench.ssh.probe(&bench.name, &Probe::Vm { vmid: Vmid(101) }).await.unwrap();
    assert!(String::from_utf8_lossy(&vm.stdout).contains(" end"), "{vm:?}");
    assert_eq!((bench.node.connections(), bench.node.executions()), (1, 2));
    bench.ssh.close().await;
}

#[tokio::test]
async fn exit_codes_and_both_streams_come_back_whatever_the_code() {
    let bench = bench();
    for code in [0, 1, 126, 127, 255] {
        bench.pvesm(&format!("printf out; printf err >&2; exit {code}"));
        let answer = bench.volumes().await.unwrap();
        assert_eq!((answer.exit, &answer.stdout[..], &answer.stderr[..]), (code, &b"out"[..], &b"err"[..]));
    }
    bench.pvesm("kill -9 $$");
    assert_eq!(bench.volumes().await.unwrap().exit, 137);
    bench.ssh.close().await;
}

#[tokio::test]
async fn big_binary_output_comes_back_whole() {
    let bench = bench();
    bench.pvesm("head -c 67108864 /dev/zero; printf '\\377\\n@@0 rc=0\\n'");
    let answer = bench.volumes().await.unwrap();
    assert_eq!((answer.exit, answer.stdout.len()), (0, 67_108_864 + 11));
    assert!(answer.stdout.ends_with(b"\xff\n@@0 rc=0\n"));
    bench.ssh.close().await;
}

#[tokio::test]
async fn bashrc_that_prints_does_no_harm() {
    let bench = bench();
    fs::write(bench.root("root/.bashrc"), "echo welcome to pve1; printf 'no newline'; echo oops >&2\n").unwrap();
    bench.pvesm("echo $2");
    let answer = bench.volumes().await.unwrap();
    assert_eq!((&answer.stdout[..], &answer.stderr[..]), (&b"local-lvm\n"[..], &b""[..]));
    assert!(bench.ssh.follow(&bench.name).await.is_ok());
    bench.ssh.close().await;
}

#[tokio::test]
async fn many_requests_at_once_share_few_sessions() {
    // One for the follower, and as few as sshd may allow for the rest.
    let bench = bench_with("MaxSessions 2", |_| {});
    let _follower = bench.ssh.follow(&bench.name).await.unwrap();
    bench.pvesm("echo fine");
    let asked = (0..20).map(|_| bench.volumes());
    for answer in futures(asked).await {
        assert_eq!(answer.unwrap().stdout, b"fine\n");
    }
    assert_eq!(bench.node.connections(), 1);
    bench.ssh.close().await;
}

/// All at once, on this task.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, done) in &mut all {
            if done.is_none()
                && let std::task::Poll::Ready(value) = one.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn connection_lost_in_the_middle_is_unknown_and_the_next_request_connects_again() {
    let bench = bench();
    bench.pvesm("echo begun >\"$ROOT/begun\"; until [ -e \"$ROOT/go\" ]; do sleep 0.05; done; echo done");
    let cut = async {
        tokio::task::spawn_blocking({
            let begun = bench.root("begun");
            move || eventually("the command began", || begun.exists())
        })
        .await
        .unwrap();
        bench.node.kill_sessions();
    };
    let (answer, ()) = tokio::join!(bench.volumes(), cut);
    let error = answer.unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Unknown, "{error:?}");
    fs::write(bench.root("go"), "").unwrap();
    assert_eq!(bench.volumes().await.unwrap().stdout, b"done\n");
    assert_eq!(bench.node.connections(), 2);
    bench.ssh.close().await;
}

#[tokio::test]
async fn killed_master_is_replaced() {
    let bench = bench();
    bench.pvesm("echo fine");
    bench.volumes().await.unwrap();
    let masters = masters(&control_folder(&bench));
    assert_eq!(masters.len(), 1);
    signal("KILL", masters[0]);
    eventually("the master is gone", || {
        !Path::new(&format!("/proc/{}/cmdline", masters[0])).exists() || is_gone(masters[0])
    });
    assert_eq!(bench.volumes().await.unwrap().stdout, b"fine\n");
    assert_eq!(bench.node.connections(), 2);
    bench.ssh.close().await;
}

fn is_gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"))
}

/// The run's private folder: the one whose ssh_config includes this bench's.
fn control_folder(bench: &Bench) -> PathBuf {
    control_folder_of(bench.settings.config_file.as_ref().unwrap())
}

fn control_folder_of(ssh_config: &Path) -> PathBuf {
    let ours = ssh_config.display().to_string();
    let bases =
        [std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("pvekube")), Some("/tmp".into())];
    let mut entries = bases.into_iter().flatten().flat_map(|base| fs::read_dir(base).into_iter().flatten().flatten());
    let found = entries
        .find(|entry| fs::read_to_string(entry.path().join("config")).is_ok_and(|config| config.contains(&ours)));
    found.expect("no control folder").path()
}

/// The ssh processes that have the folder on their command line.
fn masters(folder: &Path) -> Vec<u32> {
    let folder = folder.display().to_string();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&folder)
    })
    .collect()
}

#[tokio::test]
async fn nothing_is_left_after_close() {
    let bench = bench();
    bench.pvesm("echo fine");
    bench.volumes().await.unwrap();
    let mut follower = bench.ssh.follow(&bench.name).await.unwrap();
    let folder = control_folder(&bench);
    assert_eq!(masters(&folder).len(), 1);
    bench.ssh.close().await;
    assert_eq!(follower.events.recv().await, None);
    eventually("the master ends", || masters(&folder).is_empty());
    eventually("sshd's session ends", || bench.node.sessions().is_empty());
    drop(bench.ssh);
    assert!(!folder.exists());
    assert_eq!(fs::read_dir(bench.node.root.join("run/pvekube")).unwrap().count(), 0, "the follower's spool");
}

/// What the test below runs in a process of its own: connects, and stays.
async fn run_that_will_be_killed(config: &Path) {
    let ssh = Ssh::new(&settings(config), &[target("pve1")]).unwrap();
    ssh.probe(&target("pve1").name, &Probe::Vm { vmid: Vmid(1) }).await.unwrap();
    std::io::stdout().write_all(b"connected\n").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn killed_run_is_swept_up_by_the_next() {
    const CONFIG: &str = "PVEKUBE_TEST_KILLED_RUN";
    if let Some(config) = std::env::var_os(CONFIG) {
        return run_that_will_be_killed(Path::new(&config)).await;
    }
    let bench = bench();
    let config = bench.folder.path().join("their_config");
    fs::copy(bench.settings.config_file.as_ref().unwrap(), &config).unwrap();
    let mut run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "connection::killed_run_is_swept_up_by_the_next", "--nocapture"])
        .env(CONFIG, &config)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(run.stdout.as_mut().unwrap());
    assert!(said.lines().any(|line| line.unwrap().contains("connected")));
    run.kill().unwrap();
    run.wait().unwrap();
    let folder = control_folder_of(&config);
    assert_eq!(masters(&folder).len(), 1, "its master lives on");
    let _next = bench.another();
    until("the master ends", || masters(&folder).is_empty()).await;
    assert!(!folder.exists());
    assert!(control_folder(&bench).exists(), "ours stays");
}

#[tokio::test]
async fn nothing_is_left_when_it_is_dropped_instead() {
    let bench = bench();
    bench.pvesm("echo fine");
    bench.volumes().await.unwrap();
    let folder = control_folder(&bench);
    drop(bench.ssh);
    eventually("the master ends", || masters(&folder).is_empty());
    assert!(!folder.exists());
}

/// What a first request says.
async fn first_error(bench: &Bench) -> RemoteError {
    let error = bench.volumes().await.unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Unreachable, "{error:?}");
    error
}

#[tokio::test]
async fn refused_port() {
    let mut bench = bench();
    bench.node.kill();
    let address = bench.node.address.clone();
    assert_eq!(first_error(&bench).await.sentence, format!("{address} port {PORT} refuses the connection"));
}

#[tokio::test]
async fn wrong_key() {
    let bench = bench();
    fs::remove_file(bench.root("client_key")).unwrap();
    fs::remove_file(bench.root("client_key.pub")).unwrap();
    make_key(&bench.root("client_key"));
    let error = first_error(&bench).await;
    assert!(error.sentence.ends_with("accepts none of our keys"), "{error:?}");
}

#[tokio::test]
async fn missing_key_file_is_not_replaced_by_other_keys() {
    let bench = bench_with("", |settings| settings.private_key = Some("/nonexistent/pve.key".into()));
    let error = first_error(&bench).await;
    assert_eq!(error.sentence, "the key file /nonexistent/pve.key does not exist or can't be read");
    assert_eq!(bench.node.connections(), 0);
}

#[tokio::test]
async fn key_that_others_can_read() {
    let bench = bench();
    std::fs::set_permissions(bench.root("client_key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let error = first_error(&bench).await;
    assert_eq!(error.hint, format!("chmod 600 {}", bench.root("client_key").display()));
}

#[tokio::test]
async fn unknown_host_key_is_refused_when_strict_and_taken_when_not() {
    let bench = bench();
    fs::write(bench.root("known_hosts"), "").unwrap();
    assert!(first_error(&bench).await.sentence.contains("is not known, and `known_hosts: strict` is set"));
    bench.pvesm("echo fine");
    let mut settings = bench.settings.clone();
    settings.known_hosts = KnownHosts::AcceptNew;
    let trusting = Ssh::new(&settings, &[target("pve1")]).unwrap();
    assert!(trusting.probe(&bench.name, &Probe::Vm { vmid: Vmid(1) }).await.is_ok());
    trusting.close().await;
    assert!(bench.volumes().await.is_ok(), "now it is known");
    bench.ssh.close().await;
}

#[tokio::test]
async fn changed_host_key_is_refused_even_when_new_ones_are_taken() {
    let mut bench = bench_with("", |settings| settings.known_hosts = KnownHosts::AcceptNew);
    for file in ["etc/ssh/host_key", "etc/ssh/host_key.pub"] {
        fs::remove_file(bench.root(file)).unwrap();
    }
    make_key(&bench.root("etc/ssh/host_key"));
    bench.node.restart();
    let error = first_error(&bench).await;
    assert!(error.sentence.starts_with("pve1 shows another host key than before: SHA256:"), "{error:?}");
    assert!(error.hint.contains(&format!("{}:1;", bench.root("known_hosts").display())), "{error:?}");
}

#[tokio::test]
async fn port_that_says_nothing() {
    let bench = bench_with("", |settings| settings.connect_timeout_s = 1);
    let listener = TcpListener::bind((fresh_address(), PORT)).unwrap();
    let entry = format!("Host pve1\n  HostName {}\n  Port {PORT}\n", listener.local_addr().unwrap().ip());
    fs::write(bench.settings.config_file.as_ref().unwrap(), entry).unwrap();
    assert_eq!(first_error(&bench).await.sentence, "pve1 accepts the connection, but no SSH server answers on it");
}

#[tokio::test]
async fn fault_in_ssh_config_names_the_line() {
    let bench = bench();
    fs::write(bench.settings.config_file.as_ref().unwrap(), "Host other\n  Blurb yes\n").unwrap();
    let error = first_error(&bench).await;
    assert!(error.sentence.ends_with("ssh_config: line 2: Bad configuration option: blurb"), "{error:?}");
}

#[tokio::test]
async fn host_that_would_be_an_option_is_none() {
    let bench = bench();
    let mut evil = nobody();
    evil.host = "-oProxyCommand=touch /tmp/pwned".to_owned();
    let ssh = Ssh::new(&bench.settings, std::slice::from_ref(&evil)).unwrap();
    let error = ssh.probe(&evil.name, &Probe::Vm { vmid: Vmid(1) }).await.unwrap_err();
    assert_eq!(error.sentence, "`-oProxyCommand=touch /tmp/pwned` is not a host name");
}

/// A node whose login shell finds this `sudo`.
fn bench_with_sudo(lines: &str) -> Bench {
    let bench = bench_with("", |settings| settings.sudo = true);
    bench.node.program("usr/bin/sudo", &format!("#!/bin/sh\n{lines}\n"));
    fs::write(bench.root("root/.bashrc"), "PATH=$PVEKUBE_ROOT/usr/bin:$PATH\n").unwrap();
    bench
}

#[tokio::test]
async fn programs_run_through_sudo_when_asked() {
    let bench = bench_with_sudo("[ \"$1\" = -n ] && shift && echo asked >>\"$PVEKUBE_ROOT/asked\" && exec \"$@\"");
    bench.ssh.start(&bench.name, &qm("k8s-101-set-0f", &["count"])).await.unwrap();
    bench.ssh.follow(&bench.name).await.unwrap();
    assert_eq!(fs::read_to_string(bench.root("asked")).unwrap(), "asked\nasked\n");
    bench.ssh.close().await;
}

#[tokio::test]
async fn sudo_that_wants_a_password_is_said() {
    let bench = bench_with_sudo("echo 'sudo: a password is required' >&2; exit 1");
    let operation = qm("k8s-101-set-0f", &["count"]);
    for error in [
        bench.ssh.start(&bench.name, &operation).await.unwrap_err(),
        bench.ssh.follow(&bench.name).await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(error.kind, RemoteErrorKind::NotStarted);
        assert!(error.sentence.ends_with("sudo: a password is required"), "{error:?}");
        assert!(error.hint.contains("NOPASSWD"), "{error:?}");
    }
    bench.ssh.close().await;
}

#[tokio::test]
async fn jump_host_of_ssh_config_is_used() {
    let bench = bench();
    let jump = Node::start(&bench.folder.path().join("jump"), &fresh_address());
    let config = bench.settings.config_file.clone().unwrap();
    let entry = format!("{}  ProxyJump jump\n{}", bench.node.ssh_config("pve1"), jump.ssh_config("jump"));
    fs::write(&config, entry).unwrap();
    bench.pvesm("echo fine");
    assert_eq!(bench.volumes().await.unwrap().stdout, b"fine\n");
    assert_eq!((jump.connections(), bench.node.connections()), (1, 1));
    drop(jump);
    let again = Ssh::new(&settings(&config), &[target("pve1")]).unwrap();
    let error = again.probe(&bench.name, &Probe::Vm { vmid: Vmid(1) }).await.unwrap_err();
    assert!(error.sentence.contains("jump host"), "{error:?}");
}

#[tokio::test]
async fn console_of_a_silent_guest_is_woken_and_read() {
    let bench = bench();
    fs::write(bench.root("boot-101"), "read -r _; echo 'k8s-worker-1 login: '; sleep 60\n").unwrap();
    bench.ssh.start(&bench.name, &qm("k8s-101-start-0f", &["start", "101"])).await.unwrap();
    eventually("its console is there", || bench.root("run/qemu-server/101.serial0").exists());
    let probe = Probe::Diagnose { vmid: Vmid(101), mac: Some("BC:24:11:0C:55:7F".to_owned()), bridge: None };
    let answer = bench.ssh.probe(&bench.name, &probe).await.unwrap();
    let said = String::from_utf8(answer.stdout).unwrap();
    assert!(said.starts_with("qemu running\ncpu 0\n"), "{said}");
    assert!(said.contains("console\n") && said.contains("k8s-worker-1 login: "), "{said}");
    let absent = Probe::Diagnose { vmid: Vmid(102), mac: None, bridge: None };
    let answer = bench.ssh.probe(&bench.name, &absent).await.unwrap();
    assert_eq!((answer.exit, answer.stdout.as_slice()), (0, &b"qemu gone\nconsole\n"[..]));
    bench.ssh.close().await;
}
