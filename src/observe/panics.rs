//! Panics: counted and logged wherever they happen. What they end is for those to say who catch them.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Backtraces in the life of the process. They are slow to make, and a defect that somebody has found out how to meet
/// must not become a way to keep the processor busy.
const BACKTRACES: u64 = 16;

/// Takes the panics of the process from now on.
pub fn take() {
    std::panic::set_hook(Box::new(note));
}

/// How many there were.
pub fn count() -> u64 {
    COUNT.load(Relaxed)
}

fn note(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("without a message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    if COUNT.fetch_add(1, Relaxed) < BACKTRACES {
        let backtrace = Backtrace::force_capture();
        tracing::error!(place, %backtrace, "panic: {message}; please report this");
    } else {
        tracing::error!(place, "panic: {message}; please report this");
    }
}
