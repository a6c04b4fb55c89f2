//! What the halves of a request have to tell each other, and how the requests of a connection end.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

/// Requests that a client may give up before it must have let as many come to their end.
const GIVEN_UP: u32 = 200;

/// One request's body on its way.
#[derive(Debug, Default)]
pub(super) struct Flow {
    taken: AtomicU64,
    empty: AtomicU64,
    malformed: AtomicBool,
}

impl Flow {
    /// Bytes of the body that were handed on.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Notes that `count` bytes more were handed on.
    pub(super) fn take(&self, count: u64) {
        self.taken.fetch_add(count, Relaxed);
    }

    /// DATA frames without a byte that came; the `h3` crate takes each for the end of the body.
    pub(super) fn empty(&self) -> u64 {
        self.empty.load(Relaxed)
    }

    /// Notes how many there are now.
    pub(super) fn set_empty(&self, count: u64) {
        self.empty.store(count, Relaxed);
    }

    /// Notes that the body is not what the head said (RFC 9114 section 4.1.2).
    pub(super) fn set_malformed(&self) {
        self.malformed.store(true, Relaxed);
    }

    /// Whether the body is not what the head said.
    pub(super) fn is_malformed(&self) -> bool {
        self.malformed.load(Relaxed)
    }
}

/// Ready when the client wants no more of an answer, has all of it, or is gone.
pub(super) struct Stopped(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Stopped {
    pub(super) fn new<T>(stopped: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(async move {
            stopped.await;
        }))
    }
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

/// How the requests of a connection ended. Asking and giving up in a loop costs a client nothing and the gateway and its
/// servers all the work (the rapid reset of h2, CVE-2023-44487).
#[derive(Debug, Default)]
pub(super) struct Tally {
    finished: AtomicU32,
    given_up: AtomicU32,
}

impl Tally {
    /// Notes that a request was answered to its end.
    pub(super) fn finished(&self) {
        self.finished.fetch_add(1, Relaxed);
    }

    /// Notes that the client gave a request up, or made none of it.
    pub(super) fn given_up(&self) {
        self.given_up.fetch_add(1, Relaxed);
    }

    /// Whether the client has given up too many.
    pub(super) fn is_flood(&self) -> bool {
        let allowed = self.finished.load(Relaxed).saturating_add(GIVEN_UP);
        self.given_up.load(Relaxed) > allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_give_up_as_many_as_it_lets_finish_and_some_more() {
        let tally = Tally::default();
        (0..GIVEN_UP).for_each(|_| tally.given_up());
        assert!(!tally.is_flood());
        tally.given_up();
        assert!(tally.is_flood());
        tally.finished();
        assert!(!tally.is_flood());
    }
}
