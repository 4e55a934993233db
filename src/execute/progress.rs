//! The percentage in a line of an operation's log.

/// The last `NN%` or `NN.N%` of a line, 0–100: `transferred 1.6 GiB of 3.0 GiB (54.00%)` as `qm` prints it, ` 51200K
/// .......... 12% 1.2M 30s` as `wget` does.
pub(super) fn percent(line: &str) -> Option<f32> {
    let before = &line[..line.rfind('%')?];
    let digits = &before[before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').len()..];
    let value: f32 = digits.trim_start_matches('.').parse().ok()?;
    (0.0..=100.0).contains(&value).then_some(value)
}

/// `1.6 GiB of 3.0 GiB` out of a copy's progress line.
pub(super) fn copied(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix("transferred ")?;
    Some(rest.split_once(" (")?.0)
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
        assert_eq!(copied("transferred 1.6 GiB of 3.0 GiB (54.00%)"), Some("1.6 GiB of 3.0 GiB"));
    }
}
