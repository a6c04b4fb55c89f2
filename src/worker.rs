//! Workers: one thread and one runtime for each core; all data travels on them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
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

/// How much less of a contended processor a control thread gets than a worker: about a tenth (setpriority(2)).
const BEHIND_WORKERS: i32 = 10;

/// The runtime for all that is not the data path: providers, compilation, health checks, the API. Its threads leave a
/// contended processor to the workers, who never wait for them.
pub fn control() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .on_thread_start(|| {
            // Less is always allowed. On Linux this is about the thread that asks.
            if let Err(error) = rustix::process::nice(BEHIND_WORKERS) {
                tracing::debug!(%error, "control threads run with the priority of workers");
            }
        })
        .enable_all()
        .build()
}

/// The number of workers: what the operator wants, otherwise as many as there are processors (the quota of a control
/// group counts).
pub fn count(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

impl Worker {
    /// Starts worker `index` (from 0) with its duty. It ends with [`Worker::stop`].
    pub fn start(index: usize, duty: Duty) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The nice value of the calling thread: field 19 of its statistics (proc_pid_stat(5)).
    fn nice() -> i32 {
        let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name of the thread, in brackets, may hold anything.
        let (_, fields) = text.rsplit_once(')').unwrap();
        fields.split_ascii_whitespace().nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn control_threads_stand_behind_workers_and_nobody_else_does() {
        let own = nice();
        let control = control().unwrap();
        let expected = (own + BEHIND_WORKERS).min(19);
        assert_eq!(control.block_on(control.spawn(async { nice() })).unwrap(), expected);
        assert_eq!(control.block_on(control.spawn_blocking(nice)).unwrap(), expected);
        let (tell, told) = std::sync::mpsc::channel();
        let duty: Duty = Box::new(move || Box::pin(async move { tell.send(nice()).unwrap() }));
        let worker = Worker::start(0, duty).unwrap();
        assert_eq!(told.recv().unwrap(), own);
        worker.stop();
        assert_eq!(nice(), own);
    }
}
