//! `Id`: a SPIFFE ID, checked (SPIFFE ID standard, sections 2.1 to 2.4).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What every SPIFFE ID begins with.
const SCHEME: &str = "spiffe://";

/// Section 2.3: bytes of a whole ID.
const LONGEST: usize = 2048;

/// Section 2.3: bytes of a trust domain's name.
const LONGEST_TRUST_DOMAIN: usize = 255;

/// The namespace of nodes, edges and authorities.
pub const SYSTEM_NAMESPACE: &str = "portcullis-system";

/// A SPIFFE ID: `spiffe://<trust domain>/<path>`. Cheap to clone; equal text, equal identity.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(Arc<str>);

/// Why a text is no SPIFFE ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no SPIFFE ID: {reason}")]
pub struct IdError {
    text: String,
    reason: &'static str,
}

impl Id {
    /// Checks `text`. An ID without a path names a trust domain.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let wrong = |reason| IdError { text: text.chars().take(100).collect(), reason };
        if text.len() > LONGEST {
            return Err(wrong("longer than 2048 bytes"));
        }
        let rest =
            text.strip_prefix(SCHEME).ok_or_else(|| wrong("expected `spiffe://` at its start"))?;
        let (domain, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        check_trust_domain(domain).map_err(wrong)?;
        if let Some(segments) = path.strip_prefix('/') {
            segments.split('/').try_for_each(check_segment).map_err(wrong)?;
        }
        Ok(Self(text.into()))
    }

    /// The identity of an account: `spiffe://<trust domain>/ns/<namespace>/sa/<account>`.
    pub fn workload_of(
        trust_domain: &str,
        namespace: &str,
        account: &str,
    ) -> Result<Self, IdError> {
        let text = format!("{SCHEME}{trust_domain}/ns/{namespace}/sa/{account}");
        let wrong = |reason| IdError { text: text.chars().take(100).collect(), reason };
        check_trust_domain(trust_domain).map_err(wrong)?;
        [namespace, account].into_iter().try_for_each(check_segment).map_err(wrong)?;
        Self::parse(&text)
    }

    /// The identity of a node of the mesh.
    pub fn node(trust_domain: &str, name: &str) -> Result<Self, IdError> {
        Self::workload_of(trust_domain, SYSTEM_NAMESPACE, &format!("node.{name}"))
    }

    /// The identity of an edge, which lets the world into the mesh.
    pub fn edge(trust_domain: &str, name: &str) -> Result<Self, IdError> {
        Self::workload_of(trust_domain, SYSTEM_NAMESPACE, &format!("edge.{name}"))
    }

    /// The identity of a process that issues identities.
    pub fn control(trust_domain: &str, name: &str) -> Result<Self, IdError> {
        Self::workload_of(trust_domain, SYSTEM_NAMESPACE, &format!("control.{name}"))
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `example.org` of `spiffe://example.org/shop`.
    pub fn trust_domain(&self) -> &str {
        self.halves().0
    }

    /// `/shop` of `spiffe://example.org/shop`; empty for a trust domain itself.
    pub fn path(&self) -> &str {
        self.halves().1
    }

    /// Namespace and account, where the path is `/ns/<namespace>/sa/<account>`.
    pub fn workload(&self) -> Option<(&str, &str)> {
        let (namespace, account) = self.path().strip_prefix("/ns/")?.split_once("/sa/")?;
        let single = |part: &str| !part.contains('/');
        (single(namespace) && single(account)).then_some((namespace, account))
    }

    /// The name of the node, of a node's identity; the same for `edge` and `control`.
    pub fn system_name(&self, role: &str) -> Option<&str> {
        let (namespace, account) = self.workload()?;
        let name = account.strip_prefix(role)?.strip_prefix('.')?;
        (namespace == SYSTEM_NAMESPACE && !name.is_empty()).then_some(name)
    }

    /// `<account>.<namespace>.sa.<trust domain>` in lower case, as it stands in a ClientHello.
    pub(super) fn server_name(&self) -> Option<String> {
        let (namespace, account) = self.workload()?;
        let name = format!("{account}.{namespace}.sa.{}", self.trust_domain());
        Some(name.to_ascii_lowercase())
    }

    fn halves(&self) -> (&str, &str) {
        let rest = self.0.get(SCHEME.len()..).unwrap_or_default();
        rest.split_at(rest.find('/').unwrap_or(rest.len()))
    }
}

/// Section 2.1: lower-case letters, digits, dots, dashes and underscores. The error says what is wrong.
pub(super) fn check_trust_domain(text: &str) -> Result<(), &'static str> {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    match text {
        "" => Err("its trust domain is empty"),
        _ if text.len() > LONGEST_TRUST_DOMAIN => Err("its trust domain is longer than 255 bytes"),
        _ if !text.bytes().all(fits) => {
            Err("a trust domain has lower-case letters, digits, `.`, `-` and `_` only")
        }
        _ => Ok(()),
    }
}

/// Section 2.2.
fn check_segment(text: &str) -> Result<(), &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match text {
        "" => Err("a part of its path is empty"),
        "." | ".." => Err("its path has relative parts"),
        _ if !text.bytes().all(fits) => {
            Err("a path has letters, digits, `.`, `-` and `_` between its slashes only")
        }
        _ => Ok(()),
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Id {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let id = Id::parse("spiffe://corp.example/ns/shop/sa/cart").unwrap();
        assert_eq!((id.trust_domain(), id.path()), ("corp.example", "/ns/shop/sa/cart"));
        assert_eq!(id.workload(), Some(("shop", "cart")));
        assert_eq!(id, Id::workload_of("corp.example", "shop", "cart").unwrap());
        assert_eq!(id.server_name().as_deref(), Some("cart.shop.sa.corp.example"));
        let node = Id::node("td", "n1").unwrap();
        assert_eq!(node.as_str(), "spiffe://td/ns/portcullis-system/sa/node.n1");
        assert_eq!((node.system_name("node"), node.system_name("edge")), (Some("n1"), None));
        let domain = Id::parse("spiffe://td").unwrap();
        assert_eq!((domain.trust_domain(), domain.path(), domain.workload()), ("td", "", None));
        assert_eq!(Id::parse("spiffe://td/ns/a/sa/b/c").unwrap().workload(), None);
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        for text in [
            "",
            "td/x",
            "http://td/x",
            "spiffe://",
            "spiffe:///x",
            "spiffe://TD/x",
            "SPIFFE://td/x",
            "spiffe://td/",
            "spiffe://td//x",
            "spiffe://td/x/",
            "spiffe://td/./x",
            "spiffe://td/../x",
            "spiffe://td/%2e",
            "spiffe://td/x?y",
            "spiffe://td/x#y",
            "spiffe://td:80/x",
            "spiffe://u@td/x",
            "spiffe://td/ü",
        ] {
            assert!(Id::parse(text).is_err(), "{text}");
        }
        assert!(Id::parse(&format!("spiffe://td/{}", "a".repeat(2048))).is_err());
        assert!(Id::parse(&format!("spiffe://{}/a", "a".repeat(256))).is_err());
        assert!(Id::workload_of("td", "a/sa/b", "c").is_err());
        assert!(Id::workload_of("td/ns/x", "a", "c").is_err());
    }
}
