//! Workers: one thread and one runtime for each core; all data travels on them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::net::task;

/// What a worker does: made on its own thread, inside its runtime.
pub type Duty = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// The number of workers: what the operator wants, otherwise as many as there are processors (the quota of a control
/// group counts).
pub fn count(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

impl Worker {
    /// Starts worker `index` (from 0) with its duty. It ends with [`Worker::stop`].
    pub fn start(index: usize, duty: Duty) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let name = format!("worker-{index}");
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            task::enter_worker(index);
            runtime.block_on(async move {
                duty().await;
                // What the duty began goes on until the drain is over.
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { thread, stop })
    }

    /// Ends the worker with everything that still goes on there.
    pub fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("a worker panicked");
        }
    }
}
