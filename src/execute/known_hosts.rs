//! The cluster's own known_hosts: host keys that came through the guest agent, not from the network.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The file with one machine's keys in place of its earlier ones, also those at an address that it had before. The first
/// of `names` is its own; the others are taken off every other line, too (an address that another machine had before is
/// this machine's now). Lines that are not plain entries stay.
pub fn replace(content: &str, names: &[String], keys: &[String]) -> String {
    let mut lines: Vec<String> = content.lines().filter_map(|line| without(line, names)).collect();
    lines.extend(keys.iter().map(|key| format!("{} {key}", names.join(","))));
    lines.push(String::new());
    lines.join("\n")
}

/// How an entry names a host: `10.0.0.11`, or `[10.0.0.11]:2222` when the port is not 22.
pub fn entry_name(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// Machines become ready side by side: none may take away the line that another has just written.
static WRITING: Mutex<()> = Mutex::new(());

/// Writes the file anew with this machine's keys (none: it is forgotten): a temporary file beside it, then a rename.
/// A device (`/dev/null`) keeps nothing, and is left what it is; a link stays, what it leads to is written.
pub fn write(path: &Path, names: &[String], keys: &[String]) -> std::io::Result<()> {
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let real = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => path.canonicalize()?,
        Ok(found) if !found.is_dir() => return Ok(()),
        Ok(_) | Err(_) => path.to_owned(),
    };
    let path = real.as_path();
    let content = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && keys.is_empty() => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(replace(&content, names, keys).as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn without(line: &str, names: &[String]) -> Option<String> {
    let text = line.trim_start();
    if text.starts_with(['#', '@', '|']) {
        return Some(line.to_owned());
    }
    let (hosts, key) = text.split_once(' ')?;
    if names.first().is_some_and(|own| hosts.split(',').any(|host| host == own)) {
        return None;
    }
    let kept: Vec<&str> = hosts.split(',').filter(|host| !names.iter().any(|name| name == host)).collect();
    (!kept.is_empty()).then(|| format!("{} {key}", kept.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_are_ready_at_once_all_have_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || write(path, &[format!("k8s-worker-{number}")], &["ssh-ed25519 AAAA".to_owned()]));
            }
        });
        let lines = std::fs::read_to_string(&path).unwrap();
        assert_eq!(lines.lines().count(), 8, "{lines}");
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_recreated_machine_replaces_its_own_keys_only() {
        let before = "# ours\nk8s-worker-1,10.0.0.21 ssh-ed25519 OLD\nk8s-worker-2,10.0.0.22 ssh-ed25519 TWO\n|1|abc= ssh-rsa H\n";
        let after = replace(before, &names(&["k8s-worker-1", "10.0.0.21"]), &names(&["ssh-ed25519 NEW", "ssh-rsa R"]));
        insta::assert_snapshot!(after, @r"
        # ours
        k8s-worker-2,10.0.0.22 ssh-ed25519 TWO
        |1|abc= ssh-rsa H
        k8s-worker-1,10.0.0.21 ssh-ed25519 NEW
        k8s-worker-1,10.0.0.21 ssh-rsa R
        ");
    }

    #[test]
    fn an_address_that_moved_leaves_the_other_machines_name_in_place() {
        let before = "k8s-worker-1,10.0.0.21 ssh-ed25519 ONE\n";
        let after = replace(before, &names(&["k8s-worker-2", "10.0.0.21"]), &names(&["ssh-ed25519 TWO"]));
        assert_eq!(after, "k8s-worker-1 ssh-ed25519 ONE\nk8s-worker-2,10.0.0.21 ssh-ed25519 TWO\n");
    }

    #[test]
    fn a_device_is_left_what_it_is() {
        use std::os::unix::fs::FileTypeExt as _;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("known_hosts");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        write(&pipe, &names(&["a"]), &names(&["ssh-ed25519 K"])).unwrap();
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_machine_that_moved_to_another_address_leaves_none_of_its_keys_behind() {
        let before = "k8s-worker-1,10.0.0.21 ssh-ed25519 ONE\nk8s-worker-2,10.0.0.22 ssh-ed25519 TWO\n";
        let after = replace(before, &names(&["k8s-worker-1", "10.0.0.23"]), &names(&["ssh-ed25519 NEW"]));
        assert_eq!(after, "k8s-worker-2,10.0.0.22 ssh-ed25519 TWO\nk8s-worker-1,10.0.0.23 ssh-ed25519 NEW\n");
    }

    #[test]
    fn writing_makes_the_folder_and_replaces_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k8s/known_hosts");
        write(&path, &names(&["a", &entry_name("10.0.0.1", 2222)]), &names(&["ssh-ed25519 K"])).unwrap();
        write(&path, &names(&["b"]), &names(&["ssh-ed25519 L"])).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,[10.0.0.1]:2222 ssh-ed25519 K\nb ssh-ed25519 L\n");
    }
}
