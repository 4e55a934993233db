//! The few programs that the recorded probes use, over a sandbox node.

use pvekube::sandbox::fs::Kind;
use pvekube::sandbox::node::SandboxNode;

use super::shell::Answer;

pub fn cat(node: &SandboxNode, files: &[&str]) -> Answer {
    let mut answer = Answer::default();
    for file in files {
        match node.read_text(file) {
            Ok(text) => answer.stdout.push_str(&text),
            Err(_) => {
                answer.exit = 1;
                answer.stderr.push_str(&format!("cat: {file}: No such file or directory\n"));
            }
        }
    }
    answer
}

/// Plain words, `^(a|b)`, `a|b`: alternatives of literal text.
pub fn grep(node: &SandboxNode, arguments: &[&str], input: &str) -> Option<Answer> {
    let words: Vec<&&str> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let (pattern, files) = words.split_first()?;
    let text = if files.is_empty() {
        input.to_owned()
    } else {
        cat(node, &files.iter().map(|file| **file).collect::<Vec<_>>()).stdout
    };
    let (anchored, pattern) = match pattern.strip_prefix("^(") {
        Some(rest) => (true, rest.strip_suffix(')')?),
        None => (false, **pattern),
    };
    let choices: Vec<&str> = pattern.split('|').collect();
    let fits = |line: &&str| choices.iter().any(|c| if anchored { line.starts_with(c) } else { line.contains(c) });
    let stdout: String = text.lines().filter(fits).map(|line| format!("{line}\n")).collect();
    Some(Answer { exit: i32::from(stdout.is_empty()), stdout, stderr: String::new() })
}

/// With `-l` only the names mean something: files are not what they stand for.
pub fn ls(node: &SandboxNode, arguments: &[&str]) -> Option<Answer> {
    let long = arguments.iter().any(|word| word.starts_with('-'));
    let mut folders: Vec<String> = Vec::new();
    for word in arguments.iter().filter(|word| !word.starts_with('-')) {
        match word.split_once("/*/") {
            Some((parent, rest)) => {
                folders.extend(node.list(parent).iter().map(|name| format!("{parent}/{name}/{rest}")))
            }
            None => folders.push((*word).to_owned()),
        }
    }
    folders.sort();
    let mut answer = Answer::default();
    let several = folders.len() > 1;
    let recursive = arguments.iter().any(|word| word.starts_with('-') && word.contains('R'));
    if recursive {
        let inner: Vec<String> = folders.iter().flat_map(|folder| below(node, folder)).collect();
        folders.extend(inner);
    }
    for (at, folder) in folders.iter().enumerate() {
        if !node.exists(folder) {
            answer.exit = 2;
            answer.stderr.push_str(&format!(
                "ls: cannot access '{}': No such file or directory\n",
                folder.trim_end_matches('/')
            ));
            continue;
        }
        if several || recursive {
            answer.stdout.push_str(&format!("{}{folder}:\n", if at > 0 { "\n" } else { "" }));
        }
        let shown = |name: &String| {
            if long { format!("-rw-r----- 1 root root 0 Nov 22 11:44 {name}\n") } else { format!("{name}\n") }
        };
        answer.stdout.extend(node.list(folder).iter().map(shown));
    }
    Some(answer)
}

fn below(node: &SandboxNode, folder: &str) -> Vec<String> {
    let inner = node.list(folder).into_iter().map(|name| format!("{folder}/{name}"));
    let inner = inner.filter(|path| node.fs().kind(&node.at(path)) == Some(Kind::Folder));
    inner.flat_map(|path| [vec![path.clone()], below(node, &path)].concat()).collect()
}

pub fn remove(node: &SandboxNode, path: &str) -> Option<()> {
    match path.strip_suffix("/*") {
        Some(folder) => node.list(folder).iter().try_for_each(|name| node.remove(&format!("{folder}/{name}")).ok()),
        None => match node.fs().kind(&node.at(path)) {
            Some(Kind::File | Kind::Link) => node.remove(path).ok(),
            Some(Kind::Folder) => None,
            None => Some(()),
        },
    }
}

/// Files under `/etc/pve` go through pmxcfs, whose refusal is the answer.
pub fn redirect(node: &SandboxNode, path: &str, text: &str) -> Option<&'static str> {
    let written = if path.starts_with("/etc/pve/") { node.pve_write(path, text) } else { node.write(path, text) };
    written.err().map(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => "File exists",
        _ => "Permission denied",
    })
}
