//! PVE's sizes: `32G`, `3584M`, `2361345K`, plain bytes (contract §6; JSONSchema.pm `parse_size`, `format_size`).

/// Bytes of a size as a config or an option has it: a decimal number with an optional binary unit K, M, G, T (also
/// `KiB` … `TiB`). `None` when it is something else or exceeds 64 bits. A fraction of a byte is cut off.
pub fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: u128 = match unit {
        "" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.len() > 18 || fraction.contains('.') {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let bytes = u128::from(whole).checked_mul(factor)? + parts * factor / scale;
    u64::try_from(bytes).ok()
}

/// The size as PVE writes it: the largest unit that divides it, no decimals.
pub fn format(bytes: u64) -> String {
    let mut number = bytes;
    let mut unit = "";
    for next in ["K", "M", "G", "T"] {
        if !number.is_multiple_of(1024) {
            break;
        }
        number /= 1024;
        unit = next;
    }
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_of_recorded_configs() {
        for (text, bytes) in [
            ("1500M", 1_572_864_000),
            ("4M", 4_194_304),
            ("32G", 32 << 30),
            ("2T", 2 << 40),
            ("2361345K", 2_361_345 << 10),
            ("512", 512),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
            assert_eq!(format(bytes), text);
        }
    }

    #[test]
    fn input_forms() {
        assert_eq!(parse("1.5G"), Some(1_610_612_736));
        assert_eq!(parse("2252MiB"), Some(2252 << 20));
        assert_eq!(parse("0.1K"), Some(102));
        for bad in ["", "G", "1.", ".5", "1..5", "+1G", "-1", "1g", "1GB", "1 G", "99999999999999999999", "16777216T"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn zero_is_in_the_largest_unit_as_perl_computes_it() {
        assert_eq!(format(0), "0T");
    }

    proptest! {
        #[test]
        fn formats_what_it_parses(bytes: u64) {
            prop_assert_eq!(parse(&format(bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_a_size_or_none(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
