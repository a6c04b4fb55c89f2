//! Compiled matcher calls: what one `Host(…)` or `Path(…)` of a rule asks of a request.

mod query;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, header};
use hashbrown::HashMap;
use portcullis_config::pattern;
use portcullis_config::rule::Matcher;
use portcullis_config::units::IpRanges;
use regex::bytes::Regex;

/// What a rule may look at.
pub trait Subject {
    /// The host asked for: lower case, without port, brackets and one final dot.
    fn host(&self) -> &str;
    /// The routing path: decoded except for reserved characters.
    fn path(&self) -> &str;
    /// The method as it came.
    fn method(&self) -> &str;
    /// The header fields.
    fn headers(&self) -> &HeaderMap;
    /// The query as it came, without `?`; empty if there is none.
    fn query(&self) -> &str;
    /// The peer of the connection, an IPv4-mapped address unfolded.
    fn client_ip(&self) -> IpAddr;
}

/// One compiled call.
#[derive(Clone, Debug)]
pub(super) enum Test {
    AnyHost,
    Host(Box<str>),
    /// What must follow the first label, with the dot before it.
    WildcardHost(Box<str>),
    /// With how a host that matches ends, from a dot on; empty if that is not known.
    HostRegexp(Arc<Regex>, Box<str>),
    Path(Box<str>),
    PathPrefix(Box<str>),
    /// With the texts that one of must stand at the beginning of the path, if that is known.
    PathRegexp(Arc<Regex>, Box<[Box<str>]>),
    Method(Box<str>),
    Header(HeaderName, Box<str>),
    HeaderRegexp(HeaderName, Arc<Regex>),
    Query(Box<str>, Box<str>),
    QueryRegexp(Box<str>, Arc<Regex>),
    ClientIp(IpRanges),
    /// No request ever fits.
    Never,
}

impl Test {
    /// Compiles a call of an HTTP rule; the message says why it cannot be.
    pub(super) fn compile(call: &Matcher, patterns: &mut Patterns) -> Result<Self, String> {
        Ok(match (call.name, call.arguments.as_slice()) {
            ("Host", [host]) => Self::host(host),
            ("HostRegexp", [pattern]) => {
                Self::HostRegexp(patterns.compile(pattern)?, ending(pattern))
            }
            ("Path", [path]) => Self::Path(boxed(path)),
            ("PathPrefix", [prefix]) => Self::PathPrefix(boxed(prefix)),
            ("PathRegexp", [pattern]) => {
                Self::PathRegexp(patterns.compile(pattern)?, prefixes(pattern))
            }
            ("Method", [method]) => Self::Method(method.to_ascii_uppercase().into()),
            ("Header", [name, value]) => {
                field(name).map_or(Self::Never, |name| Self::Header(name, boxed(value)))
            }
            ("HeaderRegexp", [name, pattern]) => {
                let pattern = patterns.compile(pattern)?;
                field(name).map_or(Self::Never, |name| Self::HeaderRegexp(name, pattern))
            }
            // Traefik: without a value, both want the key with an empty value.
            ("Query" | "QueryRegexp", [key]) => Self::Query(boxed(key), boxed("")),
            ("Query", [key, value]) => Self::Query(boxed(key), boxed(value)),
            ("QueryRegexp", [key, pattern]) => {
                Self::QueryRegexp(boxed(key), patterns.compile(pattern)?)
            }
            ("ClientIP", [range]) => Self::ClientIp(IpRanges::parse([range.as_str()])?),
            _ => return Err(format!("{call} is not a matcher of HTTP rules")),
        })
    }

    fn host(host: &str) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match (host.as_str(), host.strip_prefix('*')) {
            ("*", _) => Self::AnyHost,
            (_, Some(suffix)) if suffix.starts_with('.') => Self::WildcardHost(suffix.into()),
            (host, _) => Self::Host(address.unwrap_or(host).into()),
        }
    }

    pub(super) fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Self::AnyHost => true,
            Self::Host(host) => subject.host() == &**host,
            Self::WildcardHost(suffix) => after_first_label(subject.host()) == Some(suffix),
            Self::HostRegexp(pattern, _) => pattern.is_match(subject.host().as_bytes()),
            Self::Path(path) => subject.path() == &**path,
            Self::PathPrefix(prefix) => subject.path().starts_with(&**prefix),
            Self::PathRegexp(pattern, _) => pattern.is_match(subject.path().as_bytes()),
            Self::Method(method) => subject.method() == &**method,
            Self::Header(name, value) => {
                subject.headers().get_all(name).iter().any(|found| found == &**value)
            }
            Self::HeaderRegexp(name, pattern) => {
                let mut values = subject.headers().get_all(name).iter();
                values.any(|found| fits(pattern, found.as_bytes()))
            }
            Self::Query(key, value) => {
                query::any(subject.query(), key, |found| found == value.as_bytes())
            }
            Self::QueryRegexp(key, pattern) => {
                query::any(subject.query(), key, |found| fits(pattern, found))
            }
            Self::ClientIp(ranges) => ranges.contains(subject.client_ip()),
            Self::Never => false,
        }
    }

    /// How dear [`Test::matches`] is; the cheap ones go first.
    pub(super) fn cost(&self) -> u8 {
        match self {
            Self::AnyHost | Self::Never | Self::Host(_) | Self::Method(_) => 0,
            Self::WildcardHost(_) | Self::Path(_) | Self::PathPrefix(_) => 0,
            Self::ClientIp(_) | Self::Header(..) => 1,
            Self::Query(..) => 2,
            Self::HostRegexp(..) | Self::PathRegexp(..) => 3,
            Self::HeaderRegexp(..) | Self::QueryRegexp(..) => 4,
        }
    }
}

/// Whether the pattern matches. Go, and so Traefik, takes each byte that is no text for U+FFFD, which `.` matches; here `.`
/// would not, and a rule that guards what has any value would be slipped past.
fn fits(pattern: &Regex, found: &[u8]) -> bool {
    if std::str::from_utf8(found).is_ok() {
        return pattern.is_match(found);
    }
    let mut text = String::with_capacity(found.len());
    for chunk in found.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    pattern.is_match(text.as_bytes())
}

/// The host from its first dot on: what a wildcard name compares with.
pub(super) fn after_first_label(host: &str) -> Option<&str> {
    host.find('.').and_then(|dot| host.get(dot..))
}

/// The regexes of a table, equal ones compiled once.
#[derive(Default)]
pub(super) struct Patterns(HashMap<Box<str>, Arc<Regex>>);

impl Patterns {
    fn compile(&mut self, text: &str) -> Result<Arc<Regex>, String> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        let regex = Arc::new(pattern::compile_bytes(text).map_err(|error| error.to_string())?);
        self.0.insert(text.into(), regex.clone());
        Ok(regex)
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How paths begin that a pattern matches, unless that says next to nothing.
fn prefixes(pattern: &str) -> Box<[Box<str>]> {
    let found = pattern::prefixes(pattern).unwrap_or_default();
    if found.iter().any(|prefix| prefix.len() < 2) {
        return Box::default();
    }
    found.into_iter().map(Box::from).collect()
}

/// How hosts end that a pattern matches: whole labels, each with the dot before it.
fn ending(pattern: &str) -> Box<str> {
    let suffix = pattern::suffix(pattern);
    after_first_label(&suffix).unwrap_or_default().into()
}

fn boxed(text: &str) -> Box<str> {
    text.into()
}

/// The name of a field that a request can carry. Traefik: `Host` is not among them, and HTTP/2
/// knows no such field either.
fn field(name: &str) -> Option<HeaderName> {
    name.parse().ok().filter(|name| *name != header::HOST)
}

#[cfg(test)]
pub(super) mod tests;
