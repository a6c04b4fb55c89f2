//! Handing UDP sockets over to the next process while clients of this one go on.
//!
//! Two processes must not read from one socket: each would take what is the other's. So the newest one reads, and passes on
//! what is not its own, by a passage for each socket; what nobody before it knows comes back to it the same way.
//!
//! ```text
//! clients ──▶ socket ──▶ newest process ◀──passage──▶ the one before ◀──passage──▶ the one before that
//!                ▲             │                            │                              │
//!                └── answers ──┴────────────────────────────┴──────────────────────────────┘
//! ```
//!
//! Connected sockets for the clients of the old process, which the kernel prefers, would need one descriptor for each
//! client; the kernel finds a socket among those of one port by looking at each of them; and between `bind` and `connect`
//! such a socket is given packets of others.

mod message;
mod neighbours;

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::task::{Context, Poll, ready};

use nix::sys::uio::readv;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;

pub use message::Origin;
use message::{HEAD, Head};
pub use neighbours::{By, Neighbours, Stranger};

/// What the reader of a socket has to do with the processes before and after this one.
#[derive(Debug)]
pub struct Succession {
    /// The end of a passage to the reader before, who has the socket until it says otherwise.
    pub before: Option<OwnedFd>,
    /// Gives the end of a passage to the reader after, once there is one.
    pub after: After,
}

/// Gives the end of a passage to the reader after, once there is one.
#[derive(Debug)]
pub struct After(mpsc::Receiver<OwnedFd>);

/// Tells a reader of the one after it.
#[derive(Debug)]
pub struct Tell(mpsc::Sender<OwnedFd>);

impl Succession {
    /// For a reader after the one behind `before`; told of the next one by what comes with it.
    pub fn new(before: Option<OwnedFd>) -> (Self, Tell) {
        // One for now, and one more where the one after has ended and another comes.
        let (tell, told) = mpsc::channel(2);
        (Self { before, after: After(told) }, Tell(tell))
    }
}

impl After {
    /// Waits for the reader after; for ever if none comes.
    pub async fn comes(&mut self) -> OwnedFd {
        poll_fn(|context| self.poll_comes(context)).await
    }

    fn poll_comes(&mut self, context: &mut Context<'_>) -> Poll<OwnedFd> {
        match ready!(self.0.poll_recv(context)) {
            Some(end) => Poll::Ready(end),
            None => Poll::Pending,
        }
    }
}

impl Tell {
    /// The reader passes what it reads on to `end` from now on. Nobody is told if it has ended.
    pub fn tell(&self, end: OwnedFd) {
        drop(self.0.try_send(end));
    }
}

/// Both ends of a new passage.
pub fn passage() -> io::Result<(OwnedFd, OwnedFd)> {
    // Connected, so that its end is seen; with packets, so that datagrams stay what they are. The number of packets on
    // their way has no limit then, their size has.
    let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    for end in [&one, &other] {
        end.set_nonblocking(true)?;
        if let Err(error) = end.set_send_buffer_size(BUFFER) {
            tracing::debug!(%error, "the buffer of a passage stays as it is");
        }
    }
    Ok((one.into(), other.into()))
}

/// Whether a socket is the end of a passage.
pub fn is_passage(socket: &Socket) -> bool {
    socket.domain().is_ok_and(|domain| domain == Domain::UNIX)
        && socket.r#type().is_ok_and(|kind| kind == Type::SEQPACKET)
}

/// Bytes on their way to another process, with what the kernel counts for each packet; it gives less where its limits say
/// so.
const BUFFER: usize = 2 << 20;

/// One end of a passage.
#[derive(Debug)]
pub struct Passage(UnixDatagram);

/// What came by a passage; the length is that of what stands in the buffer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The socket is this process's from now on; the bytes are what the reader before leaves to the one after.
    Yours(usize),
    /// A datagram of a client.
    Datagram(usize, Origin),
    /// Something that this version does not know.
    Unknown,
    /// The other process has closed its end.
    End,
}

impl Passage {
    /// Takes over an end, on the runtime of its reader.
    pub fn new(end: OwnedFd) -> io::Result<Self> {
        // Its calls are those of any connected socket that keeps packets apart.
        let end = StdDatagram::from(end);
        end.set_nonblocking(true)?;
        UnixDatagram::from_std(end).map(Self)
    }

    /// Gives the socket to the other process, with what it needs to go on.
    pub fn give(&self, bytes: &[u8]) -> io::Result<()> {
        self.send(&Head::Yours, bytes)
    }

    /// Passes a datagram on. Without waiting: what does not go now may get lost, as datagrams may.
    pub fn pass(&self, bytes: &[u8], origin: &Origin) -> io::Result<()> {
        self.send(&Head::Datagram(*origin), bytes)
    }

    fn send(&self, head: &Head, bytes: &[u8]) -> io::Result<()> {
        let head = head.write();
        let parts = [IoSlice::new(&head), IoSlice::new(bytes)];
        // Past the runtime, which does not know yet whether a new socket may be written to.
        SockRef::from(&self.0).send_vectored(&parts).map(drop)
    }

    /// Waits for the next message.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.0.async_io(Interest::READABLE, || self.receive_now(buffer)).await
    }

    /// As [`Passage::receive`], for pollers.
    pub fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        loop {
            ready!(self.0.poll_recv_ready(context))?;
            match self.0.try_io(Interest::READABLE, || self.receive_now(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut head = [0; HEAD];
        let parts = &mut [IoSliceMut::new(&mut head), IoSliceMut::new(buffer)];
        let length = readv(&self.0, parts)?;
        if length == 0 {
            return Ok(Received::End);
        }
        let left = length.saturating_sub(HEAD);
        Ok(match Head::read(&head).filter(|_| length >= HEAD) {
            Some(Head::Yours) => Received::Yours(left),
            Some(Head::Datagram(origin)) => Received::Datagram(left, origin),
            None => Received::Unknown,
        })
    }

    /// Waits until the socket is this process's; gives what the reader before leaves, or `None` if it is gone.
    pub async fn until_given(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; LEFT];
        loop {
            match self.receive(&mut buffer).await {
                Ok(Received::Yours(length)) => {
                    buffer.truncate(length);
                    return Some(buffer);
                }
                // Datagrams come only after that.
                Ok(Received::Datagram(..) | Received::Unknown) => {}
                Ok(Received::End) | Err(_) => return None,
            }
        }
    }
}

/// The most that a reader leaves to the next.
const LEFT: usize = 1024;

/// Whether sending failed because the other process has closed its end.
pub fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotConnected)
}

#[cfg(test)]
mod tests;
