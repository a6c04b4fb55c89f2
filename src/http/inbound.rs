//! A request as the client sent it, brought into the one form that everything after sees; or refused.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};
use hyper::body::Incoming;
use portcullis_middlewares::message::{Body, Connection, Request, Response, Target};
use portcullis_middlewares::path;

use super::settings::{Aliases, Sanitize, Settings};

/// Brings a request into form. The error is the answer to give.
pub fn receive(
    request: http::Request<Incoming>,
    connection: &Arc<Connection>,
    settings: &Settings,
) -> Result<Request, Box<Response>> {
    let (mut head, incoming) = request.into_parts();
    check_aliases(&mut head.headers, settings.aliases)?;
    if head.uri.path_and_query().map_or(0, |target| target.as_str().len()) > settings.max_target {
        return refuse(StatusCode::URI_TOO_LONG);
    }
    if head.headers.len() > settings.max_fields {
        return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    if head.method == Method::CONNECT {
        // A tunnel for the client's bytes has no place on shared connections to servers.
        return refuse(StatusCode::NOT_IMPLEMENTED);
    }
    check_host(&mut head)?;
    if head.headers.contains_key(CONTENT_LENGTH) && head.headers.contains_key("transfer-encoding") {
        // RFC 9112 section 6.1: the coding wins and the length must not go on.
        head.headers.remove(CONTENT_LENGTH);
    }
    let target = canonical(&head.uri, settings)?;
    let body = if http_body::Body::is_end_stream(&incoming) {
        Body::Empty
    } else {
        Body::Incoming(incoming)
    };
    Ok(Request {
        method: head.method,
        target,
        version: head.version,
        headers: head.headers,
        extensions: head.extensions,
        body,
        connection: Arc::clone(connection),
    })
}

fn refuse<T>(status: StatusCode) -> Result<T, Box<Response>> {
    Err(Box::new(Response::bare(status)))
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
        Aliases::Reject if !found.is_empty() => refuse_path(),
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

/// Traefik: Go's server answers a wrong host as plain text and closes.
fn bad(text: &'static str) -> Result<(), Box<Response>> {
    let mut response = Response::new(StatusCode::BAD_REQUEST, text);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers.insert(http::header::CONTENT_TYPE, plain);
    response.headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    Err(Box::new(response))
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
