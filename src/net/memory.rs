//! Memory against the limit of the control group: near it nothing new is begun, so that the kernel does not end the process
//! with all that it serves.
//!
//! What is free within the process looks used to the kernel, so use alone must not decide: at the limit a quarter of the
//! connections has to go before others come, and the room that they leave is used again.

mod group;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use group::Group;

/// From this share of the limit, in percent, no connection is taken.
const TIGHT: u64 = 85;
/// From this one, what a client sends without end is not read any more.
const CRITICAL: u64 = 92;

/// How often use is looked at, far from the limit and near it.
const FAR: Duration = Duration::from_millis(100);
const NEAR: Duration = Duration::from_millis(20);

/// So many connections are always taken; health checks among them.
const ALWAYS: usize = 64;

/// Bytes of a request for which no answer has begun, that are read even if memory is critical.
const ALLOWED: usize = 4096;

/// After so many bytes that clients may have filled, use is looked at on the spot: a crowd is faster than any clock.
const LOOK: usize = 1 << 20;

/// What a connection is taken to fill before anything of it was read.
const CONNECTION: usize = 16 * 1024;

/// The group, once it was found.
static GROUP: Mutex<Option<Group>> = Mutex::new(None);
/// Bytes that clients may have filled since the last look.
static SINCE: AtomicUsize = AtomicUsize::new(0);
static PRESSURE: AtomicU8 = AtomicU8::new(Pressure::None as u8);
static OPEN: AtomicUsize = AtomicUsize::new(0);
static CEILING: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Pressure {
    None,
    Tight,
    Critical,
}

/// Looks at memory as long as the process runs, on a thread of its own: where clients fill memory, the workers have all
/// cores, and the runtime of control, which yields to them, would look too late.
pub fn watch() -> io::Result<()> {
    std::thread::Builder::new().name("memory".into()).stack_size(64 * 1024).spawn(watch_forever)?;
    Ok(())
}

fn watch_forever() {
    let mut looks = 0u32;
    loop {
        // Whoever started the process may move it to another group.
        if looks.is_multiple_of(10) {
            let (found, mut group) = (Group::find(), GROUP.lock());
            if let Some(found) = found.as_ref().filter(|found| group.as_ref() != Some(*found)) {
                tracing::info!("memory is limited to {} MiB", found.limit >> 20);
            }
            *group = found;
        }
        looks = looks.wrapping_add(1);
        let percent = look(GROUP.lock().as_ref());
        std::thread::sleep(if percent < 50 { FAR } else { NEAR });
    }
}

/// Looks at use now; returns it in percent of the limit.
fn look(group: Option<&Group>) -> u64 {
    SINCE.store(0, Relaxed);
    let percent = group.and_then(Group::percent).unwrap_or_default();
    note(percent);
    percent
}

/// Clients may have filled so many bytes more.
fn filled(bytes: usize) {
    if SINCE.fetch_add(bytes, Relaxed) + bytes >= LOOK
        && let Some(group) = GROUP.try_lock()
        && group.is_some()
    {
        look(group.as_ref());
    }
}

fn note(percent: u64) {
    let pressure = match percent {
        CRITICAL.. => Pressure::Critical,
        TIGHT.. => Pressure::Tight,
        _ => Pressure::None,
    };
    let before = PRESSURE.swap(pressure as u8, Relaxed);
    let few = (OPEN.load(Relaxed) / 4 * 3).max(ALWAYS);
    match pressure {
        Pressure::None => CEILING.store(usize::MAX, Relaxed),
        Pressure::Tight if before == Pressure::None as u8 => CEILING.store(few, Relaxed),
        Pressure::Critical => drop(CEILING.fetch_min(few, Relaxed)),
        Pressure::Tight => {}
    }
    let was_none = before == Pressure::None as u8;
    if was_none != (pressure == Pressure::None) {
        match pressure {
            Pressure::None => tracing::info!("memory is at {percent} % of its limit again"),
            _ => {
                tracing::warn!(
                    "memory is at {percent} % of its limit; new connections are refused"
                );
            }
        }
    }
}

/// How many connections were refused or ended because memory was short.
pub fn refused() -> u64 {
    REFUSED.load(Relaxed)
}

/// A connection that was let in; it counts until it is dropped.
#[derive(Debug)]
pub struct Admitted(());

/// Lets a connection in, unless memory is short.
pub fn admit() -> Option<Admitted> {
    filled(CONNECTION);
    let open = OPEN.fetch_add(1, Relaxed);
    let admitted = Admitted(());
    if open >= CEILING.load(Relaxed) {
        REFUSED.fetch_add(1, Relaxed);
        return None;
    }
    Some(admitted)
}

impl Drop for Admitted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

/// A client's stream. If memory is critical it breaks off where more is read than is answered, which is what heads and
/// bodies do that fill buffers.
#[derive(Debug)]
pub struct Bounded<S> {
    stream: S,
    unanswered: usize,
}

impl<S> Bounded<S> {
    /// Nothing was read yet.
    pub fn new(stream: S) -> Self {
        Self { stream, unanswered: 0 }
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(_))) {
            self.unanswered = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unanswered >= ALLOWED && PRESSURE.load(Relaxed) == Pressure::Critical as u8 {
            REFUSED.fetch_add(1, Relaxed);
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        this.unanswered = this.unanswered.saturating_add(count);
        if this.unanswered > ALLOWED {
            filled(count);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.wrote(&written);
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
