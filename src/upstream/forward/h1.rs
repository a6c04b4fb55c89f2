//! Over HTTP/1.1: on an idle connection, or on a fresh one.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::uri::{self, Uri};
use http::{Method, Request as HttpRequest, Response as HttpResponse};
use hyper::body::Incoming;
use portcullis_middlewares::message::{Body, Fault, Request, Response, Sent};

use super::{Failure, broke, h2, spare};
use crate::tls::client::Alpn;
use crate::upstream::dial::{self, Offer, Stream};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::pool::h1::{Pair, PooledBody, Unanswered};

/// Sends a request. A server that turns out to speak h2 gets it over that.
pub(super) async fn send(
    mut request: HttpRequest<Body>,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    let pooled = poll_fn(|context| Poll::Ready(endpoint.h1.here().take(context))).await;
    if let Some(pair) = pooled {
        let spare = spare(&request);
        match pair.send(request).await {
            Ok((response, pair)) => return Ok(incoming(response, pair, endpoint).await),
            // The idle connection was stale: once more on a fresh one, if that is safe.
            Err(unanswered) => request = again(*unanswered, spare)?,
        }
    }
    Box::pin(fresh(request, endpoint)).await
}

/// Sends a request on a new connection. Rare, so boxed: its state must not make every request's future larger.
async fn fresh(request: HttpRequest<Body>, endpoint: &Arc<Endpoint>) -> Result<Response, Failure> {
    let (stream, alpn) =
        dial::dial(endpoint, Offer::Any).await.map_err(|error| Failure::dial(&error))?;
    match alpn {
        Alpn::H2 => h2::begin(request, stream, endpoint).await,
        Alpn::Http1 => begin(request, stream, endpoint).await,
    }
}

/// Sends a request as the first one of a connection.
pub(super) async fn begin(
    request: HttpRequest<Body>,
    stream: Stream,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    let pair =
        Pair::handshake(stream).await.map_err(|error| Failure::exchange(&error, Sent::Nothing))?;
    match pair.send(request).await {
        Ok((response, pair)) => Ok(incoming(response, pair, endpoint).await),
        Err(unanswered) => {
            let sent = if unanswered.request.is_some() { Sent::Nothing } else { Sent::Some };
            Err(Failure::exchange(&unanswered.error, sent))
        }
    }
}

fn again(
    unanswered: Unanswered,
    spare: Option<HttpRequest<Body>>,
) -> Result<HttpRequest<Body>, Failure> {
    let Unanswered { request, error } = unanswered;
    let request = request.or_else(|| spare.filter(|_| broke(&error)));
    request.ok_or_else(|| Failure::exchange(&error, Sent::Some))
}

/// The request as HTTP/1.1 sends it: origin form, `Host` header.
pub(in crate::upstream) fn outgoing(request: Request) -> Result<HttpRequest<Body>, Failure> {
    let mut parts = uri::Parts::default();
    parts.path_and_query = Some(request.target.path_and_query().clone());
    let uri = Uri::from_parts(parts)
        .map_err(|error| Failure::new(Fault::Protocol(Sent::Nothing), error.to_string()))?;
    let request = request.into_parts();
    let mut outgoing = HttpRequest::new(request.body);
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

async fn incoming(
    response: HttpResponse<Incoming>,
    pair: Box<Pair>,
    endpoint: &Arc<Endpoint>,
) -> Response {
    let (head, incoming) = response.into_parts();
    let ended = http_body::Body::is_end_stream(&incoming);
    let mut body = PooledBody::new(incoming, pair, Arc::clone(endpoint));
    let body = if ended {
        poll_fn(|context| {
            body.release(context);
            Poll::Ready(())
        })
        .await;
        Body::Empty
    } else {
        Body::stream(body)
    };
    Response { status: head.status, headers: head.headers, body, ..Response::default() }
}
