//! Copying between two byte streams, both ways in one task.
//!
//! Bytes are read into one buffer that all connections of a thread share and are written on at once. A connection has
//! memory of its own only while its receiver is slower than its sender, so an idle one costs none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the buffer that the connections of a thread share; also the most that one of them keeps for a slow receiver.
const BUFFER: usize = 64 * 1024;

/// How long one way may go on after the other has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// That long in all.
    For(Duration),
    /// Until it ends by itself.
    Forever,
}

/// Bytes that were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// From the first stream to the second.
    pub forth: u64,
    /// From the second stream to the first.
    pub back: u64,
}

/// Copies between `a` and `b` until both have ended, or one has and the other used up its time. The end of one stream is
/// passed on to the other by shutting its writing side. `copied` is up to date also when the future is dropped early.
pub async fn both<A, B>(a: &mut A, b: &mut B, linger: Linger, copied: &mut Copied)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut forth, mut back) = (Way::new(&mut copied.forth), Way::new(&mut copied.back));
    poll_fn(|context| {
        forth.poll(context, a, b);
        back.poll(context, b, a);
        if forth.has_ended() || back.has_ended() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let rest = poll_fn(|context| {
        forth.poll(context, a, b);
        back.poll(context, b, a);
        if forth.has_ended() && back.has_ended() { Poll::Ready(()) } else { Poll::Pending }
    });
    match linger {
        Linger::Forever => rest.await,
        // An error means that the time is up.
        Linger::For(limit) => drop(tokio::time::timeout(limit, pin!(rest)).await),
    }
}

/// One direction.
#[derive(Debug)]
struct Way<'c> {
    state: State,
    /// Bytes that the receiver took.
    count: &'c mut u64,
    /// What was read and the receiver did not take yet, from `taken` on.
    rest: Vec<u8>,
    taken: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes go.
    Open,
    /// Bytes may wait in the receiver, which must be asked to send them.
    Unflushed,
    /// The sender has ended; the receiver is to be told.
    Ending,
    /// The receiver knows, or takes no more.
    Ended,
}

impl<'c> Way<'c> {
    fn new(count: &'c mut u64) -> Self {
        Self { state: State::Open, count, rest: Vec::new(), taken: 0 }
    }

    fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn poll<R, W>(&mut self, context: &mut Context<'_>, from: &mut R, to: &mut W)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.has_ended() {
            return;
        }
        let moved = with_buffer(|buffer| self.go(context, from, to, buffer));
        // Whoever cannot be written to any more is not told of an end either.
        if moved.is_ready() {
            self.state = State::Ended;
            self.rest = Vec::new();
        }
    }

    /// Ready when the way has ended, well or not.
    fn go<R, W>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        buffer: &mut [u8],
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.write_rest(context, to))?;
            if self.state == State::Ending {
                return Pin::new(to).poll_shutdown(context);
            }
            let filled = self.fill(context, from, buffer);
            let Some(read) = buffer.get(..filled).filter(|read| !read.is_empty()) else {
                if self.state == State::Ending {
                    continue;
                }
                return self.rest_until_more(context, to);
            };
            if self.state == State::Open {
                self.state = State::Unflushed;
            }
            let written = write(context, to, read, self.count)?;
            self.rest.extend_from_slice(read.get(written..).unwrap_or_default());
        }
    }

    fn write_rest<W>(&mut self, context: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        let rest = self.rest.get(self.taken..).unwrap_or_default();
        if rest.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let (length, written) = (rest.len(), write(context, to, rest, self.count)?);
        if written < length {
            self.taken += written;
            return Poll::Pending;
        }
        self.rest.clear();
        self.taken = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads what there is; notes if it was the last. Traefik: a broken sender counts as one that has ended.
    fn fill<R>(&mut self, context: &mut Context<'_>, from: &mut R, buffer: &mut [u8]) -> usize
    where
        R: AsyncRead + Unpin,
    {
        let mut into = ReadBuf::new(buffer);
        while into.remaining() > 0 {
            let before = into.filled().len();
            match Pin::new(&mut *from).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if into.filled().len() > before => {}
                Poll::Ready(_) => {
                    self.state = State::Ending;
                    break;
                }
                Poll::Pending => break,
            }
        }
        into.filled().len()
    }

    /// Nothing is left to do: gives memory back, and has the receiver send what it holds.
    fn rest_until_more<W>(&mut self, context: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        self.rest = Vec::new();
        if self.state == State::Unflushed && Pin::new(to).poll_flush(context)?.is_ready() {
            self.state = State::Open;
        }
        Poll::Pending
    }
}

/// Writes as much as the receiver takes now; it wakes the task when it takes more.
fn write<W>(
    context: &mut Context<'_>,
    to: &mut W,
    bytes: &[u8],
    count: &mut u64,
) -> io::Result<usize>
where
    W: AsyncWrite + Unpin,
{
    let mut written = 0;
    while let Some(left) = bytes.get(written..).filter(|left| !left.is_empty()) {
        match Pin::new(&mut *to).poll_write(context, left) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(taken)) => {
                written += taken;
                *count += taken as u64;
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
    }
    Ok(written)
}

fn with_buffer<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static SHARED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SHARED.with(|shared| match shared.try_borrow_mut() {
        Ok(mut buffer) => {
            if buffer.is_empty() {
                buffer.resize(BUFFER, 0);
            }
            work(&mut buffer)
        }
        // A stream that copies between streams of its own while it is read.
        Err(_) => work(&mut vec![0; BUFFER]),
    })
}

#[cfg(test)]
mod tests;
