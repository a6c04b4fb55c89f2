//! `sourceCriterion`: by what requests are told apart when they are counted.

use std::net::IpAddr;

use ahash::RandomState;
use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::build::{Defect, is_default};
use crate::client_ip::{ClientIp, IpStrategy};
use crate::message::Request;

/// By what requests are told apart: one of the client's address, a header, or the host.
///
/// ```yaml
/// sourceCriterion:
///   requestHeaderName: X-Api-Key
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceCriterion {
    /// By the client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_strategy: Option<IpStrategy>,
    /// By the value of this request header; requests without it count as one source.
    #[serde(skip_serializing_if = "is_default")]
    pub request_header_name: String,
    /// By the host of the request, without port, in any case.
    #[serde(skip_serializing_if = "is_default")]
    pub request_host: bool,
}

/// What counts where no criterion is set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unset {
    Address,
    Host,
}

/// A compiled [`SourceCriterion`]: turns requests into keys.
#[derive(Debug)]
pub(crate) struct Source {
    by: By,
    hashers: [RandomState; 2],
}

#[derive(Debug)]
enum By {
    Address(ClientIp),
    Header(HeaderName),
    Host,
}

/// What stands for a source in counters: of fixed size whatever the client sends. Addresses are their own key, text
/// is hashed with keys that change with each start, so that nobody can make two texts collide.
pub(crate) type SourceKey = u128;

/// Requests whose client is unknown count as one source.
const UNKNOWN: SourceKey = u128::MAX;

impl Source {
    /// Compiles `criterion`.
    pub(crate) fn compile(
        criterion: Option<&SourceCriterion>,
        unset: Unset,
    ) -> Result<Self, Defect> {
        let none = SourceCriterion::default();
        let SourceCriterion { ip_strategy, request_header_name, request_host } =
            criterion.unwrap_or(&none);
        let by = match (ip_strategy, request_header_name.as_str(), request_host) {
            (None, "", false) => match unset {
                Unset::Address => By::Address(ClientIp::default()),
                Unset::Host => By::Host,
            },
            (Some(strategy), "", false) => By::Address(strategy.compile()?),
            (None, name, false) => By::Header(name.parse().map_err(|_| {
                format!("sourceCriterion.requestHeaderName: `{name}` is not a header name")
            })?),
            (None, "", true) => By::Host,
            _ => {
                return Err("sourceCriterion: only one of ipStrategy, requestHeaderName and \
                            requestHost can be set"
                    .into());
            }
        };
        Ok(Self { by, hashers: [RandomState::new(), RandomState::new()] })
    }

    /// The key of the source of `request`.
    pub(crate) fn key(&self, request: &Request) -> SourceKey {
        match &self.by {
            By::Address(strategy) => match strategy.find(request) {
                Some(IpAddr::V4(address)) => u128::from(address.to_ipv6_mapped()),
                Some(IpAddr::V6(address)) => u128::from(address),
                // Traefik: text in place of an address is a source of its own.
                None => UNKNOWN,
            },
            By::Header(name) => {
                let value = request.headers.get(name).map_or(&b""[..], |value| value.as_bytes());
                self.hash(value)
            }
            By::Host => {
                let host = bare_host(request.host());
                let lower: SmallVec<[u8; 64]> =
                    host.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
                self.hash(&lower)
            }
        }
    }

    fn hash(&self, text: &[u8]) -> SourceKey {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(text)));
        high << 64 | low
    }
}

/// The host without port and final dot. Traefik: takes the text as it stands, so that `h`, `H` and `h:81` are three
/// sources and a client escapes its limit by spelling.
fn bare_host(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{request, request_from};

    fn by_header() -> SourceCriterion {
        SourceCriterion { request_header_name: "X-Key".to_owned(), ..SourceCriterion::default() }
    }

    fn by_host() -> SourceCriterion {
        SourceCriterion { request_host: true, ..SourceCriterion::default() }
    }

    #[test]
    fn unset_means_what_the_middleware_says() {
        let a = request("GET", "a", "/", &[]);
        let other_host = request("GET", "b", "/", &[]);
        let other_peer = request_from("192.0.2.2:1".parse().unwrap(), "GET", "a", "/", &[]);
        let address = Source::compile(None, Unset::Address).unwrap();
        assert_eq!(address.key(&a), address.key(&other_host));
        assert_ne!(address.key(&a), address.key(&other_peer));
        let host = Source::compile(Some(&SourceCriterion::default()), Unset::Host).unwrap();
        assert_ne!(host.key(&a), host.key(&other_host));
        assert_eq!(host.key(&a), host.key(&other_peer));
    }

    #[test]
    fn ports_of_a_client_are_one_source() {
        let source = Source::compile(None, Unset::Address).unwrap();
        let [one, other] = [1, 2].map(|port| {
            let peer = format!("[2001:db8::1]:{port}").parse().unwrap();
            source.key(&request_from(peer, "GET", "a", "/", &[]))
        });
        assert_eq!(one, other);
    }

    #[test]
    fn the_first_value_of_a_header_counts() {
        let source = Source::compile(Some(&by_header()), Unset::Address).unwrap();
        let key = |values: &[&str]| {
            let headers: Vec<_> = values.iter().map(|value| ("x-key", *value)).collect();
            source.key(&request("GET", "h", "/", &headers))
        };
        assert_eq!(key(&["a"]), key(&["a", "b"]));
        assert_ne!(key(&["a"]), key(&["b"]));
        assert_eq!(key(&[]), key(&[""]));
    }

    #[test]
    fn a_host_is_the_same_in_every_spelling() {
        let source = Source::compile(Some(&by_host()), Unset::Address).unwrap();
        let key = |host| source.key(&request("GET", host, "/", &[]));
        for spelling in ["H.test", "h.test:80", "h.TEST.", "h.test.:81"] {
            assert_eq!(key("h.test"), key(spelling), "{spelling}");
        }
        assert_eq!(key("[2001:db8::1]"), key("[2001:db8::1]:80"));
        assert_ne!(key("h.test"), key("g.test"));
        assert_ne!(key("[2001:db8::1]"), key("[2001:db8::2]"));
    }

    #[test]
    fn two_criteria_exclude_each_other() {
        let strategy = Some(IpStrategy::default());
        for criterion in [
            SourceCriterion { request_host: true, ..by_header() },
            SourceCriterion { ip_strategy: strategy.clone(), ..by_header() },
            SourceCriterion { ip_strategy: strategy, ..by_host() },
        ] {
            let error = Source::compile(Some(&criterion), Unset::Host).unwrap_err();
            assert!(error.0.contains("only one of"), "{error}");
        }
        let bad = SourceCriterion { request_header_name: "a b".into(), ..Default::default() };
        assert!(Source::compile(Some(&bad), Unset::Host).unwrap_err().0.contains("`a b`"));
    }
}
