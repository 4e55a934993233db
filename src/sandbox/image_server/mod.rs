//! Cloud images without a network: tiny but honest qcow2 files, their checksum lists, and a server for them.
//!
//! Any name that ends in `.img` or `.qcow2` is an image; the same name is always the same bytes.

mod http;
mod qcow2;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub use http::{Server, serve};
use sha2::{Digest as _, Sha256, Sha512};

use super::guest::disk::Disk;
use crate::model::ids::ImageDigest;

/// Ubuntu's cloud images of 2026 are of about this virtual size.
pub const VIRTUAL_BYTES: u64 = 2252 << 20;

/// An image file's bytes. A line in its header cluster tells what is installed; only names with `-agent` have the guest
/// agent in them, as no distribution's image for clouds has.
pub fn image(name: &str) -> Arc<Vec<u8>> {
    static MADE: Mutex<BTreeMap<String, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fresh = || {
        let mut disk = Disk { image: name.to_owned(), root_bytes: VIRTUAL_BYTES, ..Disk::default() };
        disk.packages.extend(["cloud-init", "openssh-server"].map(str::to_owned));
        if name.contains("-agent") {
            disk.packages.insert("qemu-guest-agent".to_owned());
        }
        Arc::new(qcow2::file(VIRTUAL_BYTES, &disk.write()))
    };
    made.entry(name.to_owned()).or_insert_with(fresh).clone()
}

pub fn digest(name: &str) -> ImageDigest {
    of_bytes(&image(name))
}

/// SHA-256 of any bytes, as a digest.
pub fn of_bytes(bytes: &[u8]) -> ImageDigest {
    let text = format!("sha256-{}", hex::encode(Sha256::digest(bytes)));
    // 64 hex digits after a known algorithm always parse.
    text.parse().unwrap_or_else(|_| unreachable!("{text} is a digest"))
}

/// Whether a file has this digest, by either algorithm.
pub fn has_digest(bytes: &[u8], digest: &ImageDigest) -> bool {
    let hex = match digest.algorithm() {
        "sha512" => hex::encode(Sha512::digest(bytes)),
        _ => hex::encode(Sha256::digest(bytes)),
    };
    hex == digest.hex()
}

/// The last part of a URL's path.
pub fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

/// Images that a checksum list names besides the one that is asked for.
const KNOWN: [&str; 4] = [
    "jammy-server-cloudimg-amd64.img",
    "jammy-server-cloudimg-arm64.img",
    "noble-server-cloudimg-amd64.img",
    "debian-12-genericcloud-amd64.qcow2",
];

/// A GNU checksum list (`HEX *NAME`) with these names.
fn sums<'a>(algorithm: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let line = |name: &str| {
        let hex = match algorithm {
            "SHA512SUMS" => hex::encode(Sha512::digest(image(name).as_slice())),
            _ => hex::encode(Sha256::digest(image(name).as_slice())),
        };
        format!("{hex} *{name}\n")
    };
    names.into_iter().map(line).collect()
}

/// What any URL answers here: a checksum list (for `image`, the image that the caller cares for, too), or an image.
/// `None`: 404.
pub fn get(url: &str, image_url: &str) -> Option<Vec<u8>> {
    let name = file_name(url);
    match name {
        "SHA256SUMS" | "SHA512SUMS" => {
            let own = file_name(image_url);
            let names: std::collections::BTreeSet<&str> =
                KNOWN.into_iter().chain([own].into_iter().filter(|name| is_image(name))).collect();
            Some(sums(name, names).into_bytes())
        }
        _ if is_image(name) => Some(image(name).to_vec()),
        _ => None,
    }
}

fn is_image(name: &str) -> bool {
    [".img", ".qcow2", ".raw"].iter().any(|end| name.len() > end.len() && name.ends_with(end))
}

#[cfg(test)]
mod tests;
