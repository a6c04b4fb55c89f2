//! The one table of faults and the answers they become, as Traefik maps them.

use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use portcullis_middlewares::message::{Body, Fault, Response, Sent};

use super::dial::DialError;

/// The answer that the gateway makes because of `fault`.
pub fn answer(fault: Fault) -> Response {
    let response = match fault {
        Fault::NoServer => Response::text(StatusCode::SERVICE_UNAVAILABLE, "no available server"),
        Fault::Unreachable(_) => Response::bare(StatusCode::BAD_GATEWAY),
        Fault::Timeout(_) => Response::bare(StatusCode::GATEWAY_TIMEOUT),
        Fault::ClientGone => Response::new(client_closed(), Body::from("Client Closed Request")),
        Fault::ClientBody => refused(),
        Fault::Protocol(_) | Fault::Panic => Response::bare(StatusCode::INTERNAL_SERVER_ERROR),
    };
    response.because(fault)
}

/// The rest of such a body cannot be told from the next request.
fn refused() -> Response {
    let mut response = Response::bare(StatusCode::BAD_REQUEST);
    response.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 499, which only logs ever see.
fn client_closed() -> StatusCode {
    StatusCode::from_u16(499).expect("499 is in the range of codes")
}

/// The fault that a failed dial is; nothing has been sent.
pub fn of_dial(error: &DialError) -> Fault {
    match error {
        DialError::Timeout(_) => Fault::Timeout(Sent::Nothing),
        DialError::Connect(_, source) if source.kind() == std::io::ErrorKind::TimedOut => {
            Fault::Timeout(Sent::Nothing)
        }
        DialError::Connect(..) => Fault::Unreachable(Sent::Nothing),
        // Traefik: a certificate that does not verify is a 500; a connection that breaks in the handshake a 502.
        DialError::Tls(_, source) if source.kind() == std::io::ErrorKind::InvalidData => {
            Fault::Protocol(Sent::Nothing)
        }
        DialError::Tls(..) => Fault::Unreachable(Sent::Nothing),
    }
}

/// The fault that a failed exchange with a server is.
pub fn of_exchange(error: &hyper::Error, sent: Sent) -> Fault {
    if error.is_timeout() {
        Fault::Timeout(sent)
    } else if client_body_is_malformed(error) {
        Fault::ClientBody
    } else if error.is_user() || client_body_broke(error) {
        Fault::ClientGone
    } else if error.is_parse() || error.is_parse_status() {
        Fault::Protocol(sent)
    } else {
        Fault::Unreachable(sent)
    }
}

/// Whether the request body of the client was not what its coding says, such as chunks without a size.
fn client_body_is_malformed(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    if !error.is_user() {
        return false;
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let kind = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(InvalidData | InvalidInput)) {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Whether the request body of the client broke off, so that the server could not be told the rest.
fn client_body_broke(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<hyper::Error>().is_some_and(|e| e.is_body_write_aborted()) {
            return true;
        }
        source = inner.source();
    }
    false
}
