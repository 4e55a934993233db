//! When two answers are alike: exit codes equal; text equal but for what depends on time, chance or the machine; JSON
//! equal in keys and types, and in values that do not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::recorded::Recorded;
use super::shell::Answer;

/// Texts that chance made (MACs, UUIDs, digests, task ids) and what stands for each in the sandbox.
#[derive(Default)]
pub struct Tokens {
    known: BTreeMap<String, String>,
}

/// Chance's texts, in the order in which they are looked for.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<upid>UPID:[^ \x22]+:)|(?P<hash>\$5\$[A-Za-z0-9./$]+)|(?P<digest>\b[0-9a-f]{40}\b)",
        r"|(?P<uuid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)",
        r"|(?P<mac>(?i)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b)",
    ))
    .unwrap()
});

/// Times and numbers of processes.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bfe80::[0-9a-f:]+|running +\d+ +\d+\.\d\d \d+|\b179\d{7}\b|\b2026-11-2\d \d\d:\d\d:\d\d\b|\b[A-Z][a-z]{2}, 2\d Nov 2026 \d\d:\d\d:\d\d|\.conf\.tmp\.\d+|\bat byte \d+\b| [0-9A-F]{8} (OK|broken)")
        .unwrap()
});

/// The part of an `ls -l` line before the name.
static LONG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[-d][rwxst-]{9} +\d+ \S+ \S+ +\d+ \S+ +\d+ [\d:]+ ").unwrap());
/// What a disk of the laboratory has in use.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d+(\.\d+)?%?").unwrap());
/// Sizes of files that the sandbox has in another form.
static FILE_SIZE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(snippets|import) \d+").unwrap());

impl Tokens {
    /// A recorded text as it is in the sandbox.
    pub fn ours(&self, text: &str) -> String {
        TOKEN
            .replace_all(text, |found: &regex::Captures<'_>| {
                let found = &found[0];
                match self.known.get(&found.to_lowercase()) {
                    Some(ours)
                        if *found == found.to_lowercase() && found.contains(':') && !found.starts_with("UPID") =>
                    {
                        ours.to_lowercase()
                    }
                    Some(ours) => ours.clone(),
                    None => found.to_owned(),
                }
            })
            .into_owned()
    }

    /// Learns which text stands for which. A text that already stood for another one is a difference.
    fn learn(&mut self, recorded: &str, ours: &str, differences: &mut Vec<String>) {
        let pairs = TOKEN.find_iter(recorded).zip(TOKEN.find_iter(ours));
        let pairs: Vec<(String, String)> =
            pairs.map(|(a, b)| (a.as_str().to_lowercase(), b.as_str().to_owned())).collect();
        for (theirs, ours) in pairs {
            match self.known.get(&theirs) {
                Some(known) if !known.eq_ignore_ascii_case(&ours) => {
                    differences.push(format!("{theirs} was {known} before, now {ours}"));
                    self.known.insert(theirs, ours);
                }
                Some(_) => {}
                None => drop(self.known.insert(theirs, ours)),
            }
        }
    }
}

/// Everything that differs, for people.
pub fn differences(recorded: &Recorded, answer: &Answer, tokens: &mut Tokens) -> Vec<String> {
    let mut found = Vec::new();
    if recorded.exit != answer.exit {
        found.push(format!("exit {} was {}", answer.exit, recorded.exit));
    }
    let ssh = recorded.via.is_some();
    for (stream, theirs, ours) in
        [("stdout", &recorded.stdout, &answer.stdout), ("stderr", &recorded.stderr, &answer.stderr)]
    {
        if let (Ok(theirs), Ok(ours)) = (serde_json::from_str::<Value>(theirs), serde_json::from_str::<Value>(ours)) {
            json(stream, &theirs, &ours, tokens, &mut found);
            continue;
        }
        let (theirs, ours) = (lines(theirs, ssh), lines(ours, ssh));
        let pvesm = recorded.argv.first().is_some_and(|word| word == "pvesm");
        let status = recorded.argv.get(1).is_some_and(|word| word == "status");
        let columns = |line: &String| {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if status {
                NUMBER.replace_all(&line, "<n>").into_owned()
            } else {
                FILE_SIZE.replace(&line, "$1 <size>").into_owned()
            }
        };
        let plain = |lines: &[String]| {
            lines.iter().map(|line| if pvesm { columns(line) } else { mask(line) }).collect::<Vec<_>>()
        };
        if plain(&theirs) == plain(&ours) {
            tokens.learn(&theirs.join("\n"), &ours.join("\n"), &mut found);
        } else {
            found.extend(text(stream, &plain(&theirs), &plain(&ours)));
        }
    }
    found
}

/// Lines that count: progress, and what ssh itself says, do not.
fn lines(text: &str, ssh: bool) -> Vec<String> {
    let own_of_ssh = |line: &str| line.starts_with("Warning: Permanently added") || line.starts_with("Connection to ");
    text.replace("\r\n", "\n")
        .replace("qemu-system-x86_64-pve:", "kvm:")
        .lines()
        .filter(|line| !line.starts_with("transferred ") && !line.starts_with("mirror-"))
        .filter(|line| !ssh || !own_of_ssh(line))
        .map(|line| LONG.replace(line, "<ls> ").into_owned())
        .filter(|line| !line.starts_with("total ") && line != "<ls> ." && line != "<ls> ..")
        .collect()
}

fn mask(line: &str) -> String {
    let line = TOKEN.replace_all(line, |found: &regex::Captures<'_>| {
        let kind = ["upid", "hash", "digest", "uuid", "mac"].into_iter().find(|kind| found.name(kind).is_some());
        format!("<{}>", kind.unwrap_or_default())
    });
    TIME.replace_all(&line, "<time>").trim_end().to_owned()
}

fn text(stream: &str, theirs: &[String], ours: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for at in 0..theirs.len().max(ours.len()) {
        let (a, b) = (theirs.get(at), ours.get(at));
        if a != b {
            found.push(format!("{stream} line {}: was {a:?}\n      now {b:?}", at + 1));
        }
        if found.len() >= 4 {
            break;
        }
    }
    found
}

/// Values that depend on time, load or the laboratory's machine: their type is compared.
const VOLATILE: &[&str] = &[
    "avail",
    "available",
    "cpu",
    "ctime",
    "digest",
    "disk",
    "endtime",
    "flags",
    "free",
    "kversion",
    "loadavg",
    "mem",
    "memhost",
    "memory",
    "netin",
    "netout",
    "pid",
    "pstart",
    "rootfs",
    "snaptime",
    "ssl_fingerprint",
    "starttime",
    "statistics",
    "swap",
    "upid",
    "uptime",
    "used",
    "used_fraction",
    "version",
    "wait",
    "idle",
    "cpuinfo",
    "current-kernel",
    "boot-info",
    "model",
];

fn json(place: &str, theirs: &Value, ours: &Value, tokens: &mut Tokens, found: &mut Vec<String>) {
    let key = place.rsplit('.').next().unwrap_or_default();
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                let here = format!("{place}.{name}");
                let volatile = VOLATILE.contains(&name.as_str())
                    || name.starts_with("pressure")
                    || (matches!(name.as_str(), "maxdisk" | "maxmem" | "total") && !a.contains_key("vmid"))
                    || (name == "size" && a.get("content").is_some_and(|content| content == "import"));
                match b.get(name) {
                    None => found.push(format!("{here} is missing, was {value}")),
                    Some(other) if volatile && !(name == "digest" || name == "memory") => {
                        if kind(value) != kind(other) {
                            found.push(format!("{here} is {other}, was {value}"));
                        }
                    }
                    Some(other) => json(&here, value, other, tokens, found),
                }
            }
            found.extend(b.keys().filter(|name| !a.contains_key(*name)).map(|name| format!("{place}.{name} is new")));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (value, other) in sorted(a).into_iter().zip(sorted(b)) {
                json(&format!("{place}[]"), value, other, tokens, found);
            }
        }
        (Value::Array(a), Value::Array(b)) => found.push(format!("{place} has {} entries, had {}", b.len(), a.len())),
        (Value::String(a), Value::String(b)) => {
            let list = |text: &str| {
                let mut parts: Vec<String> = text.split(',').map(str::to_owned).collect();
                parts.sort();
                parts
            };
            let same = if key == "content" { list(a) == list(b) } else { mask(a) == mask(b) };
            if same {
                tokens.learn(a, b, found);
            } else {
                found.push(format!("{place} is {b:?}, was {a:?}"));
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{place} is {b}, was {a}")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// PVE's lists come in Perl's random order.
fn sorted(items: &[Value]) -> Vec<&Value> {
    let name = |item: &Value| {
        let keys = ["vmid", "id", "key", "storage", "volid", "name", "iface", "node", "n"];
        keys.iter().find_map(|key| item.get(*key)).map(|value| match value {
            Value::Number(number) => format!("{:>20}", number.to_string()),
            other => other.to_string(),
        })
    };
    let mut items: Vec<&Value> = items.iter().collect();
    items.sort_by_key(|item| name(item));
    items
}
