//! Hop-by-hop headers (RFC 9110 section 7.6.1): what ends at the gateway.

use http::HeaderMap;
use http::header::{
    CONNECTION, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes what concerns only one connection: `Connection` and what it lists, and the fixed hop-by-hop headers.
/// `TE: trailers` stays, as gRPC needs it; `Trailer` stays, as it announces trailers that are forwarded.
pub fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        strip_listed(headers);
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
    for name in [PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    if let Some(value) = headers.get(TE) {
        if has_token(value, "trailers") {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else {
            headers.remove(TE);
        }
    }
}

/// Whether the comma separated list in `value` holds `token`, in any case.
pub fn has_token(value: &HeaderValue, token: &str) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The protocol that the message wants to change to, if `Connection` says `upgrade`. Never `h2c`: requests on such a
/// tunnel would pass the gateway unseen.
pub fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wish = headers.get(UPGRADE).filter(|wish| !has_token(wish, "h2c"))?;
    headers
        .get_all(CONNECTION)
        .iter()
        .any(|value| has_token(value, "upgrade"))
        .then(|| wish.clone())
}

fn strip_listed(headers: &mut HeaderMap) {
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
