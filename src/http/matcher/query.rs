//! Queries as Go reads them: `+` is a space, and a pair that does not decode is passed over.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Whether some value of `key` fits.
pub(super) fn any(query: &str, key: &str, mut fits: impl FnMut(&[u8]) -> bool) -> bool {
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        decode(name).is_some_and(|name| *name == *key.as_bytes())
            && decode(value).is_some_and(|value| fits(&value))
    })
}

/// The decoded text, or nothing if a percent sign stands without its two digits.
fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let whole = text.split('%').skip(1).all(|after| {
        let mut digits = after.bytes();
        (0..2).all(|_| digits.next().is_some_and(|digit| digit.is_ascii_hexdigit()))
    });
    whole.then(|| Cow::Owned(percent_decode_str(&text.replace('+', " ")).collect()))
}
