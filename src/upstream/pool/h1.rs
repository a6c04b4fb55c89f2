//! HTTP/1.1 connections: polled by the task of the request that uses them.
//!
//! hyper gives a sender and a connection future. They stay together as a [`Pair`]; the request polls both, the response
//! body goes on polling, and at its end the pair returns to its pool. No task and no channel hop between tasks.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use portcullis_middlewares::message::{Body, BodyError};

use crate::upstream::dial::Stream;
use crate::upstream::endpoint::Endpoint;

/// Idle connections of one worker; the last one used is the first one taken.
#[derive(Debug, Default)]
#[allow(clippy::vec_box, reason = "pairs are large and change hands with every request")]
pub struct Pool(Mutex<Vec<Box<Pair>>>);

/// A connection and its sender.
#[derive(Debug)]
pub struct Pair {
    sender: SendRequest<Body>,
    connection: Connection<TokioIo<Stream>, Body>,
    idle_since: Instant,
}

/// A request that was not answered.
#[derive(Debug)]
pub struct Unanswered {
    /// The request itself, if not one byte of it was written.
    pub request: Option<Request<Body>>,
    /// Why.
    pub error: hyper::Error,
}

impl Pool {
    /// Takes a live connection, if there is one. Dead ones met on the way are dropped.
    pub fn take(&self, context: &mut Context<'_>) -> Option<Box<Pair>> {
        loop {
            let mut pair = self.0.lock().pop()?;
            if pair.is_usable(context) {
                return Some(pair);
            }
        }
    }

    /// Keeps a connection for later unless `limit` are kept already.
    fn put(&self, mut pair: Box<Pair>, limit: usize) {
        let mut idle = self.0.lock();
        if idle.len() < limit {
            pair.idle_since = Instant::now();
            idle.push(pair);
        }
    }

    /// Drops connections that are dead or idle for longer than `timeout`.
    pub(in crate::upstream) fn sweep(&self, now: Instant, timeout: Option<Duration>) {
        let expired = |pair: &Pair| {
            timeout.is_some_and(|limit| now.saturating_duration_since(pair.idle_since) > limit)
        };
        let mut dead = Vec::new();
        let mut idle = self.0.lock();
        let mut context = Context::from_waker(Waker::noop());
        let mut index = 0;
        while let Some(pair) = idle.get_mut(index) {
            if expired(pair) || !pair.is_usable(&mut context) {
                dead.push(idle.remove(index));
            } else {
                index += 1;
            }
        }
        drop(idle);
    }

    /// The number of idle connections.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether no connection is idle.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Pair {
    /// Begins to speak HTTP/1.1 on `stream`.
    pub async fn handshake(stream: Stream) -> hyper::Result<Box<Self>> {
        let (sender, connection) = builder().handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self { sender, connection, idle_since: Instant::now() }))
    }

    /// Whether an idle connection can take a request: not closed by its server, no surplus bytes.
    fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        Pin::new(&mut self.connection).poll(context).is_pending() && self.sender.is_ready()
    }

    /// Sends `request` and waits for the response head. The pair comes back with it, for the body.
    pub async fn send(
        mut self: Box<Self>,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, Box<Self>), Box<Unanswered>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let mut ended = false;
        let answer = std::future::poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            if !ended {
                ended = Pin::new(&mut *connection).poll(context).is_ready();
            }
            answer.as_mut().poll(context)
        })
        .await;
        match answer {
            Ok(response) => Ok((response, self)),
            Err(mut error) => {
                let request = error.take_message();
                Err(Box::new(Unanswered { request, error: error.into_error() }))
            }
        }
    }
}

/// The settings of every HTTP/1.1 connection to a server.
pub fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Traefik: header names go out in canonical form, `X-Foo`; some old servers depend on it.
    // hyper's own limit of 100 fields holds: another one costs an allocation of its own for each head.
    builder.title_case_headers(true).max_buf_size(MAX_HEAD);
    builder
}

/// Bytes buffered for one connection, so also the largest response head.
const MAX_HEAD: usize = 256 * 1024;

/// The body of a response on its way; gives the connection back at its end.
pub struct PooledBody {
    incoming: Incoming,
    pair: Option<Box<Pair>>,
    endpoint: Arc<Endpoint>,
}

impl PooledBody {
    /// The body of `response` with the connection that it comes from.
    pub fn new(incoming: Incoming, pair: Box<Pair>, endpoint: Arc<Endpoint>) -> Self {
        Self { incoming, pair: Some(pair), endpoint }
    }

    /// Gives the connection back if it has come to a clean end of both messages.
    pub fn release(&mut self, context: &mut Context<'_>) {
        let limit = self.endpoint.transport.idle_per_worker;
        if let Some(mut pair) = self.pair.take()
            && limit > 0
            && pair.is_usable(context)
        {
            self.endpoint.h1.here().put(pair, limit);
        }
    }

    fn poll_connection(&mut self, context: &mut Context<'_>) {
        let ended = self
            .pair
            .as_mut()
            .is_some_and(|pair| Pin::new(&mut pair.connection).poll(context).is_ready());
        if ended {
            self.pair = None;
        }
    }
}

impl http_body::Body for PooledBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut frame = Pin::new(&mut this.incoming).poll_frame(context);
        if frame.is_pending() {
            this.poll_connection(context);
            frame = Pin::new(&mut this.incoming).poll_frame(context);
        }
        match &frame {
            Poll::Ready(Some(Ok(_))) if !this.incoming.is_end_stream() => {}
            Poll::Ready(Some(Err(_))) => this.pair = None,
            Poll::Ready(_) => this.release(context),
            Poll::Pending => {}
        }
        frame.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
