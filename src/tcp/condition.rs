//! A compiled rule of a TCP router.

use std::net::IpAddr;

use portcullis_config::pattern;
use portcullis_config::rule::{Matcher, Rule};
use portcullis_config::units::IpRanges;
use regex::bytes::Regex;

/// What a rule may look at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The name that the client asks for: lower case, without a trailing dot; empty without one and on plain connections.
    pub server_name: &'a str,
    /// The protocols that it offers by ALPN.
    pub protocols: &'a [Box<[u8]>],
    /// Its address, an IPv4-mapped one unfolded.
    pub client_ip: IpAddr,
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Is(Test),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// One compiled call.
#[derive(Clone, Debug)]
pub(super) enum Test {
    AnyName,
    Name(Box<str>),
    /// What must follow the first label, with the dot before it.
    WildcardName(Box<str>),
    NameRegexp(Box<Regex>),
    Protocol(Box<[u8]>),
    ClientIp(IpRanges),
}

/// Rules deeper than this do not compile, since compiling recurses. Parsed rules stay below.
const DEEPEST: usize = 2_000;

impl Condition {
    /// Compiles a rule; the message says what is wrong with it.
    pub(super) fn compile(rule: &Rule) -> Result<Self, String> {
        Self::below(rule, DEEPEST)
    }

    fn below(rule: &Rule, depth: usize) -> Result<Self, String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(format!("the rule is nested deeper than {DEEPEST} levels"));
        };
        Ok(match rule {
            Rule::And(left, right) => {
                Self::All(vec![Self::below(left, depth)?, Self::below(right, depth)?])
            }
            Rule::Or(left, right) => {
                Self::Any(vec![Self::below(left, depth)?, Self::below(right, depth)?])
            }
            Rule::Not(inner) => Self::Not(Box::new(Self::below(inner, depth)?)),
            Rule::Call(call) => Self::Is(Test::compile(call)?),
        })
    }

    pub(super) fn matches(&self, seen: &Seen<'_>) -> bool {
        match self {
            Self::Is(test) => test.matches(seen),
            Self::Not(inner) => !inner.matches(seen),
            Self::All(parts) => parts.iter().all(|part| part.matches(seen)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(seen)),
        }
    }

    /// The names of which a connection must ask for one to match; `None` if others may, too.
    pub(super) fn names(&self) -> Option<Vec<&Test>> {
        match self {
            Self::Is(test @ (Test::Name(_) | Test::WildcardName(_))) => Some(vec![test]),
            Self::Is(_) | Self::Not(_) => None,
            Self::All(parts) => parts.iter().filter_map(Self::names).min_by_key(Vec::len),
            Self::Any(parts) => {
                let names: Option<Vec<_>> = parts.iter().map(Self::names).collect();
                names.map(|names| names.into_iter().flatten().collect())
            }
        }
    }

    /// Whether it is the bare catch-all.
    pub(super) fn is_any_name(&self) -> bool {
        matches!(self, Self::Is(Test::AnyName))
    }
}

impl Test {
    fn compile(call: &Matcher) -> Result<Self, String> {
        Ok(match (call.name, call.arguments.as_slice()) {
            ("HostSNI", [name]) => Self::name(name),
            ("HostSNIRegexp", [text]) => {
                let regex = pattern::compile_bytes(text).map_err(|error| error.to_string())?;
                Self::NameRegexp(Box::new(regex))
            }
            ("ALPN", [protocol]) => Self::Protocol(protocol.as_bytes().into()),
            ("ClientIP", [range]) => Self::ClientIp(IpRanges::parse([range.as_str()])?),
            _ => return Err(format!("{call} is not a matcher of TCP rules")),
        })
    }

    fn name(name: &str) -> Self {
        let name = crate::tls::canonical(name);
        match (&*name, name.strip_prefix('*')) {
            ("*", _) => Self::AnyName,
            (_, Some(suffix)) if suffix.starts_with('.') => Self::WildcardName(suffix.into()),
            (name, _) => Self::Name(name.into()),
        }
    }

    fn matches(&self, seen: &Seen<'_>) -> bool {
        match self {
            Self::AnyName => true,
            Self::Name(name) => seen.server_name == &**name,
            Self::WildcardName(suffix) => after_first_label(seen.server_name) == Some(suffix),
            Self::NameRegexp(regex) => regex.is_match(seen.server_name.as_bytes()),
            Self::Protocol(protocol) => seen.protocols.contains(protocol),
            Self::ClientIp(ranges) => ranges.contains(seen.client_ip),
        }
    }
}

/// A name from its first dot on: what a wildcard compares with. No label is no first label.
pub(super) fn after_first_label(name: &str) -> Option<&str> {
    name.find('.').filter(|dot| *dot > 0).and_then(|dot| name.get(dot..))
}
