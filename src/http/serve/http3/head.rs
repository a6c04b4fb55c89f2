//! Heads: what RFC 9114 asks of them beyond what the `h3` crate checks, and what an answer has to say.

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, StatusCode};
use http_body::SizeHint;

use crate::net::date;

/// Fields of connections of HTTP/1 (RFC 9114 section 4.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The request is malformed (RFC 9114 section 4.1.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Checks the fields of a request; gives the length that it announces for its body.
pub(super) fn check(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let is_foreign = OF_CONNECTIONS.iter().any(|name| headers.contains_key(name));
    let is_odd = headers.get_all(TE).iter().any(|value| value != "trailers");
    if is_foreign || is_odd {
        return Err(Malformed);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(length), None) => crate::h1::digits(length.as_bytes()).map(Some).ok_or(Malformed),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

/// How long a request may take to show whether it has a body, by its method: servers are told so in the head, and some do
/// not like a GET that may have one. Traefik: 200 ms, too.
pub(super) fn patience(method: &Method) -> Option<Duration> {
    let seldom = [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE].contains(method);
    seldom.then_some(Duration::from_millis(200))
}

/// Whether answers with this status have no body (RFC 9110 section 6.4.1).
pub(super) fn has_no_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The head of an answer. `size` is what is known of the body that follows, if one does.
pub(super) fn respond(
    status: StatusCode,
    mut headers: HeaderMap,
    size: Option<SizeHint>,
) -> http::Response<()> {
    for name in &OF_CONNECTIONS {
        headers.remove(name);
    }
    let length = size.and_then(|size| size.exact());
    if let Some(length) = length.filter(|_| !headers.contains_key(CONTENT_LENGTH)) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if !headers.contains_key(DATE) {
        headers.insert(DATE, date::now());
    }
    let mut response = http::Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_length_is_one_number() {
        assert_eq!(check(&headers(&[])), Ok(None));
        assert_eq!(check(&headers(&[("content-length", "12")])), Ok(Some(12)));
        for odd in ["", "+1", "-1", "1,1", " 1", "0x1", "99999999999999999999"] {
            assert_eq!(check(&headers(&[("content-length", odd)])), Err(Malformed), "{odd}");
        }
        let twice = [("content-length", "1"), ("content-length", "1")];
        assert_eq!(check(&headers(&twice)), Err(Malformed));
    }

    #[test]
    fn fields_of_connections_are_malformed() {
        for name in ["connection", "transfer-encoding", "upgrade", "keep-alive"] {
            assert_eq!(check(&headers(&[(name, "x")])), Err(Malformed), "{name}");
        }
        assert_eq!(check(&headers(&[("te", "gzip")])), Err(Malformed));
        assert_eq!(check(&headers(&[("te", "trailers")])), Ok(None));
    }

    #[test]
    fn an_answer_has_a_date_and_a_length_if_known() {
        let from = headers(&[("connection", "close"), ("x-a", "1")]);
        let made = respond(StatusCode::OK, from, Some(SizeHint::with_exact(3)));
        assert!(!made.headers().contains_key(CONNECTION));
        assert_eq!(made.headers().get(CONTENT_LENGTH).unwrap(), "3");
        assert!(made.headers().get(DATE).unwrap().to_str().unwrap().ends_with(" GMT"));
        let head = respond(StatusCode::OK, headers(&[("content-length", "9")]), None);
        assert_eq!(head.headers().get(CONTENT_LENGTH).unwrap(), "9");
        let open = respond(StatusCode::OK, headers(&[]), Some(SizeHint::default()));
        assert!(!open.headers().contains_key(CONTENT_LENGTH));
    }
}
