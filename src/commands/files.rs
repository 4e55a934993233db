//! Files that commands write: never half of one.

use std::io::{Read as _, Write as _};
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

fn fail(path: &Path, error: &std::io::Error) -> Fault {
    // `tempfile` adds the path of its own file, which says nothing to anybody.
    let said = error.to_string();
    let reason = said.split(" at path ").next().unwrap_or_default();
    Fault::new(
        "write-failed",
        format!("{} can't be written: {reason}", path.display()),
        "check the folder, its permissions and free space",
    )
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A plan or an observation of a thousand machines takes some MiB; a device may never end.
const LARGEST: u64 = 64 << 20;

/// A file's bytes.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Whether a file can be written there, found out before the work whose result it will hold.
pub fn can_write(path: &Path) -> Result<(), Fault> {
    if path.is_dir() {
        return Err(fail(path, &std::io::ErrorKind::IsADirectory.into()));
    }
    tempfile::Builder::new().prefix(".pvekube-").tempfile_in(folder_of(path)).map_err(|error| fail(path, &error))?;
    Ok(())
}

/// Writes beside the target, then renames: a reader sees the old file or the new one.
pub fn write_atomically(path: &Path, content: &[u8], readers: Readers) -> Result<(), Fault> {
    let fail = |error: std::io::Error| fail(path, &error);
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
    let mut file = builder.tempfile_in(folder_of(path)).map_err(fail)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

/// Appends, for files that others own and read later (`$GITHUB_OUTPUT`).
pub fn append(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let written =
        std::fs::OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| file.write_all(content));
    written.map_err(|error| fail(path, &error))
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
