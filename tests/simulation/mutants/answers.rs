//! Answers, falsified: their sections are as `pve::report` describes them. Those of a VM are answers to `Probe::Vm`.

use pvekube::model::mark::Mark;
use pvekube::pve::report::frame::Writer;

/// An observation of a node with nothing on it.
pub fn of_nothing(nonce: &str) -> Vec<u8> {
    let mut writer = Writer::new(nonce);
    writer.section(&["clock"], b"0\n");
    writer.section(&["local"], b"link 755 nodes/x\n");
    writer.finish()
}

/// The config in an answer, changed; `None` from `change`: as if there were no such VM.
pub fn with_config(answer: &[u8], change: impl FnOnce(&str) -> Option<String>) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let Some((head, rest)) = text.split_once(" configs\n") else { return answer.to_vec() };
    let Some((line, body)) = rest.split_once("\n\n") else { return answer.to_vec() };
    let Some((size, path)) = line.split_once(' ') else { return answer.to_vec() };
    // No config at all: the next section follows.
    let Some(size) = size.parse::<usize>().ok().filter(|size| path.ends_with(".conf") && *size <= body.len()) else {
        return answer.to_vec();
    };
    let (config, tail) = body.split_at(size);
    match change(config) {
        Some(config) => format!("{head} configs\n{} {path}\n\n{config}{tail}", config.len()).into_bytes(),
        None => {
            let vmid = path.rsplit('/').next().and_then(|file| file.strip_suffix(".conf")).unwrap_or_default();
            format!("{head} configs\n{}", tail.replace(&format!("\"{vmid}\":"), "\"99999\":")).into_bytes()
        }
    }
}

/// The mark in place of Notes without one.
pub fn with_mark(config: &str, mark: &Mark) -> String {
    if config.contains("#pvekube/1 ") {
        return config.to_owned();
    }
    let kept: String = config.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    format!("#{mark}\n{kept}")
}

/// A copied mark, made out to this VM.
pub fn with_own_mark(config: &str, vmid: u32) -> String {
    let own = |line: &str| match line.strip_prefix('#').and_then(Mark::find) {
        Some(mark) => format!("#{}\n", Mark { vmid: pvekube::model::ids::Vmid(vmid), ..mark }),
        None => format!("{line}\n"),
    };
    config.lines().map(own).collect()
}

pub fn without_lock(config: &str, locks: &[&str]) -> String {
    let is_lock = |line: &&str| line.strip_prefix("lock: ").is_some_and(|lock| locks.contains(&lock));
    config.lines().filter(|line| !is_lock(line)).map(|line| format!("{line}\n")).collect()
}

/// Nothing runs.
pub fn without_operations(answer: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let (mut kept, mut keeps) = (String::new(), true);
    for line in text.split_inclusive('\n') {
        if line.starts_with("@@") {
            keeps = line.split(' ').nth(1) != Some("op");
        }
        if keeps {
            kept.push_str(line);
        }
    }
    kept.into_bytes()
}
