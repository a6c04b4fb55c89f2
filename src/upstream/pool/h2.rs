//! h2 connections: shared by many requests, so each has a driver task on its worker.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use portcullis_middlewares::message::Body;

use crate::net::task;
use crate::upstream::dial::Stream;
use crate::upstream::transport::Transport;

/// The h2 connections of one worker to one server.
#[derive(Debug, Default)]
pub struct Pool {
    shared: Mutex<Vec<Shared>>,
    /// Held while a connection is made, so that a burst makes one and not many.
    pub(in crate::upstream) dialling: tokio::sync::Mutex<()>,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Shared {
    sender: SendRequest<Body>,
    streams: Arc<AtomicUsize>,
    used: Arc<Mutex<Instant>>,
}

/// A stream's share of a connection; counted until dropped.
#[derive(Debug)]
pub struct Stake(Arc<AtomicUsize>);

impl Drop for Stake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Streams on one connection before another one is made; common servers allow 100 or more.
const STREAMS: usize = 100;

/// Connections of one worker to one server.
const CONNECTIONS: usize = 16;

impl Pool {
    /// Whether a live connection exists.
    pub fn has_connection(&self) -> bool {
        self.shared.lock().iter().any(|connection| !connection.sender.is_closed())
    }

    /// A sender with room for a stream, if there is one.
    pub fn take(&self) -> Option<(SendRequest<Body>, Stake)> {
        let mut shared = self.shared.lock();
        shared.retain(|connection| !connection.sender.is_closed());
        let full = shared.len() >= CONNECTIONS;
        let free = shared.iter().min_by_key(|c| c.streams.load(Ordering::Relaxed))?;
        let streams = free.streams.load(Ordering::Relaxed);
        if streams >= STREAMS && !full {
            return None;
        }
        Some(free.stake())
    }

    /// Begins to speak h2 on `stream` and shares the connection.
    pub async fn handshake(
        &self,
        stream: Stream,
        transport: &Transport,
    ) -> hyper::Result<(SendRequest<Body>, Stake)> {
        let mut builder = http2::Builder::new(OnThisWorker);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_header_list_size(256 * 1024)
            .keep_alive_interval(transport.ping_after)
            .keep_alive_timeout(transport.ping_timeout);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        task::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "h2 connection to a server ended");
            }
        });
        let streams = Arc::default();
        let shared = Shared { sender, streams, used: Arc::new(Mutex::new(Instant::now())) };
        let stake = shared.stake();
        self.shared.lock().push(shared);
        Ok(stake)
    }

    /// Drops connections that are closed or without streams for longer than `timeout`.
    pub(in crate::upstream) fn sweep(&self, now: Instant, timeout: Option<Duration>) {
        self.shared.lock().retain(|connection| {
            let idle = connection.streams.load(Ordering::Relaxed) == 0
                && timeout.is_some_and(|limit| {
                    now.saturating_duration_since(*connection.used.lock()) > limit
                });
            !idle && !connection.sender.is_closed()
        });
    }
}

impl Shared {
    fn stake(&self) -> (SendRequest<Body>, Stake) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        *self.used.lock() = Instant::now();
        (self.sender.clone(), Stake(Arc::clone(&self.streams)))
    }
}

/// Runs hyper's h2 tasks on the worker of the connection.
#[derive(Clone, Copy, Debug)]
pub struct OnThisWorker;

impl<F> hyper::rt::Executor<F> for OnThisWorker
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        task::spawn(future);
    }
}
