//! `Lane`: slow computations off the worker threads, a bounded number at a time.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::Semaphore;

/// Computations that run beside the workers. Without the bounds a flood of requests that each cost a password hash
/// would take all processors and queue without end.
pub(crate) struct Lane {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// There is no room: too much waits already, or the wait was too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

const MOST_WAITING: usize = 512;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The lane of the process: half of the processors, so that the workers keep the other half.
pub(crate) fn process() -> &'static Lane {
    static LANE: LazyLock<Lane> = LazyLock::new(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Lane::new((processors / 2).max(1), MOST_WAITING)
    });
    &LANE
}

impl Lane {
    /// Runs up to `slots` computations at a time while up to `most_waiting` wait.
    pub(crate) fn new(slots: usize, most_waiting: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(slots)), waiting: AtomicUsize::new(0), most_waiting }
    }

    /// Runs `work` on a thread that may block. Once begun it runs to its end, also if nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let waits = self.queue()?;
        let slot = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.slots).acquire_owned());
        let slot = slot.await.map_err(|_| Overloaded)?.map_err(|_| Overloaded)?;
        drop(waits);
        let running = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        match running.await {
            Ok(result) => Ok(result),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(Overloaded),
        }
    }

    fn queue(&self) -> Result<Waits<'_>, Overloaded> {
        let place = Waits(&self.waiting);
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before < self.most_waiting { Ok(place) } else { Err(Overloaded) }
    }
}

/// A place in the queue.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_finds_no_room_is_refused_at_once() {
        let lane = Lane::new(1, 1);
        let (go, gate) = mpsc::channel::<()>();
        let (began, begun) = tokio::sync::oneshot::channel();
        let first = lane.run(move || {
            began.send(()).unwrap();
            gate.recv().unwrap();
            1
        });
        let rest = async {
            begun.await.unwrap();
            let second = lane.run(|| 2);
            let third = async {
                assert_eq!(lane.run(|| 3).await, Err(Overloaded));
                go.send(()).unwrap();
            };
            tokio::join!(biased; second, third).0
        };
        assert_eq!(tokio::join!(first, rest), (Ok(1), Ok(2)));
        assert_eq!(lane.run(|| 4).await, Ok(4));
        assert_eq!(lane.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_wait_without_hope_ends() {
        let lane = Lane::new(0, 1);
        tokio::time::pause();
        assert_eq!(lane.run(|| 1).await, Err(Overloaded));
        assert_eq!(lane.waiting.load(Ordering::Relaxed), 0);
    }
}
