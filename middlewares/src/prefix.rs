//! Prefixes of escaped paths that are given as text: what `stripPrefix` and `stripPrefixRegex` share.
//!
//! An escaped slash is no slash here. Traefik: it is one there, so that `/api%2Fadmin`, which a rule
//! for `/api/admin` does not see, would reach `/admin` when `/api` is cut off.

use std::borrow::Cow;

use crate::message::BadPath;
use crate::path::split_escape;

/// What follows `prefix` in `path`; `None` if the path does not begin with it.
pub(crate) fn cut<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let mut rest = path;
    for wanted in prefix.bytes() {
        let (character, length) = first(rest)?;
        if character != Character::Plain(wanted) {
            return None;
        }
        rest = rest.get(length..)?;
    }
    Some(rest)
}

/// The path as text, but for slashes, which stay escaped. Need not be UTF-8.
pub(crate) fn decode(path: &str) -> Cow<'_, [u8]> {
    if !path.contains('%') {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((character, length)) = first(rest) {
        match character {
            Character::Plain(byte) => decoded.push(byte),
            Character::Slash => decoded.extend_from_slice(b"%2F"),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Cow::Owned(decoded)
}

/// What follows the first `length` bytes of [`decode`]d `path`; an error if they end within an escape.
pub(crate) fn skip(path: &str, length: usize) -> Result<&str, BadPath> {
    let mut rest = path;
    let mut left = length;
    while left > 0 {
        let (character, length) = first(rest).ok_or(BadPath)?;
        let decoded = if character == Character::Slash { length } else { 1 };
        left = left.checked_sub(decoded).ok_or(BadPath)?;
        rest = rest.get(length..).ok_or(BadPath)?;
    }
    Ok(rest)
}

/// The path that goes on where `rest` is what is left of one.
///
/// Traefik: what begins with an escaped slash is decoded there, as a whole.
pub(crate) fn rooted(rest: &str) -> Result<Cow<'_, str>, BadPath> {
    match first(rest) {
        None => Ok(Cow::Borrowed("/")),
        Some((Character::Plain(b'/'), _)) => Ok(Cow::Borrowed(rest)),
        Some((Character::Slash, _)) => Err(BadPath),
        Some((Character::Plain(_), _)) => Ok(Cow::Owned(format!("/{rest}"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Character {
    /// A byte, escaped or not.
    Plain(u8),
    /// An escaped slash.
    Slash,
}

/// The first character of an escaped path and the bytes that it takes.
fn first(path: &str) -> Option<(Character, usize)> {
    let (&byte, after) = path.as_bytes().split_first()?;
    match split_escape(after).filter(|_| byte == b'%') {
        Some((b'/', _)) => Some((Character::Slash, 3)),
        Some((escaped, _)) => Some((Character::Plain(escaped), 3)),
        None => Some((Character::Plain(byte), 1)),
    }
}
