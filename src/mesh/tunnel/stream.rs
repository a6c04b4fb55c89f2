//! `TunnelStream`: one stream of a tunnel as bytes both ways.

use std::any::Any;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are taken from a writer at a time.
const CHUNK: usize = 128 << 10;

/// One stream of a tunnel as bytes both ways. What was received counts against the peer's window until it has been read
/// here, so that whoever reads slowly slows down its own sender and nobody else.
pub struct TunnelStream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// Received and not read yet.
    rest: Bytes,
    ended: bool,
    /// What must live as long as the stream.
    _held: Box<dyn Any + Send + Sync>,
}

impl TunnelStream {
    /// A stream whose `CONNECT` was accepted; `held` is dropped with it.
    pub fn new(send: SendStream<Bytes>, receive: RecvStream, held: impl Any + Send + Sync) -> Self {
        Self { send, receive, rest: Bytes::new(), ended: false, _held: Box::new(held) }
    }

    /// Waits until the peer takes more bytes; gives how many of `wanted`.
    fn poll_room(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let wanted = wanted.min(CHUNK);
        self.send.reserve_capacity(wanted);
        loop {
            let room = self.send.capacity().min(wanted);
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match ready!(self.send.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(&error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.send.send_data(bytes, false).map_err(|error| broken(&error))
    }
}

/// A failure of a stream as one of a connection.
fn broken(error: &h2::Error) -> io::Error {
    let kind = match error.reason() {
        Some(Reason::NO_ERROR | Reason::CANCEL | Reason::STREAM_CLOSED) => {
            io::ErrorKind::BrokenPipe
        }
        _ => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, format!("tunnel: {error}"))
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        while this.rest.is_empty() {
            match ready!(this.receive.poll_data(context)) {
                Some(Ok(bytes)) => this.rest = bytes,
                // Whoever has said all, and wants to hear no more, resets without an error (RFC 9113 section 8.1).
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => {
                    let error = io::Error::new(io::ErrorKind::ConnectionReset, error.to_string());
                    return Poll::Ready(Err(error));
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.rest.len().min(buffer.remaining());
        buffer.put_slice(this.rest.get(..count).unwrap_or_default());
        this.rest.advance(count);
        // An error means that the stream has ended, which the next read tells.
        let _ = this.receive.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(this.poll_room(context, bytes.len()))?;
        let taken = bytes.get(..room).unwrap_or(bytes);
        this.send(Bytes::copy_from_slice(taken))?;
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(this.poll_room(context, length))?;
        // A head and the body after it become one frame.
        let mut joined = BytesMut::with_capacity(room);
        for slice in slices {
            let left = room - joined.len();
            joined.extend_from_slice(slice.get(..left.min(slice.len())).unwrap_or_default());
        }
        this.send(joined.freeze())?;
        Poll::Ready(Ok(room))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The task of the connection sends what there is.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ended {
            this.ended = true;
            this.send.send_data(Bytes::new(), true).map_err(|error| broken(&error))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for TunnelStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelStream").field("ended", &self.ended).finish_non_exhaustive()
    }
}
