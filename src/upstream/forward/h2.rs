//! Over h2: on a connection that many requests share, made by one request at a time.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Instant;

use http::header::{HOST, HeaderValue};
use http::uri::{self, Uri};
use http::{Request as HttpRequest, Version};
use portcullis_middlewares::message::{Body, Fault, Response, Sent};

use super::{Failure, broke, h1, spare};
use crate::tls::client::Alpn;
use crate::upstream::dial::{self, Offer, Stream};
use crate::upstream::endpoint::{Endpoint, Scheme};
use crate::upstream::pool::h2::Stake;

/// A request that was not answered.
struct Unanswered {
    /// The request itself, if nothing of it was sent.
    request: Option<HttpRequest<Body>>,
    error: hyper::Error,
}

/// Sends a request. A server that turns out not to speak h2 any more gets it over HTTP/1.1.
pub(super) async fn send(
    mut request: HttpRequest<Body>,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    address(&mut request, endpoint)?;
    if let Some(stake) = endpoint.h2.here().take() {
        let spare = spare(&request);
        match exchange(request, stake, endpoint).await {
            Ok(response) => return Ok(response),
            // The connection had ended or refused: once more, if that is safe.
            Err(unanswered) => request = again(unanswered, spare)?,
        }
    }
    connect(request, endpoint).await
}

/// Sends a request on a connection that came to be while others waited for it, or on a fresh one.
async fn connect(
    request: HttpRequest<Body>,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    let pool = endpoint.h2.here();
    let waits_since = Instant::now();
    let mut last = pool.dialling.lock().await;
    if let Some(stake) = pool.take() {
        drop(last);
        return exchange(request, stake, endpoint).await.map_err(Unanswered::failure);
    }
    // All who waited for a dial share its failure; else each would wait for a dial of its own after the others'.
    if let Some((at, failure)) = &*last
        && *at >= waits_since
    {
        return Err(failure.clone());
    }
    let stake = match dial::dial(endpoint, Offer::Any).await {
        Err(error) => Err(Failure::dial(&error)),
        Ok((stream, Alpn::Http1)) if endpoint.scheme == Scheme::Https => {
            pool.is_spoken_no_more();
            drop(last);
            return h1::begin(without_address(request), stream, endpoint).await;
        }
        Ok((stream, _)) => pool
            .handshake(stream, &endpoint.transport)
            .await
            .map_err(|error| Failure::exchange_h2(&error, Sent::Nothing)),
    };
    *last = stake.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
    drop(last);
    exchange(request, stake?, endpoint).await.map_err(Unanswered::failure)
}

/// Sends a request to a server that was dialled and agreed on h2. If others did the same meanwhile their connection is
/// shared.
pub(super) async fn begin(
    mut request: HttpRequest<Body>,
    stream: Stream,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    address(&mut request, endpoint)?;
    let pool = endpoint.h2.here();
    let one = pool.dialling.lock().await;
    let stake = match pool.take() {
        Some(stake) => stake,
        None => pool
            .handshake(stream, &endpoint.transport)
            .await
            .map_err(|error| Failure::exchange_h2(&error, Sent::Nothing))?,
    };
    drop(one);
    exchange(request, stake, endpoint).await.map_err(Unanswered::failure)
}

async fn exchange(
    request: HttpRequest<Body>,
    mut stake: Stake,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Unanswered> {
    match stake.sender().try_send_request(request).await {
        Ok(response) => {
            let (head, incoming) = response.into_parts();
            let body = Body::Incoming(incoming).holding(stake);
            Ok(Response { status: head.status, headers: head.headers, body, ..Response::default() })
        }
        Err(mut error) => {
            let request = error.take_message();
            let error = error.into_error();
            if !concerns_one_stream(&error) {
                endpoint.h2.here().forget(&stake);
            }
            Err(Unanswered { request, error })
        }
    }
}

impl Unanswered {
    fn failure(self) -> Failure {
        let sent = if self.request.is_some() { Sent::Nothing } else { Sent::Some };
        Failure::exchange_h2(&self.error, sent)
    }
}

fn again(
    unanswered: Unanswered,
    spare: Option<HttpRequest<Body>>,
) -> Result<HttpRequest<Body>, Failure> {
    let Unanswered { request, error } = unanswered;
    let request = request.or_else(|| spare.filter(|_| broke(&error) || was_refused(&error)));
    request.ok_or_else(|| Failure::exchange_h2(&error, Sent::Some))
}

fn h2_error(error: &hyper::Error) -> Option<&::h2::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

fn concerns_one_stream(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(::h2::Error::is_reset)
}

/// The server said that it did nothing about the request (RFC 9113 section 8.7), or the connection ended.
fn was_refused(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(|error| {
        let refused = error.reason() == Some(::h2::Reason::REFUSED_STREAM);
        refused || error.is_go_away() || error.is_io()
    })
}

/// h2 carries the host as `:authority` in the target.
fn address(request: &mut HttpRequest<Body>, endpoint: &Endpoint) -> Result<(), Failure> {
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

/// The request as HTTP/1.1 sends it once more.
fn without_address(mut request: HttpRequest<Body>) -> HttpRequest<Body> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    let host = parts.authority.take();
    parts.scheme = None;
    if let Some(Ok(host)) = host.map(|host| HeaderValue::try_from(host.as_str())) {
        request.headers_mut().insert(HOST, host);
    }
    // A path alone is always a target.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_11;
    request
}
