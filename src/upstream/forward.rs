//! A request to a server and its response back.

mod h1;
mod h2;

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRAILER};
use http::{Method, StatusCode, Version};
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{
    Body, Fault, Request, Response, Sent, Target, WithoutForwardedFor,
};
use tokio::sync::oneshot;

pub(super) use self::h1::outgoing as outgoing_h1;
use super::dial;
use super::endpoint::{Endpoint, Scheme};
use super::{fault, hop, upgrade};

/// How requests are rewritten for one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Which host the server is told.
    pub host: HostHeader,
    /// Path of the server URL that goes before the request path, without a final `/`.
    pub base_path: Option<Target>,
}

/// Which host a server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Client,
    /// That of the server URL.
    Server,
}

impl From<bool> for HostHeader {
    /// From the setting `passHostHeader`.
    fn from(pass: bool) -> Self {
        if pass { Self::Client } else { Self::Server }
    }
}

/// Why a server gave no response.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    fault: Fault,
    cause: String,
}

/// Sends `request` to `endpoint`. Never fails: a failure is a response with its [`Fault`].
pub async fn forward(
    mut request: Request,
    endpoint: &Arc<Endpoint>,
    how: &Forwarding,
    exchange: &Exchange,
) -> Response {
    let wish =
        hop::wanted_upgrade(&request.headers).filter(|_| request.version == Version::HTTP_11);
    hop::strip(&mut request.headers);
    if how.host == HostHeader::Server {
        request.headers.insert(HOST, endpoint.authority_header().clone());
    }
    if let Some(base) = &how.base_path
        && request.target.prepend(base).is_err()
    {
        return Response::bad_request();
    }
    append_peer(&mut request);
    let begun = std::time::Instant::now();
    let answer = match wish {
        // What is rare or slow is boxed: its state must not make every request's future larger.
        Some(wish) => Box::pin(upgrade::exchange(request, endpoint, wish)).await,
        None => limited(request, endpoint).await,
    };
    let response = match answer.and_then(only_asked_switches) {
        Ok(mut response) => {
            let (status, took) = (response.status.as_u16(), begun.elapsed());
            exchange.note(|facts| {
                facts.origin_status = Some(status);
                facts.origin_duration = Some(took);
                if let Some(headers) = &mut facts.origin_headers {
                    **headers = response.headers.clone();
                }
            });
            if response.tunnel.is_none() {
                hop::strip(&mut response.headers);
                if response.headers.contains_key(CONTENT_LENGTH) {
                    // A body with a length has no trailers that could be announced.
                    response.headers.remove(TRAILER);
                }
            }
            response
        }
        Err(failure) => failure.answer(endpoint, exchange),
    };
    if let (Some(dialer), Some(tunnel)) = (&endpoint.transport.dialer, endpoint.tunnel()) {
        dialer.answered(tunnel, response.status, begun.elapsed(), exchange);
    }
    response
}

/// A server that switches protocols by itself is not believed: nobody would speak the new one.
fn only_asked_switches(response: Response) -> Result<Response, Failure> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS && response.tunnel.is_none() {
        return Err(Failure::new(
            Fault::Protocol(Sent::Some),
            "a switch of protocols nobody asked for",
        ));
    }
    Ok(response)
}

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Appends the peer to `X-Forwarded-For`, the lines of which become one. The last thing before the server, as
/// middlewares may read, change or forbid it.
fn append_peer(request: &mut Request) {
    let Some(address) = &request.connection.forwarded_for else { return };
    if request.extensions.get::<WithoutForwardedFor>().is_some() {
        return;
    }
    let mut joined = Vec::new();
    for line in request.headers.get_all(FOR) {
        joined.extend_from_slice(line.as_bytes());
        joined.extend_from_slice(b", ");
    }
    let value = if joined.is_empty() {
        address.clone()
    } else {
        joined.extend_from_slice(address.as_bytes());
        HeaderValue::from_bytes(&joined).unwrap_or_else(|_| address.clone())
    };
    request.headers.insert(FOR, value);
}

impl Failure {
    pub(super) fn new(fault: Fault, cause: impl Into<String>) -> Self {
        Self { fault, cause: cause.into() }
    }

    pub(super) fn dial(error: &dial::DialError) -> Self {
        Self::new(fault::of_dial(error), error.to_string())
    }

    pub(super) fn exchange(error: &crate::h1::Error, sent: Sent) -> Self {
        Self::new(fault::of_exchange(error, sent), error.to_string())
    }

    pub(super) fn exchange_h2(error: &hyper::Error, sent: Sent) -> Self {
        let cause = error.source().map_or_else(|| error.to_string(), |s| format!("{error}: {s}"));
        Self::new(fault::of_exchange_h2(error, sent), cause)
    }

    fn answer(self, endpoint: &Endpoint, exchange: &Exchange) -> Response {
        tracing::debug!(server = endpoint.authority(), cause = %self.cause, "no response");
        exchange.note(|facts| {
            facts.fault = Some(self.fault);
            facts.cause = Some(self.cause.into());
        });
        fault::answer(self.fault)
    }
}

/// Applies the limit for response heads. Its time begins when the request has been sent.
async fn limited(request: Request, endpoint: &Arc<Endpoint>) -> Result<Response, Failure> {
    let Some(limit) = endpoint.transport.response_header_timeout else {
        return send(request, endpoint).await;
    };
    Box::pin(within(limit, request, endpoint)).await
}

async fn within(
    limit: Duration,
    mut request: Request,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    // Whoever sends a body drops it at its end.
    let (unsent, sent) = oneshot::channel::<Infallible>();
    request.body = std::mem::take(&mut request.body).holding(unsent);
    let late = async {
        let _ = sent.await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        biased;
        answer = send(request, endpoint) => answer,
        () = late => {
            let cause = format!("no response head within {limit:?}");
            Err(Failure::new(Fault::Timeout(Sent::Some), cause))
        }
    }
}

async fn send(request: Request, endpoint: &Arc<Endpoint>) -> Result<Response, Failure> {
    let request = h1::outgoing(request);
    match endpoint.scheme {
        Scheme::Http => h1::send(request, endpoint).await,
        Scheme::H2c => Box::pin(h2::send(request, endpoint)).await,
        Scheme::Https if endpoint.h2.here().is_spoken() => {
            Box::pin(h2::send(request, endpoint)).await
        }
        Scheme::Https => h1::send(request, endpoint).await,
    }
}

/// A request on a connection that other requests used before may be sent once more on a fresh one: if nothing of it was
/// written, or from this copy.
fn spare(request: &http::Request<Body>) -> Option<http::Request<Body>> {
    is_repeatable(request).then(|| copy(request))
}

/// Whether a request may be sent twice: its method is idempotent (RFC 9110 section 9.2.2) and it has no body.
fn is_repeatable(request: &http::Request<Body>) -> bool {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    idempotent && request.body().is_end()
}

fn copy(request: &http::Request<Body>) -> http::Request<Body> {
    let mut copy = http::Request::new(Body::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Whether a connection broke before any answer; bad bytes or limits are answers.
fn broke(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.source().is_some_and(|source| source.is::<std::io::Error>())
}
