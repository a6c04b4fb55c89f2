//! What a client connection is doing, so that one lazy timer can watch over all its deadlines.
//!
//! A timer for every request costs more than the rest of the bookkeeping. Instead the connection notes its phase and when
//! it began (two relaxed stores), and its task arms one timer that, when it fires, looks whether the deadline has moved.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use portcullis_middlewares::message::{Body, BodyError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection is doing and since when.
#[derive(Debug)]
pub struct Activity {
    phase: AtomicU8,
    rest: Phase,
    requests: AtomicU32,
    since: AtomicU64,
    stalled: AtomicU64,
}

/// The phases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Between requests; the next byte begins a head.
    Idle,
    /// Between the requests of a connection whose bytes may mean anything (h2).
    Quiet,
    /// Bytes of a head have come.
    Head,
    /// A request is answered while its body still comes.
    Body,
    /// A request is answered and all of it has come.
    Answer,
    /// The connection speaks something else now.
    Upgraded,
}

/// The limits that belong to the phases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Of [`Phase::Idle`] and [`Phase::Quiet`].
    pub idle: Option<Duration>,
    /// Of [`Phase::Head`] and [`Phase::Body`] together.
    pub read: Option<Duration>,
    /// Of [`Phase::Answer`].
    pub write: Option<Duration>,
}

/// A client that takes no byte of a response for this long is gone. Traefik has no such limit unless `writeTimeout` is set;
/// without one a reader that stalls holds its buffers for ever.
const STALL: Duration = Duration::from_secs(60);

/// Nanoseconds since the process first asked; never 0.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

impl Activity {
    /// A connection that has just been accepted; its first head is awaited. `rest` is its phase between requests.
    pub fn new(rest: Phase) -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Head as u8),
            rest,
            requests: AtomicU32::new(0),
            since: AtomicU64::new(now()),
            stalled: AtomicU64::new(0),
        })
    }

    /// Enters `phase` now.
    pub fn enter(&self, phase: Phase) {
        self.since.store(now(), Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    /// Lets the time of `phase` begin anew if the connection is in it.
    pub fn restart(&self, phase: Phase) {
        if self.phase.load(Relaxed) == phase as u8 {
            self.enter(phase);
        }
    }

    /// Enters `phase`, whose time runs on from the one before.
    pub fn go_on(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Whether the connection speaks h2 or another protocol whose bytes may mean anything.
    fn is_shared(&self) -> bool {
        self.rest == Phase::Quiet
    }

    /// A request begins; it ends when the answer is dropped.
    pub fn begin_request(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Relaxed);
        if self.is_shared() {
            self.go_on(Phase::Answer);
        }
        Busy(Arc::clone(self))
    }

    /// Nanoseconds on the clock of [`Activity`] of the nearest deadline, if there is one.
    pub fn deadline(&self, limits: &Limits) -> Option<u64> {
        let phase = self.phase.load(Relaxed);
        let limit = if phase == self.rest as u8 {
            limits.idle
        } else if phase == Phase::Answer as u8 {
            limits.write.filter(|_| !self.is_shared())
        } else if phase == Phase::Upgraded as u8 {
            None
        } else {
            limits.read
        };
        let after = |since: u64, limit: Duration| since.saturating_add(limit.as_nanos() as u64);
        let of_phase = limit.map(|limit| after(self.since.load(Relaxed), limit));
        let of_stall = match self.stalled.load(Relaxed) {
            0 => None,
            since => Some(after(since, STALL)),
        };
        match (of_phase, of_stall) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn wrote<T>(&self, result: &Poll<io::Result<T>>) {
        match (result.is_pending(), self.stalled.load(Relaxed)) {
            (true, 0) => self.stalled.store(now(), Relaxed),
            (false, since) if since != 0 => self.stalled.store(0, Relaxed),
            _ => {}
        }
    }
}

/// A request that is answered on a connection.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Busy {
    /// The connection has left HTTP.
    pub fn upgraded(&self) {
        self.0.go_on(Phase::Upgraded);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let last = self.0.requests.fetch_sub(1, Relaxed) == 1;
        if last && self.0.phase.load(Relaxed) != Phase::Upgraded as u8 {
            self.0.enter(self.0.rest);
        }
    }
}

/// Watches over one connection's deadlines with one timer that is armed seldom.
#[derive(Debug, Default)]
pub struct Watch {
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    armed: u64,
}

impl Watch {
    /// Ready when a deadline of `activity` has passed.
    pub fn poll_expired(
        &mut self,
        context: &mut Context<'_>,
        activity: &Activity,
        limits: &Limits,
    ) -> Poll<()> {
        loop {
            let Some(deadline) = activity.deadline(limits) else { return Poll::Pending };
            if self.timer.is_none() || deadline < self.armed {
                self.arm(deadline);
            }
            let Some(timer) = &mut self.timer else { return Poll::Pending };
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if deadline <= now() {
                return Poll::Ready(());
            }
            self.arm(deadline);
        }
    }

    fn arm(&mut self, deadline: u64) {
        let left = Duration::from_nanos(deadline.saturating_sub(now()));
        // Timers count milliseconds; one more, so that the deadline has passed when it fires.
        let when = tokio::time::Instant::now() + left + Duration::from_millis(1);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(when),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(when))),
        }
        self.armed = deadline;
    }
}

/// A client's byte stream whose reads and writes note their activity.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    /// Watches `stream`.
    pub fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(context, buffer);
        let activity = &this.activity;
        if result.is_ready()
            && buffer.filled().len() > before
            && activity.phase.load(Relaxed) == Phase::Idle as u8
        {
            activity.enter(Phase::Head);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.activity.wrote(&result);
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.activity.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(context);
        this.activity.wrote(&result);
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// A request body that counts its bytes and notes its end, so that the limit for reading ends with it; over h2, where
/// one stream must not close the connection, it has the limit itself.
pub struct ReadBody {
    body: Body,
    activity: Arc<Activity>,
    bytes: Arc<AtomicU64>,
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl ReadBody {
    /// The body of an HTTP/1 request: the connection keeps the limit.
    pub fn of_connection(body: Body, activity: Arc<Activity>, bytes: Arc<AtomicU64>) -> Self {
        Self { body, activity, bytes, deadline: None }
    }

    /// The body of an h2 stream, which must end within `limit`.
    pub fn of_stream(
        body: Body,
        activity: Arc<Activity>,
        bytes: Arc<AtomicU64>,
        limit: Option<Duration>,
    ) -> Self {
        let deadline = limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
        Self { body, activity, bytes, deadline }
    }

    fn ended(&mut self) {
        self.deadline = None;
        if self.activity.phase.load(Relaxed) == Phase::Body as u8 {
            self.activity.enter(Phase::Answer);
        }
    }
}

impl http_body::Body for ReadBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let count = frame.data_ref().map_or(0, Bytes::len);
                this.bytes.fetch_add(count as u64, Relaxed);
                if this.body.is_end() {
                    this.ended();
                }
            }
            Poll::Ready(_) => this.ended(),
            Poll::Pending => {
                if let Some(deadline) = &mut this.deadline
                    && deadline.as_mut().poll(context).is_ready()
                {
                    return Poll::Ready(Some(Err("the request body took too long".into())));
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
