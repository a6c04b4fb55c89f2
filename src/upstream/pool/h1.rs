//! HTTP/1.1 connections: polled by the task of the request that uses them.
//!
//! A request takes a connection out of the pool, the body of its response goes on with it, and at its end the connection
//! returns. No task and no channel hop between tasks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use portcullis_middlewares::message::BodyError;

use crate::h1::client::Client;
use crate::upstream::dial::Stream;
use crate::upstream::endpoint::Endpoint;

/// Idle connections of one worker; the last one used is the first one taken.
#[derive(Debug, Default)]
#[allow(clippy::vec_box, reason = "connections are large and change hands with every request")]
pub struct Pool(Mutex<Vec<Box<Pooled>>>);

/// A connection to a server.
#[derive(Debug)]
pub struct Pooled {
    /// The connection itself.
    pub client: Client<Stream>,
    idle_since: Instant,
}

impl Pooled {
    /// Begins to speak HTTP/1.1 on `stream`.
    pub fn new(stream: Stream) -> Box<Self> {
        Box::new(Self { client: Client::new(stream), idle_since: Instant::now() })
    }
}

impl Pool {
    /// Takes a live connection, if there is one. Dead ones met on the way are dropped.
    pub fn take(&self, context: &mut Context<'_>) -> Option<Box<Pooled>> {
        loop {
            let mut pooled = self.0.lock().pop()?;
            if pooled.client.is_usable(context) {
                return Some(pooled);
            }
        }
    }

    /// Keeps a connection for later unless `limit` are kept already.
    fn put(&self, mut pooled: Box<Pooled>, limit: usize) {
        let mut idle = self.0.lock();
        if idle.len() < limit {
            pooled.idle_since = Instant::now();
            idle.push(pooled);
        }
    }

    /// Drops connections that are dead or idle for longer than `timeout`.
    pub(in crate::upstream) fn sweep(&self, now: Instant, timeout: Option<Duration>) {
        let expired = |pooled: &Pooled| {
            timeout.is_some_and(|limit| now.saturating_duration_since(pooled.idle_since) > limit)
        };
        let mut dead = Vec::new();
        let mut idle = self.0.lock();
        let mut context = Context::from_waker(Waker::noop());
        let mut index = 0;
        while let Some(pooled) = idle.get_mut(index) {
            if expired(pooled) || !pooled.client.is_usable(&mut context) {
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

/// Gives a connection back to the pool of `endpoint` if it has come to a clean end of both messages.
pub fn release(mut pooled: Box<Pooled>, endpoint: &Endpoint, context: &mut Context<'_>) {
    let limit = endpoint.transport.idle_per_worker;
    if limit > 0 && pooled.client.is_usable(context) {
        endpoint.h1.here().put(pooled, limit);
    }
}

/// The body of a response on its way; gives the connection back at its end.
pub struct PooledBody {
    pooled: Option<Box<Pooled>>,
    endpoint: Arc<Endpoint>,
}

impl PooledBody {
    /// The body that comes on `pooled`.
    pub fn new(pooled: Box<Pooled>, endpoint: Arc<Endpoint>) -> Self {
        Self { pooled: Some(pooled), endpoint }
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
        let Some(pooled) = &mut this.pooled else { return Poll::Ready(None) };
        let frame = pooled.client.poll_body(context);
        match &frame {
            Poll::Ready(Some(Err(_))) => this.pooled = None,
            Poll::Ready(_) if pooled.client.is_end() => {
                if let Some(pooled) = this.pooled.take() {
                    release(pooled, &this.endpoint, context);
                }
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        frame.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.pooled.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.pooled.as_ref().map_or(Some(0), |pooled| pooled.client.left());
        left.map(SizeHint::with_exact).unwrap_or_default()
    }
}
