//! `put` and `remove`: only where pvekube may write (common.sh, `own_path`).

use crate::remote::{PutContent, PutFile};
use crate::sandbox::image_server::has_digest;
use crate::sandbox::node::SandboxNode;

/// Refuses all but `/var/lib/pvekube`, `/run/pvekube`, and our files in snippet folders.
pub(crate) fn own_path(path: &str) -> Result<(), String> {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+@:-".contains(&b));
    let odd_part = path.split('/').skip(1).any(|part| part.is_empty() || part == "." || part == "..");
    if !plain || odd_part || !path.starts_with('/') {
        return Err(format!("refused: not a plain path: {path}"));
    }
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| !rest.is_empty());
    let snippet = path.rsplit_once("/snippets/pvekube-").is_some_and(|(folder, rest)| {
        folder.starts_with('/') && folder.len() > 1 && !rest.is_empty() && !rest.contains('/')
    });
    if below("/var/lib/pvekube/") || below("/run/pvekube/") || snippet {
        Ok(())
    } else {
        Err(format!("refused: not a file of ours: {path}"))
    }
}

pub(crate) fn put(node: &SandboxNode, file: &PutFile) -> Result<(), String> {
    own_path(&file.path)?;
    let bytes = match &file.content {
        PutContent::Bytes(bytes) => bytes.clone(),
        PutContent::File { path, digest } => {
            let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            if !has_digest(&bytes, digest) {
                return Err(format!("wrong digest: expected {}", digest.hex()));
            }
            bytes
        }
    };
    let wrote = node.write(&file.path, bytes).and_then(|()| node.fs().set_mode(&node.at(&file.path), file.mode));
    wrote.map_err(|error| format!("{}: {error}", file.path))
}

pub(crate) fn remove(node: &SandboxNode, path: &str) -> Result<(), String> {
    own_path(path)?;
    for name in [path.to_owned(), format!("{path}.part")] {
        if node.exists(&name) {
            node.remove(&name).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn only_our_own_places() {
        for good in [
            "/var/lib/pvekube/images/sha256-ab.img",
            "/run/pvekube/x",
            "/var/lib/vz/snippets/pvekube-bake-1f.yaml",
            "/mnt/pve/nas/snippets/pvekube-x",
        ] {
            assert_eq!(own_path(good), Ok(()), "{good}");
        }
        for bad in [
            "/etc/passwd",
            "/var/lib/pvekube/../x",
            "/var/lib/pvekube/",
            "/var/lib/pvekube//x",
            "/var/lib/vz/snippets/other.yaml",
            "/var/lib/vz/snippets/pvekube-a/b",
            "/var/lib/pvekube/a b",
            "relative",
        ] {
            assert!(own_path(bad).is_err(), "{bad}");
        }
    }
}
