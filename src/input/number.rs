//! Numbers and booleans of the two files: what is taken, and what is asked about instead.

use serde::Serialize;
use serde_json::{Value, json};

use super::problem::{Problem, shown};
use super::problem_id::ProblemId;
use super::scalar::{Reading, reading};
use super::walk::{Read, Walk};
use super::yaml::{Kind, Node};

/// A whole number between two bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Int<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Int<MIN, MAX> {
    pub const MOST: u64 = MAX;

    /// The value, for types whose bounds fit.
    pub fn u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    pub fn u16(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }
}

pub type Port = Int<1, 65_535>;
pub type Seconds = Int<1, 86_400>;
/// QEMU takes up to 8192 since machine version 9; no node of ours has more.
pub type Cpus = Int<1, 8192>;
/// PVE's own least for `memory` is 16; a Linux guest boots from about 256.
pub type MemoryMb = Int<16, 16_777_216>;
pub type DiskGb = Int<1, 131_072>;
/// contract §2.
pub type VmidNumber = Int<100, 999_999_999>;
pub type Vlan = Int<1, 4094>;
pub type MachineNumber = Int<1, 9999>;
pub type PoolCount = Int<0, 1000>;
pub type Parallel = Int<1, 64>;

impl<const MIN: u64, const MAX: u64> Read for Int<MIN, MAX> {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let Kind::Scalar { text, plain } = &node.kind else {
            walk.wrong_type(node, "a whole number", format!("write a number from {MIN} to {MAX}"));
            return None;
        };
        match whole(text, *plain) {
            Ok(Some(number)) if (i128::from(MIN)..=i128::from(MAX)).contains(&number) => {
                u64::try_from(number).ok().map(Self)
            }
            Ok(_) => {
                let message = format!("{} can't be {}", walk.here(), shown(text));
                let problem = Problem::new(ProblemId::OutOfRange, walk.span(node), message);
                let help = format!("take a number from {MIN} to {MAX}{}", unit_of(walk.last_key()));
                walk.add(problem.help(help));
                None
            }
            Err((id, why)) => {
                let message = format!("{} takes a whole number, but {why}", walk.here());
                let problem = Problem::new(id, walk.span(node), message);
                let help = number_hint(text, walk.last_key(), MIN, MAX);
                walk.add(problem.help(help));
                None
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }

    fn example() -> &'static str {
        if MIN == 100 { "200" } else { "4" }
    }
}

/// A whole number of any sign; `Ok(None)`: too many digits to matter.
fn whole(text: &str, plain: bool) -> Result<Option<i128>, (ProblemId, String)> {
    let shown_text = shown(text);
    if !plain {
        return Err((ProblemId::WrongType, format!("\"{shown_text}\" is text (it is in quotes)")));
    }
    let ambiguous = |why: &str| Err((ProblemId::AmbiguousScalar, format!("`{shown_text}` {why}")));
    match reading(text) {
        Reading::Integer => Ok(text.parse().ok()),
        Reading::LeadingZero => ambiguous("is octal in YAML 1.1 and decimal in YAML 1.2"),
        Reading::OddInteger => ambiguous("is a number only to some YAML readers"),
        Reading::Sexagesimal => ambiguous("is a number to base 60 in YAML 1.1 and text in YAML 1.2"),
        Reading::Float if text.contains(['e', 'E']) => ambiguous("is text to some YAML readers and a number to others"),
        Reading::Float => Err((ProblemId::WrongType, format!("`{shown_text}` is not whole"))),
        Reading::Bool(_) | Reading::OldBool(_) => Err((ProblemId::WrongType, format!("`{shown_text}` is a boolean"))),
        Reading::Null => Err((ProblemId::WrongType, format!("`{shown_text}` is no value"))),
        Reading::Date => Err((ProblemId::WrongType, format!("`{shown_text}` is a date"))),
        Reading::Text => Err((ProblemId::WrongType, format!("`{shown_text}` is text"))),
    }
}

/// What the operator probably meant, as a number that the key takes.
fn number_hint(text: &str, key: &str, min: u64, max: u64) -> String {
    let octal = text.strip_prefix('0').and_then(|digits| u64::from_str_radix(digits, 8).ok());
    if let (Reading::LeadingZero, Some(octal), Ok(decimal)) = (reading(text), octal, text.parse::<u64>()) {
        return format!("write `{decimal}`, or `{octal}` if octal was meant");
    }
    let meant = meant(text, key).filter(|number| (min..=max).contains(number));
    match meant {
        Some(number) => format!("write `{number}`{}", unit_of(key)),
        None => format!("write plain digits, a number from {min} to {max}{}", unit_of(key)),
    }
}

fn unit_of(key: &str) -> &'static str {
    match key.rsplit('_').next() {
        Some("mb") => "; the unit is MB (1024 of them are 1 GB)",
        Some("gb") => "; the unit is GB",
        Some("seconds") => "; the unit is seconds",
        Some(_) | None => "",
    }
}

fn meant(text: &str, key: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase().replace(['_', ','], "");
    let digits_end = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(digits_end);
    let number: u64 = digits.parse().ok()?;
    let unit = unit.trim();
    if unit.is_empty() {
        return (!digits.starts_with('0') || digits == "0").then_some(number);
    }
    if let Some(exponent) = unit.strip_prefix('e') {
        return number.checked_mul(10u64.checked_pow(exponent.parse().ok()?)?);
    }
    if let Some(zeros) = unit.strip_prefix('.') {
        return zeros.bytes().all(|b| b == b'0').then_some(number);
    }
    let mb = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "m" => Some(1),
        "g" => Some(1024),
        "t" => Some(1024 * 1024),
        _ => None,
    };
    match key.rsplit('_').next()? {
        "mb" => number.checked_mul(mb?),
        "gb" => number.checked_mul(mb?).filter(|mb| mb % 1024 == 0).map(|mb| mb / 1024),
        "seconds" => match unit {
            "s" | "sec" | "seconds" => Some(number),
            "m" | "min" | "minutes" => number.checked_mul(60),
            "h" | "hours" => number.checked_mul(3600),
            _ => None,
        },
        _ => None,
    }
}

impl Read for bool {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let Kind::Scalar { text, plain } = &node.kind else {
            walk.wrong_type(node, "true or false", "write `true` or `false`");
            return None;
        };
        let (id, why, help) = match (reading(text), plain) {
            (Reading::Bool(value), true) => return Some(value),
            (Reading::OldBool(value), true) => (
                ProblemId::AmbiguousScalar,
                "is a boolean to YAML 1.1 readers and text to YAML 1.2 ones",
                format!("write `{value}`"),
            ),
            (Reading::Bool(value), false) => {
                (ProblemId::WrongType, "is text (it is in quotes)", format!("write `{value}`, without quotes"))
            }
            (_, _) => (ProblemId::WrongType, "is neither", "write `true` or `false`".to_owned()),
        };
        let message = format!("{} takes true or false; `{}` {why}", walk.here(), shown(text));
        let problem = Problem::new(id, walk.span(node), message);
        walk.add(problem.help(help));
        None
    }

    fn schema() -> Value {
        json!({"type": "boolean"})
    }

    fn example() -> &'static str {
        "true"
    }
}

/// A factor above zero, such as `1.5`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Ratio(pub f64);

impl Ratio {
    const MOST: f64 = 100.0;
    const HELP: &'static str = "write a number above 0 and up to 100, such as `1.5`";
}

impl Read for Ratio {
    fn read(node: &Node, walk: &mut Walk<'_>) -> Option<Self> {
        let Kind::Scalar { text, plain } = &node.kind else {
            walk.wrong_type(node, "a number", Self::HELP);
            return None;
        };
        let simple = *plain && !text.contains(['e', 'E', '_']);
        let number = match reading(text) {
            Reading::Integer | Reading::Float if simple => text.parse::<f64>().ok(),
            _ => None,
        };
        let Some(number) = number else {
            let message = format!("{} takes a number, not `{}`", walk.here(), shown(text));
            let problem = Problem::new(ProblemId::WrongType, walk.span(node), message);
            walk.add(problem.help(Self::HELP));
            return None;
        };
        if number > 0.0 && number <= Self::MOST {
            return Some(Self(number));
        }
        let message = format!("{} can't be {}", walk.here(), shown(text));
        let problem = Problem::new(ProblemId::OutOfRange, walk.span(node), message);
        walk.add(problem.help(Self::HELP));
        None
    }

    fn schema() -> Value {
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": Self::MOST})
    }

    fn example() -> &'static str {
        "1.5"
    }
}
