//! The run's private folder: control sockets of the SSH masters and our own ssh_config.
//!
//! A run that is killed leaves its folder and, until it has been idle, its masters. So each folder holds a locked file,
//! and whoever comes next removes the folders whose lock is free (crates.md A5). Masters are asked to end first.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Our folder's path plus the socket's name (46 bytes with ssh's temporary suffix) must fit into a Unix socket's 107.
const LONGEST: usize = 60;

/// Before the name of a folder whose lock is not held yet.
const UNLOCKED: &str = "new-";

/// Runs (and `Ssh`s within one run) that could share a process id.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The folder; removed when dropped.
#[derive(Debug)]
pub(crate) struct ControlFolder {
    path: PathBuf,
    /// Held for as long as the folder is in use.
    _lock: File,
}

impl ControlFolder {
    /// Makes the folder under `$XDG_RUNTIME_DIR/pvekube`, or under the temporary folder when there is none or its path is
    /// too long for a socket.
    pub(crate) fn make() -> io::Result<Self> {
        let uid = fs::metadata("/proc/self")?.uid();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        match base(runtime.as_deref()) {
            Some(base) if private_folder(&base, uid).is_ok() => Self::make_in(&base, "", uid),
            Some(_) | None => Self::make_in(Path::new("/tmp"), &format!("pvk-{uid}-"), uid),
        }
    }

    /// Makes a folder `<prefix><pid>-<n>` in `base`, after removing those that dead runs left there.
    pub(crate) fn make_in(base: &Path, prefix: &str, uid: u32) -> io::Result<Self> {
        remove_stale(base, prefix, uid);
        loop {
            let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            // It gets its name when its lock is held: another run must never see it unlocked.
            let unlocked = base.join(format!("{prefix}{UNLOCKED}{name}"));
            DirBuilder::new().mode(0o700).create(&unlocked)?;
            let lock = File::create(unlocked.join("lock"))?;
            lock.lock()?;
            let path = base.join(format!("{prefix}{name}"));
            match fs::rename(&unlocked, &path) {
                Ok(()) => return Ok(Self { path, _lock: lock }),
                // A dead run of the same process id left it, and somebody sweeps it up right now.
                Err(_) if path.exists() => fs::remove_dir_all(&unlocked)?,
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlFolder {
    fn drop(&mut self) {
        end_masters(&self.path);
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "control folder stays");
        }
    }
}

/// Where runs have their folders, if the user's runtime folder will do.
fn base(runtime: Option<&Path>) -> Option<PathBuf> {
    let base = runtime.filter(|dir| dir.is_absolute())?.join("pvekube");
    // A process id and a count come after it.
    (base.as_os_str().len() + 12 <= LONGEST).then_some(base)
}

fn private_folder(path: &Path, uid: u32) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)?;
    let found = fs::symlink_metadata(path)?;
    if found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a private folder of ours"))
    }
}

/// Removes folders of ours whose lock nobody holds. Best effort: another run may be doing the same.
fn remove_stale(base: &Path, prefix: &str, uid: u32) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if !found.is_dir() || found.uid() != uid {
            continue;
        }
        let dead = match name.strip_prefix(UNLOCKED) {
            // It is being made right now, or was left in that instant; an hour tells.
            Some(name) if is_run(name) => {
                found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() > 3600))
            }
            None if is_run(name) => match File::open(path.join("lock")) {
                Ok(lock) => lock.try_lock().is_ok(),
                // Its removal was broken off.
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            },
            Some(_) | None => false,
        };
        if dead {
            end_masters(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// `<process id>-<count>`.
fn is_run(name: &str) -> bool {
    name.split_once('-').is_some_and(|(pid, count)| pid.parse::<u32>().is_ok() && count.parse::<u32>().is_ok())
}

/// Asks every master that still listens in `folder` to end.
fn end_masters(folder: &Path) {
    for session in fs::read_dir(folder).into_iter().flatten().flatten() {
        let socket = session.path().join("master");
        if !fs::symlink_metadata(&socket).is_ok_and(|found| found.file_type().is_socket()) {
            continue;
        }
        let asked = Command::new("ssh")
            .args(["-F", "/dev/null", "-O", "exit", "-S"])
            .arg(&socket)
            .arg("any")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(asked) = asked {
            ends_within(asked, Duration::from_secs(2));
        }
    }
}

/// Waits for a child, and kills it when it takes too long: a stopped master answers nobody.
fn ends_within(mut child: Child, limit: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid() -> u32 {
        fs::metadata("/proc/self").unwrap().uid()
    }

    fn folders(base: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(base)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn runtime_folder_is_used_when_a_socket_fits_into_it() {
        assert_eq!(base(Some(Path::new("/run/user/1000"))), Some("/run/user/1000/pvekube".into()));
        assert_eq!(base(Some(&Path::new("/home/someone").join("x".repeat(40)))), None);
        assert_eq!(base(Some(Path::new("relative"))), None);
        assert_eq!(base(None), None);
    }

    #[test]
    fn folder_is_private_and_goes_with_its_owner() {
        let base = tempfile::tempdir().unwrap();
        let folder = ControlFolder::make_in(base.path(), "", uid()).unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
        drop(folder);
        assert_eq!(folders(base.path()), Vec::<String>::new());
    }

    #[test]
    fn runs_that_begin_at_once_leave_each_other_alone() {
        let base = tempfile::tempdir().unwrap();
        let made = std::thread::scope(|scope| {
            let make = || (0..50).map(|_| ControlFolder::make_in(base.path(), "", uid()).unwrap()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(made.iter().all(|folder| folder.path().join("lock").exists()));
        assert_eq!(folders(base.path()).len(), made.len());
    }

    #[test]
    fn folders_of_dead_runs_are_removed_and_those_of_live_ones_stay() {
        let base = tempfile::tempdir().unwrap();
        let live = ControlFolder::make_in(base.path(), "", uid()).unwrap();
        let dead = base.path().join("4711-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("lock"), "").unwrap();
        let foreign = base.path().join("something-else");
        fs::create_dir(&foreign).unwrap();
        let next = ControlFolder::make_in(base.path(), "", uid()).unwrap();
        assert!(live.path().exists() && next.path().exists() && foreign.exists());
        assert!(!dead.exists());
    }
}
