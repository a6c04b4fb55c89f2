//! Tasks and the worker they run on. `worker` makes the runtimes; everything below asks here.

use std::cell::Cell;
use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(0) };
}

static WORKERS: OnceLock<usize> = OnceLock::new();
static CONTROL: OnceLock<Handle> = OnceLock::new();

/// Fixes the runtimes for the life of the process: the number of workers, and the control runtime, which does what must not
/// run on workers. One call for both, so that none is forgotten; the first one wins.
pub fn set_runtimes(workers: usize, control: Handle) {
    let _ = WORKERS.set(workers.max(1));
    let _ = CONTROL.set(control);
}

/// The number of workers; 1 where nobody set it (tests).
pub fn workers() -> usize {
    *WORKERS.get_or_init(|| 1)
}

/// Marks this thread as worker `index` (from 0).
pub fn enter_worker(index: usize) {
    SLOT.set(index + 1);
}

/// The slot of this thread in a [`super::per_worker::PerWorker`]: 0 for control threads, then the workers.
pub fn slot() -> usize {
    SLOT.get()
}

/// Runs `future` on the runtime of this thread.
#[allow(clippy::disallowed_methods, reason = "the one place that knows the runtimes")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs `future` on the control runtime; on that of this thread where nobody set one (tests).
#[allow(clippy::disallowed_methods, reason = "the one place that knows the runtimes")]
pub fn spawn_control<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match CONTROL.get() {
        Some(control) => control.spawn(future),
        None => tokio::spawn(future),
    }
}
