//! Values of flags, with messages that say what to write.

use std::time::Duration;

use crate::model::plan::HazardKind;

pub(super) fn hazard(text: &str) -> Result<HazardKind, String> {
    HazardKind::ALL
        .into_iter()
        .find(|kind| kind.flag() == text)
        .ok_or_else(|| format!("no such hazard; they are {}", HazardKind::ALL.map(HazardKind::flag).join(", ")))
}

/// `30s`, `10m`, `1h`: a number and a unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a number and a unit, such as 30s, 10m or 1h");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let number: u64 = text[..split].parse().map_err(|_| bad())?;
    let unit = match &text[split..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(bad()),
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(bad)
}

/// A whole number, in digits.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| "write a whole number in digits, without a unit".to_owned())
}

/// A VM's id: 100 to 999999999 (contract §4).
pub(super) fn vmid(text: &str) -> Result<u32, String> {
    number(text)
        .ok()
        .filter(|id| (100..=999_999_999).contains(id))
        .ok_or_else(|| "write a VMID: 100 to 999999999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "10", "m", "10d", "-1s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_digits() {
        assert_eq!((number("4"), vmid("100")), (Ok(4_u32), Ok(100)));
        for bad in ["", "+4", "-4", "4GB", "4.0", "4294967296"] {
            assert!(number::<u32>(bad).is_err(), "{bad}");
        }
        for bad in ["99", "1000000000", "abc"] {
            assert!(vmid(bad).is_err(), "{bad}");
        }
    }
}
