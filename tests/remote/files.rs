//! Files put on a node, removed, checked.

use std::fs;
use std::os::unix::fs::MetadataExt;

use pvekube::model::ids::ImageDigest;
use pvekube::remote::{Probe, PutContent, PutFile, Remote, RemoteErrorKind};
use sha2::{Digest, Sha256};

use crate::sshd::until;
use crate::{Bench, bench};

fn file(path: &str, mode: u32, bytes: &[u8]) -> PutFile {
    PutFile { path: path.to_owned(), mode, content: PutContent::Bytes(bytes.to_vec()) }
}

fn digest(bytes: &[u8]) -> ImageDigest {
    format!("sha256-{}", hex::encode(Sha256::digest(bytes))).parse().unwrap()
}

async fn image(bench: &Bench, path: &str, digest: &ImageDigest) -> String {
    let probe = Probe::Image { path: path.to_owned(), digest: digest.clone() };
    String::from_utf8(bench.ssh.probe(&bench.name, &probe).await.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn bytes_arrive_with_their_mode_and_replace_what_was_there() {
    let bench = bench();
    let path = "/var/lib/vz/snippets/pvekube-ab12.json";
    let bytes: Vec<u8> = (0..=255).collect();
    bench.ssh.put(&bench.name, &file(path, 0o644, b"old")).await.unwrap();
    bench.ssh.put(&bench.name, &file(path, 0o600, &bytes)).await.unwrap();
    let put = bench.root(&path[1..]);
    assert_eq!(fs::read(&put).unwrap(), bytes);
    assert_eq!(fs::metadata(&put).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(put.parent().unwrap()).unwrap().mode() & 0o777, 0o755);
    bench.ssh.put(&bench.name, &file(path, 0o644, b"")).await.unwrap();
    assert_eq!(fs::read(&put).unwrap(), b"");
    bench.ssh.remove(&bench.name, path).await.unwrap();
    bench.ssh.remove(&bench.name, path).await.unwrap();
    assert_eq!(fs::read_dir(put.parent().unwrap()).unwrap().count(), 0);
    bench.ssh.close().await;
}

#[tokio::test]
async fn image_is_streamed_and_verified() {
    let bench = bench();
    let bytes = vec![3; 20 << 20];
    let local = bench.folder.path().join("image.img");
    fs::write(&local, &bytes).unwrap();
    let digest = digest(&bytes);
    let path = format!("/var/lib/pvekube/images/{digest}.img");
    let content = PutContent::File { path: local.clone(), digest: digest.clone() };
    bench.ssh.put(&bench.name, &PutFile { path: path.clone(), mode: 0o644, content }).await.unwrap();
    assert_eq!(image(&bench, &path, &digest).await, format!("ok {}\n", bytes.len()));
    // What is there stays when the next one is not what it should be.
    fs::write(&local, b"damaged").unwrap();
    let content = PutContent::File { path: local, digest: digest.clone() };
    let error = bench.ssh.put(&bench.name, &PutFile { path: path.clone(), mode: 0o644, content }).await.unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Refused);
    assert!(error.sentence.contains("wrong digest"), "{error:?}");
    assert_eq!(image(&bench, &path, &digest).await, format!("ok {}\n", bytes.len()));
    assert_eq!(fs::read_dir(bench.root("var/lib/pvekube/images")).unwrap().count(), 1);
    bench.ssh.close().await;
}

#[tokio::test]
async fn image_is_ok_or_wrong_or_absent() {
    let bench = bench();
    let path = "/var/lib/pvekube/images/a.img";
    let wanted = digest(b"right");
    assert_eq!(image(&bench, path, &wanted).await, "absent\n");
    bench.ssh.put(&bench.name, &file(path, 0o644, b"wrong")).await.unwrap();
    assert_eq!(image(&bench, path, &wanted).await, "wrong 5\n");
    bench.ssh.put(&bench.name, &file(path, 0o644, b"right")).await.unwrap();
    assert_eq!(image(&bench, path, &wanted).await, "ok 5\n");
    bench.ssh.close().await;
}

#[tokio::test]
async fn only_files_of_ours_are_written_or_removed() {
    let bench = bench();
    fs::create_dir_all(bench.root("etc/pve")).unwrap();
    fs::write(bench.root("etc/pve/user.cfg"), "theirs").unwrap();
    for path in [
        "/etc/pve/user.cfg",
        "/var/lib/pvekube/../../etc/pve/user.cfg",
        "/var/lib/pvekube/./x",
        "/var/lib/pvekube/",
        "/var/lib/vz/snippets/theirs.yaml",
        "/var/lib/vz/snippets/pvekube-x/../theirs.yaml",
        "var/lib/pvekube/x",
        "/var/lib/pvekube/a\nb",
        "/var/lib/pvekube/a b",
        "",
    ] {
        let put = bench.ssh.put(&bench.name, &file(path, 0o644, b"ours")).await.unwrap_err();
        let removed = bench.ssh.remove(&bench.name, path).await.unwrap_err();
        assert_eq!((put.kind, removed.kind), (RemoteErrorKind::Refused, RemoteErrorKind::Refused), "{path}");
    }
    assert_eq!(fs::read_to_string(bench.root("etc/pve/user.cfg")).unwrap(), "theirs");
    bench.ssh.close().await;
}

/// A client vanishes in the middle of an image: its sshd may wait for hours, and its sender with it.
#[tokio::test]
async fn a_sender_that_sends_no_more_does_not_hold_its_file() {
    let bench = bench();
    let local = bench.folder.path().join("image.img");
    fs::File::create(&local).unwrap().set_len(1 << 30).unwrap();
    let path = "/var/lib/pvekube/images/a.img";
    let content = PutContent::File { path: local, digest: digest(b"whole") };
    let part = bench.root("var/lib/pvekube/images/a.img.part");
    let endless = PutFile { path: path.to_owned(), mode: 0o644, content };
    let mut sending = std::pin::pin!(bench.ssh.put(&bench.name, &endless));
    tokio::select! {
        sent = &mut sending => panic!("{sent:?}"),
        () = until("the image is on its way", || fs::metadata(&part).is_ok_and(|part| part.len() > 0)) => {}
    }
    bench.node.freeze_sessions(true);
    let second = bench.another();
    let whole = file(path, 0o644, b"whole");
    let (sent, ()) = tokio::join!(second.put(&bench.name, &whole), async {
        // As if the last byte had come an hour ago; and it is a living sender's for as long as bytes come.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        assert!(!bench.root("var/lib/pvekube/images/a.img").exists());
        assert!(std::process::Command::new("touch").args(["-d", "1 hour ago"]).arg(&part).status().unwrap().success());
    });
    sent.unwrap();
    assert_eq!(fs::read(bench.root("var/lib/pvekube/images/a.img")).unwrap(), b"whole");
    assert_eq!(fs::read_dir(bench.root("var/lib/pvekube/images")).unwrap().count(), 1);
    bench.node.freeze_sessions(false);
    assert!(sending.await.is_err());
    second.close().await;
    bench.ssh.close().await;
}
