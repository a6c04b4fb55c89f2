//! A connection that leaves HTTP: who asked for it gets its byte stream once `101 Switching Protocols` is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Any byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where the byte stream comes from; whoever asks first gets it.
type Awaited = Arc<Mutex<Option<oneshot::Receiver<Box<dyn Stream>>>>>;

/// An extension of requests that ask for another protocol: the client's byte stream, once it has been switched.
#[derive(Clone)]
pub struct Switch(Awaited);

/// The connection's side of a [`Switch`].
pub struct Promise(oneshot::Sender<Box<dyn Stream>>);

impl Switch {
    /// A switch and its promise.
    pub fn new() -> (Promise, Self) {
        let (sender, receiver) = oneshot::channel();
        (Promise(sender), Self(Arc::new(Mutex::new(Some(receiver)))))
    }

    /// Waits for the byte stream. `None` = the connection ended, or somebody else has it.
    pub async fn stream(self) -> Option<Box<dyn Stream>> {
        let receiver = self.0.lock().take()?;
        receiver.await.ok()
    }
}

impl Promise {
    /// Hands the byte stream over.
    pub fn keep<S: Stream + 'static>(self, stream: Option<Switched<S>>) {
        if let Some(stream) = stream {
            let _ = self.0.send(Box::new(stream));
        }
    }
}

/// A byte stream that has left HTTP: what was read too much of it comes first.
#[derive(Debug)]
pub struct Switched<S> {
    stream: S,
    prefix: Bytes,
}

impl<S> Switched<S> {
    /// `stream`, from which `prefix` has been read.
    pub fn new(stream: S, prefix: Bytes) -> Self {
        Self { stream, prefix }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Switched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.prefix.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = this.prefix.len().min(buffer.remaining());
        buffer.put_slice(&this.prefix.split_to(count));
        if this.prefix.is_empty() {
            this.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Switched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
