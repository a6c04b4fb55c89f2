//! Hop-by-hop headers (RFC 9110 section 7.6.1): what ends at the gateway.

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, TE, UPGRADE};

use crate::h1::has_token;

/// Removes what concerns only one connection: `Connection` and what it lists, and the fixed hop-by-hop headers.
/// `TE: trailers` stays, as gRPC needs it; `Trailer` stays, as it announces trailers that are forwarded.
pub fn strip(headers: &mut HeaderMap) {
    // One scan instead of a look-up for each name: there is seldom one of them.
    while let Some(name) = headers.keys().find(|name| ends_here(name)).cloned() {
        if name == CONNECTION {
            strip_listed(headers);
        }
        headers.remove(name);
    }
    if headers.keys().any(|name| *name == TE) {
        strip_te(headers);
    }
}

/// Whether a field concerns one connection only, whatever its value.
fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn strip_te(headers: &mut HeaderMap) {
    match headers.get(TE) {
        Some(value) if value == "trailers" => {}
        Some(value) if has_token(value.as_bytes(), "trailers") => {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        _ => drop(headers.remove(TE)),
    }
}

/// The protocol that the message wants to change to, if `Connection` says `upgrade`. Never `h2c`: requests on such a
/// tunnel would pass the gateway unseen.
pub fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wish = headers.get(UPGRADE).filter(|wish| !has_token(wish.as_bytes(), "h2c"))?;
    headers
        .get_all(CONNECTION)
        .iter()
        .any(|value| has_token(value.as_bytes(), "upgrade"))
        .then(|| wish.clone())
}

fn strip_listed(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(CONNECTION).iter();
    let plain = |value: &HeaderValue| value == "keep-alive" || value == "close";
    if lines.next().is_some_and(plain) && lines.next().is_none() {
        return;
    }
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed {
        if name != TE && name != http::header::HOST {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn what_connection_lists_ends_here() {
        let mut map = headers(&[("connection", "close, X-One"), ("x-one", "1"), ("x-two", "2")]);
        strip(&mut map);
        assert_eq!(map, headers(&[("x-two", "2")]));
    }

    #[test]
    fn host_cannot_be_listed_away() {
        let mut map = headers(&[("connection", "host"), ("host", "a")]);
        strip(&mut map);
        assert_eq!(map, headers(&[("host", "a")]));
    }

    #[test]
    fn te_keeps_only_trailers() {
        let mut map = headers(&[("te", "gzip, trailers"), ("connection", "te")]);
        strip(&mut map);
        assert_eq!(map, headers(&[("te", "trailers")]));
        let mut map = headers(&[("te", "gzip")]);
        strip(&mut map);
        assert!(map.is_empty());
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        assert!(wanted_upgrade(&headers(&[("upgrade", "websocket")])).is_none());
        let both = headers(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]);
        assert_eq!(wanted_upgrade(&both).unwrap(), "websocket");
    }

    #[test]
    fn nobody_tunnels_h2c() {
        let wish = headers(&[("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")]);
        assert!(wanted_upgrade(&wish).is_none());
    }
}
