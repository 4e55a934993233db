//! A large file to the controller: resumed where it broke off, verified, and there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256, Sha512};
use ureq::http::HeaderMap;

use super::http::{self, HttpError};
use crate::model::ids::ImageDigest;

/// No cloud image comes near it: more is a mistake, or malice.
const IMAGE_LIMIT: u64 = 64 << 30;

/// Cancelling is looked at once a piece.
const PIECE: usize = 256 * 1024;

/// Tries of one download; pauses before the second and later ones.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// Why an image is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error("{0}")]
    Http(String),
    #[error("{url}: its digest is {actual}, not {wanted}: the file was changed on the server or on the way")]
    WrongDigest { url: String, wanted: ImageDigest, actual: String },
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("the download was cancelled")]
    Cancelled,
}

/// One download.
#[derive(Clone, Debug)]
pub struct Download {
    pub url: String,
    pub digest: ImageDigest,
}

/// A folder of verified images, named by digest.
#[derive(Clone, Debug)]
pub struct ImageCache {
    folder: PathBuf,
    pauses: Vec<Duration>,
}

impl ImageCache {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), pauses: PAUSES.to_vec() }
    }

    /// Other pauses before further tries; none: one try.
    pub fn with_pauses(self, pauses: Vec<Duration>) -> Self {
        Self { pauses, ..self }
    }

    pub fn path(&self, digest: &ImageDigest) -> PathBuf {
        self.folder.join(format!("{digest}.img"))
    }

    /// The verified file: found, or fetched. Blocks; a second caller for the same image, in this process or another,
    /// waits for the first and finds the file. `progress` gets bytes so far and in all (if the server says).
    /// A raised `cancel` ends it within a piece; what has arrived is kept for the next time.
    pub fn fetch(
        &self,
        download: &Download,
        progress: &dyn Fn(u64, Option<u64>),
        cancel: &AtomicBool,
    ) -> Result<PathBuf, ImageError> {
        let path = self.path(&download.digest);
        fs::create_dir_all(&self.folder).map_err(file_error(&self.folder))?;
        let lock_path = path.with_extension("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(file_error(&lock_path))?;
        lock.lock().map_err(file_error(&lock_path))?;
        if path.exists() {
            if digest_of(&path, &download.digest, cancel)? == download.digest.hex() {
                return Ok(path);
            }
            fs::remove_file(&path).map_err(file_error(&path))?;
        }
        let part = Part::of(&path);
        let mut pauses = self.pauses.iter();
        loop {
            match part.fetch(download, progress, cancel) {
                Ok(()) => return part.finish(&path),
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(error)) => match pauses.next() {
                    Some(pause) => wait(*pause, cancel)?,
                    None => return Err(error),
                },
            }
        }
    }
}

/// What went wrong, and whether it is worth another try.
enum Trouble {
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
struct Part {
    path: PathBuf,
    validator: PathBuf,
}

impl Part {
    fn of(path: &Path) -> Self {
        Self { path: path.with_extension("part"), validator: path.with_extension("part-of") }
    }

    /// One try: goes on where the last one broke off if the server still has the same file, else from the start.
    fn fetch(
        &self,
        download: &Download,
        progress: &dyn Fn(u64, Option<u64>),
        cancel: &AtomicBool,
    ) -> Result<(), Trouble> {
        let url = &download.url;
        let have = fs::metadata(&self.path).map(|meta| meta.len()).unwrap_or(0);
        let validator = fs::read_to_string(&self.validator).ok().filter(|text| have > 0 && !text.is_empty());
        let mut request = http::agent(None).get(url);
        if let Some(validator) = &validator {
            request = request.header("Range", format!("bytes={have}-")).header("If-Range", validator);
        }
        let response = request.call().map_err(|error| http::failed(url, &error))?;
        let status = response.status().as_u16();
        if status == 416 {
            self.forget()?;
            let reason = "the server has a smaller file now".to_owned();
            return Err(HttpError { url: url.clone(), reason, passing: true }.into());
        }
        http::check_status(url, status)?;
        let start = if status == 206 && range_start(response.headers()) == Some(have) { have } else { 0 };
        if status == 206 && start != have {
            self.forget()?;
            let reason = "the server sent another part than was asked for".to_owned();
            return Err(HttpError { url: url.clone(), reason, passing: true }.into());
        }
        let mut hasher = Hasher::new(&download.digest);
        let mut file = self.open(start, &mut hasher, cancel)?;
        if start == 0 {
            self.remember(response.headers())?;
        }
        let total = response.body().content_length().map(|rest| rest + start);
        if total.is_some_and(|total| total > IMAGE_LIMIT) {
            return Err(ImageError::Http(format!("{url}: it is larger than {} GiB", IMAGE_LIMIT >> 30)).into());
        }
        let mut body = response.into_body().into_with_config().limit(IMAGE_LIMIT).reader();
        let got = self.copy(url, &mut body, &mut file, &mut hasher, (start, total), progress, cancel)?;
        if let Some(total) = total.filter(|total| *total != got) {
            let reason = format!("it ended after {got} of {total} bytes");
            return Err(HttpError { url: url.clone(), reason, passing: true }.into());
        }
        file.sync_all().map_err(file_error(&self.path))?;
        self.verify(download, &hasher.finish())?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the loop's own pieces; a struct for one call would say less")]
    fn copy(
        &self,
        url: &str,
        body: &mut impl Read,
        file: &mut File,
        hasher: &mut Hasher,
        (start, total): (u64, Option<u64>),
        progress: &dyn Fn(u64, Option<u64>),
        cancel: &AtomicBool,
    ) -> Result<u64, Trouble> {
        let mut piece = vec![0; PIECE];
        let mut got = start;
        progress(got, total);
        loop {
            check(cancel)?;
            let count = match body.read(&mut piece) {
                Ok(0) => return Ok(got),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let (reason, passing) = http::io_reason(&error);
                    let reason = format!("after {got} bytes: {reason}");
                    return Err(HttpError { url: url.to_owned(), reason, passing }.into());
                }
            };
            hasher.update(&piece[..count]);
            file.write_all(&piece[..count]).map_err(file_error(&self.path))?;
            got += count as u64;
            progress(got, total);
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

    fn verify(&self, download: &Download, actual: &str) -> Result<(), ImageError> {
        if actual == download.digest.hex() {
            return Ok(());
        }
        self.forget()?;
        Err(ImageError::WrongDigest {
            url: download.url.clone(),
            wanted: download.digest.clone(),
            actual: format!("{}-{actual}", download.digest.algorithm()),
        })
    }

    /// Under its own name, for good.
    fn finish(&self, path: &Path) -> Result<PathBuf, ImageError> {
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

/// Either algorithm that a digest may have.
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(digest: &ImageDigest) -> Self {
        if digest.algorithm() == "sha512" { Self::Sha512(Sha512::new()) } else { Self::Sha256(Sha256::new()) }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::Sha512(hasher) => hex::encode(hasher.finalize()),
        }
    }
}

fn digest_of(path: &Path, digest: &ImageDigest, cancel: &AtomicBool) -> Result<String, ImageError> {
    let mut hasher = Hasher::new(digest);
    let mut file = File::open(path).map_err(file_error(path))?;
    hash(&mut file, &mut hasher, cancel, path)?;
    Ok(hasher.finish())
}

fn hash(file: &mut File, hasher: &mut Hasher, cancel: &AtomicBool, path: &Path) -> Result<(), ImageError> {
    let mut piece = vec![0; PIECE];
    loop {
        check(cancel)?;
        match file.read(&mut piece).map_err(file_error(path))? {
            0 => return Ok(()),
            count => hasher.update(&piece[..count]),
        }
    }
}

fn check(cancel: &AtomicBool) -> Result<(), ImageError> {
    if cancel.load(Ordering::Relaxed) { Err(ImageError::Cancelled) } else { Ok(()) }
}

fn wait(pause: Duration, cancel: &AtomicBool) -> Result<(), ImageError> {
    let step = Duration::from_millis(100);
    let mut left = pause;
    while !left.is_zero() {
        check(cancel)?;
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
    check(cancel)
}

/// `Content-Range: bytes START-END/TOTAL`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get("content-range")?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn remove(path: &Path) -> Result<(), ImageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> ImageError {
    let path = path.to_owned();
    move |error| ImageError::File { path: path.clone(), reason: error.to_string() }
}
