//! `Conduct`: what counts for the ejection of one server, and whether it is ejected. A few atomics for each request.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_middlewares::metric::Metric;
use portcullis_middlewares::window::Window;

use super::Reason;
use crate::upstream::standing::{Standing, now};

/// The counters of [`Conduct::answers`].
pub(super) const ANSWERS: usize = 0;
pub(super) const FAILURES: usize = 1;
const SLOTS: u32 = 10;

/// What counts for the ejection of one server. Times are those of the gateway's own clock, in nanoseconds.
#[derive(Debug, Default)]
pub struct Conduct {
    /// Failures since the last success.
    in_a_row: AtomicU32,
    answers: OnceLock<Window>,
    /// Ejected until then, and after that until a request that tries it succeeds; 0 = not ejected.
    until: AtomicU64,
    /// Whether a request tries it.
    tried: AtomicBool,
    /// How often it was ejected, each time soon after the last.
    ejections: AtomicU32,
    /// When it was let in last.
    let_in: AtomicU64,
    /// How often it was ejected for each reason.
    metrics: Mutex<Vec<(Reason, Arc<Metric>)>>,
}

/// The request that tries a server. When it ends without a verdict, another one may try.
#[derive(Debug)]
pub struct Probe(Arc<Standing>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.conduct.tried.store(false, Relaxed);
    }
}

/// Whether a request may go to a server that was chosen for it.
#[derive(Debug)]
pub enum Entry {
    /// It may.
    Open,
    /// It may, and tries the server.
    Probe(Probe),
    /// Another one was quicker to try the server, or it has just been ejected.
    Closed,
}

impl Conduct {
    /// Whether it is ejected, also while it is tried.
    pub fn is_ejected(&self) -> bool {
        self.until.load(Relaxed) != 0
    }

    /// Whether a request may be sent to it: it is not ejected, or its time is over and none tries it yet.
    pub fn is_let_in(&self) -> bool {
        match self.until.load(Relaxed) {
            0 => true,
            until => now(Instant::now()) >= until && !self.tried.load(Relaxed),
        }
    }

    /// Lets a request in, or has it try.
    pub fn enter(standing: &Arc<Standing>) -> Entry {
        let conduct = &standing.conduct;
        match conduct.until.load(Relaxed) {
            0 => Entry::Open,
            until if now(Instant::now()) < until => Entry::Closed,
            _ if conduct.tried.swap(true, Relaxed) => Entry::Closed,
            _ => Entry::Probe(Probe(Arc::clone(standing))),
        }
    }

    /// Counts an ejection in the metric of its reason, which is made the first time.
    pub fn metric(&self, reason: Reason, make: impl FnOnce() -> Arc<Metric>) {
        let mut metrics = self.metrics.lock();
        if let Some((_, metric)) = metrics.iter().find(|(known, _)| *known == reason) {
            return metric.add();
        }
        let metric = make();
        metric.add();
        metrics.push((reason, metric));
    }

    /// Notes a success or failure; how many failures there are in a row.
    pub(super) fn note(&self, failed: bool) -> u32 {
        if failed {
            return self.in_a_row.fetch_add(1, Relaxed).saturating_add(1);
        }
        if self.in_a_row.load(Relaxed) != 0 {
            self.in_a_row.store(0, Relaxed);
        }
        0
    }

    /// Counts answers and failures over a time. The first time that is asked for stays.
    pub(super) fn answers(&self, window: Duration) -> &Window {
        self.answers.get_or_init(|| Window::new(SLOTS as usize, window / SLOTS, 2))
    }

    /// Answers and failures lately.
    pub(super) fn share(&self, window: Duration, now: u64) -> (u64, u64) {
        let answers = self.answers(window);
        (answers.sum(now, ANSWERS), answers.sum(now, FAILURES))
    }

    /// How often it was ejected, each time within `memory` of being let in.
    pub(super) fn ejections(&self, now: u64, memory: Duration) -> u32 {
        let well = now.saturating_sub(self.let_in.load(Relaxed));
        let forgotten = !self.is_ejected() && u128::from(well) > memory.as_nanos();
        if forgotten { 0 } else { self.ejections.load(Relaxed) }
    }

    pub(super) fn eject(&self, until: u64, ejections: u32) {
        self.ejections.store(ejections, Relaxed);
        self.until.store(until, Relaxed);
        self.forget();
    }

    pub(super) fn let_in(&self, now: u64) {
        self.forget();
        self.let_in.store(now, Relaxed);
        self.until.store(0, Relaxed);
    }

    #[cfg(test)]
    pub(super) fn until(&self) -> u64 {
        self.until.load(Relaxed)
    }

    fn forget(&self) {
        self.in_a_row.store(0, Relaxed);
        if let Some(answers) = self.answers.get() {
            answers.clear();
        }
    }
}
