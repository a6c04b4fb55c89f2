//! A request to a server and its response back.

use std::error::Error as _;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRAILER};
use http::uri::{self, Uri};
use http::{Method, StatusCode, Version};
use hyper::body::Incoming;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{
    Body, Fault, Request, Response, Sent, Target, WithoutForwardedFor,
};

use super::dial::{self, Offer, Stream};
use super::endpoint::{Endpoint, Scheme};
use super::pool::h1::{Pair, PooledBody, Unanswered};
use super::{fault, hop, upgrade};
use crate::tls::client::Alpn;

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

/// Why a server gave no response, with the request if not one byte of it was written.
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
        Some(wish) => upgrade::exchange(request, endpoint, wish).await,
        None => limited(request, endpoint).await,
    };
    match answer.and_then(only_asked_switches) {
        Ok(mut response) => {
            let (status, took) = (response.status.as_u16(), begun.elapsed());
            exchange.note(|facts| {
                facts.origin_status = Some(status);
                facts.origin_duration = Some(took);
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
    }
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

    pub(super) fn exchange(error: &hyper::Error, sent: Sent) -> Self {
        let cause = error.source().map_or_else(|| error.to_string(), |s| format!("{error}: {s}"));
        Self::new(fault::of_exchange(error, sent), cause)
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

/// Applies the limit for response heads.
async fn limited(request: Request, endpoint: &Arc<Endpoint>) -> Result<Response, Failure> {
    let Some(limit) = endpoint.transport.response_header_timeout else {
        return send(request, endpoint).await;
    };
    tokio::time::timeout(limit, send(request, endpoint)).await.unwrap_or_else(|_| {
        Err(Failure::new(Fault::Timeout(Sent::Some), format!("no response head within {limit:?}")))
    })
}

async fn send(request: Request, endpoint: &Arc<Endpoint>) -> Result<Response, Failure> {
    match endpoint.scheme {
        Scheme::Http => send_h1(request, endpoint).await,
        Scheme::H2c => send_h2(request, endpoint).await,
        Scheme::Https => {
            if endpoint.h2.here().has_connection() {
                return send_h2(request, endpoint).await;
            }
            send_h1(request, endpoint).await
        }
    }
}

/// Whether a request may be sent twice: its method is idempotent (RFC 9110 section 9.2.2) and it has no body.
fn is_repeatable(request: &http::Request<Body>) -> bool {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    idempotent && request.body().is_end()
}

async fn send_h1(request: Request, endpoint: &Arc<Endpoint>) -> Result<Response, Failure> {
    let mut request = outgoing_h1(request)?;
    let pooled =
        std::future::poll_fn(|cx| std::task::Poll::Ready(endpoint.h1.here().take(cx))).await;
    if let Some(pair) = pooled {
        let spare = is_repeatable(&request).then(|| copy(&request));
        match pair.send(request).await {
            Ok((response, pair)) => return Ok(incoming_h1(response, pair, endpoint).await),
            // The pooled connection was stale: once more on a fresh one, if that is safe.
            Err(unanswered) => request = again(*unanswered, spare)?,
        }
    }
    let (stream, alpn) =
        dial::dial(endpoint, Offer::Any).await.map_err(|error| Failure::dial(&error))?;
    if alpn == Alpn::H2 {
        return begin_h2(request, stream, endpoint).await;
    }
    let pair =
        Pair::handshake(stream).await.map_err(|error| Failure::exchange(&error, Sent::Nothing))?;
    match pair.send(request).await {
        Ok((response, pair)) => Ok(incoming_h1(response, pair, endpoint).await),
        Err(unanswered) => {
            let sent = if unanswered.request.is_some() { Sent::Nothing } else { Sent::Some };
            Err(Failure::exchange(&unanswered.error, sent))
        }
    }
}

fn again(
    unanswered: Unanswered,
    spare: Option<http::Request<Body>>,
) -> Result<http::Request<Body>, Failure> {
    let Unanswered { request, error } = unanswered;
    if let Some(request) = request {
        return Ok(request);
    }
    // Only a connection that broke before any answer is stale; bad bytes or limits are answers.
    let broke = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    let broke = broke || error.source().is_some_and(|source| source.is::<std::io::Error>());
    spare.filter(|_| broke).ok_or_else(|| Failure::exchange(&error, Sent::Some))
}

fn copy(request: &http::Request<Body>) -> http::Request<Body> {
    let mut copy = http::Request::new(Body::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The request as HTTP/1.1 sends it: origin form, `Host` header.
pub(super) fn outgoing_h1(request: Request) -> Result<http::Request<Body>, Failure> {
    let mut parts = uri::Parts::default();
    parts.path_and_query = Some(request.target.path_and_query().clone());
    let uri = Uri::from_parts(parts)
        .map_err(|error| Failure::new(Fault::Protocol(Sent::Nothing), error.to_string()))?;
    let mut outgoing = http::Request::new(request.body);
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = request.headers;
    let expects_body = matches!(*outgoing.method(), Method::POST | Method::PUT | Method::PATCH);
    if expects_body && outgoing.body().is_end() && !outgoing.headers().contains_key(CONTENT_LENGTH)
    {
        // RFC 9110 section 8.6: methods that anticipate a body say that there is none.
        outgoing.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(outgoing)
}

async fn incoming_h1(
    response: http::Response<Incoming>,
    pair: Box<Pair>,
    endpoint: &Arc<Endpoint>,
) -> Response {
    let (head, incoming) = response.into_parts();
    let ended = http_body::Body::is_end_stream(&incoming);
    let mut body = PooledBody::new(incoming, pair, Arc::clone(endpoint));
    let body = if ended {
        std::future::poll_fn(|cx| std::task::Poll::Ready(body.release(cx))).await;
        Body::Empty
    } else {
        Body::stream(body)
    };
    Response { status: head.status, headers: head.headers, body, ..Response::default() }
}

async fn send_h2(request: Request, endpoint: &Arc<Endpoint>) -> Result<Response, Failure> {
    let request = outgoing_h1(request)?;
    let pool = endpoint.h2.here();
    if let Some((sender, stake)) = pool.take() {
        return exchange_h2(request, sender, stake, endpoint).await;
    }
    let _one = pool.dialling.lock().await;
    if let Some((sender, stake)) = pool.take() {
        return exchange_h2(request, sender, stake, endpoint).await;
    }
    let (stream, alpn) =
        dial::dial(endpoint, Offer::Any).await.map_err(|error| Failure::dial(&error))?;
    if alpn == Alpn::Http1 && endpoint.scheme == Scheme::Https {
        // The server stopped speaking h2.
        let pair = Pair::handshake(stream)
            .await
            .map_err(|error| Failure::exchange(&error, Sent::Nothing))?;
        let (response, pair) = pair
            .send(request)
            .await
            .map_err(|unanswered| Failure::exchange(&unanswered.error, Sent::Some))?;
        return Ok(incoming_h1(response, pair, endpoint).await);
    }
    let (sender, stake) = pool
        .handshake(stream, &endpoint.transport)
        .await
        .map_err(|error| Failure::exchange(&error, Sent::Nothing))?;
    drop(_one);
    exchange_h2(request, sender, stake, endpoint).await
}

async fn begin_h2(
    request: http::Request<Body>,
    stream: Stream,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    let (sender, stake) = endpoint
        .h2
        .here()
        .handshake(stream, &endpoint.transport)
        .await
        .map_err(|error| Failure::exchange(&error, Sent::Nothing))?;
    exchange_h2(request, sender, stake, endpoint).await
}

type Sender = hyper::client::conn::http2::SendRequest<Body>;

async fn exchange_h2(
    mut request: http::Request<Body>,
    mut sender: Sender,
    stake: super::pool::h2::Stake,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    address_h2(&mut request, endpoint)?;
    let answer = sender.try_send_request(request).await;
    let response = answer.map_err(|mut error| {
        let sent = if error.take_message().is_some() { Sent::Nothing } else { Sent::Some };
        Failure::exchange(error.error(), sent)
    })?;
    let (head, incoming) = response.into_parts();
    let body = Body::Incoming(incoming).holding(stake);
    Ok(Response { status: head.status, headers: head.headers, body, ..Response::default() })
}

/// h2 carries the host as `:authority` in the target.
fn address_h2(request: &mut http::Request<Body>, endpoint: &Endpoint) -> Result<(), Failure> {
    let host = request.headers_mut().remove(HOST);
    let authority = host.as_ref().and_then(|host| HeaderValue::to_str(host).ok());
    let authority = authority.filter(|host| !host.is_empty()).unwrap_or(endpoint.authority());
    let wrong =
        |error: String| Failure::new(Fault::Protocol(Sent::Nothing), format!("host: {error}"));
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority =
        Some(authority.parse().map_err(|error: uri::InvalidUri| wrong(error.to_string()))?);
    parts.scheme = Some(match endpoint.scheme {
        Scheme::Https => uri::Scheme::HTTPS,
        Scheme::Http | Scheme::H2c => uri::Scheme::HTTP,
    });
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| wrong(error.to_string()))?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}
