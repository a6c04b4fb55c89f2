//! Paths of requests: the one canonical form that rules, middlewares, logs and servers all see.
//!
//! A gateway that matches one spelling of a path and forwards another opens what its rules close. So
//! a path is brought to one form before anything looks at it: [`normalize`], then [`sanitize`]. What
//! rules compare with is the [`routing_path`] of that form. A middleware that edits paths asks
//! [`is_clean`] afterwards, because joining two clean parts need not give a clean whole.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use percent_encoding::percent_encode_byte;

/// A path with a percent sign that two hexadecimal digits do not follow. The request is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path holds a broken percent-escape")]
pub struct BadPath;

/// Decodes the escapes of unreserved characters, writes the others in upper case, and escapes what
/// may not stand in a path as it is (RFC 3986, 6.2.2).
///
/// Traefik: raw characters such as `\` and `{` are sent on escaped there too. Here that happens
/// before anything looks, so that `\` and `%5C` are one and the same to every rule and policy.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if path.bytes().all(is_plain) {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len() + 16);
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let byte = match first {
            b'%' => {
                let (byte, after) = split_escape(rest).ok_or(BadPath)?;
                rest = after;
                Some(byte).filter(|byte| is_unreserved(*byte)).ok_or(byte)
            }
            raw => Some(raw).filter(|byte| is_plain(*byte)).ok_or(raw),
        };
        match byte {
            Ok(plain) => out.push(char::from(plain)),
            Err(other) => out.push_str(percent_encode_byte(other)),
        }
    }
    Ok(Cow::Owned(out))
}

/// Removes `.` and `..` segments and empty ones. A final slash stays; `/a/b/.` becomes `/a/b`.
///
/// Traefik: an escaped slash is a character like others, so `/a/%2F../b` stays as it is. `*`, the
/// target of `OPTIONS *`, stays too.
pub fn sanitize(path: &str) -> Cow<'_, str> {
    if is_sanitized(path) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len() + 1);
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            segment => out.extend(["/", segment]),
        }
    }
    if out.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    Cow::Owned(out)
}

/// What rules compare with: everything decoded but the escapes of reserved characters
/// (`: / ? # [ ] @ ! $ & ' ( ) * + , ; = %`), and of bytes that are not UTF-8.
pub fn routing_path(path: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', path.as_bytes()).is_none() {
        return Cow::Borrowed(path);
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match split_escape(rest).filter(|_| first == b'%') {
            Some((byte, after)) => {
                rest = after;
                if is_reserved(byte) {
                    decoded.extend_from_slice(percent_encode_byte(byte).as_bytes());
                } else {
                    decoded.push(byte);
                }
            }
            None => decoded.push(first),
        }
    }
    Cow::Owned(String::from_utf8(decoded).unwrap_or_else(|error| escape_invalid(error.as_bytes())))
}

/// Whether a path is its own normal and sanitised form. One that is not after a middleware edited
/// it must not go on: the request is answered 400.
pub fn is_clean(path: &str) -> bool {
    is_sanitized(path) && normalize(path).is_ok_and(|normal| normal == path)
}

/// Whether [`normalize`], [`sanitize`] and [`routing_path`] would all give the path back: the
/// usual case, found in one scan without allocation.
pub fn is_plain_path(path: &str) -> bool {
    let mut after_slash = false;
    path.starts_with('/')
        && path.bytes().all(|byte| {
            let fits = is_plain(byte) && !(after_slash && matches!(byte, b'/' | b'.'));
            after_slash = byte == b'/';
            fits
        })
}

/// What to do with `;` in queries: Go once took it for a separator, others never did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semicolons {
    /// `;` becomes `&`, for rules and for the server alike.
    #[default]
    Separate,
    /// `;` becomes `%3B`.
    Encode,
}

/// Rewrites the semicolons of a query (without its `?`).
pub fn rewrite_semicolons(query: &str, semicolons: Semicolons) -> Cow<'_, str> {
    if memchr::memchr(b';', query.as_bytes()).is_none() {
        return Cow::Borrowed(query);
    }
    Cow::Owned(match semicolons {
        Semicolons::Separate => query.replace(';', "&"),
        Semicolons::Encode => query.replace(';', "%3B"),
    })
}

/// A character that some servers read otherwise than the gateway when it comes escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedCharacter {
    /// `%2F`.
    Slash,
    /// `%5C`.
    BackSlash,
    /// `%00`.
    NullCharacter,
    /// `%3B`.
    Semicolon,
    /// `%25`.
    Percent,
    /// `%3F`.
    QuestionMark,
    /// `%23`.
    Hash,
}

/// A set of [`EncodedCharacter`]s: those that a path may not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EncodedCharacters(u8);

impl EncodedCharacters {
    /// Whether it holds none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it holds this one.
    pub fn contains(self, character: EncodedCharacter) -> bool {
        self.0 & character.bit() != 0
    }

    /// The set with one more.
    pub fn with(self, character: EncodedCharacter) -> Self {
        Self(self.0 | character.bit())
    }
}

impl FromIterator<EncodedCharacter> for EncodedCharacters {
    fn from_iter<I: IntoIterator<Item = EncodedCharacter>>(characters: I) -> Self {
        characters.into_iter().fold(Self::default(), Self::with)
    }
}

impl EncodedCharacter {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'/' => Self::Slash,
            b'\\' => Self::BackSlash,
            0 => Self::NullCharacter,
            b';' => Self::Semicolon,
            b'%' => Self::Percent,
            b'?' => Self::QuestionMark,
            b'#' => Self::Hash,
            _ => return None,
        })
    }
}

/// The first escape in a path of a character in `denied`.
pub fn find_encoded(path: &str, denied: EncodedCharacters) -> Option<EncodedCharacter> {
    if denied.is_empty() {
        return None;
    }
    let bytes = path.as_bytes();
    memchr::memchr_iter(b'%', bytes)
        .filter_map(|at| split_escape(bytes.get(at + 1..)?))
        .filter_map(|(byte, _)| EncodedCharacter::of(byte))
        .find(|character| denied.contains(*character))
}

fn is_sanitized(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return path == "*" };
    let mut segments = rest.split('/');
    let last = segments.next_back().unwrap_or_default();
    !matches!(last, "." | "..") && segments.all(|segment| !matches!(segment, "" | "." | ".."))
}

/// The byte that the two hexadecimal digits at the beginning stand for, and what follows them.
pub(crate) fn split_escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.split_at_checked(2)?;
    let byte = digits
        .iter()
        .try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))?;
    Some((u8::try_from(byte).ok()?, after))
}

fn escape_invalid(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|byte| percent_encode_byte(*byte)));
    }
    out
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986, 2.2, and the percent sign, whose decoding would make new escapes.
fn is_reserved(byte: u8) -> bool {
    b":/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// What stands in a path as it is, unescaped.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || is_reserved(byte) && !matches!(byte, b'%' | b'?' | b'#')
}
