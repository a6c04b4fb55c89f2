//! Under what a condition is filed: keys of which every request that fits has at least one.

use std::sync::Arc;

use regex::bytes::Regex;

use super::super::condition::Condition;
use crate::http::matcher::Test;

/// Keys that a conjunction of alternatives may multiply to.
const MOST_PRODUCTS: usize = 256;

/// What a request must have to be shown a branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) host: HostKey<'a>,
    pub(super) path: PathKey<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum HostKey<'a> {
    Any,
    /// With the ending by which it is filed.
    Regex(&'a Arc<Regex>, &'a str),
    Wildcard(&'a str),
    Exact(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum PathKey<'a> {
    Any,
    Regex(&'a Arc<Regex>),
    Prefix(&'a str),
    Exact(&'a str),
}

/// The keys of a condition. A branch is filed under each.
pub(super) fn keys(condition: &Condition) -> Vec<Key<'_>> {
    let mut keys = covering(condition);
    for key in &mut keys {
        // What is found by a regex of hosts is not sorted by path.
        if matches!(key.host, HostKey::Regex(..)) {
            key.path = PathKey::Any;
        }
    }
    keys
}

fn covering(condition: &Condition) -> Vec<Key<'_>> {
    match condition {
        Condition::Is(Test::PathRegexp(_, prefixes)) if !prefixes.is_empty() => prefixes
            .iter()
            .map(|prefix| Key { host: HostKey::Any, path: PathKey::Prefix(prefix) })
            .collect(),
        Condition::Is(test) => vec![Key::of(test)],
        Condition::IsNot(_) => vec![Key::ANY],
        Condition::HostIn(hosts) => hosts
            .iter()
            .map(|host| Key { host: HostKey::Exact(host), path: PathKey::Any })
            .collect(),
        Condition::Any(parts) => {
            let keys: Vec<_> = parts.iter().flat_map(covering).collect();
            if keys.iter().any(|key| key.specificity() == 0) { vec![Key::ANY] } else { keys }
        }
        Condition::All(parts) => parts.iter().map(covering).fold(vec![Key::ANY], both),
    }
}

/// The keys of two conditions that must both hold: each with each, or, where those would be too
/// many, the side that tells more.
fn both<'a>(left: Vec<Key<'a>>, right: Vec<Key<'a>>) -> Vec<Key<'a>> {
    let least = |keys: &[Key<'_>]| keys.iter().map(Key::specificity).min();
    if left.len() * right.len() > MOST_PRODUCTS && left.len() > 1 && right.len() > 1 {
        return if least(&left) >= least(&right) { left } else { right };
    }
    left.iter().flat_map(|left| right.iter().map(|right| left.and(*right))).collect()
}

impl<'a> Key<'a> {
    const ANY: Self = Self { host: HostKey::Any, path: PathKey::Any };

    fn of(test: &'a Test) -> Self {
        match test {
            Test::Host(host) => Self { host: HostKey::Exact(host), ..Self::ANY },
            Test::WildcardHost(suffix) => Self { host: HostKey::Wildcard(suffix), ..Self::ANY },
            Test::HostRegexp(regex, ending) => {
                Self { host: HostKey::Regex(regex, ending), ..Self::ANY }
            }
            Test::Path(path) => Self { path: PathKey::Exact(path), ..Self::ANY },
            Test::PathPrefix(prefix) => Self { path: PathKey::Prefix(prefix), ..Self::ANY },
            Test::PathRegexp(regex, _) => Self { path: PathKey::Regex(regex), ..Self::ANY },
            _ => Self::ANY,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            host: if self.host.rank() >= other.host.rank() { self.host } else { other.host },
            path: if self.path.rank() >= other.path.rank() { self.path } else { other.path },
        }
    }

    /// Whether whoever is found under this key passes the test.
    pub(super) fn implies(&self, test: &Test) -> bool {
        match (test, self.host, self.path) {
            (Test::AnyHost, _, _) => true,
            (Test::Host(host), HostKey::Exact(key), _) => **host == *key,
            (Test::WildcardHost(suffix), HostKey::Wildcard(key), _) => **suffix == *key,
            (Test::HostRegexp(regex, _), HostKey::Regex(key, _), _) => {
                regex.as_str() == key.as_str()
            }
            (Test::Path(path), _, PathKey::Exact(key)) => **path == *key,
            (Test::PathPrefix(prefix), _, PathKey::Exact(key) | PathKey::Prefix(key)) => {
                key.starts_with(&**prefix)
            }
            (Test::PathRegexp(regex, _), _, PathKey::Regex(key)) => regex.as_str() == key.as_str(),
            _ => false,
        }
    }

    fn specificity(&self) -> usize {
        self.host.rank() * 4 + self.path.rank().0
    }
}

impl HostKey<'_> {
    fn rank(self) -> usize {
        match self {
            Self::Any => 0,
            Self::Regex(..) => 1,
            Self::Wildcard(_) => 2,
            Self::Exact(_) => 3,
        }
    }
}

impl PathKey<'_> {
    fn rank(self) -> (usize, usize) {
        match self {
            Self::Any => (0, 0),
            Self::Regex(_) => (1, 0),
            Self::Prefix(prefix) => (2, prefix.len()),
            Self::Exact(_) => (3, 0),
        }
    }
}
