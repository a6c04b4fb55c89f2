//! Text as numbers, booleans and characters, with the messages for text that is none.

use super::fault::Fault;

/// A whole number between two bounds, `0x`, `0o`, `0b` and `_` as in TOML and YAML.
pub(super) fn integer(text: &str, least: i128, most: i128) -> Result<i128, Fault> {
    let Some(number) = whole(text) else {
        return Err(expected("an integer", text));
    };
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(expected(&format!("an integer from {least} to {most}"), text))
}

fn whole(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) || digits.ends_with('_') {
        return None;
    }
    let number = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if negative { -number } else { number })
}

/// A number with a fraction.
pub(super) fn float(text: &str) -> Result<f64, Fault> {
    text.replace('_', "").parse().map_err(|_| expected("a number", text))
}

/// A switch: what Go's `strconv.ParseBool` accepts, `true` and `false` in any case.
pub(super) fn boolean(text: &str) -> Result<bool, Fault> {
    match text {
        "1" | "t" | "T" => Ok(true),
        "0" | "f" | "F" => Ok(false),
        _ if is_true(text) => Ok(true),
        _ if is_false(text) => Ok(false),
        _ => Err(expected("`true` or `false`", text)),
    }
}

/// A single character.
pub(super) fn character(text: &str) -> Result<char, Fault> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(expected("a single character", text)),
    }
}

/// `true` in any case.
pub(super) fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// `false` in any case.
pub(super) fn is_false(text: &str) -> bool {
    text.eq_ignore_ascii_case("false")
}

/// "expected …, found `text`", the text cut where it is long.
pub(super) fn expected(what: &str, text: &str) -> Fault {
    Fault::new(match text.char_indices().nth(SHOWN) {
        _ if text.is_empty() => format!("expected {what}, found nothing"),
        Some((end, _)) => format!("expected {what}, found `{}…`", &text[..end]),
        None => format!("expected {what}, found `{text}`"),
    })
}

/// How many characters of a value a message shows.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_may_have_a_radix_and_underscores() {
        let parse = |text| integer(text, i128::from(i64::MIN), i128::from(i64::MAX)).ok();
        assert_eq!(parse("-42"), Some(-42));
        assert_eq!(parse("+7"), Some(7));
        assert_eq!(parse("0x1F"), Some(31));
        assert_eq!(parse("0o17"), Some(15));
        assert_eq!(parse("0b101"), Some(5));
        assert_eq!(parse("1_000"), Some(1000));
        assert_eq!(parse("9223372036854775807"), Some(i128::from(i64::MAX)));
        for bad in
            ["", "-", "--1", "+-1", "1.0", "_1", "1_", "0x", "0x-1", "9223372036854775808", "é1"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn booleans_are_those_of_go() {
        for text in ["1", "t", "T", "true", "True", "TRUE"] {
            assert!(boolean(text).unwrap(), "{text}");
        }
        for text in ["0", "f", "F", "false", "False", "FALSE"] {
            assert!(!boolean(text).unwrap(), "{text}");
        }
        for text in ["", "yes", "on", "2", "tru"] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let message = expected("a number", &"é".repeat(100)).into_mismatch().message;
        assert_eq!(message, format!("expected a number, found `{}…`", "é".repeat(60)));
    }
}
