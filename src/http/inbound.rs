//! A request as the client sent it, brought into the one form that everything after sees; or refused.

use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};
use portcullis_middlewares::message::{Body, Connection, Parts, Request, Response, Target};
use portcullis_middlewares::path;

use super::settings::{Aliases, Sanitize, Settings};

/// Brings a request into form. The error is the answer to give.
pub fn receive(
    request: http::Request<Body>,
    connection: &Arc<Connection>,
    settings: &Settings,
) -> Result<Request, Box<Response>> {
    let (mut head, body) = request.into_parts();
    check_aliases(&mut head.headers, settings.aliases)?;
    if head.uri.path_and_query().map_or(0, |target| target.as_str().len()) > settings.max_target {
        return refuse(StatusCode::URI_TOO_LONG);
    }
    if head.headers.len() > settings.max_fields || size(&head.headers) > settings.max_head {
        let text = "431 Request Header Fields Too Large";
        return plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text);
    }
    if head.method == Method::CONNECT {
        // A tunnel for the client's bytes has no place on shared connections to servers, and what the client sends
        // next may be meant for the tunnel.
        return Err(closing(Response::new(StatusCode::NOT_IMPLEMENTED, Body::Empty)));
    }
    check_host(&mut head)?;
    if head.method == Method::OPTIONS && head.uri.path() == "*" {
        // Asked of the gateway itself (RFC 9110 section 9.3.7).
        return Err(Box::new(Response::new(StatusCode::OK, Body::Empty)));
    }
    if head.version >= Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    let target = canonical(&head.uri, settings)?;
    Ok(Request::new(Parts {
        method: head.method,
        target,
        version: head.version,
        headers: head.headers,
        extensions: head.extensions,
        body,
        connection: Arc::clone(connection),
    }))
}

/// What the header fields took, as lines. The parser itself stops only at about twice the limit.
fn size(headers: &http::HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn refuse<T>(status: StatusCode) -> Result<T, Box<Response>> {
    Err(Box::new(Response::bare(status)))
}

fn closing(mut response: Response) -> Box<Response> {
    response.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Box::new(response)
}

/// HTTP/2 may split the cookies; servers of HTTP/1.1 want them in one line (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut http::HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Traefik: the 400s for a bad path have no body.
fn refuse_path<T>() -> Result<T, Box<Response>> {
    Err(Box::new(Response::new(StatusCode::BAD_REQUEST, Body::Empty)))
}

fn check_aliases(headers: &mut http::HeaderMap, aliases: Aliases) -> Result<(), Box<Response>> {
    if aliases == Aliases::Keep {
        return Ok(());
    }
    let is_alias = |name: &HeaderName| name.as_str().bytes().any(super::forwarded::is_alias_byte);
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_alias(name)).cloned().collect();
    match aliases {
        Aliases::Reject if !found.is_empty() => {
            Err(Box::new(Response::text(StatusCode::BAD_REQUEST, "Bad Request")))
        }
        _ => {
            for name in found {
                headers.remove(name);
            }
            Ok(())
        }
    }
}

/// Exactly one valid host; an absolute target overrides the header (RFC 9112 section 3.2.2).
fn check_host(head: &mut http::request::Parts) -> Result<(), Box<Response>> {
    if let Some(authority) = head.uri.authority() {
        let host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, h)| h);
        let Ok(value) = HeaderValue::from_str(host) else { return refuse(StatusCode::BAD_REQUEST) };
        head.headers.insert(HOST, value);
        return Ok(());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => bad("400 Bad Request: too many Host headers"),
        (Some(host), None) if !is_host(host) => bad("400 Bad Request: malformed Host header"),
        (None, _) if head.version == Version::HTTP_11 => {
            bad("400 Bad Request: missing required Host header")
        }
        _ => Ok(()),
    }
}

fn bad<T>(text: &'static str) -> Result<T, Box<Response>> {
    plain(StatusCode::BAD_REQUEST, text)
}

/// Traefik: Go's server answers such requests as plain text and closes.
fn plain<T>(status: StatusCode, text: &'static str) -> Result<T, Box<Response>> {
    let mut response = Response::new(status, text);
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers.insert(CONTENT_TYPE, kind);
    Err(closing(response))
}

fn is_host(value: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte);
    value.as_bytes().iter().all(allowed)
}

/// The canonical path and query of a target.
fn canonical(uri: &http::Uri, settings: &Settings) -> Result<Target, Box<Response>> {
    let Some(target) = uri.path_and_query() else {
        return Ok(Target::canonical(PathAndQuery::from_static("/")));
    };
    let semicolon = target.query().is_some_and(|query| query.contains(';'));
    if path::is_plain_path(target.path()) && !semicolon {
        return Ok(Target::canonical(target.clone()));
    }
    let Ok(normal) = path::normalize(target.path()) else { return refuse_path() };
    let clean = match settings.sanitize {
        Sanitize::Yes => path::sanitize(&normal),
        Sanitize::No => normal.as_ref().into(),
    };
    let text = match target.query() {
        None => clean.into_owned(),
        Some(query) => {
            format!("{clean}?{}", path::rewrite_semicolons(query, settings.semicolons))
        }
    };
    match PathAndQuery::try_from(text) {
        Ok(target) => Ok(Target::canonical(target)),
        Err(_) => refuse_path(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs.map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn crumbs_of_cookies_become_one_line() {
        let mut map = HeaderMap::new();
        map.append(COOKIE, HeaderValue::from_static("a=1"));
        map.append(COOKIE, HeaderValue::from_static("b=2"));
        join_cookies(&mut map);
        assert_eq!(map, headers(&[(COOKIE, "a=1; b=2")]));
    }

    #[test]
    fn the_size_counts_names_values_and_separators() {
        assert_eq!(size(&headers(&[(HOST, "a"), (COOKIE, "b")])), 4 + 1 + 4 + 6 + 1 + 4);
    }
}
