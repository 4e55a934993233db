//! Files that commands write: never half of one.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

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

/// What a file is written to.
enum Place {
    /// A file that is there, at the end of all links, or none yet: a whole new one takes its place.
    File(PathBuf),
    /// A device, a pipe, a socket: written to, and never replaced (root could, and `/dev/null` would be gone).
    Stream,
}

fn place(path: &Path) -> std::io::Result<Place> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
        Ok(found) if found.is_file() => path.canonicalize().map(Place::File),
        Ok(_) => Ok(Place::Stream),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Place::File(path.to_owned())),
        Err(error) => Err(error),
    }
}

/// Refuses to write over one of the files that this command reads.
pub fn is_no_input(path: &Path, inputs: &[PathBuf]) -> Result<(), Fault> {
    let same = |input: &&PathBuf| path.canonicalize().ok().is_some_and(|path| input.canonicalize().ok() == Some(path));
    match inputs.iter().find(same) {
        None => Ok(()),
        Some(input) => Err(Fault::new(
            "write-failed",
            format!("{} would be written over {}, which this command reads", path.display(), input.display()),
            "name another file",
        )),
    }
}

/// Whether a file can be written there, found out before the work whose result it will hold.
pub fn can_write(path: &Path, inputs: &[PathBuf]) -> Result<(), Fault> {
    is_no_input(path, inputs)?;
    match place(path).map_err(|error| fail(path, &error))? {
        Place::Stream => Ok(()),
        Place::File(path) => match tempfile::Builder::new().prefix(".pvekube-").tempfile_in(folder_of(&path)) {
            Ok(_) => Ok(()),
            Err(error) => Err(fail(&path, &error)),
        },
    }
}

/// Writes beside the target, then renames: a reader sees the old file or the new one.
pub fn write_atomically(path: &Path, content: &[u8], readers: Readers) -> Result<(), Fault> {
    let written = match place(path) {
        Ok(Place::File(path)) => replace(&path, content, readers),
        Ok(Place::Stream) => {
            std::fs::OpenOptions::new().write(true).open(path).and_then(|mut to| to.write_all(content))
        }
        Err(error) => Err(error),
    };
    written.map_err(|error| fail(path, &error))
}

fn replace(path: &Path, content: &[u8], readers: Readers) -> std::io::Result<()> {
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
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(content).and_then(|()| file.as_file().sync_all())?;
    file.persist(path).map(drop).map_err(|error| error.error)
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

    #[test]
    fn devices_and_links_stay_what_they_are() {
        use std::os::unix::fs::FileTypeExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_atomically(&link, b"new", Readers::Everybody).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        // A pipe of our own: what a device is to this code, and nothing that others need.
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let read = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        can_write(&pipe, &[]).unwrap();
        write_atomically(&pipe, b"plan", Readers::Owner).unwrap();
        assert_eq!(read.join().unwrap(), b"plan");
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn what_is_read_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("config.yaml"), dir.path().join("link"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(can_write(&link, std::slice::from_ref(&file)).unwrap_err().id, "write-failed");
        assert_eq!(can_write(&dir.path().join("new"), &[file]), Ok(()));
    }
}
