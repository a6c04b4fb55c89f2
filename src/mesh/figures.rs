//! Golden metrics of calls, from both sides.

mod families;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::policy::Counts;
use crate::net::copy::Copied;
use crate::tls::spiffe::Id;

/// Whose figures they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reporter {
    /// The node of whoever calls.
    Source,
    /// The node of whoever is called.
    Destination,
}

/// The two ends of calls that count together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ends {
    /// Whose figures they are.
    pub reporter: Reporter,
    /// Who calls.
    pub source: Id,
    /// Who is called.
    pub destination: Id,
    /// As which service.
    pub service: Arc<str>,
}

/// What was counted of all calls.
#[derive(Debug, Default)]
pub struct Figures {
    series: Mutex<HashMap<Ends, Arc<Series>>>,
    /// Handshakes that failed where tunnels arrive, by reason.
    failures: Mutex<BTreeMap<&'static str, u64>>,
    /// By policy, as configured; the default has the empty name.
    policies: Mutex<BTreeMap<Box<str>, Arc<Counts>>>,
}

/// What was counted of calls between two ends.
#[derive(Debug, Default)]
pub struct Series {
    opened: AtomicU64,
    closed: AtomicU64,
    /// From the caller.
    received: AtomicU64,
    /// To the caller.
    sent: AtomicU64,
    /// By status.
    requests: Mutex<BTreeMap<u16, Requests>>,
    used: Mutex<Option<Instant>>,
}

/// Requests with one status.
#[derive(Clone, Debug, Default)]
struct Requests {
    count: u64,
    seconds: f64,
    /// By the first of [`BUCKETS`] that is not exceeded.
    buckets: [u64; BUCKETS.len()],
}

/// Upper bounds in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.3, 1.0, 5.0, 30.0];

/// Series that are kept; identities are proven, so that only the mesh itself could make more.
const MOST: usize = 10_000;

/// Series without a call are forgotten after it.
const UNUSED: Duration = Duration::from_mins(10);

impl Figures {
    /// Counts a call until what this gives is dropped.
    pub fn open(&self, ends: Ends) -> Opened {
        let series = self.series(ends);
        series.opened.fetch_add(1, Relaxed);
        Opened { series }
    }

    /// What counts for two ends.
    pub fn series(&self, ends: Ends) -> Arc<Series> {
        let mut all = self.series.lock();
        let full = all.len() >= MOST;
        match all.get(&ends) {
            Some(series) => Arc::clone(series),
            // Counted, and not shown.
            None if full => Arc::default(),
            None => Arc::clone(all.entry(ends).or_default()),
        }
    }

    /// What counts for the policy of this name; the empty name is the default's.
    pub fn policy(&self, name: &str) -> Arc<Counts> {
        Arc::clone(self.policies.lock().entry(name.into()).or_default())
    }

    /// A handshake failed where tunnels arrive.
    pub fn failed(&self, reason: &'static str) {
        *self.failures.lock().entry(reason).or_default() += 1;
    }

    /// Forgets series that nobody has used for a while.
    pub fn sweep(&self, now: Instant) {
        self.series.lock().retain(|_, series| {
            let open = Arc::strong_count(series) > 1;
            let mut used = series.used.lock();
            let last = *used.get_or_insert(now);
            if open {
                *used = Some(now);
            }
            open || now.saturating_duration_since(last) < UNUSED
        });
    }
}

/// A call that goes on.
#[derive(Debug)]
pub struct Opened {
    series: Arc<Series>,
}

impl Series {
    /// A request was answered.
    pub fn request(&self, status: StatusCode, took: Duration) {
        let mut requests = self.requests.lock();
        let sum = requests.entry(status.as_u16()).or_default();
        sum.count += 1;
        let seconds = took.as_secs_f64();
        sum.seconds += seconds;
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound);
        if let Some(count) = bucket.and_then(|index| sum.buckets.get_mut(index)) {
            *count += 1;
        }
    }
}

impl Opened {
    /// A request of the call was answered.
    pub fn request(&self, status: StatusCode, took: Duration) {
        self.series.request(status, took);
    }

    /// Adds the bytes of the call.
    pub fn close(self, copied: Copied) {
        self.add(copied.forth, copied.back);
    }

    fn add(&self, received: u64, sent: u64) {
        self.series.received.fetch_add(received, Relaxed);
        self.series.sent.fetch_add(sent, Relaxed);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.series.closed.fetch_add(1, Relaxed);
    }
}

/// A stream of a caller, whose bytes are counted.
#[derive(Debug)]
pub struct Counting<S> {
    stream: S,
    opened: Opened,
}

impl<S> Counting<S> {
    /// Counts the bytes of `stream`: what is written is what the caller sends.
    pub fn new(stream: S, opened: Opened) -> Self {
        Self { stream, opened }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.opened.add(0, (buffer.filled().len() - before) as u64);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            this.opened.add(count as u64, 0);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(count)) = written {
            this.opened.add(count as u64, 0);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
