//! What a line of an operation's log says of how far it is.

/// The last `NN%` or `NN.N%` of a line, 0–100: `transferred 1.6 GiB of 3.0 GiB (54.00%)` as `qm` prints it, ` 51200K
/// .......... 12% 1.2M 30s` as `wget` does.
pub(super) fn percent(line: &str) -> Option<f32> {
    let before = &line[..line.rfind('%')?];
    let digits = &before[before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').len()..];
    let value: f32 = digits.trim_start_matches('.').parse().ok()?;
    (0.0..=100.0).contains(&value).then_some(value)
}

/// `1.6 of 3.0 GiB` out of a copy's progress line.
pub(super) fn copied(line: &str) -> Option<String> {
    let (done, all) = line.trim().strip_prefix("transferred ")?.split_once(" (")?.0.split_once(" of ")?;
    let unit = all.split_once(' ').map(|(_, unit)| unit)?;
    Some(format!("{} of {all}", done.strip_suffix(unit).unwrap_or(done).trim_end()))
}

/// A console's line without the kernel's clock: `[    0.000000] Linux version …`.
pub(super) fn without_clock(line: &str) -> &str {
    let is_clock = |text: &str| text.chars().all(|letter| letter.is_ascii_digit() || matches!(letter, ' ' | '.'));
    match line.trim().strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((clock, rest)) if is_clock(clock) => rest,
        Some(_) | None => line.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_of_copies_and_downloads() {
        assert_eq!(percent("transferred 1.6 GiB of 3.0 GiB (54.00%)"), Some(54.0));
        assert_eq!(percent(" 51200K .......... .......... 12% 1.2M 30s"), Some(12.0));
        assert_eq!(percent("..........7%"), Some(7.0));
        assert_eq!(percent("Image resized."), None);
        assert_eq!(percent("%"), None);
        assert_eq!(percent("ä5%"), Some(5.0));
        assert_eq!(percent("900%"), None);
        assert_eq!(copied("transferred 1.6 GiB of 3.0 GiB (54.00%)").as_deref(), Some("1.6 of 3.0 GiB"));
        assert_eq!(copied("transferred 512.0 MiB of 3.0 GiB (16.67%)").as_deref(), Some("512.0 MiB of 3.0 GiB"));
        assert_eq!(copied("Image resized."), None);
    }

    #[test]
    fn consoles_are_told_without_the_kernels_clock() {
        assert_eq!(without_clock("[    0.000000] Linux version 5.15\r"), "Linux version 5.15");
        assert_eq!(without_clock("[  OK  ] Reached target"), "[  OK  ] Reached target");
        assert_eq!(without_clock(" plain "), "plain");
    }
}
