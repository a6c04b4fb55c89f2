//! `Response`: a response as a chain sees it.

use std::any::Any;
use std::fmt;

use http::header::{CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Body, Fault};
use crate::chain::Later;

/// A response as a chain sees it.
#[derive(Default)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Set when the gateway made the response because something failed.
    pub fault: Option<Fault>,
    /// Set on 101: joins the client's and the server's byte streams once the response is written.
    pub tunnel: Option<Later<'static, Copied>>,
}

/// Bytes that went through a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// To the server.
    pub from_client: u64,
    /// To the client.
    pub from_server: u64,
}

impl Response {
    /// A response with a body and no headers.
    pub fn new(status: StatusCode, body: impl Into<Body>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    /// The bare form: the status text as body, no content type, no final newline. Traefik: oxy and the proxy
    /// answer like this.
    pub fn bare(status: StatusCode) -> Self {
        Self::new(status, reason(status))
    }

    /// A text answer as Go's `http.Error` makes it: `text` gets a final newline, plain text, no sniffing.
    pub fn text(status: StatusCode, text: &str) -> Self {
        let mut response = Self::new(status, format!("{text}\n"));
        response
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    /// The answer where no router matches.
    pub fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 page not found")
    }

    /// The answer where a middleware would have made a path that is not clean.
    pub fn bad_request() -> Self {
        Self::text(StatusCode::BAD_REQUEST, "Bad Request")
    }

    /// The same response with a header set.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same response; `held` is dropped when it is over, which means its body or, after 101, its tunnel. For
    /// permits that must last that long.
    pub fn holding(mut self, held: impl Any + Send) -> Self {
        if let Some(tunnel) = self.tunnel.take() {
            self.tunnel = Some(Box::pin(async move {
                let _held = held;
                tunnel.await
            }));
        } else if !self.body.is_end() {
            self.body = self.body.holding(held);
        }
        self
    }

    /// The same response marked as made because of `fault`.
    pub fn because(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}

/// The text of a status as Go names it, which for some codes is an older name than the registry's.
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        203 => "Non-Authoritative Information",
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        416 => "Requested Range Not Satisfiable",
        _ => status.canonical_reason().unwrap_or_default(),
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
