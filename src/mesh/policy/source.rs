//! `Source`: who calls, as a policy's `from` names it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Asked;
use super::glob::PathGlob;

/// A sort of callers.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Everybody with an identity.
    Anyone,
    /// Identities of one trust domain whose path fits.
    Identity { trust_domain: Box<str>, path: PathGlob },
    /// Callers without an identity at these addresses, which only a permissive entry point lets in.
    Address(IpNet),
}

impl Source {
    /// Reads `*`, `ns/shop`, `ns/shop/sa/*`, `sa/edge.*`, `spiffe://domain/path` or a network. What names no trust domain is of
    /// `trust_domain`. The error says what is wrong.
    pub(super) fn parse(pattern: &str, trust_domain: &str) -> Result<Self, String> {
        let of_path = |trust_domain: &str, path: &str| {
            let path = PathGlob::parse(path)?;
            Ok(Self::Identity { trust_domain: trust_domain.into(), path })
        };
        if pattern == "*" {
            return Ok(Self::Anyone);
        }
        if let Some(rest) = pattern.strip_prefix("spiffe://") {
            let slash = rest.find('/').unwrap_or(rest.len());
            let (domain, path) = rest.split_at(slash);
            if domain.is_empty() || domain.contains('*') || domain.chars().any(char::is_uppercase) {
                return Err(format!("`{pattern}` must name one trust domain in lower case"));
            }
            return of_path(domain, path);
        }
        if let Some(rest) = pattern.strip_prefix("ns/") {
            return match rest.split('/').collect::<Vec<_>>()[..] {
                [namespace] => of_path(trust_domain, &format!("/ns/{namespace}/sa/*")),
                [namespace, "sa", account] => {
                    of_path(trust_domain, &format!("/ns/{namespace}/sa/{account}"))
                }
                _ => Err(unknown(pattern)),
            };
        }
        if let Some(account) =
            pattern.strip_prefix("sa/").filter(|it| !it.is_empty() && !it.contains('/'))
        {
            return of_path(trust_domain, &format!("/ns/*/sa/{account}"));
        }
        let network =
            pattern.parse::<IpNet>().or_else(|_| pattern.parse::<IpAddr>().map(IpNet::from));
        network.map(Self::Address).map_err(|_| unknown(pattern))
    }

    /// Whether the caller is of this sort.
    pub(super) fn fits(&self, asked: &Asked<'_>) -> bool {
        match (self, asked.source) {
            (Self::Anyone, source) => source.is_some(),
            (Self::Identity { trust_domain, path }, Some(id)) => {
                **trust_domain == *id.trust_domain() && path.fits(id.path().as_bytes())
            }
            (Self::Address(network), None) => network.contains(&asked.source_ip.to_canonical()),
            (Self::Identity { .. }, None) | (Self::Address(_), Some(_)) => false,
        }
    }
}

fn unknown(pattern: &str) -> String {
    format!(
        "`{pattern}` is no caller; expected `*`, `ns/<namespace>/sa/<account>`, `sa/<account>`, `spiffe://<trust domain>/<path>` or a network"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::policy::Destination;
    use crate::tls::spiffe::Id;

    fn fits(pattern: &str, id: Option<&str>, ip: &str) -> bool {
        let source = Source::parse(pattern, "corp.example").unwrap();
        let id = id.map(|id| Id::parse(id).unwrap());
        let destination = &Destination { workload: "", namespace: "", account: "", services: &[] };
        let source_ip = ip.parse().unwrap();
        source.fits(&Asked { source: id.as_ref(), source_ip, destination, port: 1, http: None })
    }

    #[test]
    fn patterns_fit_identities() {
        let cart = "spiffe://corp.example/ns/shop/sa/cart";
        for (pattern, yes) in [
            ("*", true),
            ("ns/shop", true),
            ("ns/shop/sa/*", true),
            ("ns/sho*/sa/c*t", true),
            ("ns/*/sa/cart", true),
            ("sa/cart", true),
            ("sa/c*", true),
            ("spiffe://corp.example/ns/shop/sa/cart", true),
            ("spiffe://corp.example/**", true),
            ("spiffe://corp.example/ns/**/cart", true),
            ("spiffe://other.example/**", false),
            ("ns/shop/sa/car", false),
            ("ns/sho/sa/cart", false),
            ("ns/*/sa/art", false),
            ("sa/carts", false),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(fits(pattern, Some(cart), "10.0.0.1"), yes, "{pattern}");
        }
        assert!(!fits("ns/shop", Some("spiffe://other.example/ns/shop/sa/cart"), "10.0.0.1"));
        assert!(!fits("ns/shop", Some("spiffe://corp.example/ns/shop/sa/a/b"), "10.0.0.1"));
    }

    #[test]
    fn only_callers_without_identity_have_an_address() {
        assert!(fits("10.0.0.0/8", None, "10.1.2.3"));
        assert!(fits("10.1.2.3", None, "::ffff:10.1.2.3"));
        assert!(!fits("10.0.0.0/8", None, "11.1.2.3"));
        assert!(!fits("*", None, "10.1.2.3"));
        assert!(!fits("ns/shop", None, "10.1.2.3"));
    }

    #[test]
    fn what_names_nobody_is_an_error() {
        for pattern in [
            "",
            "shop",
            "ns/",
            "ns/shop/cart",
            "ns/shop/sa",
            "ns/shop/sa/a/b",
            "sa/",
            "sa/a/b",
            "spiffe://",
            "spiffe://*/ns/a/sa/b",
            "spiffe://Corp/ns/a/sa/b",
            "spiffe://corp",
            "10.0.0.0/33",
            "web.example",
            "ns/../sa/x",
        ] {
            assert!(Source::parse(pattern, "corp.example").is_err(), "{pattern}");
        }
    }
}
