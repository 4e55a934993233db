//! Requests over HTTP, and their failures in our words: each names the URL and what to look at.

use std::io;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error};

/// No answer, no byte for this long: the server or the way to it is dead.
pub(super) const STALL: Duration = Duration::from_secs(30);

const CONNECT: Duration = Duration::from_secs(10);

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {reason}")]
pub(super) struct HttpError {
    pub url: String,
    pub reason: String,
    /// Worth another try: the network or a busy server, not an answer that stays.
    pub passing: bool,
}

/// One agent for a run: certificates of the system's store (`SSL_CERT_FILE` is honoured), proxies from the environment.
pub(super) fn agent(total: Option<Duration>) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_global(total)
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(STALL))
        .user_agent(concat!("pvekube/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

/// A small text. More than `limit` bytes is an error, not a cut text.
pub(super) fn text(url: &str, limit: u64, total: Duration) -> Result<String, HttpError> {
    let response = agent(Some(total)).get(url).call().map_err(|error| failed(url, &error))?;
    check_status(url, response.status().as_u16())?;
    let read = response.into_body().into_with_config().limit(limit).lossy_utf8(true).read_to_string();
    read.map_err(|error| failed(url, &error))
}

/// An error for every status that is no success.
pub(super) fn check_status(url: &str, status: u16) -> Result<(), HttpError> {
    let reason = match status {
        200..=299 => return Ok(()),
        404 | 410 => format!("the server does not have it (status {status}); look at the URL in the config"),
        401 | 403 => format!("the server does not give it to us (status {status})"),
        407 => "the proxy wants a login (status 407)".to_owned(),
        _ => format!("the server answered with status {status}"),
    };
    Err(HttpError { url: url.to_owned(), reason, passing: status == 429 || status >= 500 })
}

/// Our words for what ureq says.
pub(super) fn failed(url: &str, error: &Error) -> HttpError {
    let (reason, passing) = match error {
        Error::Timeout(_) => ("it did not answer in time".to_owned(), true),
        Error::HostNotFound => ("its host name is not known to DNS".to_owned(), true),
        Error::Io(error) => io_reason(error),
        Error::BodyExceedsLimit(limit) => (format!("it is larger than {limit} bytes, so it is something else"), false),
        Error::TooManyRedirects => ("it redirects in a circle".to_owned(), false),
        Error::BadUri(why) => (format!("it is not a URL: {why}"), false),
        other => certificate(&other.to_string()),
    };
    HttpError { url: url.to_owned(), reason, passing }
}

fn certificate(text: &str) -> (String, bool) {
    if text.contains("No CA certificates") {
        ("no certificates are installed here; install ca-certificates or set SSL_CERT_FILE".to_owned(), false)
    } else if text.contains("certificate") {
        (format!("its certificate is not trusted ({text}); a company's own CA goes into SSL_CERT_FILE"), false)
    } else {
        (text.to_owned(), true)
    }
}

/// What an error of reading or connecting means; a time-out and a bad certificate arrive as such, too.
pub(super) fn io_reason(error: &io::Error) -> (String, bool) {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            ("the connection was refused (by the server, or by a proxy)".to_owned(), true)
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => {
            ("the connection broke".to_owned(), true)
        }
        io::ErrorKind::TimedOut => ("it did not answer in time".to_owned(), true),
        _ => {
            let text = error.to_string();
            if text.contains("lookup address") {
                ("its host name is not known to DNS".to_owned(), true)
            } else {
                certificate(&text)
            }
        }
    }
}
