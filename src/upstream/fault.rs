//! The one table of faults and the answers they become, as Traefik maps them.

use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use portcullis_middlewares::message::{Body, Fault, Response, Sent};

use super::dial::DialError;
use crate::h1::Error;

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

/// The fault that a failed exchange over HTTP/1.1 is.
pub fn of_exchange(error: &Error, sent: Sent) -> Fault {
    match error {
        Error::Incomplete | Error::Io(_) => Fault::Unreachable(sent),
        Error::Malformed(_) | Error::TooLarge => Fault::Protocol(sent),
        Error::Body(cause) => of_body(cause.as_ref()),
    }
}

/// The fault that a failed exchange over h2 is.
pub fn of_exchange_h2(error: &hyper::Error, sent: Sent) -> Fault {
    if error.is_timeout() {
        Fault::Timeout(sent)
    } else if error.is_user() {
        of_body(error)
    } else if error.is_parse() || error.is_parse_status() {
        Fault::Protocol(sent)
    } else {
        Fault::Unreachable(sent)
    }
}

/// The fault that a broken request body is: against the rules of its coding, or not sent whole.
fn of_body(error: &(dyn std::error::Error + 'static)) -> Fault {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(Error::Malformed(_) | Error::TooLarge) = inner.downcast_ref::<Error>() {
            return Fault::ClientBody;
        }
        cause = inner.source();
    }
    Fault::ClientGone
}
