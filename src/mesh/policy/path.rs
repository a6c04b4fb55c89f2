//! `Seen`: a path as conditions see it, decoded, or not at all where servers could read it differently.

use percent_encoding::percent_decode_str;
use portcullis_middlewares::path::{
    EncodedCharacter, EncodedCharacters, find_encoded, is_plain_path,
};
use smallvec::SmallVec;

use super::glob::is_unclear;

/// Room for decoded paths; a longer path that has escapes is the only one to cost an allocation.
pub(super) type Scratch = SmallVec<[u8; 512]>;

/// A path in decoded form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    /// The whole path.
    pub(super) whole: &'a [u8],
    /// The path without `;parameters` where it has any, as some servers read it.
    pub(super) bare: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    /// Reads an escaped path. Gives nothing where two servers could take it for two different ones: it holds an escaped
    /// slash, backslash, percent sign or the like, a broken escape, or segments that cleaning would remove.
    pub(super) fn read(path: &'a str, scratch: &'a mut Scratch) -> Option<Self> {
        let has_parameters = memchr::memchr(b';', path.as_bytes()).is_some();
        if is_plain_path(path) && !has_parameters {
            return Some(Self { whole: path.as_bytes(), bare: None });
        }
        if !path.starts_with('/') || find_encoded(path, unclear_if_escaped()).is_some() {
            return None;
        }
        scratch.clear();
        scratch.extend(percent_decode_str(path));
        let length = scratch.len();
        if has_parameters {
            let mut in_parameters = false;
            for index in 0..length {
                let byte = *scratch.get(index)?;
                in_parameters = byte != b'/' && (in_parameters || byte == b';');
                if !in_parameters {
                    scratch.push(byte);
                }
            }
        }
        let (whole, bare) = scratch.split_at_checked(length)?;
        let bare = has_parameters.then_some(bare);
        let is_clear = is_clear(whole) && bare.is_none_or(is_clear);
        is_clear.then_some(Self { whole, bare })
    }
}

/// Whether no segment is one that cleaning removes, and no byte one that servers read differently.
fn is_clear(path: &[u8]) -> bool {
    let Some(relative) = path.strip_prefix(b"/") else { return false };
    let mut segments = relative.split(|byte| *byte == b'/');
    let last = segments.next_back().unwrap_or_default();
    !matches!(last, b"." | b"..")
        && segments.all(|segment| !matches!(segment, b"" | b"." | b".."))
        && !path.iter().any(|byte| is_unclear(*byte))
}

fn unclear_if_escaped() -> EncodedCharacters {
    use EncodedCharacter::{
        BackSlash, Hash, NullCharacter, Percent, QuestionMark, Semicolon, Slash,
    };
    [Slash, BackSlash, NullCharacter, Semicolon, Percent, QuestionMark, Hash].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &str) -> Option<(String, Option<String>)> {
        let mut scratch = Scratch::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Seen::read(path, &mut scratch).map(|seen| (text(seen.whole), seen.bare.map(text)))
    }

    #[test]
    fn escapes_are_decoded() {
        for (path, decoded) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/a%24b", "/a$b"),
            ("/%C3%A4", "/ä"),
            ("/%61dmin", "/admin"),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            assert_eq!(seen(path), Some((decoded.to_owned(), None)), "{path}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_not_read() {
        for path in [
            "/a%2Fb",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%3Bb",
            "/a%252e",
            "/a%3Fb",
            "/a%23",
            "/a%",
            "/a%zz",
            "//a",
            "/a//b",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/.",
            "/a%0Ab",
            "*",
            "",
            "a",
            "/a/..;x/b",
            "/;x/a",
        ] {
            assert_eq!(seen(path), None, "{path}");
        }
    }

    #[test]
    fn parameters_are_read_both_ways() {
        assert_eq!(
            seen("/a;v=1/b;/c"),
            Some(("/a;v=1/b;/c".to_owned(), Some("/a/b/c".to_owned())))
        );
        assert_eq!(seen("/a/;x"), Some(("/a/;x".to_owned(), Some("/a/".to_owned()))));
    }
}
