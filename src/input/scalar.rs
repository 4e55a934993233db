//! What YAML readers may take an unquoted word for.
//!
//! YAML 1.1 (PyYAML, cloud-init, many editors) and YAML 1.2 differ: `no`, `010`, `1_000`, `12:30` are a boolean, eight, a
//! thousand and 750 for the one, and text, ten, text and text for the other. Where they differ, or where text was meant and
//! both read something else, pvekube asks instead of choosing.

/// The readings of a plain scalar, the most surprising first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Text for everyone.
    Text,
    /// A whole number in plain digits, the same for everyone.
    Integer,
    /// `true` and `false` for everyone.
    Bool(bool),
    /// `yes`, `no`, `on`, `off`, `y`, `n`: a boolean for YAML 1.1 only.
    OldBool(bool),
    /// Nothing, `~`, `null`.
    Null,
    /// `010`, `0644`: octal for YAML 1.1, decimal for YAML 1.2.
    LeadingZero,
    /// `0x1f`, `0o17`, `0b1`, `1_000`.
    OddInteger,
    /// `1.5`, `1e3`, `.inf`.
    Float,
    /// `12:30`: 750 for YAML 1.1.
    Sexagesimal,
    /// `2026-01-01`: a date for YAML 1.1.
    Date,
}

/// How readers take the plain scalar `text`.
pub fn reading(text: &str) -> Reading {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Reading::Null,
        "true" | "True" | "TRUE" => return Reading::Bool(true),
        "false" | "False" | "FALSE" => return Reading::Bool(false),
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => return Reading::OldBool(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => return Reading::OldBool(false),
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => return Reading::Float,
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Reading::Text;
    }
    number(text, unsigned)
}

fn number(text: &str, unsigned: &str) -> Reading {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits(unsigned) {
        return match (unsigned.len() > 1 && unsigned.starts_with('0'), text.starts_with('+')) {
            (true, _) => Reading::LeadingZero,
            (false, true) => Reading::OddInteger,
            (false, false) => Reading::Integer,
        };
    }
    let prefixed = |prefix: &str, valid: fn(&u8) -> bool| {
        unsigned.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.as_bytes().iter().all(valid))
    };
    if prefixed("0x", |b| b.is_ascii_hexdigit() || *b == b'_')
        || prefixed("0o", |b| (b'0'..=b'7').contains(b))
        || prefixed("0b", |b| matches!(b, b'0' | b'1' | b'_'))
        || (unsigned.starts_with(|c: char| c.is_ascii_digit())
            && unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'_'))
    {
        return Reading::OddInteger;
    }
    if is_sexagesimal(unsigned) {
        return Reading::Sexagesimal;
    }
    if is_date(text) {
        return Reading::Date;
    }
    if is_float(unsigned) { Reading::Float } else { Reading::Text }
}

/// `12:30`, `1:02:03`, `190:20:30.15`: groups below sixty.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.split('.').next().unwrap_or_default();
    let mut groups = text.split(':');
    let first = groups.next().unwrap_or_default();
    let mut more = 0;
    for group in groups {
        more += 1;
        let below_sixty = (1..=2).contains(&group.len()) && group.parse::<u8>().is_ok_and(|number| number < 60);
        if !below_sixty || !group.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
    }
    more > 0 && !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

fn is_date(text: &str) -> bool {
    let day = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    year.len() == 4
        && (1..=2).contains(&month.len())
        && (1..=2).contains(&day.len())
        && [year, month, day].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
}

/// Digits with one point, or an exponent. `10.0.0.1` has several points and is text.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    let points = mantissa.bytes().filter(|b| *b == b'.').count();
    exponent_fits
        && points <= 1
        && mantissa.bytes().any(|b| b.is_ascii_digit())
        && mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::{Reading, reading};

    #[test]
    fn plain_words_are_read_as_yaml_1_1_and_1_2_read_them() {
        let table = [
            ("k8s", Reading::Text),
            ("10.0.0.1", Reading::Text),
            ("10.0.0.11/24", Reading::Text),
            ("200-299", Reading::Text),
            ("fd00::1", Reading::Text),
            ("12:61", Reading::Text),
            ("-", Reading::Text),
            ("4", Reading::Integer),
            ("-4", Reading::Integer),
            ("0", Reading::Integer),
            ("+4", Reading::OddInteger),
            ("1_000", Reading::OddInteger),
            ("0x1f", Reading::OddInteger),
            ("0o17", Reading::OddInteger),
            ("010", Reading::LeadingZero),
            ("0644", Reading::LeadingZero),
            ("1e3", Reading::Float),
            ("1.30", Reading::Float),
            (".5", Reading::Float),
            (".inf", Reading::Float),
            ("12:30", Reading::Sexagesimal),
            ("1:2:3", Reading::Sexagesimal),
            ("2026-01-01", Reading::Date),
            ("no", Reading::OldBool(false)),
            ("On", Reading::OldBool(true)),
            ("TRUE", Reading::Bool(true)),
            ("", Reading::Null),
            ("~", Reading::Null),
        ];
        for (text, wanted) in table {
            assert_eq!(reading(text), wanted, "{text}");
        }
    }
}
