//! Files that commands write: never half of one.

use std::io::Write as _;
use std::path::Path;

use crate::error::Fault;

/// Who may read a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// As the umask says.
    Everybody,
    /// 0600.
    Owner,
}

/// Writes beside the target, then renames: a reader sees the old file or the new one.
pub fn write_atomically(path: &Path, content: &[u8], readers: Readers) -> Result<(), Fault> {
    let fail = |error: std::io::Error| {
        Fault::new(
            "write-failed",
            format!("{} can't be written: {error}", path.display()),
            "check the folder's permissions and free space",
        )
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pvekube-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The file's own mode is kept where it exists; a new one gets what the umask leaves of 0666.
        let mode = match readers {
            Readers::Owner => Some(0o600),
            Readers::Everybody => Some(std::fs::metadata(path).map_or(0o666, |old| old.permissions().mode() & 0o777)),
        };
        if let Some(mode) = mode {
            builder.permissions(std::fs::Permissions::from_mode(mode));
        }
    }
    let mut file = builder.tempfile_in(folder).map_err(fail)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

/// Appends, for files that others own and read later (`$GITHUB_OUTPUT`).
pub fn append(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let written =
        std::fs::OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| file.write_all(content));
    written.map_err(|error| {
        Fault::new(
            "write-failed",
            format!("{} can't be written: {error}", path.display()),
            "check the folder's permissions and free space",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        write_atomically(&path, b"one", Readers::Owner).unwrap();
        write_atomically(&path, b"two", Readers::Owner).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        let fault = write_atomically(&dir.path().join("absent/plan.json"), b"x", Readers::Owner).unwrap_err();
        assert_eq!(fault.id, "write-failed");
    }
}
