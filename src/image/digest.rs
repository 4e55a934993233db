//! SHA-256 and SHA-512 of files, while they are written or as they lie there.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use sha2::{Digest as _, Sha256, Sha512};

use super::cache::{ImageError, PIECE, check, file_error};
use crate::model::ids::ImageDigest;

/// Either algorithm that a digest may have.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(super) fn new(digest: &ImageDigest) -> Self {
        if digest.algorithm() == "sha512" { Self::Sha512(Sha512::new()) } else { Self::Sha256(Sha256::new()) }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::Sha512(hasher) => hex::encode(hasher.finalize()),
        }
    }
}

/// Hex of a file's digest, by the algorithm of `digest`.
pub(super) fn digest_of(path: &Path, digest: &ImageDigest, cancel: &AtomicBool) -> Result<String, ImageError> {
    let mut hasher = Hasher::new(digest);
    let mut file = File::open(path).map_err(file_error(path))?;
    hash(&mut file, &mut hasher, cancel, path)?;
    Ok(hasher.finish())
}

/// Feeds what is left of a file.
pub(super) fn hash(file: &mut File, hasher: &mut Hasher, cancel: &AtomicBool, path: &Path) -> Result<(), ImageError> {
    let mut piece = vec![0; PIECE];
    loop {
        check(cancel)?;
        match file.read(&mut piece).map_err(file_error(path))? {
            0 => return Ok(()),
            count => hasher.update(&piece[..count]),
        }
    }
}
