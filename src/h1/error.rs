//! What can go wrong on a connection.

use std::io;

use http::StatusCode;
use portcullis_middlewares::message::BodyError;

/// Why a message did not come or go through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer ended the connection within a message, or before one that was awaited.
    #[error("the connection ended before the message was complete")]
    Incomplete,
    /// The byte stream broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The peer does not keep to RFC 9112.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// A head, or what is around chunks, is larger than the limit.
    #[error("the head of the message is too large")]
    TooLarge,
    /// The body that was to be sent broke off or does not have the length that was announced.
    #[error("the body to send broke off: {0}")]
    Body(BodyError),
}

impl Error {
    /// Whether the connection simply ended, without an answer that could be wrong.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Incomplete | Self::Io(_))
    }
}

/// Why a request is refused before anybody sees it. Traefik: the words are those of Go's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status to answer with.
    pub status: StatusCode,
    /// The text to answer with.
    pub text: &'static str,
}

impl Refusal {
    /// Not HTTP.
    pub const MALFORMED: Self = Self { status: StatusCode::BAD_REQUEST, text: "400 Bad Request" };
    /// Larger than the limits.
    pub const TOO_LARGE: Self = Self {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        text: "431 Request Header Fields Too Large",
    };
    /// A coding that is not `chunked` alone: anything more would be lost on the way, or read in another way by the server.
    pub const CODING: Self =
        Self { status: StatusCode::NOT_IMPLEMENTED, text: "Unsupported transfer encoding" };
}
