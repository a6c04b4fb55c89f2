//! `Statistics`: the figures that an expression speaks of, counted as answers come.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::expression::{Expression, Figure};
use super::histogram::Histogram;
use crate::window::Window;

/// Answers that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// All.
    All,
    /// 502 and 504. Traefik: they count as errors of the network, whoever gave them.
    NetworkErrors,
    /// Those from the first code up to, but not including, the second.
    Codes(i64, i64),
}

impl Tally {
    fn holds(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::NetworkErrors => matches!(status, 502 | 504),
            Self::Codes(from, to) => (from..to).contains(&i64::from(status)),
        }
    }
}

/// What an expression wants to know of the recent past.
#[derive(Debug)]
pub(super) struct Statistics {
    tallies: Box<[Tally]>,
    counts: Window,
    latencies: Option<Histogram>,
}

impl Statistics {
    pub(super) fn new(expression: &Expression) -> Self {
        Self {
            tallies: expression.tallies.as_slice().into(),
            counts: Window::new(10, Duration::from_secs(1), expression.tallies.len()),
            latencies: expression.wants_latencies().then(Histogram::new),
        }
    }

    /// Whether it matters how long answers take.
    pub(super) fn times(&self) -> bool {
        self.latencies.is_some()
    }

    pub(super) fn count(&self, now: u64, status: u16) {
        let counters = self.counts.slot(now).iter().zip(&self.tallies);
        for (counter, _) in counters.filter(|(_, tally)| tally.holds(status)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn time(&self, now: u64, took: Duration) {
        if let Some(latencies) = &self.latencies {
            latencies.add(now, took);
        }
    }

    /// The value of a figure. A ratio to nothing is 0.
    pub(super) fn figure(&self, now: u64, figure: Figure) -> f64 {
        match figure {
            Figure::Ratio { part, whole } => match self.counts.sum(now, whole) {
                0 => 0.0,
                whole => self.counts.sum(now, part) as f64 / whole as f64,
            },
            Figure::Latency { percent } => {
                self.latencies.as_ref().map_or(0.0, |it| it.quantile(now, percent) as f64)
            }
        }
    }

    pub(super) fn clear(&self) {
        self.counts.clear();
        if let Some(latencies) = &self.latencies {
            latencies.clear();
        }
    }
}
