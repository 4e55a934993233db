//! Detached operations: arguments, files, exactly one start, life beyond the connection.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use pvekube::model::ids::{ImageDigest, OperationName, Vmid};
use pvekube::remote::{FollowEvent, FollowRequest, Operation, Remote, RemoteErrorKind, Work};
use sha2::{Digest, Sha256};

use crate::sshd::{eventually, signal};
use crate::{Bench, bench, bench_mounted, qm};

/// Follows an operation to its end: exit code (`None`: lost) and the log's lines that were told.
async fn outcome(bench: &Bench, name: &str) -> (Option<i32>, Vec<String>) {
    let mut follower = bench.ssh.follow(&bench.name).await.unwrap();
    follower.requests.send(FollowRequest::Operation(OperationName::new(name))).unwrap();
    let mut lines = Vec::new();
    loop {
        match follower.events.recv().await.expect("the follower ended") {
            FollowEvent::Log { operation, line } => {
                assert_eq!(operation.as_str(), name);
                lines.push(line);
            }
            FollowEvent::Exited { exit, .. } => return (Some(exit), lines),
            FollowEvent::Lost { .. } => return (None, lines),
            FollowEvent::Agent { .. } => panic!("nobody asked"),
        }
    }
}

async fn run(bench: &Bench, operation: &Operation) -> (Option<i32>, Vec<String>) {
    bench.ssh.start(&bench.name, operation).await.unwrap();
    outcome(bench, operation.name.as_str()).await
}

#[tokio::test]
async fn operation_runs_and_its_end_is_told() {
    let bench = bench();
    let operation = qm("k8s-101-clone-0f", &["say", "cloning", "7"]);
    assert_eq!(run(&bench, &operation).await, (Some(7), vec!["cloning".to_owned()]));
    assert_eq!(bench.status("k8s-101-clone-0f").await, "exit 7\nlive no\nlog\ncloning\n");
    assert_eq!(fs::metadata(bench.root("run/pvekube")).unwrap().mode() & 0o777, 0o700);
    bench.ssh.forget(&bench.name, &operation.name).await.unwrap();
    assert_eq!(bench.status("k8s-101-clone-0f").await, "absent\n");
    bench.ssh.forget(&bench.name, &operation.name).await.unwrap();
    assert_eq!(fs::read_dir(bench.root("run/pvekube/ops")).unwrap().count(), 0);
    bench.ssh.close().await;
}

#[tokio::test]
async fn operation_has_our_locale_the_usual_umask_and_no_terminal() {
    let bench = bench();
    let (_, lines) = run(&bench, &qm("k8s-101-set-0f", &["environment"])).await;
    assert_eq!(lines, ["C.UTF-8|0022|not a tty"]);
    bench.ssh.close().await;
}

#[tokio::test]
async fn files_lie_in_the_folder_and_arguments_name_them() {
    let bench = bench();
    let mut operation = qm("k8s-101-set-0f", &["show", "@FOLDER/keys"]);
    let keys: Vec<u8> = (0..=255).chain(*b"\nend").collect();
    operation.files = vec![("other".to_owned(), Vec::new()), ("keys".to_owned(), keys.clone())];
    let (exit, lines) = run(&bench, &operation).await;
    assert_eq!((exit, lines.last().unwrap().as_str()), (Some(0), "end"));
    let kept = bench.root("run/pvekube/ops/k8s-101-set-0f/files/keys");
    assert_eq!(fs::read(&kept).unwrap(), keys);
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    bench.ssh.close().await;
}

fn hostile() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        "[^\0]{0,20}",
        "['\"$`\\\\!*?~;&|<>(){}\\[\\] \n\t#%=-]{0,12}",
        Just("$(reboot)".to_owned()),
        Just("-n".to_owned()),
        Just(String::new()),
        Just("line\n\n".to_owned()),
        Just("gr\u{fc}n \u{1f98a}".to_owned()),
        Just("2\n".to_owned()),
        Just("@FOLDER".to_owned()),
        "@FOLDER/[a-z./]{0,8}",
    ];
    proptest::collection::vec(word, 1..8)
}

#[test]
fn arguments_hostile_to_shells_arrive_intact() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(async { bench() });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let count = std::cell::Cell::new(0);
    let result = runner.run(&hostile(), |words| {
        count.set(count.get() + 1);
        let name = format!("k8s-101-set-{}", count.get());
        let words: Vec<&str> = std::iter::once("keep").chain(words.iter().map(String::as_str)).collect();
        runtime.block_on(async {
            bench.ssh.start(&bench.name, &qm(&name, &words)).await.unwrap();
        });
        eventually("an exit code", || bench.root(&format!("run/pvekube/ops/{name}/rc")).exists());
        let kept = fs::read(bench.root("kept")).unwrap();
        let wanted: Vec<u8> = words[1..].iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        prop_assert_eq!(String::from_utf8_lossy(&kept), String::from_utf8_lossy(&wanted));
        Ok(())
    });
    runtime.block_on(bench.ssh.close());
    result.unwrap();
}

#[tokio::test]
async fn argument_with_a_nul_byte_is_refused_here() {
    let bench = bench();
    let error = bench.ssh.start(&bench.name, &qm("k8s-101-set-0f", &["say", "a\0b", "0"])).await.unwrap_err();
    assert_eq!((error.kind, bench.node.connections()), (RemoteErrorKind::NotStarted, 0));
}

#[tokio::test]
async fn names_that_leave_the_folder_are_refused() {
    let bench = bench();
    for name in ["../escape", "", ".hidden", "a/b", "a b"] {
        let error = bench.ssh.start(&bench.name, &qm(name, &["count"])).await.unwrap_err();
        assert_eq!(error.kind, RemoteErrorKind::Refused, "{error:?}");
    }
    let mut operation = qm("k8s-101-set-0f", &["count"]);
    operation.files = vec![("../../escape".to_owned(), b"x".to_vec())];
    assert_eq!(bench.ssh.start(&bench.name, &operation).await.unwrap_err().kind, RemoteErrorKind::Refused);
    assert!(!bench.root("count").exists());
    bench.ssh.close().await;
}

#[tokio::test]
async fn two_starts_of_one_name_start_once() {
    let bench = bench();
    let other = bench.another();
    let operation = qm("k8s-101-clone-0f", &["count"]);
    for _ in 0..3 {
        let (one, two, three) = tokio::join!(
            bench.ssh.start(&bench.name, &operation),
            other.start(&bench.name, &operation),
            bench.ssh.start(&bench.name, &operation)
        );
        for started in [one, two, three] {
            started.unwrap();
        }
    }
    outcome(&bench, "k8s-101-clone-0f").await;
    assert_eq!(fs::read_to_string(bench.root("count")).unwrap(), "ran\n");
    assert_eq!(fs::read_dir(bench.root("run/pvekube/ops")).unwrap().count(), 1);
    other.close().await;
    bench.ssh.close().await;
}

#[tokio::test]
async fn start_that_broke_off_before_its_process_is_taken_up() {
    let bench = bench();
    // As a starter leaves it that was killed between renaming the folder and starting the process.
    bench.ssh.start(&bench.name, &qm("k8s-101-clone-0f", &["count"])).await.unwrap();
    let folder = bench.root("run/pvekube/ops/k8s-101-clone-0f");
    eventually("an exit code", || folder.join("rc").exists());
    for file in ["rc", "pid", "log"] {
        fs::remove_file(folder.join(file)).unwrap();
    }
    fs::remove_dir(folder.join("claim")).unwrap();
    bench.ssh.start(&bench.name, &qm("k8s-101-clone-0f", &["count"])).await.unwrap();
    assert_eq!(outcome(&bench, "k8s-101-clone-0f").await.0, Some(0));
    assert_eq!(fs::read_to_string(bench.root("count")).unwrap(), "ran\nran\n");
    bench.ssh.close().await;
}

#[tokio::test]
async fn operation_survives_the_connection_and_is_found_again() {
    let bench = bench();
    bench.ssh.start(&bench.name, &qm("k8s-101-clone-0f", &["await", "go"])).await.unwrap();
    let mut follower = bench.ssh.follow(&bench.name).await.unwrap();
    follower.requests.send(FollowRequest::Operation(OperationName::new("k8s-101-clone-0f"))).unwrap();
    let first = follower.events.recv().await;
    assert!(matches!(first, Some(FollowEvent::Log { ref line, .. }) if line == "waiting"), "{first:?}");
    bench.node.kill_sessions();
    assert_eq!(follower.events.recv().await, None, "a follower ends with its connection");
    assert!(bench.status("k8s-101-clone-0f").await.starts_with("exit -\nlive yes\n"));
    // Two that attach see the same end.
    let other = bench.another();
    let mut theirs = other.follow(&bench.name).await.unwrap();
    theirs.requests.send(FollowRequest::Operation(OperationName::new("k8s-101-clone-0f"))).unwrap();
    fs::write(bench.root("go"), "").unwrap();
    assert_eq!(outcome(&bench, "k8s-101-clone-0f").await.0, Some(0));
    loop {
        match theirs.events.recv().await {
            Some(FollowEvent::Log { .. }) => {}
            event => {
                assert!(matches!(event, Some(FollowEvent::Exited { exit: 0, .. })), "{event:?}");
                break;
            }
        }
    }
    other.close().await;
    bench.ssh.close().await;
}

#[tokio::test]
async fn live_operation_is_not_forgotten_and_a_killed_one_is_lost() {
    let bench = bench();
    let name = OperationName::new("k8s-101-clone-0f");
    bench.ssh.start(&bench.name, &qm(name.as_str(), &["await", "go"])).await.unwrap();
    let error = bench.ssh.forget(&bench.name, &name).await.unwrap_err();
    assert_eq!((error.kind, error.detail.as_str()), (RemoteErrorKind::Refused, "exit 75: k8s-101-clone-0f still runs"));
    let pid = fs::read_to_string(bench.root("run/pvekube/ops/k8s-101-clone-0f/pid")).unwrap();
    signal("KILL", pid.split(' ').next().unwrap().parse().unwrap());
    assert_eq!(outcome(&bench, name.as_str()).await.0, None);
    assert_eq!(outcome(&bench, "k8s-101-never-0f").await.0, None);
    bench.ssh.forget(&bench.name, &name).await.unwrap();
    fs::write(bench.root("go"), "").unwrap();
    bench.ssh.close().await;
}

fn bake(timeout_s: u32) -> Operation {
    Operation {
        name: OperationName::new("k8s-9000-bake-0f"),
        work: Work::Bake { vmid: Vmid(9000), timeout_s },
        files: Vec::new(),
    }
}

#[tokio::test]
async fn bake_reads_the_console_from_the_start_to_the_power_off() {
    let bench = bench();
    // Not a byte of it must be missing: QEMU keeps nothing for a late reader.
    fs::write(bench.root("boot-9000"), "seq 1 20000; echo 'pvekube-bake: ok'\n").unwrap();
    let (exit, lines) = run(&bench, &bake(60)).await;
    assert_eq!((exit, lines.last().unwrap().as_str()), (Some(0), "pvekube-bake: ok"));
    let log = fs::read_to_string(bench.root("run/pvekube/ops/k8s-9000-bake-0f/log")).unwrap();
    let wanted: String = (1..=20000).map(|n| format!("{n}\n")).collect();
    assert!(log == format!("{wanted}pvekube-bake: ok\n"), "{} bytes", log.len());
    bench.ssh.close().await;
}

#[tokio::test]
async fn bake_that_does_not_end_times_out_and_leaves_the_vm() {
    let bench = bench();
    fs::write(bench.root("boot-9000"), "echo booting; until [ -e \"$ROOT/off\" ]; do sleep 0.05; done\n").unwrap();
    let (exit, lines) = run(&bench, &bake(1)).await;
    assert_eq!((exit, lines), (Some(124), vec!["booting".to_owned()]));
    assert!(bench.root("run/qemu-server/9000.pid").exists());
    fs::write(bench.root("off"), "").unwrap();
    bench.ssh.close().await;
}

#[tokio::test]
async fn bake_that_does_not_start_has_the_words_of_qm() {
    let bench = bench();
    assert_eq!(run(&bench, &bake(60)).await, (Some(255), vec!["start failed: no such VM".to_owned()]));
    bench.ssh.close().await;
}

/// An HTTP server that answers every request with these bytes; its URL.
fn serve(body: Vec<u8>, status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/image.img", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    url
}

fn download(url: &str, body: &[u8]) -> (Operation, String) {
    let digest: ImageDigest = format!("sha256-{}", hex::encode(Sha256::digest(body))).parse().unwrap();
    let path = format!("/var/lib/pvekube/images/{digest}.img");
    let work = Work::Download { url: url.to_owned(), digest, path: path.clone() };
    (Operation { name: OperationName::new("k8s-9000-download-0f"), work, files: Vec::new() }, path)
}

fn image_files(bench: &Bench) -> Vec<String> {
    let names = fs::read_dir(bench.root("var/lib/pvekube/images")).unwrap();
    names.map(|name| name.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn download_is_verified_before_it_has_its_name() {
    let bench = bench();
    let body = vec![7; 300_000];
    let (operation, path) = download(&serve(body.clone(), "200 OK"), &body);
    let (exit, lines) = run(&bench, &operation).await;
    assert_eq!(exit, Some(0), "{lines:?}");
    assert!(fs::read(bench.root(&path[1..])).unwrap() == body);
    assert_eq!(image_files(&bench).len(), 1);
    bench.ssh.close().await;
}

#[tokio::test]
async fn download_with_a_wrong_digest_exits_65_and_leaves_nothing() {
    let bench = bench();
    let (operation, _) = download(&serve(b"something else".to_vec(), "200 OK"), b"what was asked for");
    let (exit, lines) = run(&bench, &operation).await;
    assert_eq!(exit, Some(65));
    assert!(lines.last().unwrap().starts_with("wrong digest: expected sha256 "), "{lines:?}");
    assert_eq!(image_files(&bench), Vec::<String>::new());
    bench.ssh.close().await;
}

#[tokio::test]
async fn download_that_fails_has_the_words_of_wget_and_leaves_nothing() {
    let bench = bench();
    let (operation, _) = download(&serve(b"gone".to_vec(), "404 Not Found"), b"gone");
    let (exit, _) = run(&bench, &operation).await;
    assert_eq!(exit, Some(8));
    let status = bench.status("k8s-9000-download-0f").await;
    assert!(status.contains("ERROR 404: Not Found"), "{status}");
    assert_eq!(image_files(&bench), Vec::<String>::new());
    bench.ssh.close().await;
}

#[tokio::test]
async fn download_goes_through_the_datacenters_proxy() {
    let bench = bench();
    bench.node.program("usr/bin/wget", "#!/bin/sh\necho \"<$http_proxy> <$https_proxy>\"; exit 4\n");
    let (operation, _) = download("https://127.0.0.1:1/image.img", b"image");
    assert_eq!(run(&bench, &operation).await.1, ["<> <>"]);
    fs::write(bench.root("etc/pve/datacenter.cfg"), "keyboard: de\nhttp_proxy: http://proxy.lan:3128\n").unwrap();
    let operation = Operation { name: OperationName::new("k8s-9000-download-1f"), ..operation };
    assert_eq!(run(&bench, &operation).await.1, ["<http://proxy.lan:3128> <http://proxy.lan:3128>"]);
    bench.ssh.close().await;
}

#[tokio::test]
async fn download_onto_a_full_disk_leaves_nothing() {
    let bench = bench();
    bench.node.program(
        "usr/bin/wget",
        "#!/bin/sh\nfor part; do case $part in *.part) echo half >\"$part\" ;; esac; done\n\
         echo 'No space left on device'; exit 3\n",
    );
    let (operation, _) = download("http://127.0.0.1:1/image.img", b"image");
    assert_eq!(run(&bench, &operation).await, (Some(3), vec!["No space left on device".to_owned()]));
    assert_eq!(image_files(&bench), Vec::<String>::new());
    bench.ssh.close().await;
}

#[tokio::test]
async fn downloads_of_one_file_at_once_are_one_download() {
    let bench = bench();
    let body = vec![9; 100_000];
    let (first, path) = download(&serve(body.clone(), "200 OK"), &body);
    let second = Operation { name: OperationName::new("other-9000-download-0f"), ..first.clone() };
    bench.ssh.start(&bench.name, &first).await.unwrap();
    bench.ssh.start(&bench.name, &second).await.unwrap();
    let ends = [outcome(&bench, first.name.as_str()).await, outcome(&bench, second.name.as_str()).await];
    assert!(ends.iter().all(|(exit, _)| *exit == Some(0)), "{ends:?}");
    assert!(ends.iter().any(|(_, lines)| lines.last().is_some_and(|line| line == "already there")), "{ends:?}");
    assert!(fs::read(bench.root(&path[1..])).unwrap() == body);
    bench.ssh.close().await;
}

#[tokio::test]
async fn node_with_everything_at_its_real_place() {
    let bench = bench_mounted();
    assert_eq!(run(&bench, &qm("k8s-101-clone-0f", &["where"])).await.1, ["/usr/sbin/qm"]);
    assert!(bench.root("run/pvekube/ops/k8s-101-clone-0f/rc").exists());
    let body = vec![5; 1000];
    let (download, path) = download(&serve(body.clone(), "200 OK"), &body);
    assert_eq!(run(&bench, &download).await.0, Some(0));
    assert!(fs::read(bench.root(&path[1..])).unwrap() == body);
    bench.ssh.close().await;
}

#[tokio::test]
async fn start_whose_caller_gives_up_at_any_moment_starts_at_most_once() {
    let bench = bench();
    let operation = qm("k8s-101-clone-0f", &["count"]);
    bench.status("k8s-101-clone-0f").await;
    for pause_ms in [0, 1, 2, 4, 8, 16, 32] {
        let pause = std::time::Duration::from_millis(pause_ms);
        let _ = tokio::time::timeout(pause, bench.ssh.start(&bench.name, &operation)).await;
    }
    bench.ssh.start(&bench.name, &operation).await.unwrap();
    assert_eq!(outcome(&bench, "k8s-101-clone-0f").await.0, Some(0));
    assert_eq!(fs::read_to_string(bench.root("count")).unwrap(), "ran\n");
    bench.ssh.close().await;
}
