//! A file on its way: resumed where it broke off, verified before it gets its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ureq::Body;
use ureq::http::{HeaderMap, Response};

use super::cache::{Download, ImageError, PIECE, Watch, check, file_error, remove};
use super::digest::{Hasher, hash};
use super::http::{self, HttpError};

/// No cloud image comes near it: more is a mistake, or malice.
const IMAGE_LIMIT: u64 = 64 << 30;

/// What went wrong, and whether it is worth another try.
pub(super) enum Trouble {
    Passing(ImageError),
    Lasting(ImageError),
}

impl From<ImageError> for Trouble {
    fn from(error: ImageError) -> Self {
        Trouble::Lasting(error)
    }
}

impl From<HttpError> for Trouble {
    fn from(error: HttpError) -> Self {
        let fault = ImageError::Http(error.to_string());
        if error.passing { Trouble::Passing(fault) } else { Trouble::Lasting(fault) }
    }
}

/// A file on its way: `….part`, and beside it what tells whether the server still has the same file.
pub(super) struct Part {
    path: PathBuf,
    validator: PathBuf,
}

impl Part {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.with_extension("part"), validator: path.with_extension("part-of") }
    }

    /// One try: goes on where the last one broke off if the server still has the same file, else from the start.
    pub(super) fn fetch(&self, download: &Download, watch: &Watch<'_>) -> Result<(), Trouble> {
        let url = &download.url;
        let (response, start) = self.ask(url)?;
        let total = response.body().content_length().map(|rest| rest + start);
        if total.is_some_and(|total| total > IMAGE_LIMIT) {
            return Err(ImageError::Http(format!("{url}: it is larger than {} GiB", IMAGE_LIMIT >> 30)).into());
        }
        let mut hasher = Hasher::new(&download.digest);
        let mut file = self.open(start, &mut hasher, watch.cancel)?;
        if start == 0 {
            self.remember(response.headers())?;
        }
        let mut body = response.into_body().into_with_config().limit(IMAGE_LIMIT).reader();
        let mut piece = vec![0; PIECE];
        let mut got = start;
        loop {
            (watch.progress)(got, total);
            check(watch.cancel)?;
            let count = read(&mut body, &mut piece).map_err(|error| broken_off(url, got, &error))?;
            if count == 0 {
                break;
            }
            hasher.update(&piece[..count]);
            file.write_all(&piece[..count]).map_err(file_error(&self.path))?;
            got += count as u64;
        }
        if let Some(total) = total.filter(|total| *total != got) {
            return Err(passing(url, &format!("it ended after {got} of {total} bytes")));
        }
        file.sync_all().map_err(file_error(&self.path))?;
        self.verify(download, &hasher.finish(), start > 0)
    }

    /// The server's answer, and after how many of our bytes it goes on.
    fn ask(&self, url: &str) -> Result<(Response<Body>, u64), Trouble> {
        let have = fs::metadata(&self.path).map(|meta| meta.len()).unwrap_or(0);
        let validator = fs::read_to_string(&self.validator).ok().filter(|text| have > 0 && !text.is_empty());
        let mut request = http::agent(None).get(url);
        if let Some(validator) = &validator {
            request = request.header("Range", format!("bytes={have}-")).header("If-Range", validator);
        }
        let response = request.call().map_err(|error| http::failed(url, &error))?;
        match response.status().as_u16() {
            206 if range_start(response.headers()) == Some(have) => Ok((response, have)),
            206 | 416 => {
                self.forget()?;
                Err(passing(url, "the server has another file now than the one that was begun"))
            }
            status => {
                http::check_status(url, status)?;
                Ok((response, 0))
            }
        }
    }

    /// Opened for appending after `start` bytes, which are hashed again: what is on disk is what counts.
    fn open(&self, start: u64, hasher: &mut Hasher, cancel: &AtomicBool) -> Result<File, ImageError> {
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&self.path);
        let mut file = open.map_err(file_error(&self.path))?;
        file.set_len(start).map_err(file_error(&self.path))?;
        hash(&mut file, hasher, cancel, &self.path)?;
        file.seek(SeekFrom::Start(start)).map_err(file_error(&self.path))?;
        Ok(file)
    }

    /// A strong ETag, else the date: without either the file can't be resumed.
    fn remember(&self, headers: &HeaderMap) -> Result<(), ImageError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let tag = header("etag").filter(|tag| !tag.starts_with("W/")).or_else(|| header("last-modified"));
        fs::write(&self.validator, tag.unwrap_or_default()).map_err(file_error(&self.validator))
    }

    /// A wrong file is removed. If it was put together from two downloads it is fetched once more as a whole.
    fn verify(&self, download: &Download, actual: &str, resumed: bool) -> Result<(), Trouble> {
        if actual == download.digest.hex() {
            return Ok(());
        }
        self.forget()?;
        let error = ImageError::WrongDigest {
            url: download.url.clone(),
            wanted: download.digest.clone(),
            actual: format!("{}-{actual}", download.digest.algorithm()),
        };
        Err(if resumed { Trouble::Passing(error) } else { Trouble::Lasting(error) })
    }

    /// Under its own name, for good.
    pub(super) fn finish(&self, path: &Path) -> Result<PathBuf, ImageError> {
        fs::rename(&self.path, path).map_err(file_error(path))?;
        if let Some(folder) = path.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error(folder))?;
        }
        remove(&self.validator)?;
        Ok(path.to_owned())
    }

    fn forget(&self) -> Result<(), ImageError> {
        remove(&self.path)?;
        remove(&self.validator)
    }
}

fn passing(url: &str, reason: &str) -> Trouble {
    HttpError { url: url.to_owned(), reason: reason.to_owned(), passing: true }.into()
}

fn broken_off(url: &str, got: u64, error: &io::Error) -> Trouble {
    let (reason, passing) = http::io_reason(error);
    HttpError { url: url.to_owned(), reason: format!("after {got} bytes: {reason}"), passing }.into()
}

fn read(body: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match body.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => return result,
        }
    }
}

/// `Content-Range: bytes START-END/TOTAL`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get("content-range")?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
