//! A connection that leaves HTTP: who asked for it gets its byte stream once `101 Switching Protocols` is written.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::net::rewound::Rewound;

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
    pub fn keep<S: Stream + 'static>(self, stream: Option<Rewound<S>>) {
        if let Some(stream) = stream {
            let _ = self.0.send(Box::new(stream));
        }
    }
}
