//! The sandbox's files: a real directory or memory, behind one API, so that every stand-in is written once.
//!
//! Paths are absolute and `/`-separated within the world (`/nodes/pve1/etc/pve/local`). Symbolic links are followed as a
//! kernel does; an absolute target means the world's root.

mod directory;
mod memory;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use directory::Directory;
pub use memory::Memory;

/// A world's files. Cheap to clone; clones see the same files.
#[derive(Clone, Debug)]
pub enum Fs {
    Memory(Arc<Memory>),
    Directory(Arc<Directory>),
}

/// What lies at a path, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Link,
}

macro_rules! each {
    ($self:ident, $fs:ident => $body:expr) => {
        match $self {
            Fs::Memory($fs) => $body,
            Fs::Directory($fs) => $body,
        }
    };
}

impl Fs {
    pub fn memory() -> Self {
        Fs::Memory(Arc::new(Memory::default()))
    }

    /// A copy of a world in memory that goes its own way; `None`: the world is a folder.
    pub fn fork(&self) -> Option<Self> {
        match self {
            Fs::Memory(memory) => Some(Fs::Memory(Arc::new(memory.fork()))),
            Fs::Directory(_) => None,
        }
    }

    /// A world in a real folder, made if it is not there.
    pub fn directory(root: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Fs::Directory(Arc::new(Directory::open(root.into())?)))
    }

    /// The real folder, if the world is in one.
    pub fn root(&self) -> Option<&std::path::Path> {
        match self {
            Fs::Memory(_) => None,
            Fs::Directory(directory) => Some(directory.root()),
        }
    }

    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        each!(self, fs => fs.read(path))
    }

    /// Lossy: what is not UTF-8 becomes U+FFFD.
    pub fn read_text(&self, path: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// Whole-file write by temporary file and rename; missing parents are made.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        each!(self, fs => fs.write(path, bytes.as_ref()))
    }

    /// Appends, making the file and its parents.
    pub fn append(&self, path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        each!(self, fs => fs.append(path, bytes.as_ref()))
    }

    /// Fails with `AlreadyExists` when the file is there.
    pub fn create_new(&self, path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        each!(self, fs => fs.create_new(path, bytes.as_ref()))
    }

    /// Replaces the target. Parents must be there.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        each!(self, fs => fs.rename(from, to))
    }

    /// Removes a file or link; a folder is an error.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        each!(self, fs => fs.remove(path))
    }

    /// Removes an empty folder.
    pub fn rmdir(&self, path: &str) -> io::Result<()> {
        each!(self, fs => fs.rmdir(path))
    }

    /// Removes whatever is there; absent is fine.
    pub fn remove_tree(&self, path: &str) -> io::Result<()> {
        each!(self, fs => fs.remove_tree(path))
    }

    /// Makes one folder; `AlreadyExists` when something is there (the atomic start of an operation).
    pub fn mkdir(&self, path: &str) -> io::Result<()> {
        each!(self, fs => fs.mkdir(path))
    }

    pub fn mkdir_all(&self, path: &str) -> io::Result<()> {
        each!(self, fs => fs.mkdir_all(path))
    }

    /// A link at `path`. An absolute target is a path of the world; replaces an earlier link.
    pub fn symlink(&self, target: &str, path: &str) -> io::Result<()> {
        each!(self, fs => fs.symlink(target, path))
    }

    pub fn read_link(&self, path: &str) -> io::Result<String> {
        each!(self, fs => fs.read_link(path))
    }

    /// What lies there itself (a link is a link), or nothing.
    pub fn kind(&self, path: &str) -> Option<Kind> {
        each!(self, fs => fs.kind(path))
    }

    /// Whether a file or folder is there, links followed.
    pub fn exists(&self, path: &str) -> bool {
        each!(self, fs => fs.exists(path))
    }

    /// Names in a folder, sorted.
    pub fn list(&self, path: &str) -> io::Result<Vec<String>> {
        each!(self, fs => fs.list(path))
    }

    /// Permission bits of the thing itself or of a link's target where the system has no link modes.
    pub fn mode(&self, path: &str) -> io::Result<u32> {
        each!(self, fs => fs.mode(path))
    }

    pub fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        each!(self, fs => fs.set_mode(path, mode))
    }

    /// Runs `body` while nobody else (no thread, and no other process of a directory world) runs a body for `path`.
    /// For short read-modify-write of the sandbox's own bookkeeping; PVE's locks are `flock`.
    pub fn exclusively<T>(&self, path: &str, body: impl FnOnce() -> T) -> io::Result<T> {
        match self {
            Fs::Memory(fs) => Ok(fs.exclusively(body)),
            Fs::Directory(fs) => fs.exclusively(path, body),
        }
    }
}

/// Splits into folder and last name: `/a/b` into (`/a`, `b`).
pub fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => ("/", path),
    }
}

#[cfg(test)]
mod tests;
