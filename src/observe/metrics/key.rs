//! Code, method and protocol of a request in four bytes.

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, UPGRADE};

use crate::h1::has_token;

/// What a request speaks, beyond being HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    /// Nothing else.
    Http,
    /// It wants a WebSocket.
    WebSocket,
    /// It wants server-sent events.
    Sse,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
}

/// By the numbers of [`Protocol`].
const PROTOCOLS: [&str; 5] = ["http", "websocket", "sse", "grpc", "grpc-web"];

/// Methods that have a label of their own. Traefik: all others share the last one.
const METHODS: [&str; 10] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "EXTENSION_METHOD",
];

/// Code, method and protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u32);

impl Protocol {
    /// What a request with these headers speaks.
    pub fn of(headers: &HeaderMap) -> Self {
        if lists(headers, UPGRADE, "websocket") {
            return Self::WebSocket;
        }
        if lists(headers, ACCEPT, "text/event-stream") {
            return Self::Sse;
        }
        match headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes) {
            Some(value) if value.starts_with(b"application/grpc-web") => Self::GrpcWeb,
            Some(value) if value.starts_with(b"application/grpc") => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// Whether `wanted` is an item of the header's first line.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    headers.get(name).is_some_and(|value| has_token(value.as_bytes(), wanted))
}

impl Key {
    /// Packs the three.
    pub fn new(code: u16, method: &Method, protocol: Protocol) -> Self {
        let method = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::DELETE => 4,
            Method::CONNECT => 5,
            Method::OPTIONS => 6,
            Method::TRACE => 7,
            Method::PATCH => 8,
            _ => 9,
        };
        Self(u32::from(code) << 16 | method << 8 | protocol as u32)
    }

    /// The status, or of gRPC its own code.
    pub(super) fn code(self) -> u32 {
        self.0 >> 16
    }

    pub(super) fn method(self) -> &'static str {
        METHODS.get((self.0 >> 8 & 0xff) as usize).copied().unwrap_or("EXTENSION_METHOD")
    }

    pub(super) fn protocol(self) -> &'static str {
        PROTOCOLS.get((self.0 & 0xff) as usize).copied().unwrap_or("http")
    }
}
