//! h2 connections: shared by many requests, so each has a driver task on its worker.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use portcullis_middlewares::message::Body;

use crate::net::task;
use crate::upstream::dial::Stream;
use crate::upstream::forward::Failure;
use crate::upstream::transport::Transport;

/// The h2 connections of one worker to one server.
#[derive(Debug, Default)]
pub struct Pool {
    shared: Mutex<Vec<Shared>>,
    /// Whether the server chose h2 when it was last asked.
    spoken: AtomicBool,
    /// Held while a connection is made, so that a burst makes one and not many; holds how the last dial failed, if it did.
    pub(in crate::upstream) dialling: tokio::sync::Mutex<Option<(Instant, Failure)>>,
}

/// One connection.
#[derive(Clone, Debug)]
struct Shared {
    sender: SendRequest<Body>,
    usage: Arc<Usage>,
}

/// How a connection is used.
#[derive(Debug)]
struct Usage {
    streams: AtomicUsize,
    /// When a stream last began or ended.
    last: Mutex<Instant>,
}

/// A stream's share of a connection; counted until dropped.
#[derive(Debug)]
pub struct Stake(Shared);

impl Stake {
    /// Sends on the connection.
    pub fn sender(&mut self) -> &mut SendRequest<Body> {
        &mut self.0.sender
    }
}

impl Drop for Stake {
    fn drop(&mut self) {
        *self.0.usage.last.lock() = Instant::now();
        self.0.usage.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Streams on one connection before another one is made; common servers allow 100 or more.
const STREAMS: usize = 100;

/// Connections of one worker to one server.
const CONNECTIONS: usize = 16;

impl Pool {
    /// Whether the server chose h2 when it was last asked.
    pub fn is_spoken(&self) -> bool {
        self.spoken.load(Ordering::Relaxed)
    }

    /// Notes that the server chose another protocol.
    pub(in crate::upstream) fn is_spoken_no_more(&self) {
        self.spoken.store(false, Ordering::Relaxed);
    }

    /// A connection with room for a stream, if there is one.
    pub fn take(&self) -> Option<Stake> {
        let mut shared = self.shared.lock();
        shared.retain(|connection| !connection.sender.is_closed());
        let full = shared.len() >= CONNECTIONS;
        let free = shared.iter().min_by_key(|connection| connection.streams())?;
        (free.streams() < STREAMS || full).then(|| free.stake())
    }

    /// Takes no more streams on the connection of `stake`; those that run go on.
    pub(in crate::upstream) fn forget(&self, stake: &Stake) {
        self.shared.lock().retain(|known| !Arc::ptr_eq(&known.usage, &stake.0.usage));
    }

    /// Begins to speak h2 on `stream` and shares the connection.
    pub async fn handshake(&self, stream: Stream, transport: &Transport) -> hyper::Result<Stake> {
        let mut builder = http2::Builder::new(OnThisWorker);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_header_list_size(256 * 1024)
            .keep_alive_interval(transport.ping_after)
            .keep_alive_timeout(transport.ping_timeout)
            .keep_alive_while_idle(transport.ping_after.is_some());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        task::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "h2 connection to a server ended");
            }
        });
        let usage = Usage { streams: AtomicUsize::new(0), last: Mutex::new(Instant::now()) };
        let shared = Shared { sender, usage: Arc::new(usage) };
        let stake = shared.stake();
        self.shared.lock().push(shared);
        self.spoken.store(true, Ordering::Relaxed);
        Ok(stake)
    }

    /// Drops connections that are closed or without streams for longer than `timeout`.
    pub(in crate::upstream) fn sweep(&self, now: Instant, timeout: Option<Duration>) {
        self.shared.lock().retain(|connection| {
            let silent = now.saturating_duration_since(*connection.usage.last.lock());
            let idle = connection.streams() == 0 && timeout.is_some_and(|limit| silent > limit);
            !idle && !connection.sender.is_closed()
        });
    }

    /// The number of connections.
    pub fn len(&self) -> usize {
        self.shared.lock().len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shared {
    fn streams(&self) -> usize {
        self.usage.streams.load(Ordering::Relaxed)
    }

    fn stake(&self) -> Stake {
        self.usage.streams.fetch_add(1, Ordering::Relaxed);
        *self.usage.last.lock() = Instant::now();
        Stake(self.clone())
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
