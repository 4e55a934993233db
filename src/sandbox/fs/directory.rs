//! Files in a real folder. The stand-ins of the end-to-end tests are separate processes over one such folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Kind;

#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    temporary: AtomicU32,
}

impl Directory {
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        Ok(Self { root: root.canonicalize()?, temporary: AtomicU32::new(0) })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The real path of a path of the world.
    pub fn real(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn make_parent(&self, real: &Path) -> io::Result<()> {
        real.parent().map_or(Ok(()), fs::create_dir_all)
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.real(path))
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let real = self.real(path);
        self.make_parent(&real)?;
        // A link is written through, as the shell does; only then is a rename next to the target atomic.
        let real = real.canonicalize().unwrap_or(real);
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = real.with_file_name(format!(".{name}.tmp.{}.{number}", std::process::id()));
        fs::write(&temporary, bytes)?;
        if let Ok(metadata) = fs::metadata(&real) {
            let _ = fs::set_permissions(&temporary, metadata.permissions());
        }
        fs::rename(&temporary, &real).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }

    pub(super) fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let real = self.real(path);
        self.make_parent(&real)?;
        OpenOptions::new().create(true).append(true).open(real)?.write_all(bytes)
    }

    pub(super) fn create_new(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let real = self.real(path);
        self.make_parent(&real)?;
        OpenOptions::new().create_new(true).write(true).open(real)?.write_all(bytes)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.real(from), self.real(to))
    }

    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.real(path))
    }

    pub(super) fn rmdir(&self, path: &str) -> io::Result<()> {
        fs::remove_dir(self.real(path))
    }

    pub(super) fn remove_tree(&self, path: &str) -> io::Result<()> {
        let real = self.real(path);
        match fs::symlink_metadata(&real) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(real),
            Ok(_) => fs::remove_file(real),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn mkdir(&self, path: &str) -> io::Result<()> {
        fs::create_dir(self.real(path))
    }

    pub(super) fn mkdir_all(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.real(path))
    }

    pub(super) fn symlink(&self, target: &str, path: &str) -> io::Result<()> {
        let real = self.real(path);
        self.make_parent(&real)?;
        if self.kind(path) == Some(Kind::Link) {
            fs::remove_file(&real)?;
        }
        let target = if target.starts_with('/') { self.real(target) } else { PathBuf::from(target) };
        link(&target, &real)
    }

    pub(super) fn read_link(&self, path: &str) -> io::Result<String> {
        let target = fs::read_link(self.real(path))?;
        Ok(match target.strip_prefix(&self.root) {
            Ok(inner) => format!("/{}", inner.display()),
            Err(_) => target.to_string_lossy().into_owned(),
        })
    }

    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        let metadata = fs::symlink_metadata(self.real(path)).ok()?;
        Some(if metadata.is_symlink() {
            Kind::Link
        } else if metadata.is_dir() {
            Kind::Folder
        } else {
            Kind::File
        })
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.real(path).exists()
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.real(path))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn mode(&self, path: &str) -> io::Result<u32> {
        mode_of(&fs::metadata(self.real(path))?)
    }

    pub(super) fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        apply_mode(&self.real(path), mode)
    }

    /// Opens (and makes) a file to lock.
    pub(in crate::sandbox) fn lock_file(&self, path: &str) -> io::Result<File> {
        let real = self.real(path);
        self.make_parent(&real)?;
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(real)
    }

    pub(super) fn exclusively<T>(&self, path: &str, body: impl FnOnce() -> T) -> io::Result<T> {
        let file = self.lock_file(path)?;
        file.lock()?;
        let result = body();
        file.unlock()?;
        Ok(result)
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_dir(target, path)
}

#[cfg(unix)]
fn mode_of(metadata: &fs::Metadata) -> io::Result<u32> {
    Ok(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777)
}

#[cfg(not(unix))]
fn mode_of(_: &fs::Metadata) -> io::Result<u32> {
    Ok(0o644)
}

#[cfg(unix)]
fn apply_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn apply_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}
