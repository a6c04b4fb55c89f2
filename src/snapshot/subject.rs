//! A request as rules look at it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use portcullis_middlewares::message::Request;
use portcullis_middlewares::path;

use crate::http::matcher::Subject;

/// A request as rules look at it.
#[derive(Debug)]
pub struct Seen<'a> {
    request: &'a Request,
    host: Cow<'a, str>,
    path: Cow<'a, str>,
}

/// Looks at `request` with `look`.
pub fn with<T>(request: &Request, look: impl FnOnce(&Seen<'_>) -> T) -> T {
    let host = routing_host(request.host());
    look(&Seen { request, host, path: path::routing_path(request.target.path()) })
}

/// A host as rules compare it: without port, brackets and one final dot, in lower
/// case.
pub fn routing_host(host: &str) -> Cow<'_, str> {
    let bare = match host.rsplit_once(':') {
        // An IPv6 address in brackets keeps its colons.
        Some((before, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => host,
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let bare = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
    if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    }
}

impl Subject for Seen<'_> {
    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn method(&self) -> &str {
        self.request.method.as_str()
    }

    fn headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    fn query(&self) -> &str {
        self.request.target.query().unwrap_or_default()
    }

    fn client_ip(&self) -> IpAddr {
        self.request.client_ip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_port_dot_and_case() {
        assert_eq!(routing_host("Example.COM:8080"), "example.com");
        assert_eq!(routing_host("example.com."), "example.com");
        assert_eq!(routing_host("[::1]:80"), "::1");
        assert_eq!(routing_host("[::1]"), "::1");
        assert_eq!(routing_host(""), "");
    }
}
