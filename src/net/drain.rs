//! Draining: the gateway ends, and everything that is still going on may finish.

use std::sync::Arc;

use tokio::sync::watch;

/// Told to begin once; then connections take no more requests and go.
#[derive(Clone, Debug)]
pub struct Drain {
    begun: watch::Receiver<bool>,
    held: Arc<watch::Sender<()>>,
}

/// Begins a drain and waits for its end.
#[derive(Debug)]
pub struct Drainer {
    begin: watch::Sender<bool>,
    drain: Drain,
}

/// Something that goes on; the drain waits until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _held: watch::Receiver<()>,
}

impl Drainer {
    /// Nothing drains yet.
    pub fn new() -> Self {
        let (begin, begun) = watch::channel(false);
        let (held, _) = watch::channel(());
        Self { begin, drain: Drain { begun, held: Arc::new(held) } }
    }

    /// What is handed to everything that may go on.
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Begins.
    pub fn begin(&self) {
        self.begin.send_replace(true);
    }

    /// Waits until nothing is held.
    pub async fn ended(&self) {
        self.drain.held.closed().await;
    }

    /// The number of things that go on.
    pub fn held(&self) -> usize {
        self.drain.held.receiver_count()
    }
}

impl Default for Drainer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits until it begins; for ever if it never does.
    pub async fn begun(&mut self) {
        if self.begun.wait_for(|begun| *begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Keeps the drain waiting until the hold is dropped.
    pub fn hold(&self) -> Hold {
        Hold { _held: self.held.subscribe() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_what_is_held() {
        let drainer = Drainer::new();
        let mut drain = drainer.drain();
        let hold = drain.hold();
        assert!(!drain.has_begun());
        drainer.begin();
        drain.begun().await;
        assert!(drain.has_begun());
        assert_eq!(drainer.held(), 1);
        drop(hold);
        drainer.ended().await;
        assert_eq!(drainer.held(), 0);
    }
}
