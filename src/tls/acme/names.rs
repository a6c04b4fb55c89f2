//! `Names`: the names on one certificate, and whether an authority can be asked for them.

use std::net::IpAddr;

use instant_acme::Identifier;
use portcullis_config::routing::http::Domain;

use crate::tls::canonical;

/// The names on one certificate, each once: the main one first, lower case, without a trailing dot. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Names(Vec<String>);

/// Why a name cannot be ordered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    /// It has a wildcard, and only DNS-01 proves those (RFC 8555 section 7.1.3).
    #[error("`{0}` has a wildcard, which needs `dnsChallenge`")]
    Wildcard(String),
    /// It is no name that a certificate can hold.
    #[error(
        "`{0}` is no name for a certificate; expected a domain name such as `example.com` or, in \
         front of one, a single `*.`"
    )]
    Malformed(String),
}

impl Names {
    /// The names in their order; `None` without any.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Option<Self> {
        let mut own: Vec<String> = Vec::new();
        for name in names {
            let name = canonical(name.as_ref().trim()).into_owned();
            if !name.is_empty() && !own.contains(&name) {
                own.push(name);
            }
        }
        (!own.is_empty()).then_some(Self(own))
    }

    /// The names of a configured domain; `None` without any.
    pub fn of_domain(domain: &Domain) -> Option<Self> {
        Self::new(std::iter::once(&domain.main).chain(&domain.sans))
    }

    /// The name that stands first.
    pub fn main(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The names behind the main one.
    pub fn others(&self) -> &[String] {
        self.0.get(1..).unwrap_or_default()
    }

    /// All names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `names`, canonical and each once, are the same ones in any order.
    pub(crate) fn are_those_of(&self, names: &[String]) -> bool {
        names.len() == self.0.len() && names.iter().all(|name| self.0.contains(name))
    }

    /// What is equal for the same names in any order: the key of leases and back-off.
    pub(crate) fn key(&self) -> String {
        let mut sorted: Vec<&str> = self.iter().collect();
        sorted.sort_unstable();
        sorted.join(",")
    }

    /// Whether a wildcard is among them.
    pub(crate) fn has_wildcard(&self) -> bool {
        self.iter().any(|name| name.starts_with("*."))
    }

    /// Checks each name; `wildcards` says whether they can be proven.
    pub(crate) fn check(&self, wildcards: Wildcards) -> Result<(), BadName> {
        for name in self.iter() {
            let rest = name.strip_prefix("*.").unwrap_or(name);
            if !is_domain(rest) && (rest != name || name.parse::<IpAddr>().is_err()) {
                return Err(BadName::Malformed(name.to_owned()));
            }
            if rest != name && wildcards == Wildcards::Refused {
                return Err(BadName::Wildcard(name.to_owned()));
            }
        }
        Ok(())
    }

    /// As the authority is asked for them (RFC 8555 section 7.1.3, RFC 8738).
    pub(crate) fn identifiers(&self) -> Vec<Identifier> {
        let identifier = |name: &str| match name.parse::<IpAddr>() {
            Ok(address) => Identifier::Ip(address),
            Err(_) => Identifier::Dns(name.to_owned()),
        };
        self.iter().map(identifier).collect()
    }
}

/// Whether wildcards can be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wildcards {
    /// By DNS-01.
    Allowed,
    /// There is no DNS-01.
    Refused,
}

/// RFC 1035 section 2.3.4, with the underscores that some zones hold.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether a certificate for `pattern` is one for `name`; a wildcard stands for one label.
#[cfg(test)]
pub(crate) fn covers(pattern: &str, name: &str) -> bool {
    let parent = name.split_once('.').map(|(_, parent)| parent);
    pattern == name || pattern.strip_prefix("*.").is_some_and(|rest| parent == Some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Names {
        Names::new(names).unwrap()
    }

    #[test]
    fn names_are_canonical_and_each_stands_once() {
        let names = names(&["Shop.Example.", "shop.example", " www.shop.example"]);
        assert_eq!(
            (names.main(), names.others()),
            ("shop.example", &["www.shop.example".to_owned()][..])
        );
        assert_eq!(Names::new([""]), None);
        assert_eq!(Names::of_domain(&Domain::default()), None);
    }

    #[test]
    fn the_order_does_not_count_for_key_and_equality() {
        assert_eq!(names(&["b.test", "a.test"]).key(), names(&["a.test", "b.test"]).key());
        assert!(names(&["b.test", "a.test"]).are_those_of(&["a.test".into(), "b.test".into()]));
        assert!(!names(&["b.test"]).are_those_of(&["a.test".into()]));
        assert!(!names(&["b.test"]).are_those_of(&["b.test".into(), "a.test".into()]));
    }

    #[test]
    fn wildcards_need_dns() {
        let wild = names(&["*.shop.test"]);
        assert_eq!(wild.check(Wildcards::Allowed), Ok(()));
        let refused = wild.check(Wildcards::Refused);
        assert_eq!(refused, Err(BadName::Wildcard("*.shop.test".into())));
    }

    #[test]
    fn what_no_certificate_can_hold_is_named() {
        for bad in
            ["*.*.a.test", "a*.test", "b\u{fc}cher.test", "a..test", "-a.test", "*", "a b.test"]
        {
            let checked = names(&[bad]).check(Wildcards::Allowed);
            assert!(matches!(checked, Err(BadName::Malformed(_))), "{bad}: {checked:?}");
        }
        assert_eq!(names(&["192.0.2.7", "2001:db8::1"]).check(Wildcards::Refused), Ok(()));
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(covers("*.a.test", "b.a.test"));
        assert!(covers("a.test", "a.test"));
        for (pattern, name) in
            [("*.a.test", "a.test"), ("*.a.test", "c.b.a.test"), ("a.test", "b.test")]
        {
            assert!(!covers(pattern, name), "{pattern} {name}");
        }
    }
}
