//! `Sink`: lines to a file or to standard output by a thread of its own, so that a full disk or pipe stops nobody.
//!
//! Each worker adds to a buffer of its own; the thread takes whole buffers and writes them. A line that finds its buffer
//! full, because nobody empties it, is dropped and counted.

mod output;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::output::Output;
pub use self::output::{Rotation, Target};
use crate::net::per_worker::PerWorker;

/// Bytes that may wait in one worker's buffer.
const LIMIT: usize = 1 << 20;

/// A buffer that has grown beyond this is given back once it is empty.
const KEPT: usize = 1 << 18;

/// Pause between two rounds while lines come: gathers them, and few of them have to wake the thread.
const PAUSE: Duration = Duration::from_millis(10);

/// Lines to a file or to standard output. Adding one never blocks on the output.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    buffers: PerWorker<Mutex<Vec<u8>>>,
    dropped: AtomicU64,
    /// The thread sleeps until it is woken.
    sleeping: AtomicBool,
    reopen: AtomicBool,
    closed: AtomicBool,
    /// Rounds of the thread that have begun, and that have ended.
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Sink {
    /// Opens `target` and starts the thread; `name` is the thread's.
    pub fn open(name: &str, target: Target) -> io::Result<Self> {
        let output = Output::open(target)?;
        let shared = Arc::new(Shared::default());
        let writer = Writer { shared: Arc::clone(&shared), output, batch: Vec::new() };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(|| writer.run())?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Adds what `add` appends, which must be whole lines. Dropped if too much waits already.
    pub fn add(&self, add: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = self.shared.buffers.here().lock();
        if buffer.len() >= LIMIT {
            self.shared.dropped.fetch_add(1, SeqCst);
            return;
        }
        add(&mut buffer);
        drop(buffer);
        if self.shared.sleeping.load(SeqCst) {
            self.wake();
        }
    }

    /// Lines that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(SeqCst)
    }

    /// Opens the file anew, after it was moved away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, SeqCst);
        self.wake();
    }

    /// Waits until what was added before is written, at most for `limit`.
    pub fn flush(&self, limit: Duration) {
        let begun = Instant::now();
        let wanted = self.shared.begun.load(SeqCst) + 1;
        while self.shared.ended.load(SeqCst) < wanted && begun.elapsed() < limit {
            self.wake();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wake(&self) {
        self.shared.sleeping.store(false, SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.closed.store(true, SeqCst);
        self.wake();
    }
}

/// The thread's part.
struct Writer {
    shared: Arc<Shared>,
    output: Output,
    batch: Vec<u8>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let closed = self.shared.closed.load(SeqCst);
            if self.round() {
                if !closed {
                    std::thread::park_timeout(PAUSE);
                }
                continue;
            }
            if closed {
                return;
            }
            self.shared.sleeping.store(true, SeqCst);
            // What was added before the flag was seen would otherwise wait for the next line.
            if self.shared.buffers.iter().any(|buffer| !buffer.lock().is_empty()) {
                self.shared.sleeping.store(false, SeqCst);
                continue;
            }
            std::thread::park();
            self.shared.sleeping.store(false, SeqCst);
        }
    }

    /// Writes what waits; whether there was anything.
    fn round(&mut self) -> bool {
        self.shared.begun.fetch_add(1, SeqCst);
        if self.shared.reopen.swap(false, SeqCst) {
            self.output.reopen();
        }
        let mut wrote = false;
        let shared = Arc::clone(&self.shared);
        for buffer in shared.buffers.iter() {
            std::mem::swap(&mut *buffer.lock(), &mut self.batch);
            if self.batch.is_empty() {
                continue;
            }
            wrote = true;
            if self.output.write(&self.batch).is_err() {
                let lines = memchr::memchr_iter(b'\n', &self.batch).count();
                shared.dropped.fetch_add(lines as u64, SeqCst);
            }
            self.batch.clear();
            if self.batch.capacity() > KEPT {
                self.batch = Vec::new();
            }
        }
        shared.ended.store(shared.begun.load(SeqCst), SeqCst);
        wrote
    }
}
