//! Verified images on the controller: a file is there as a whole or not at all.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::digest::digest_of;
use super::part::{Part, Trouble};
use crate::model::ids::ImageDigest;

/// Cancelling is looked at once a piece.
pub(super) const PIECE: usize = 256 * 1024;

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

/// Who looks on, and may end it.
pub(super) struct Watch<'a> {
    /// Bytes so far, and in all.
    pub(super) progress: &'a dyn Fn(u64, Option<u64>),
    pub(super) cancel: &'a AtomicBool,
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
        let watch = Watch { progress, cancel };
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
            match part.fetch(download, &watch) {
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

/// The same for async callers. `progress` gets the percentage (0–100).
pub async fn fetch_local(
    cache: ImageCache,
    download: Download,
    progress: impl Fn(f32) + Send + 'static,
    cancel: Arc<AtomicBool>,
) -> Result<PathBuf, String> {
    let task = tokio::task::spawn_blocking(move || {
        let percent = |got: u64, total: Option<u64>| {
            if let Some(total) = total.filter(|total| *total > 0) {
                progress((got as f64 / total as f64 * 100.0) as f32);
            }
        };
        cache.fetch(&download, &percent, &cancel)
    });
    let ended = task.await.map_err(|error| format!("the download broke off: {error}"))?;
    ended.map_err(|error| error.to_string())
}

pub(super) fn check(cancel: &AtomicBool) -> Result<(), ImageError> {
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

pub(super) fn remove(path: &Path) -> Result<(), ImageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn file_error(path: &Path) -> impl Fn(io::Error) -> ImageError {
    let path = path.to_owned();
    move |error| ImageError::File { path: path.clone(), reason: error.to_string() }
}
