//! `Duration`: spans of time as Go writes them.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A span of time as Traefik writes it: Go text (`1h2m3.5s`, `100ms`) or whole seconds. May be negative.
///
/// Serialises as Go prints it (`1m0s`). Counted in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(pub i64);

impl Duration {
    /// From whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// From milliseconds.
    pub const fn milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds * MILLISECOND)
    }

    /// The positive span; `None` for zero and negative ones, which mean "none" nearly everywhere.
    pub fn positive(self) -> Option<std::time::Duration> {
        (self.0 > 0).then(|| std::time::Duration::from_nanos(self.0.unsigned_abs()))
    }

    /// Parses Go text or whole seconds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        let nanoseconds = if is_digits(digits) {
            digits.parse::<i128>().ok().and_then(|seconds| seconds.checked_mul(SECOND.into()))
        } else {
            sum(digits).ok_or_else(|| {
                format!(
                    "expected a duration such as `30s`, `1m30s` or whole seconds, found `{text}`"
                )
            })?
        };
        let signed = nanoseconds.map(|span| if negative { -span } else { span });
        let in_range = signed.and_then(|span| i64::try_from(span).ok());
        in_range.map(Self).ok_or_else(|| format!("duration `{text}` is out of range"))
    }
}

/// The sum of terms such as `1h2m3.5s`: `None` if there are none or one is malformed, `Some(None)` if it is too large.
fn sum(text: &str) -> Option<Option<i128>> {
    let mut rest = text;
    let mut total = Some(0_i128);
    loop {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (name, tail) = tail.split_at(end);
        let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name)?;
        total = total.zip(term(number, *unit)?).and_then(|(sum, term)| sum.checked_add(term));
        if tail.is_empty() {
            return Some(total);
        }
        rest = tail;
    }
}

/// One term, cut to whole nanoseconds: `None` if the number is malformed, `Some(None)` if it is too large.
fn term(number: &str, unit: i64) -> Option<Option<i128>> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let malformed = fraction.contains('.') || (whole.is_empty() && fraction.is_empty());
    if malformed {
        return None;
    }
    let unit = i128::from(unit);
    let whole = if whole.is_empty() { Ok(0) } else { whole.parse::<i128>() };
    let whole = whole.ok().and_then(|whole| whole.checked_mul(unit));
    let mut scale = 1;
    let mut parts = 0;
    // Digits beyond these are less than a nanosecond, whatever the unit.
    for digit in fraction.bytes().take(18) {
        scale *= 10;
        parts = parts * 10 + i128::from(digit - b'0');
    }
    Some(whole.and_then(|whole| whole.checked_add(parts * unit / scale)))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// Go's units; the micro sign has two code points.
const UNITS: &[(&str, i64)] = &[
    ("ns", 1),
    ("us", MICROSECOND),
    ("\u{b5}s", MICROSECOND),
    ("\u{3bc}s", MICROSECOND),
    ("ms", MILLISECOND),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];

/// As Go prints it: `2h45m0s`, `1.5s`, `100ms`, `0s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let span = self.0.unsigned_abs();
        let second = SECOND.unsigned_abs();
        if span == 0 {
            return f.write_str("0s");
        }
        if span < second {
            let (unit, size) = match span {
                ..1_000 => ("ns", 1),
                1_000..1_000_000 => ("\u{b5}s", MICROSECOND.unsigned_abs()),
                _ => ("ms", MILLISECOND.unsigned_abs()),
            };
            return write!(f, "{}{unit}", Decimal { whole: span / size, parts: span % size, size });
        }
        let (hours, minutes) = (span / second / 3_600, span / second / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        let whole = span / second % 60;
        write!(f, "{}s", Decimal { whole, parts: span % second, size: second })
    }
}

/// A number with `parts` of `size`, a power of ten, behind the point; trailing zeros are left out.
struct Decimal {
    whole: u64,
    parts: u64,
    size: u64,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.whole)?;
        if self.parts == 0 {
            return Ok(());
        }
        let width = self.size.ilog10() as usize;
        let digits = format!("{:0width$}", self.parts);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `30s` or whole seconds")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
        Duration::parse(text).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Duration, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Duration, E> {
        self.visit_str(&seconds.to_string())
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer"] })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanoseconds(text: &str) -> i64 {
        Duration::parse(text).unwrap().0
    }

    #[test]
    fn go_text_is_understood() {
        assert_eq!(nanoseconds("1h2m3.5s"), (3_723 * SECOND) + 500 * MILLISECOND);
        assert_eq!(nanoseconds("100ms"), 100 * MILLISECOND);
        assert_eq!(nanoseconds("1.5h"), 5_400 * SECOND);
        assert_eq!(nanoseconds("-1.5s"), -1_500 * MILLISECOND);
        assert_eq!(nanoseconds("+5s"), 5 * SECOND);
        assert_eq!(nanoseconds(".5s"), 500 * MILLISECOND);
        assert_eq!(nanoseconds("1.s"), SECOND);
        assert_eq!(nanoseconds("3us"), 3_000);
        assert_eq!(nanoseconds("3\u{b5}s"), 3_000);
        assert_eq!(nanoseconds("3\u{3bc}s"), 3_000);
        assert_eq!(nanoseconds("0.9ns"), 0);
        assert_eq!(nanoseconds("1s1s"), 2 * SECOND);
    }

    #[test]
    fn bare_integers_are_seconds() {
        assert_eq!(nanoseconds("0"), 0);
        assert_eq!(nanoseconds("42"), 42 * SECOND);
        assert_eq!(nanoseconds("-1"), -SECOND);
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "-", "1.5", "s", ".s", "1x", "1 s", "1s ", "1..5s", "1s-1s", "--1s", "1S", "1d"]
        {
            let message = Duration::parse(text).unwrap_err();
            assert!(message.starts_with("expected a duration"), "{text}: {message}");
        }
    }

    #[test]
    fn spans_beyond_292_years_are_out_of_range() {
        assert_eq!(nanoseconds("9223372036"), 9_223_372_036 * SECOND);
        assert_eq!(nanoseconds("-9223372036854775808ns"), i64::MIN);
        for text in [
            "9223372037",
            "2562048h",
            "9223372036854775808ns",
            "99999999999999999999999999999999999999h",
        ] {
            let message = Duration::parse(text).unwrap_err();
            assert_eq!(message, format!("duration `{text}` is out of range"));
        }
        let endless = format!("{}s", "9".repeat(60));
        assert!(Duration::parse(&endless).unwrap_err().contains("out of range"));
    }

    #[test]
    fn it_prints_as_go_does() {
        for (span, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (100 * MILLISECOND, "100ms"),
            (1_500 * MILLISECOND, "1.5s"),
            (60 * SECOND, "1m0s"),
            (65 * SECOND + 1, "1m5.000000001s"),
            (3_600 * SECOND, "1h0m0s"),
            (9_900 * SECOND, "2h45m0s"),
            (-90 * SECOND, "-1m30s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(Duration(span).to_string(), text);
        }
    }

    #[test]
    fn only_positive_spans_count() {
        assert_eq!(Duration::seconds(2).positive(), Some(std::time::Duration::from_secs(2)));
        assert_eq!(Duration(0).positive(), None);
        assert_eq!(Duration(-1).positive(), None);
    }

    proptest! {
        #[test]
        fn parsing_undoes_printing(span in any::<i64>()) {
            prop_assert_eq!(Duration::parse(&Duration(span).to_string()), Ok(Duration(span)));
        }
    }
}
