//! One client connection: HTTP/1 or h2, from its first byte to its end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_middlewares::message::{Body, BodyError, Connection, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::{Activity, Busy, Limits, Phase, ReadBody, Watch, Watched};
use super::forwarded::{Peer, Wish};
use super::inbound;
use super::settings::Settings;
use crate::net::drain::Drain;
use crate::net::task;
use crate::observe::record::{Record, Recorded};
use crate::upstream::hop;
use crate::upstream::pool::h2::OnThisWorker;

/// What answers requests. It does not fail: a failure is a response.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request; the record ends with the response.
    fn handle(
        &self,
        request: Request,
        body_bytes: Option<Arc<AtomicU64>>,
    ) -> impl Future<Output = (Response, Option<Box<Record>>)> + Send;
}

/// What is the same for all requests of one connection.
pub struct Session<H> {
    handler: Arc<H>,
    connection: Arc<Connection>,
    settings: Arc<Settings>,
    peer: Peer,
    drain: Drain,
    begun: Instant,
    requests: AtomicU64,
}

/// Which protocol a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// h2, by ALPN or prior knowledge.
    Http2,
}

impl<H: Handler> Session<H> {
    /// A session on `connection`.
    pub fn new(
        handler: Arc<H>,
        connection: Arc<Connection>,
        settings: Arc<Settings>,
        drain: Drain,
    ) -> Arc<Self> {
        let peer = Peer::new(connection.peer.ip(), connection.tls.is_some(), &settings.forwarded);
        let (begun, requests) = (Instant::now(), AtomicU64::new(0));
        Arc::new(Self { handler, connection, settings, peer, drain, begun, requests })
    }

    /// Serves the connection to its end. `prefix` holds the bytes that were read already.
    pub async fn serve<S>(self: Arc<Self>, stream: S, prefix: Bytes, protocol: Protocol)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new(match protocol {
            Protocol::Http1 => Phase::Idle,
            Protocol::Http2 => Phase::Quiet,
        });
        let stream = TokioIo::new(Watched::new(stream, prefix, Arc::clone(&activity)));
        let limits = Limits {
            idle: self.settings.idle_timeout,
            read: self.settings.read_timeout,
            write: self.settings.write_timeout,
        };
        let on = On { session: Arc::clone(&self), activity: Arc::clone(&activity), protocol };
        match protocol {
            Protocol::Http1 => {
                let connection = self.http1().serve_connection(stream, on).with_upgrades();
                Guarded { connection, activity, limits, watch: Watch::default() }.await;
            }
            Protocol::Http2 => {
                let connection = self.http2().serve_connection(stream, on);
                let guarded = Guarded { connection, activity, limits, watch: Watch::default() };
                self.drive_http2(guarded).await;
            }
        }
    }

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .half_close(true)
            .title_case_headers(true)
            .max_headers(self.settings.max_fields)
            .max_buf_size(self.settings.max_head.max(8192));
        builder
    }

    fn http2(&self) -> http2::Builder<OnThisWorker> {
        let mut builder = http2::Builder::new(OnThisWorker);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.settings.http2.max_streams)
            .max_header_list_size(self.settings.max_head as u32)
            .initial_stream_window_size(1 << 16)
            .initial_connection_window_size(1 << 20)
            .max_send_buf_size(64 * 1024);
        builder
    }

    /// Sends GOAWAY when the gateway drains; open streams finish.
    async fn drive_http2<C>(&self, guarded: Guarded<C>)
    where
        C: Future<Output = hyper::Result<()>> + GoAway,
    {
        let mut guarded = std::pin::pin!(guarded);
        let mut drain = self.drain.clone();
        tokio::select! {
            () = guarded.as_mut() => return,
            () = drain.begun() => {}
        }
        guarded.as_mut().go_away();
        guarded.await;
    }

    /// Brings a request into form; the error is the answer to give.
    fn receive(
        &self,
        request: http::Request<Incoming>,
        activity: &Arc<Activity>,
        protocol: Protocol,
    ) -> Result<(Request, Option<Arc<AtomicU64>>), Box<Response>> {
        let mut request = inbound::receive(request, &self.connection, &self.settings)?;
        let wish = match hop::wanted_upgrade(&request.headers) {
            Some(value) if value.as_bytes().eq_ignore_ascii_case(b"websocket") => Wish::WebSocket,
            _ => Wish::None,
        };
        self.peer.apply(&mut request.headers, &self.settings.forwarded, wish);
        let bytes = self.watch_body(&mut request, activity, protocol);
        Ok((request, bytes))
    }

    /// Puts a request body under the limit for reading and counts it.
    fn watch_body(
        &self,
        request: &mut Request,
        activity: &Arc<Activity>,
        protocol: Protocol,
    ) -> Option<Arc<AtomicU64>> {
        if request.body.is_end() {
            if protocol == Protocol::Http1 {
                activity.enter(Phase::Answer);
            }
            return None;
        }
        let body = std::mem::take(&mut request.body);
        let activity = Arc::clone(activity);
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        request.body = Body::stream(match protocol {
            Protocol::Http1 => {
                activity.go_on(Phase::Body);
                ReadBody::of_connection(body, activity, count)
            }
            Protocol::Http2 => {
                ReadBody::of_stream(body, activity, count, self.settings.read_timeout)
            }
        });
        Some(bytes)
    }

    fn finish(
        &self,
        response: Response,
        record: Option<Box<Record>>,
        version: Version,
        busy: Busy,
    ) -> http::Response<Answer> {
        let Response { status, headers, body, tunnel, .. } = response;
        let mut answer = http::Response::new(Body::Empty);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        if version < Version::HTTP_2 {
            if self.must_close() && status != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        } else {
            answer.headers_mut().remove(CONNECTION);
        }
        if let Some(tunnel) = tunnel {
            busy.upgraded();
            self.run_tunnel(tunnel, record);
            return answer.map(|body| Answer { body: Recorded::new(body, None), _busy: busy });
        }
        answer.map(|_| Answer { body: Recorded::new(body, record), _busy: busy })
    }

    /// Whether the connection ends with this response.
    fn must_close(&self) -> bool {
        let requests = self.requests.fetch_add(1, Relaxed) + 1;
        self.drain.has_begun()
            || self.settings.keep_alive_requests.is_some_and(|limit| requests >= limit)
            || self.settings.keep_alive_time.is_some_and(|limit| self.begun.elapsed() >= limit)
    }

    fn run_tunnel(
        &self,
        tunnel: portcullis_middlewares::Later<'static, portcullis_middlewares::message::Copied>,
        record: Option<Box<Record>>,
    ) {
        let drain = self.drain.clone();
        task::spawn(async move {
            let _held = drain.hold();
            let copied = tunnel.await;
            if let Some(mut record) = record {
                record.response_bytes += copied.from_server;
            }
        });
    }
}

/// The service that hyper calls.
struct On<H> {
    session: Arc<Session<H>>,
    activity: Arc<Activity>,
    protocol: Protocol,
}

impl<H: Handler> Service<http::Request<Incoming>> for On<H> {
    type Response = http::Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    /// Boxed, so that an idle connection does not keep room for a whole request.
    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let session = Arc::clone(&self.session);
        let version = request.version();
        let busy = self.activity.begin_request();
        // Before the future is made, so that it has room for a pointer and not for a whole head.
        let received = session.receive(request, &self.activity, self.protocol);
        Box::pin(async move {
            let (response, record) = match received {
                Ok((request, bytes)) => session.handler.handle(request, bytes).await,
                Err(response) => (*response, None),
            };
            Ok(session.finish(response, record, version, busy))
        })
    }
}

pin_project_lite::pin_project! {
    /// A connection and the one timer that watches over its deadlines. Ends when either does.
    struct Guarded<C> {
        #[pin]
        connection: C,
        activity: Arc<Activity>,
        limits: Limits,
        watch: Watch,
    }
}

impl<C: Future<Output = hyper::Result<()>>> Future for Guarded<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if let Poll::Ready(result) = this.connection.poll(context) {
            if let Err(error) = result {
                tracing::trace!(%error, "client connection ended");
            }
            return Poll::Ready(());
        }
        this.watch.poll_expired(context, this.activity, this.limits)
    }
}

/// A connection that can be told to take no more requests.
trait GoAway {
    fn go_away(self: Pin<&mut Self>);
}

impl<C: GoAway> GoAway for Guarded<C> {
    fn go_away(self: Pin<&mut Self>) {
        self.project().connection.go_away();
    }
}

impl<I, S> GoAway for http2::Connection<I, S, OnThisWorker>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: Service<http::Request<Incoming>, Response = http::Response<Answer>, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn go_away(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A response body; the request ends with it.
#[derive(Debug)]
pub struct Answer {
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
