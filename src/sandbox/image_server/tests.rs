use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

const JAMMY: &str = "jammy-server-cloudimg-amd64.img";

fn ask(server: &Server, path: &str, range: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{range}\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(all[..end].to_vec()).unwrap(), all[end + 4..].to_vec())
}

#[test]
fn an_image_is_a_qcow2_file_that_says_what_is_in_it() {
    let bytes = image(JAMMY);
    assert_eq!(&bytes[..8], b"QFI\xfb\0\0\0\x03");
    assert_eq!(u64::from_be_bytes(bytes[24..32].try_into().unwrap()), VIRTUAL_BYTES);
    let disk = Disk::read(&bytes);
    assert!(disk.is_bootable() && !disk.packages.contains("qemu-guest-agent"));
    assert!(Disk::read(&image("noble-agent.img")).packages.contains("qemu-guest-agent"));
    assert!(!Disk::read(&bytes[..100]).is_bootable());
    assert!(has_digest(&bytes, &digest(JAMMY)) && !has_digest(b"", &digest(JAMMY)));
}

/// Where QEMU's own tool is at hand, it must find nothing to complain about.
#[test]
fn qemu_img_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(JAMMY);
    std::fs::write(&file, image(JAMMY).as_slice()).unwrap();
    let Ok(out) = std::process::Command::new("qemu-img").arg("check").arg(&file).output() else { return };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn checksum_lists_name_the_image_that_is_asked_for() {
    let sums = String::from_utf8(get("https://x.test/a/SHA256SUMS", "https://x.test/a/own.qcow2").unwrap()).unwrap();
    assert!(sums.contains(&format!("{} *own.qcow2\n", digest("own.qcow2").hex())));
    assert!(sums.contains(&format!("{} *{JAMMY}\n", digest(JAMMY).hex())));
    assert_eq!(get("https://x.test/index.html", ""), None);
}

#[test]
fn the_server_knows_ranges_and_troubles() {
    let server = serve("127.0.0.1:0").unwrap();
    let whole = image(JAMMY);
    let (head, body) = ask(&server, &format!("/current/{JAMMY}"), "");
    assert!(head.starts_with("HTTP/1.1 200"));
    assert_eq!(body, *whole);
    let (head, body) = ask(&server, &format!("/current/{JAMMY}"), "Range: bytes=1000-\r\n");
    assert!(head.contains("206") && head.contains(&format!("bytes 1000-{}/{}", whole.len() - 1, whole.len())));
    assert_eq!(body, whole[1000..]);
    assert_eq!(ask(&server, &format!("/truncated/{JAMMY}"), "").1.len(), whole.len() / 2);
    assert!(!has_digest(&ask(&server, &format!("/wrong/{JAMMY}"), "").1, &digest(JAMMY)));
    assert!(ask(&server, "/wrong/SHA256SUMS", "").1.starts_with(digest_of_first_known().as_bytes()));
    assert!(ask(&server, "/nothing", "").0.contains("404"));
    assert!(ask(&server, &format!("/error/{JAMMY}"), "").0.contains("500"));
    assert!(ask(&server, &format!("/no-range/{JAMMY}"), "Range: bytes=5-\r\n").0.contains("200 OK"));
}

fn digest_of_first_known() -> String {
    digest("debian-12-genericcloud-amd64.qcow2").hex().to_owned()
}
