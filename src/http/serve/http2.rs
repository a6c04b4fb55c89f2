//! h2: hyper's server, with one task for each stream.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_middlewares::message::{Body, BodyError, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use super::{Guarded, Handler, Protocol, Session};
use crate::http::activity::{Activity, Busy, Watched};
use crate::observe::record::{Record, Recorded};
use crate::upstream::pool::h2::OnThisWorker;

/// The connection future of hyper.
type Connection<S, H> = http2::Connection<TokioIo<Watched<S>>, On<H>, OnThisWorker>;

impl<H: Handler> Session<H> {
    /// The future that serves h2 on `stream`.
    pub(super) fn serve_http2<S>(
        self: &Arc<Self>,
        stream: Watched<S>,
        activity: Arc<Activity>,
        spent: Option<&Arc<Notify>>,
    ) -> Connection<S, H>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(OnThisWorker);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.settings.http2.max_streams)
            .max_header_list_size(self.settings.max_head as u32)
            .initial_stream_window_size(1 << 16)
            .initial_connection_window_size(1 << 20)
            .max_send_buf_size(64 * 1024);
        let on = On { session: Arc::clone(self), activity, spent: spent.cloned() };
        builder.serve_connection(TokioIo::new(stream), on)
    }

    /// Sends GOAWAY when the gateway drains or the connection is spent; open streams finish.
    pub(super) async fn drive_http2<S>(
        &self,
        guarded: Guarded<Connection<S, H>>,
        spent: Option<Arc<Notify>>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut guarded = std::pin::pin!(guarded);
        let mut drain = self.drain.clone();
        let is_spent = async {
            match spent {
                // Boxed, so that connections without limits keep no room for it.
                Some(spent) => Box::pin(spent.notified()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = guarded.as_mut() => return,
            () = drain.begun() => {}
            () = is_spent => {}
        }
        guarded.as_mut().project().connection.graceful_shutdown();
        guarded.await;
    }

    fn finish(
        &self,
        response: Response,
        record: Option<Box<Record>>,
        busy: Busy,
    ) -> http::Response<Answer> {
        let Response { status, headers, body, tunnel, .. } = response;
        let mut answer = http::Response::new(Body::Empty);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer.headers_mut().remove(CONNECTION);
        if let Some(tunnel) = tunnel {
            self.run_tunnel(tunnel, record);
            return answer.map(|body| Answer { body: Recorded::new(body, None), _busy: busy });
        }
        answer.map(|_| Answer { body: Recorded::new(body, record), _busy: busy })
    }
}

/// The service that hyper calls.
pub(super) struct On<H> {
    session: Arc<Session<H>>,
    activity: Arc<Activity>,
    /// Told when the connection has had its requests or its time. Traefik: GOAWAY, after the same numbers as with HTTP/1.
    spent: Option<Arc<Notify>>,
}

impl<H: Handler> Service<http::Request<Incoming>> for On<H> {
    type Response = http::Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    /// Boxed, so that an idle connection does not keep room for a whole request.
    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let session = Arc::clone(&self.session);
        let busy = self.activity.begin_request();
        if let Some(spent) = &self.spent
            && session.must_close()
        {
            spent.notify_one();
        }
        let request = request.map(|incoming| {
            let ended = http_body::Body::is_end_stream(&incoming);
            if ended { Body::Empty } else { Body::Incoming(incoming) }
        });
        // Before the future is made, so that it has room for a pointer and not for a whole head.
        let received = session.receive(request, &self.activity, Protocol::Http2);
        Box::pin(async move {
            let (response, record) = session.answer(received).await;
            Ok(session.finish(response, record, busy))
        })
    }
}

/// A response body; the request ends with it.
#[derive(Debug)]
pub(super) struct Answer {
    body: Recorded,
    _busy: Busy,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
