//! Over HTTP/1.1: on an idle connection, or on a fresh one.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::uri::Uri;
use http::{Method, Request as HttpRequest, Response as HttpResponse};
use portcullis_middlewares::message::{Body, Request, Response, Sent};

use super::{Failure, h2, is_repeatable};
use crate::h1::client::Unanswered;
use crate::tls::client::Alpn;
use crate::upstream::dial::{self, Offer, Stream};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::pool::h1::{self, Pooled, PooledBody};

/// Sends a request. A server that turns out to speak h2 gets it over that.
pub(super) async fn send(
    mut request: HttpRequest<Body>,
    endpoint: &Arc<Endpoint>,
) -> Result<Response, Failure> {
    let pooled = poll_fn(|context| Poll::Ready(endpoint.h1.here().take(context))).await;
    if let Some(mut pooled) = pooled {
        let repeatable = is_repeatable(&request);
        match pooled.client.send(request).await {
            Ok(response) => return Ok(incoming(response, pooled, endpoint).await),
            // The idle connection was stale: once more on a fresh one, if that is safe.
            Err(unanswered) => request = again(*unanswered, repeatable)?,
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
    let mut pooled = Pooled::new(stream);
    match pooled.client.send(request).await {
        Ok(response) => Ok(incoming(response, pooled, endpoint).await),
        Err(unanswered) => Err(Failure::exchange(&unanswered.error, unanswered.sent)),
    }
}

/// The request once more, if nothing of it was sent, or if it may be repeated and got no answer at all.
fn again(unanswered: Unanswered, repeatable: bool) -> Result<HttpRequest<Body>, Failure> {
    let Unanswered { request, sent, error } = unanswered;
    let safe = sent == Sent::Nothing || (repeatable && error.is_lost());
    request.filter(|_| safe).ok_or_else(|| Failure::exchange(&error, sent))
}

/// The request as HTTP/1.1 sends it: origin form, `Host` header.
pub(in crate::upstream) fn outgoing(request: Request) -> HttpRequest<Body> {
    let request = request.into_parts();
    let mut outgoing = HttpRequest::new(request.body);
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = Uri::from(request.target.into_path_and_query());
    *outgoing.headers_mut() = request.headers;
    let expects_body = matches!(*outgoing.method(), Method::POST | Method::PUT | Method::PATCH);
    if expects_body && outgoing.body().is_end() && !outgoing.headers().contains_key(CONTENT_LENGTH)
    {
        // RFC 9110 section 8.6: methods that anticipate a body say that there is none.
        outgoing.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    outgoing
}

async fn incoming(
    response: HttpResponse<()>,
    mut pooled: Box<Pooled>,
    endpoint: &Arc<Endpoint>,
) -> Response {
    let (head, ()) = response.into_parts();
    let whole = pooled.client.whole_body();
    let body = if pooled.client.is_end() {
        let mut ended = Some(pooled);
        poll_fn(|context| {
            if let Some(pooled) = ended.take() {
                h1::release(pooled, endpoint, context);
            }
            Poll::Ready(())
        })
        .await;
        whole.map_or(Body::Empty, Body::Full)
    } else {
        Body::stream(PooledBody::new(pooled, Arc::clone(endpoint)))
    };
    Response { status: head.status, headers: head.headers, body, ..Response::default() }
}
