//! `ipStrategy`: which address counts as the client's when a request came through other proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderName;
use ipnet::Ipv6Net;
use portcullis_config::units::IpRanges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{Defect, is_default};
use crate::message::Request;

/// Which address counts as the client's.
///
/// Without any option it is the address of the connection. Behind other proxies, say how to find the client in
/// `X-Forwarded-For`; the entry point must trust those proxies (`forwardedHeaders`), otherwise the header is gone.
///
/// ```yaml
/// ipStrategy:
///   excludedIPs: ["10.0.0.0/8"]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IpStrategy {
    /// Takes the address at this place of `X-Forwarded-For`, counted from the right beginning with 1. Where the
    /// header has fewer addresses the client is unknown.
    #[serde(skip_serializing_if = "is_default")]
    pub depth: i64,
    /// Takes the first address of `X-Forwarded-For`, from the right, that is not in these addresses and ranges.
    /// Ignored when `depth` is set.
    #[serde(rename = "excludedIPs", skip_serializing_if = "Vec::is_empty")]
    pub excluded_ips: Vec<String>,
    /// Counts IPv6 addresses that agree in so many leading bits as one client, 1 to 128. Ignored with
    /// `excludedIPs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_subnet: Option<i64>,
}

/// A compiled [`IpStrategy`].
#[derive(Clone, Debug, Default)]
pub struct ClientIp {
    origin: Origin,
    ipv6_prefix: Option<u8>,
}

#[derive(Clone, Debug, Default)]
enum Origin {
    #[default]
    Peer,
    FromRight(usize),
    Excluding(IpRanges),
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl IpStrategy {
    /// Checks and compiles.
    pub fn compile(&self) -> Result<ClientIp, Defect> {
        // Traefik: a negative depth means the peer; here it is refused, since nobody can mean it.
        let depth = usize::try_from(self.depth)
            .map_err(|_| format!("ipStrategy.depth: {} is negative", self.depth))?;
        let ipv6_prefix = match self.ipv6_subnet {
            None => None,
            Some(bits @ 1..=128) => Some(bits as u8),
            Some(bits) => {
                return Err(
                    format!("ipStrategy.ipv6Subnet: {bits} is not between 1 and 128").into()
                );
            }
        };
        if depth > 0 {
            return Ok(ClientIp { origin: Origin::FromRight(depth), ipv6_prefix });
        }
        if self.excluded_ips.is_empty() {
            return Ok(ClientIp { origin: Origin::Peer, ipv6_prefix });
        }
        let excluded = IpRanges::parse(self.excluded_ips.iter().map(String::as_str))
            .map_err(|message| format!("ipStrategy.excludedIPs: {message}"))?;
        Ok(ClientIp { origin: Origin::Excluding(excluded), ipv6_prefix: None })
    }
}

impl ClientIp {
    /// The client's address; IPv4-mapped addresses come out as IPv4. `None` where the strategy finds none or what
    /// it finds is not an address.
    pub fn find(&self, request: &Request) -> Option<IpAddr> {
        let found = match &self.origin {
            Origin::Peer => Some(request.client_ip().to_canonical()),
            Origin::FromRight(depth) => forwarded_for(request).nth(depth - 1).and_then(address),
            Origin::Excluding(excluded) => forwarded_for(request)
                .filter(|text| !text.is_empty())
                .map(address)
                .find(|found| !found.is_some_and(|address| excluded.contains(address)))
                .flatten(),
        };
        match (found, self.ipv6_prefix) {
            (Some(IpAddr::V6(address)), Some(bits)) => Some(IpAddr::V6(masked(address, bits))),
            _ => found,
        }
    }
}

/// The entries of all `X-Forwarded-For` lines from the right, trimmed.
fn forwarded_for(request: &Request) -> impl Iterator<Item = &[u8]> {
    let lines = request.headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// Reads `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`, `192.0.2.1:80` and `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    // Only addresses of IPv6 have zones.
    let plain = match text.split_once('%') {
        Some((address, _)) => address.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => text.parse::<IpAddr>(),
    };
    let found = plain.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    found.ok().map(|address| address.to_canonical())
}

fn masked(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    Ipv6Net::new(address, bits).map_or(address, |net| net.network())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{request, request_from};

    fn find(strategy: &IpStrategy, forwarded_for: &[&str]) -> Option<String> {
        let headers: Vec<_> = forwarded_for.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let found = strategy.compile().unwrap().find(&request("GET", "h", "/", &headers));
        found.map(|address| address.to_string())
    }

    fn depth(depth: i64) -> IpStrategy {
        IpStrategy { depth, ..IpStrategy::default() }
    }

    #[test]
    fn without_options_the_peer_counts() {
        assert_eq!(find(&depth(0), &["10.0.0.1"]).unwrap(), "192.0.2.1");
        let mapped = request_from("[::ffff:192.0.2.7]:1".parse().unwrap(), "GET", "h", "/", &[]);
        let found = depth(0).compile().unwrap().find(&mapped).unwrap();
        assert_eq!(found.to_string(), "192.0.2.7");
    }

    #[test]
    fn depth_counts_from_the_right_over_all_lines() {
        assert_eq!(find(&depth(1), &["10.0.0.1, 10.0.0.2"]).unwrap(), "10.0.0.2");
        assert_eq!(find(&depth(2), &["10.0.0.1", "10.0.0.2"]).unwrap(), "10.0.0.1");
        assert_eq!(find(&depth(3), &["10.0.0.1, 10.0.0.2"]), None);
        assert_eq!(find(&depth(1), &[]), None);
        assert_eq!(find(&depth(1), &["10.0.0.1, "]), None);
    }

    #[test]
    fn addresses_may_carry_ports_zones_and_mapping() {
        for (text, expected) in [
            ("10.0.0.1:80", "10.0.0.1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(find(&depth(1), &[text]).unwrap(), expected, "{text}");
        }
        for text in ["unknown", "010.0.0.1", "10.0.0.1:x", "10.0.0.1%eth0", "\u{e4}"] {
            assert_eq!(find(&depth(1), &[text]), None, "{text}");
        }
    }

    #[test]
    fn excluded_proxies_are_passed_over() {
        let excluded = vec!["10.0.0.1".to_owned(), "192.168.0.0/16".to_owned()];
        let strategy = IpStrategy { excluded_ips: excluded, ..IpStrategy::default() };
        assert_eq!(find(&strategy, &["10.9.9.9, 10.0.0.1, 192.168.1.1"]).unwrap(), "10.9.9.9");
        assert_eq!(find(&strategy, &["10.9.9.9, , ::ffff:10.0.0.1"]).unwrap(), "10.9.9.9");
        assert_eq!(find(&strategy, &["10.9.9.9, junk, 10.0.0.1"]), None);
        assert_eq!(find(&strategy, &["10.0.0.1"]), None);
        assert_eq!(find(&strategy, &[]), None);
    }

    #[test]
    fn ipv6_clients_can_be_counted_by_subnet() {
        let strategy = IpStrategy { ipv6_subnet: Some(64), ..depth(1) };
        assert_eq!(find(&strategy, &["2001:db8:1:2:3::4"]).unwrap(), "2001:db8:1:2::");
        assert_eq!(find(&strategy, &["::ffff:10.0.0.1"]).unwrap(), "10.0.0.1");
    }

    #[test]
    fn impossible_settings_are_refused() {
        for strategy in [
            depth(-1),
            IpStrategy { ipv6_subnet: Some(0), ..depth(0) },
            IpStrategy { ipv6_subnet: Some(129), ..depth(0) },
            IpStrategy { excluded_ips: vec!["x".to_owned()], ..depth(0) },
        ] {
            assert!(strategy.compile().is_err(), "{strategy:?}");
        }
    }
}
