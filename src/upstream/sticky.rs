//! Sticky cookies: a client that was sent to a server, or to a child of a weighted service, goes there again.

use std::collections::HashMap;
use std::fmt::Write as _;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use portcullis_config::routing::http::Cookie;
use sha1::Digest as _;

/// A cookie that names a choice. Choices are known by their index.
#[derive(Debug)]
pub struct Sticky {
    name: Box<str>,
    choices: HashMap<Box<[u8]>, (usize, Form)>,
    /// For each choice the line that sets the cookie.
    lines: Vec<HeaderValue>,
}

/// How a cookie names its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As this version writes it.
    Current,
    /// As earlier versions of Traefik did: honoured and written anew.
    Legacy,
}

impl Sticky {
    /// The cookie of `service` (`web@file`) for choices called `names`.
    pub fn new<'a>(
        service: &str,
        settings: &Cookie,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let name = match settings.name.as_str() {
            "" => default_name(service),
            name => clean_name(name),
        };
        let attributes = attributes(settings);
        let mut choices = HashMap::new();
        let mut lines = Vec::new();
        for (index, choice) in names.enumerate() {
            let current = current(choice);
            let line = format!("{name}={current}{attributes}");
            lines.push(HeaderValue::try_from(line).map_err(|_| {
                "sticky.cookie: path and domain may hold only visible characters".to_owned()
            })?);
            let legacy = fnv(choice);
            let twice = fnv(&legacy);
            let forms = [(current, Form::Current), (legacy, Form::Legacy), (twice, Form::Legacy)];
            let plain = (choice.to_owned(), Form::Legacy);
            for (value, form) in forms.into_iter().chain([plain]) {
                // Of two entries for one server the first one stands for both.
                choices.entry(value.into_bytes().into()).or_insert((index, form));
            }
        }
        Ok(Self { name: name.into(), choices, lines })
    }

    /// The choice that the cookie of a request names.
    pub fn find(&self, headers: &HeaderMap) -> Option<(usize, Form)> {
        let lines = headers.get_all(COOKIE).iter();
        let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        for pair in pairs {
            let pair = pair.trim_ascii();
            let Some(end) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = pair.split_at(end);
            if name.trim_ascii() == self.name.as_bytes() {
                // Traefik: only the first cookie of the name counts.
                return self.choices.get(unquote(value.get(1..)?)).copied();
            }
        }
        None
    }

    /// The line that sets the cookie to a choice.
    pub fn line(&self, index: usize) -> Option<HeaderValue> {
        self.lines.get(index).cloned()
    }
}

/// Puts a `Set-Cookie` line before those of the server, where Traefik has it.
pub fn set(headers: &mut HeaderMap, line: HeaderValue) {
    let others: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.insert(SET_COOKIE, line);
    for other in others {
        headers.append(SET_COOKIE, other);
    }
}

fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        bare => bare,
    }
}

/// Traefik: `_` and five digits of a hash, so that the name of the service does not show.
fn default_name(service: &str) -> String {
    let digest = sha1::Sha1::digest(format!("_TRAEFIK_BACKEND_{service}"));
    let mut name = String::from("_");
    push_hex(&mut name, &digest);
    name.truncate(6);
    name
}

/// Characters that no cookie name may hold become `_` (RFC 6265 section 4.1.1).
fn clean_name(name: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    name.chars().map(|c| if is_token(c) { c } else { '_' }).collect()
}

fn current(choice: &str) -> String {
    let mut value = String::new();
    push_hex(&mut value, &sha2::Sha256::digest(choice));
    value.truncate(16);
    value
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// FNV-1 of 64 bits, in hex without leading zeros: what cookies of Traefik 2 hold.
fn fnv(text: &str) -> String {
    let step = |hash: u64, byte: u8| hash.wrapping_mul(0x0000_0100_0000_01b3) ^ u64::from(byte);
    format!("{:x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The attributes in the order of Traefik.
fn attributes(settings: &Cookie) -> String {
    let mut text = String::new();
    let path = if settings.path.is_empty() { "/" } else { &settings.path };
    let domain = settings.domain.strip_prefix('.').unwrap_or(&settings.domain);
    let _ = write!(text, "; Path={path}");
    if !domain.is_empty() {
        let _ = write!(text, "; Domain={domain}");
    }
    match settings.max_age {
        0 => {}
        age => {
            let _ = write!(text, "; Max-Age={}", age.max(0));
        }
    }
    if settings.http_only {
        text.push_str("; HttpOnly");
    }
    if settings.secure {
        text.push_str("; Secure");
    }
    text.push_str(match settings.same_site.to_ascii_lowercase().as_str() {
        "none" => "; SameSite=None",
        "lax" => "; SameSite=Lax",
        "strict" => "; SameSite=Strict",
        _ => "",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "http://127.0.0.1:21601";
    const TWO: &str = "http://127.0.0.1:21602";

    fn sticky(settings: &Cookie) -> Sticky {
        Sticky::new("s@file", settings, [ONE, TWO].into_iter()).unwrap()
    }

    fn find(sticky: &Sticky, cookie: &str) -> Option<(usize, Form)> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        sticky.find(&headers)
    }

    #[test]
    fn the_line_is_that_of_traefik() {
        let line = sticky(&Cookie::default()).line(0).unwrap();
        assert_eq!(line, "_23300=0abaafe814b04c73; Path=/");
        let all = Cookie {
            name: "a b;c".to_owned(),
            secure: true,
            http_only: true,
            same_site: "STRICT".to_owned(),
            max_age: 10,
            path: "/x".to_owned(),
            domain: "example.com".to_owned(),
        };
        assert_eq!(
            sticky(&all).line(0).unwrap(),
            "a_b_c=0abaafe814b04c73; Path=/x; Domain=example.com; Max-Age=10; HttpOnly; Secure; \
             SameSite=Strict"
        );
        let odd = Cookie {
            name: "n".to_owned(),
            same_site: "foo".to_owned(),
            max_age: -5,
            domain: ".Foo.com".to_owned(),
            ..Cookie::default()
        };
        let line = sticky(&odd).line(1).unwrap();
        assert_eq!(line, "n=177087b944260a2c; Path=/; Domain=Foo.com; Max-Age=0");
        assert_eq!(sticky(&odd).line(2), None);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let sticky = sticky(&Cookie::default());
        let current = Some((1, Form::Current));
        assert_eq!(find(&sticky, "a=b; _23300=177087b944260a2c; c"), current);
        assert_eq!(find(&sticky, "_23300=\"177087b944260a2c\""), current);
        assert_eq!(find(&sticky, "_23300=other; _23300=177087b944260a2c"), None);
        assert_eq!(find(&sticky, "x_23300=177087b944260a2c"), None);
        assert_eq!(sticky.find(&HeaderMap::new()), None);
    }

    #[test]
    fn older_forms_are_honoured() {
        let sticky = sticky(&Cookie::default());
        for value in ["998aa215e78077d5", "e572c0a53570c46e", TWO] {
            let found = find(&sticky, &format!("_23300={value}"));
            assert_eq!(found, Some((1, Form::Legacy)), "{value}");
        }
        assert_eq!(find(&sticky, "_23300=e7a2fea488334e4d"), None);
    }

    #[test]
    fn the_line_goes_before_those_of_the_server() {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("a=1"));
        headers.append(SET_COOKIE, HeaderValue::from_static("b=2"));
        set(&mut headers, HeaderValue::from_static("s=3"));
        let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(lines, ["s=3", "a=1", "b=2"]);
    }

    #[test]
    fn a_line_that_cannot_be_sent_is_refused() {
        let bad = Cookie { path: "/\n".to_owned(), ..Cookie::default() };
        assert!(Sticky::new("s@file", &bad, [ONE].into_iter()).unwrap_err().contains("path"));
    }
}
