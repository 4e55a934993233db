use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256, Sha512};

use super::*;
use crate::model::ids::ImageDigest;

/// How the server answers one request, in order; the last one stays.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Whole,
    /// The body ends after so many bytes of what the header promises.
    Cut(usize),
    /// Does not know ranges.
    NoRange,
    /// No length: the body ends with the connection.
    NoLength,
    Status(u16),
    /// Another file than before: other bytes, another ETag.
    Changed,
}

struct Server {
    url: String,
    /// Range headers as they came, empty for none.
    ranges: Arc<Mutex<Vec<String>>>,
}

fn body() -> Vec<u8> {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect()
}

fn digest(bytes: &[u8]) -> ImageDigest {
    format!("sha256-{}", hex::encode(Sha256::digest(bytes))).parse().unwrap()
}

fn serve(ways: &'static [Way]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/images/jammy.img", listener.local_addr().unwrap());
    let ranges: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = ranges.clone();
    // Ends with the test's process; nothing waits for it.
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { break };
            let way = ways[number.min(ways.len() - 1)];
            let _gone = answer(stream, way, &seen);
        }
    });
    Server { url, ranges }
}

fn answer(mut stream: TcpStream, way: Way, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    seen.lock().unwrap().push(header("range:"));
    let (bytes, tag) = if way == Way::Changed { (vec![7; 1000], "\"v2\"") } else { (body(), "\"v1\"") };
    if let Way::Status(status) = way {
        return write!(stream, "HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let from =
        header("range:").strip_prefix("bytes=").and_then(|text| text.trim_end_matches('-').parse::<usize>().ok());
    let from = from.filter(|_| way != Way::NoRange && header("if-range:") == tag);
    let rest = &bytes[from.unwrap_or(0)..];
    let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nETag: {tag}\r\nConnection: close\r\n")?;
    if let Some(from) = from {
        write!(stream, "Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len())?;
    }
    if way != Way::NoLength {
        write!(stream, "Content-Length: {}\r\n", rest.len())?;
    }
    stream.write_all(b"\r\n")?;
    let end = if let Way::Cut(end) = way { end.min(rest.len()) } else { rest.len() };
    stream.write_all(&rest[..end])
}

struct Case {
    folder: tempfile::TempDir,
    server: Server,
}

impl Case {
    fn new(ways: &'static [Way]) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: serve(ways) }
    }

    fn fetch_as(&self, digest: ImageDigest, cancel: &AtomicBool) -> Result<PathBuf, ImageError> {
        let cache = ImageCache::new(self.folder.path()).with_pauses(vec![Duration::ZERO; 2]);
        let download = Download { url: self.server.url.clone(), digest };
        cache.fetch(&download, &|_, _| {}, cancel)
    }

    fn fetch(&self) -> Result<PathBuf, ImageError> {
        self.fetch_as(digest(&body()), &AtomicBool::new(false))
    }

    fn ranges(&self) -> Vec<String> {
        self.server.ranges.lock().unwrap().clone()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path().extension().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn fetched_once_then_found() {
    let case = Case::new(&[Way::Whole]);
    let path = case.fetch().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), body());
    assert_eq!(case.fetch().unwrap(), path);
    assert_eq!(case.ranges(), [""], "the second time nothing is asked");
    assert_eq!(case.files(), ["img", "lock"]);
    std::fs::write(&path, "rotten").unwrap();
    assert_eq!(
        std::fs::read(case.fetch().unwrap()).unwrap(),
        body(),
        "a file that does not fit its name is fetched anew"
    );
}

#[test]
fn goes_on_where_it_broke_off() {
    let case = Case::new(&[Way::Cut(400_000), Way::Cut(100_000), Way::Whole]);
    assert_eq!(std::fs::read(case.fetch().unwrap()).unwrap(), body());
    assert_eq!(case.ranges(), ["", "bytes=400000-", "bytes=500000-"]);
}

#[test]
fn a_part_is_kept_for_the_next_run() {
    let case = Case::new(&[Way::Cut(400_000), Way::Status(503), Way::Status(503), Way::Whole]);
    let error = case.fetch().unwrap_err().to_string();
    assert!(error.contains("status 503"), "{error}");
    assert_eq!(case.files(), ["lock", "part", "part-of"]);
    case.fetch().unwrap();
    assert_eq!(case.ranges().last().map(String::as_str), Some("bytes=400000-"));
}

#[test]
fn starts_anew_where_it_must() {
    for ways in [&[Way::Cut(9000), Way::NoRange][..], &[Way::NoLength]] {
        let case = Case { folder: tempfile::tempdir().unwrap(), server: serve(ways.to_vec().leak()) };
        assert_eq!(std::fs::read(case.fetch().unwrap()).unwrap(), body(), "{ways:?}");
    }
    // The file on the server changed in between: the old part does not count.
    let case = Case::new(&[Way::Cut(9000), Way::Changed]);
    let wanted = digest(&[7; 1000]);
    assert_eq!(std::fs::read(case.fetch_as(wanted, &AtomicBool::new(false)).unwrap()).unwrap(), vec![7; 1000]);
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let case = Case::new(&[Way::Changed]);
    let error = case.fetch().unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
    assert_eq!(case.files(), ["lock"]);
    assert_eq!(case.ranges().len(), 1, "a wrong file is not fetched again and again");
}

#[test]
fn a_file_put_together_wrongly_is_fetched_as_a_whole() {
    let case = Case::new(&[Way::Cut(400_000), Way::Status(503), Way::Status(503), Way::Whole]);
    case.fetch().unwrap_err();
    // What lies there is not what came: a disk that lost a write.
    let part = case.folder.path().join(format!("{}.part", digest(&body())));
    std::fs::write(&part, vec![0; 400_000]).unwrap();
    assert_eq!(std::fs::read(case.fetch().unwrap()).unwrap(), body());
    assert_eq!(case.ranges()[3..], ["bytes=400000-", ""]);
}

#[test]
fn lasting_faults_are_not_tried_again() {
    let case = Case::new(&[Way::Status(404)]);
    let error = case.fetch().unwrap_err().to_string();
    assert!(error.contains("status 404") && error.contains("look at the URL"), "{error}");
    assert_eq!(case.ranges().len(), 1);
}

#[test]
fn cancelled() {
    let case = Case::new(&[Way::Whole]);
    assert_eq!(case.fetch_as(digest(&body()), &AtomicBool::new(true)), Err(ImageError::Cancelled));
    // In the middle: the part stays.
    let cancel = AtomicBool::new(false);
    let cache = ImageCache::new(case.folder.path());
    let download = Download { url: case.server.url.clone(), digest: digest(&body()) };
    let stop = |got: u64, _| cancel.store(got > 0, Ordering::Relaxed);
    assert_eq!(cache.fetch(&download, &stop, &cancel), Err(ImageError::Cancelled));
    assert!(case.files().contains(&"part".to_owned()));
}

#[test]
fn sha512_and_progress() {
    let case = Case::new(&[Way::Whole]);
    let wanted: ImageDigest = format!("sha512-{}", hex::encode(Sha512::digest(body()))).parse().unwrap();
    let calls = AtomicUsize::new(0);
    let count = |got: u64, total: Option<u64>| {
        assert!(got <= total.unwrap());
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let download = Download { url: case.server.url.clone(), digest: wanted };
    ImageCache::new(case.folder.path()).fetch(&download, &count, &AtomicBool::new(false)).unwrap();
    assert!(calls.load(Ordering::Relaxed) > 2);
}

#[test]
fn connection_refused_names_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/SHA256SUMS", listener.local_addr().unwrap());
    drop(listener);
    let error = network()(&url).unwrap_err();
    assert_eq!(error, format!("{url}: the connection was refused (by the server, or by a proxy)"));
}

#[test]
fn upstream_is_what_the_list_says() {
    let env =
        crate::input::Env { home: Some("/home/me".into()), read_file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let loaded = crate::input::parse(&crate::input::example_config(), &crate::input::example_manifest(), &env).unwrap();
    let template = loaded.desired.template;
    let image = digest(b"x");
    let list = format!("{} *jammy-server-cloudimg-amd64.img\n", image.hex());
    let source: ChecksumSource = Arc::new(move |_| Ok(list.clone()));
    let known = upstream(&template, Some(&source));
    assert_eq!(known, Upstream::Known { digest: image.clone(), source: "SHA256SUMS".to_owned() });
    let failing: ChecksumSource = Arc::new(|url| Err(format!("{url}: no route")));
    let Upstream::Unknown { reason } = upstream(&template, Some(&failing)) else { panic!("it failed") };
    assert!(reason.ends_with("no route"));
    let Upstream::Unknown { reason } = upstream(&template, Some(&(Arc::new(|_: &str| Ok("none".to_owned())) as _)))
    else {
        panic!("the list is empty")
    };
    assert!(reason.ends_with("it lists no checksums at all"), "{reason}");
    let pinned = TemplateSpec { image_digest: Some(image.clone()), ..template };
    assert_eq!(upstream(&pinned, Some(&failing)), Upstream::Known { digest: image, source: "image_digest".to_owned() });
}
