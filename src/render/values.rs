//! Values for people: sizes, times, keys by fingerprint, texts of several lines as a diff.

use similar::TextDiff;

use crate::pve::sshkeys;

const GIB: f64 = 1_073_741_824.0;

/// `8 -> 20 of 64 GiB`, in the unit that fits the largest of the three. A total of 0 is unknown and left out.
pub fn bytes_change(before: u64, after: u64, total: u64) -> String {
    let (divisor, unit) = unit_of(before.max(after).max(total));
    let number = |bytes: u64| number(bytes as f64 / divisor);
    let used = if number(before) == number(after) {
        number(after)
    } else {
        format!("{} -> {}", number(before), number(after))
    };
    if total == 0 { format!("{used} {unit}") } else { format!("{used} of {} {unit}", number(total)) }
}

/// `21.6 GiB`.
pub fn bytes(bytes: u64) -> String {
    let (divisor, unit) = unit_of(bytes);
    format!("{} {unit}", number(bytes as f64 / divisor))
}

fn unit_of(bytes: u64) -> (f64, &'static str) {
    let bytes = bytes as f64;
    if bytes >= 10.0 * 1024.0 * GIB {
        (1024.0 * GIB, "TiB")
    } else if bytes >= GIB || bytes == 0.0 {
        (GIB, "GiB")
    } else {
        (GIB / 1024.0, "MiB")
    }
}

/// At most one decimal, none where it says nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// For sentences: `4 s`, `2 min 11 s`, `1 h 2 min`. Below one second `0.4 s`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 0.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole % 3600 / 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// For running clocks: `0:51`, `1:02`, `1:00:07`.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match (whole / 3600, whole % 3600 / 60, whole % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// `1 machine`, `3 machines`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// What may be shown of a sensitive value: each public key as type, fingerprint and comment; anything else not at all.
pub fn sensitive(value: &str) -> String {
    let shown = |line: &str| sshkeys::label(line).unwrap_or_else(|| "(sensitive value)".to_owned());
    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(shown).collect::<Vec<_>>().join("\n")
}

/// The lines of a unified diff, without its file headers: each begins with `+`, `-`, a space, or `@@` where lines are
/// left out.
pub fn unified_diff(old: &str, new: &str) -> Vec<String> {
    let ended =
        |text: &str| if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let (old, new) = (ended(old), ended(new));
    let diff = TextDiff::from_lines(old.as_str(), new.as_str());
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        for change in hunk.iter_changes() {
            lines.push(format!("{}{}", change.tag(), change.value().trim_end_matches('\n')));
        }
        lines.push("@@".to_owned());
    }
    lines.pop();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1kSHPdGGpS4Lk0gd8nGx1mKFSrRhkT3OYr9u0wxH2J alice@laptop";

    #[test]
    fn a_key_is_shown_by_fingerprint_and_only_once_hashed() {
        let shown = sensitive(&format!("{KEY}\n\n"));
        assert!(shown.starts_with("ssh-ed25519 SHA256:") && shown.ends_with(" alice@laptop"), "{shown}");
        assert!(!shown.contains("AAAA"));
        assert_eq!(sensitive(&shown), shown);
    }

    #[test]
    fn what_is_no_public_key_is_not_shown() {
        for secret in ["hunter2", "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519", "ssh-rsa not-base64! x"] {
            assert_eq!(sensitive(secret), "(sensitive value)", "{secret}");
        }
    }

    #[test]
    fn sizes_share_the_unit_of_the_largest() {
        let gib = 1 << 30;
        assert_eq!(bytes_change(8 * gib, 20 * gib, 64 * gib), "8 -> 20 of 64 GiB");
        assert_eq!(bytes_change(8 * gib, 8 * gib, 64 * gib), "8 of 64 GiB");
        assert_eq!(bytes_change(gib, gib * 3 / 2, 0), "1 -> 1.5 GiB");
        assert_eq!(bytes_change(1024 * gib, 2048 * gib, 20480 * gib), "1 -> 2 of 20 TiB");
        assert_eq!(bytes(512 << 20), "512 MiB");
    }

    #[test]
    fn times_read_as_people_say_them() {
        let said: Vec<String> = [0.4, 1.0, 59.6, 131.0, 120.0, 3600.0, 3725.0].map(duration).into();
        assert_eq!(said, ["0.4 s", "1 s", "1 min", "2 min 11 s", "2 min", "1 h", "1 h 2 min"]);
        assert_eq!([7.9, 62.0, 3607.0].map(clock), ["0:07", "1:02", "1:00:07"]);
    }

    #[test]
    fn several_lines_are_a_diff() {
        assert_eq!(unified_diff("a\nb\nc\n", "a\nB\nc"), [" a", "-b", "+B", " c"]);
        assert!(unified_diff("same\n", "same").is_empty());
    }
}
