//! `Neighbours`: the readers of one socket in the processes before and after this one, for a reader that knows its clients by
//! their addresses.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use super::{After, Origin, Passage, Received, Succession, is_gone};
use crate::net::drain::{Drain, Hold};

/// The readers of one socket in the processes before and after this one.
#[derive(Debug)]
pub struct Neighbours {
    /// It may know clients, so this process stays as long as it does.
    before: Option<(Passage, Hold)>,
    after: Option<Passage>,
    coming: After,
}

/// Who passed a datagram on to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Nobody: it was read from the socket.
    Nobody,
    /// The reader before, which does not know the client.
    Before,
    /// The reader after, which does not know the client.
    After,
}

/// What becomes of a datagram whose client this process does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Another process has it now.
    Passed,
    /// Nobody before knows the client: it is for this process to begin.
    New,
}

impl Neighbours {
    /// Waits until the socket is this process's, if there is a reader before.
    pub async fn begin(succession: Succession, drain: &Drain) -> io::Result<Self> {
        let Succession { before, after } = succession;
        let mut this = Self { before: None, after: None, coming: after };
        if let Some(end) = before {
            let passage = Passage::new(end)?;
            if passage.until_given().await.is_some() {
                this.before = Some((passage, drain.hold()));
            }
        }
        Ok(this)
    }

    /// Whether this process is the one that reads from the socket.
    pub fn reads(&self) -> bool {
        self.after.is_none()
    }

    /// Whether there is nobody before, or nobody any more.
    pub fn is_first(&self) -> bool {
        self.before.is_none()
    }

    /// Waits for something from one of them; gives the length of a datagram that is in `buffer` now, where it came from and
    /// by whom, or nothing where something else has changed.
    pub async fn next(&mut self, buffer: &mut [u8]) -> Option<(usize, Origin, By)> {
        let (received, by) = poll_fn(|context| self.poll_next(context, buffer)).await;
        match received {
            Ok(Received::Datagram(length, origin)) => return Some((length, origin, by)),
            Ok(Received::Yours(_) | Received::Unknown) => {}
            Ok(Received::End) | Err(_) => match by {
                By::Before => self.before = None,
                // It is gone or does not want the socket: what it would have passed on is read here again.
                By::After => self.after = None,
                By::Nobody => {}
            },
        }
        None
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<(io::Result<Received>, By)> {
        if let Some((before, _)) = &self.before
            && let Poll::Ready(received) = before.poll_receive(context, buffer)
        {
            return Poll::Ready((received, By::Before));
        }
        if let Some(after) = &self.after
            && let Poll::Ready(received) = after.poll_receive(context, buffer)
        {
            return Poll::Ready((received, By::After));
        }
        if let Poll::Ready(end) = self.coming.poll_comes(context) {
            self.hand_over(end);
            return Poll::Ready((Ok(Received::Unknown), By::Nobody));
        }
        Poll::Pending
    }

    fn hand_over(&mut self, end: OwnedFd) {
        let given = Passage::new(end).and_then(|passage| passage.give(&[]).map(|()| passage));
        match given {
            Ok(passage) => self.after = Some(passage),
            Err(error) => tracing::warn!(%error, "a UDP socket cannot be handed over"),
        }
    }

    /// Has the process before look at a datagram whose client this one does not know, or the one after where it knows no
    /// better.
    pub fn ask(&mut self, datagram: &[u8], origin: &Origin, by: By) -> Stranger {
        if by != By::Before
            && let Some((before, _)) = &self.before
        {
            match before.pass(datagram, origin) {
                Err(error) if is_gone(&error) => self.before = None,
                result => return passed(result),
            }
        }
        match &self.after {
            Some(after) => passed(after.pass(datagram, origin)),
            None => Stranger::New,
        }
    }
}

/// What does not go is lost, as datagrams may.
fn passed(result: io::Result<()>) -> Stranger {
    if let Err(error) = result {
        tracing::trace!(%error, "datagram lost on its way to another process");
    }
    Stranger::Passed
}
