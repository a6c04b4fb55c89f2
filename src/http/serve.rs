//! One client connection: HTTP/1, h2 or HTTP/3, from its first byte to its end.

mod http1;
mod http2;
#[cfg(feature = "http3")]
pub mod http3;
pub mod preface;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use portcullis_middlewares::message::{Body, Connection, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::{Activity, Limits, Phase, ReadBody, Watch, Watched};
use super::forwarded::{Peer, Wish};
use super::inbound;
use super::settings::Settings;
use crate::net::drain::Drain;
use crate::net::rewound::Rewound;
use crate::net::task;
use crate::observe::record::Record;
use crate::upstream::hop;

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
    /// h2, by ALPN or prior knowledge; HTTP/3 is alike from a request's head on.
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
        let stream = Watched::new(Rewound::new(stream, prefix), Arc::clone(&activity));
        let limits = Limits {
            idle: self.settings.idle_timeout,
            read: self.settings.read_timeout,
            write: self.settings.write_timeout,
        };
        let watch = Watch::default();
        match protocol {
            Protocol::Http1 => {
                let drain = self.drain.clone();
                let connection = self.serve_http1(stream, Arc::clone(&activity));
                let guarded = Guarded { connection, activity, limits, watch };
                http1::drained(guarded, drain).await;
            }
            Protocol::Http2 => {
                let limited = self.settings.keep_alive_requests.is_some()
                    || self.settings.keep_alive_time.is_some();
                let spent = limited.then(Arc::default);
                let connection = self.serve_http2(stream, Arc::clone(&activity), spent.as_ref());
                let guarded = Guarded { connection, activity, limits, watch };
                self.drive_http2(guarded, spent).await;
            }
        }
    }

    /// Brings a request into form and has it answered.
    async fn answer(
        &self,
        received: Result<(Request, Option<Arc<AtomicU64>>), Box<Response>>,
    ) -> (Response, Option<Box<Record>>) {
        match received {
            Ok((request, bytes)) => self.handler.handle(request, bytes).await,
            Err(response) => (*response, None),
        }
    }

    /// Brings a request into form; the error is the answer to give.
    fn receive(
        &self,
        request: http::Request<Body>,
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
        if let Body::Full(bytes) = &request.body {
            activity.enter(Phase::Answer);
            return Some(Arc::new(AtomicU64::new(bytes.len() as u64)));
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

impl<C, E> Future for Guarded<C>
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
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
