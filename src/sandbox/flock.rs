//! `flock(2)` for the stand-ins: real file locks in a directory world (its stand-ins are separate processes), a table in
//! memory. A lock goes when its guard is dropped, so a dropped future frees it as a killed process does.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::fs::{Fs, Memory};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Shared,
    Exclusive,
}

/// A held lock.
#[derive(Debug)]
pub enum Flock {
    Memory(Held),
    File(File),
}

/// Locks of a memory world, by path.
#[derive(Debug, Default)]
pub struct Table {
    holders: Mutex<BTreeMap<String, Holders>>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Holders {
    shared: u32,
    exclusive: bool,
}

#[derive(Debug)]
pub struct Held {
    memory: Arc<Memory>,
    path: String,
    mode: Mode,
}

/// Tries at once, then waits up to `patience` of the runtime's time. `Ok(None)`: somebody else has it.
pub async fn flock(fs: &Fs, path: &str, mode: Mode, patience: Duration) -> io::Result<Option<Flock>> {
    let deadline = Instant::now() + patience;
    match fs {
        Fs::Memory(memory) => Ok(in_memory(memory, path, mode, deadline).await.map(Flock::Memory)),
        Fs::Directory(directory) => {
            let file = directory.lock_file(path)?;
            loop {
                let taken = match mode {
                    Mode::Shared => file.try_lock_shared(),
                    Mode::Exclusive => file.try_lock(),
                };
                match taken {
                    Ok(()) => return Ok(Some(Flock::File(file))),
                    Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(FILE_POLL).await,
                    Err(TryLockError::WouldBlock) => return Ok(None),
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
        }
    }
}

/// Whether somebody holds the lock now; takes nothing.
pub async fn is_held(fs: &Fs, path: &str) -> io::Result<bool> {
    Ok(flock(fs, path, Mode::Exclusive, Duration::ZERO).await?.is_none())
}

/// A blocked `flock` in a directory world looks again this often.
const FILE_POLL: Duration = Duration::from_millis(20);

async fn in_memory(memory: &Arc<Memory>, path: &str, mode: Mode, deadline: Instant) -> Option<Held> {
    loop {
        let freed = memory.flocks.freed.notified();
        tokio::pin!(freed);
        // Registered before the try, so that a release in between is not missed.
        freed.as_mut().enable();
        if memory.flocks.take(path, mode) {
            return Some(Held { memory: memory.clone(), path: path.to_owned(), mode });
        }
        if timeout_at(deadline, freed).await.is_err() {
            return None;
        }
    }
}

impl Table {
    fn take(&self, path: &str, mode: Mode) -> bool {
        let mut holders = self.holders.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let holder = holders.entry(path.to_owned()).or_default();
        match mode {
            _ if holder.exclusive => false,
            Mode::Shared => {
                holder.shared += 1;
                true
            }
            Mode::Exclusive if holder.shared > 0 => false,
            Mode::Exclusive => {
                holder.exclusive = true;
                true
            }
        }
    }

    fn release(&self, path: &str, mode: Mode) {
        let mut holders = self.holders.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(holder) = holders.get_mut(path) {
            match mode {
                Mode::Shared => holder.shared = holder.shared.saturating_sub(1),
                Mode::Exclusive => holder.exclusive = false,
            }
            if holder.shared == 0 && !holder.exclusive {
                holders.remove(path);
            }
        }
        drop(holders);
        self.freed.notify_waiters();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.flocks.release(&self.path, self.mode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn check(fs: &Fs) {
        let shared = flock(fs, "/l", Mode::Shared, SECOND).await.unwrap().unwrap();
        let second = flock(fs, "/l", Mode::Shared, SECOND).await.unwrap().unwrap();
        assert!(flock(fs, "/l", Mode::Exclusive, Duration::from_millis(50)).await.unwrap().is_none());
        drop((shared, second));
        let exclusive = flock(fs, "/l", Mode::Exclusive, SECOND).await.unwrap().unwrap();
        assert!(is_held(fs, "/l").await.unwrap());
        let waiting = async { flock(fs, "/l", Mode::Exclusive, SECOND).await.unwrap().is_some() };
        let freeing = async {
            tokio::task::yield_now().await;
            drop(exclusive);
        };
        assert!(tokio::join!(waiting, freeing).0);
        assert!(!is_held(fs, "/l").await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn shared_and_exclusive_in_memory() {
        check(&Fs::memory()).await;
    }

    #[tokio::test]
    async fn shared_and_exclusive_in_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        check(&Fs::directory(folder.path()).unwrap()).await;
    }
}
