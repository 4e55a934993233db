//! Files in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Kind;

/// As deep as a kernel follows links.
const LINK_LIMIT: u32 = 40;

/// A tree of files in memory, with the locks that its paths have (`flock` module).
#[derive(Debug, Default)]
pub struct Memory {
    tree: Mutex<BTreeMap<String, Entry>>,
    bookkeeping: Mutex<()>,
    pub(in crate::sandbox) flocks: crate::sandbox::flock::Table,
}

#[derive(Clone, Debug)]
struct Entry {
    thing: Thing,
    mode: u32,
}

#[derive(Clone, Debug)]
enum Thing {
    File(Arc<Vec<u8>>),
    Folder,
    Link(String),
}

type Tree = BTreeMap<String, Entry>;

fn missing(path: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("{path}: No such file or directory"))
}

fn there(path: &str) -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, format!("{path}: File exists"))
}

fn wrong_kind(path: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("{path}: not that kind of file"))
}

/// The path that `path` means once links are followed; with `last` false the last name itself is kept.
fn resolve<'a>(tree: &Tree, path: &'a str, last: bool) -> io::Result<Cow<'a, str>> {
    // Most paths are plain: no name on the way is a link, `.` or `..`.
    let mut end = 0;
    while let Some(next) = path[end..].strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        let stop = next.find('/').map_or(path.len(), |at| end + 1 + at);
        let name = &path[end + 1..stop];
        let whole = stop == path.len();
        let is_link =
            (last || !whole) && matches!(tree.get(&path[..stop]).map(|entry| &entry.thing), Some(Thing::Link(_)));
        if is_link || name == "." || name == ".." {
            break;
        }
        if whole {
            return Ok(Cow::Borrowed(path));
        }
        end = stop;
    }
    follow(tree, path, end, last)
}

/// The same where something has to be followed, from `end` on.
fn follow<'a>(tree: &Tree, path: &'a str, end: usize, last: bool) -> io::Result<Cow<'a, str>> {
    let mut done = path[..end].to_owned();
    let mut todo: Vec<String> = path[end..].split('/').rev().filter(|p| !p.is_empty()).map(str::to_owned).collect();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        match name.as_str() {
            "." => continue,
            ".." => {
                done.truncate(done.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let length = done.len();
        done.push('/');
        done.push_str(&name);
        if let Some(Thing::Link(target)) = tree.get(&done).map(|entry| &entry.thing)
            && (last || !todo.is_empty())
        {
            links += 1;
            if links > LINK_LIMIT {
                return Err(io::Error::other(format!("{path}: Too many levels of symbolic links")));
            }
            done.truncate(if target.starts_with('/') { 0 } else { length });
            todo.extend(target.split('/').rev().filter(|p| !p.is_empty()).map(str::to_owned));
        }
    }
    Ok(if done.is_empty() { Cow::Borrowed("/") } else { Cow::Owned(done) })
}

fn make_parents(tree: &mut Tree, real: &str) -> io::Result<()> {
    for (at, _) in real.match_indices('/').skip(1) {
        let folder = &real[..at];
        match tree.get(folder).map(|entry| &entry.thing) {
            Some(Thing::Folder) => {}
            Some(_) => return Err(io::Error::new(ErrorKind::NotADirectory, format!("{folder}: Not a directory"))),
            None => {
                tree.insert(folder.to_owned(), Entry { thing: Thing::Folder, mode: 0o755 });
            }
        }
    }
    Ok(())
}

/// Every path below `folder`, not itself.
fn below<'a>(tree: &'a Tree, folder: &str) -> impl Iterator<Item = (&'a String, &'a Entry)> {
    let prefix = if folder == "/" { "/".to_owned() } else { format!("{folder}/") };
    tree.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix))
}

impl Memory {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        // A poisoned tree is still a tree: every change is one insert or remove.
        self.tree.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn put(&self, path: &str, fresh_only: bool, bytes: impl FnOnce(Option<&[u8]>) -> Vec<u8>) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, true)?;
        make_parents(tree, &real)?;
        let (mode, content) = match tree.get(&*real) {
            Some(_) if fresh_only => return Err(there(path)),
            Some(Entry { thing: Thing::File(old), mode }) => (*mode, bytes(Some(old))),
            Some(_) => return Err(wrong_kind(path)),
            None => (0o644, bytes(None)),
        };
        tree.insert(real.into_owned(), Entry { thing: Thing::File(Arc::new(content)), mode });
        Ok(())
    }

    /// The same files in a memory of their own; locks are not copied.
    pub(super) fn fork(&self) -> Self {
        Self { tree: Mutex::new(self.tree().clone()), ..Self::default() }
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let tree = self.tree();
        match tree.get(&*resolve(&tree, path, true)?).map(|entry| &entry.thing) {
            Some(Thing::File(bytes)) => Ok(bytes.to_vec()),
            Some(_) => Err(wrong_kind(path)),
            None => Err(missing(path)),
        }
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.put(path, false, |_| bytes.to_vec())
    }

    pub(super) fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.put(path, false, |old| [old.unwrap_or_default(), bytes].concat())
    }

    pub(super) fn create_new(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.put(path, true, |_| bytes.to_vec())
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let tree = &mut *self.tree();
        let (from_real, to_real) = (resolve(tree, from, false)?, resolve(tree, to, false)?);
        let (to_folder, _) = super::split(&to_real);
        if to_folder != "/" && !tree.contains_key(to_folder) {
            return Err(missing(to));
        }
        let entry = tree.remove(&*from_real).ok_or_else(|| missing(from))?;
        let inner: Vec<String> = below(tree, &from_real).map(|(path, _)| path.clone()).collect();
        for path in inner {
            if let Some(entry) = tree.remove(&path) {
                tree.insert(format!("{to_real}{}", &path[from_real.len()..]), entry);
            }
        }
        tree.insert(to_real.into_owned(), entry);
        Ok(())
    }

    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, false)?;
        match tree.get(&*real).map(|entry| &entry.thing) {
            Some(Thing::Folder) => Err(wrong_kind(path)),
            Some(Thing::File(_) | Thing::Link(_)) => {
                tree.remove(&*real);
                Ok(())
            }
            None => Err(missing(path)),
        }
    }

    pub(super) fn rmdir(&self, path: &str) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, false)?;
        match tree.get(&*real).map(|entry| &entry.thing) {
            Some(Thing::Folder) if below(tree, &real).next().is_some() => {
                Err(io::Error::new(ErrorKind::DirectoryNotEmpty, format!("{path}: Directory not empty")))
            }
            Some(Thing::Folder) => {
                tree.remove(&*real);
                Ok(())
            }
            Some(_) => Err(wrong_kind(path)),
            None => Err(missing(path)),
        }
    }

    pub(super) fn remove_tree(&self, path: &str) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, false)?;
        let inner: Vec<String> = below(tree, &real).map(|(path, _)| path.clone()).collect();
        for path in inner {
            tree.remove(&path);
        }
        tree.remove(&*real);
        Ok(())
    }

    pub(super) fn mkdir(&self, path: &str) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, false)?;
        if tree.contains_key(&*real) {
            return Err(there(path));
        }
        let (folder, _) = super::split(&real);
        if folder != "/" && !tree.contains_key(folder) {
            return Err(missing(path));
        }
        tree.insert(real.into_owned(), Entry { thing: Thing::Folder, mode: 0o755 });
        Ok(())
    }

    pub(super) fn mkdir_all(&self, path: &str) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, true)?;
        make_parents(tree, &format!("{real}/x"))
    }

    pub(super) fn symlink(&self, target: &str, path: &str) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, false)?;
        make_parents(tree, &real)?;
        match tree.get(&*real).map(|entry| &entry.thing) {
            Some(Thing::File(_) | Thing::Folder) => Err(there(path)),
            Some(Thing::Link(_)) | None => {
                tree.insert(real.into_owned(), Entry { thing: Thing::Link(target.to_owned()), mode: 0o777 });
                Ok(())
            }
        }
    }

    pub(super) fn read_link(&self, path: &str) -> io::Result<String> {
        let tree = self.tree();
        match tree.get(&*resolve(&tree, path, false)?).map(|entry| &entry.thing) {
            Some(Thing::Link(target)) => Ok(target.clone()),
            Some(_) => Err(wrong_kind(path)),
            None => Err(missing(path)),
        }
    }

    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        let tree = self.tree();
        let real = resolve(&tree, path, false).ok()?;
        Some(match tree.get(&*real)?.thing {
            Thing::File(_) => Kind::File,
            Thing::Folder => Kind::Folder,
            Thing::Link(_) => Kind::Link,
        })
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        let tree = self.tree();
        resolve(&tree, path, true).is_ok_and(|real| real == "/" || tree.contains_key(&*real))
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let tree = self.tree();
        let real = resolve(&tree, path, true)?;
        match tree.get(&*real).map(|entry| &entry.thing) {
            Some(Thing::Folder) => {}
            Some(_) => return Err(wrong_kind(path)),
            None if real == "/" => {}
            None => return Err(missing(path)),
        }
        let start = if real == "/" { 1 } else { real.len() + 1 };
        let names = below(&tree, &real).map(|(path, _)| &path[start..]).filter(|rest| !rest.contains('/'));
        Ok(names.map(str::to_owned).collect())
    }

    pub(super) fn mode(&self, path: &str) -> io::Result<u32> {
        let tree = self.tree();
        let real = resolve(&tree, path, false)?;
        tree.get(&*real).map(|entry| entry.mode).ok_or_else(|| missing(path))
    }

    pub(super) fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        let tree = &mut *self.tree();
        let real = resolve(tree, path, false)?;
        tree.get_mut(&*real).ok_or_else(|| missing(path))?.mode = mode;
        Ok(())
    }

    pub(super) fn exclusively<T>(&self, body: impl FnOnce() -> T) -> T {
        let _held = self.bookkeeping.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        body()
    }
}
