//! `Pattern`: which accounts a node may be issued, `ns/shop/sa/*`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tls::spiffe::Id;

/// `ns/<namespace>/sa/<account>`, where `*` stands for any run of characters within a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    namespace: String,
    account: String,
}

impl Pattern {
    /// Reads a pattern; the message says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("`{text}`: expected `ns/<namespace>/sa/<account>`, such as `ns/shop/sa/*`");
        let parts: Vec<&str> = text.split('/').collect();
        let ["ns", namespace, "sa", account] = parts.as_slice() else { return Err(expected()) };
        let fits = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*.-_".contains(&byte);
            !part.is_empty() && part.len() <= 255 && part.bytes().all(plain)
        };
        if !fits(namespace) || !fits(account) {
            return Err(expected());
        }
        Ok(Self { namespace: (*namespace).to_owned(), account: (*account).to_owned() })
    }

    /// Whether `id` is such an account. Nodes, edges and authorities never are: theirs are not for workloads.
    pub fn matches(&self, id: &Id) -> bool {
        let Some((namespace, account)) = id.workload() else { return false };
        namespace != crate::tls::spiffe::SYSTEM_NAMESPACE
            && matches(&self.namespace, namespace)
            && matches(&self.account, account)
    }
}

/// Whether `text` has the parts of `glob` that stand between its stars, in order. Takes no more steps than the lengths say.
fn matches(glob: &str, text: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ns/{}/sa/{}", self.namespace, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_of(pattern: &str, namespace: &str, account: &str) -> bool {
        let id = Id::workload_of("td", namespace, account).unwrap();
        Pattern::parse(pattern).unwrap().matches(&id)
    }

    #[test]
    fn stars_stay_within_their_part() {
        assert!(is_of("ns/*/sa/*", "shop", "cart"));
        assert!(is_of("ns/shop/sa/*", "shop", "cart") && !is_of("ns/shop/sa/*", "shops", "cart"));
        assert!(is_of("ns/shop/sa/ca*", "shop", "cart") && !is_of("ns/shop/sa/ca*", "shop", "art"));
        assert!(is_of("ns/s*p/sa/c*r*t", "shop", "cart") && !is_of("ns/*/sa/a*a", "x", "a"));
        assert!(is_of("ns/*/sa/*.*", "x", "a.b") && !is_of("ns/*/sa/*.*", "x", "ab"));
        assert!(is_of("ns/shop/sa/cart", "shop", "cart"));
    }

    #[test]
    fn nodes_and_authorities_are_no_workloads() {
        for account in ["node.n2", "edge.e1", "control.c1", "anything"] {
            assert!(!is_of("ns/*/sa/*", "portcullis-system", account));
            assert!(!is_of("ns/portcullis-system/sa/*", "portcullis-system", account));
        }
        let other = Id::parse("spiffe://td/some/path").unwrap();
        assert!(!Pattern::parse("ns/*/sa/*").unwrap().matches(&other));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "*", "ns/shop", "ns//sa/x", "ns/a/sa/b/c", "spiffe://td/ns/a/sa/b", "ns/a b/sa/c"]
        {
            assert!(Pattern::parse(text).unwrap_err().contains("expected"), "{text}");
        }
    }
}
