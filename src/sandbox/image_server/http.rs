//! A small HTTP server for the images, for tests that download for real. The first part of a path may ask for trouble:
//! `/truncated/…` (half of the body), `/wrong/…` (other bytes than the checksum list says), `/no-range/…`, `/error/…` (500).

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A running server; ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    /// Requests answered so far.
    pub requests: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// Serves at an address (`127.0.0.1:0`: any free port) until the answer is dropped.
pub fn serve(address: &str) -> io::Result<Server> {
    let listener = TcpListener::bind(address)?;
    let server =
        Server { address: listener.local_addr()?, requests: Arc::default(), stop: Arc::new(AtomicBool::new(false)) };
    let (stop, requests) = (server.stop.clone(), server.requests.clone());
    std::thread::Builder::new().name("image-server".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let Ok(stream) = stream else { continue };
            requests.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || {
                // A client that goes away in the middle is its own business.
                let _ = answer(&stream);
            });
        }
    })?;
    Ok(server)
}

struct Request {
    method: String,
    path: String,
    /// First byte asked for.
    from: Option<usize>,
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        from: None,
    };
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            request.from = value.trim().strip_prefix("bytes=").and_then(|range| range.split('-').next()?.parse().ok());
        }
    }
    Ok(request)
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    let request = read_request(stream)?;
    let trouble = request.path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let Some(mut body) = super::get(&request.path, &request.path) else {
        return send(stream, "404 Not Found", &[], b"no such file\n", None);
    };
    if trouble == "error" {
        return send(stream, "500 Internal Server Error", &[], b"broken on purpose\n", None);
    }
    if trouble == "wrong"
        && super::is_image(super::file_name(&request.path))
        && let Some(last) = body.last_mut()
    {
        *last ^= 1;
    }
    let total = body.len();
    let from = request.from.filter(|_| trouble != "no-range");
    let sent = (trouble == "truncated").then_some(total / 2);
    let head = request.method == "HEAD";
    match from {
        Some(from) if from >= total => {
            let range = format!("Content-Range: bytes */{total}");
            send(stream, "416 Range Not Satisfiable", &[range], b"", None)
        }
        Some(from) => {
            let range = format!("Content-Range: bytes {from}-{}/{total}", total - 1);
            send(stream, "206 Partial Content", &[range], &body[from..], sent.or(head.then_some(0)))
        }
        None => send(stream, "200 OK", &[], &body, sent.or(head.then_some(0))),
    }
}

/// `cut`: end the body after so many bytes, though the header promises all.
fn send(mut stream: &TcpStream, status: &str, headers: &[String], body: &[u8], cut: Option<usize>) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nETag: \"{}\"\r\nConnection: close\r\n",
        body.len(),
        &super::of_bytes(body).hex()[..16],
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&body[..cut.unwrap_or(body.len()).min(body.len())])?;
    stream.flush()
}
