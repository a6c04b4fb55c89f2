//! `Breaker`: closed, open, recovering; one for all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_config::Name;
use tokio::time::Instant;

use super::expression::Expression;
use super::statistics::Statistics;
use crate::metric::{Family, Kind, Metric};

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periods {
    /// Between two looks at the expression, at least.
    pub(super) check: Duration,
    /// While nothing passes.
    pub(super) open: Duration,
    /// Until everything passes again.
    pub(super) recovery: Duration,
}

/// A breaker and what it knows.
#[derive(Debug)]
pub(super) struct Breaker {
    expression: Expression,
    statistics: Statistics,
    periods: Periods,
    begun: Instant,
    /// Whether every request passes; where not, `state` tells more.
    closed: AtomicBool,
    state: Mutex<State>,
    /// The expression is not looked at before, in nanoseconds since it began.
    next_check: AtomicU64,
    metrics: Option<Metrics>,
    name: Arc<str>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    /// Until then.
    Open(Instant),
    Recovering(Recovery),
}

/// Lets a growing share of the requests through.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    begun: Instant,
    passed: u64,
    refused: u64,
}

#[derive(Debug)]
struct Metrics {
    opened: Arc<Metric>,
    refused: Arc<Metric>,
    state: Arc<Metric>,
}

static OPENED: Family = Family {
    name: "portcullis_circuit_breaker_opened_total",
    help: "How often a circuit breaker opened.",
    kind: Kind::Counter,
};
static REFUSED: Family = Family {
    name: "portcullis_circuit_breaker_refused_total",
    help: "Requests that a circuit breaker did not let through.",
    kind: Kind::Counter,
};
static STATE: Family = Family {
    name: "portcullis_circuit_breaker_state",
    help: "Whether a circuit breaker is closed (0), recovering (1) or open (2).",
    kind: Kind::Gauge,
};

impl Breaker {
    /// A closed breaker of the middleware `name` for `owner`; without an owner it shows no metrics.
    pub(super) fn new(
        expression: Expression,
        periods: Periods,
        name: &Name,
        owner: &str,
    ) -> Self {
        let metric = |family| {
            Metric::new(family, &[("middleware", name.as_str()), ("router", owner)])
        };
        let metrics = || Metrics {
            opened: metric(&OPENED),
            refused: metric(&REFUSED),
            state: metric(&STATE),
        };
        Self {
            statistics: Statistics::new(&expression),
            expression,
            periods,
            begun: Instant::now(),
            closed: AtomicBool::new(true),
            state: Mutex::new(State::Closed),
            next_check: AtomicU64::new(0),
            metrics: (!owner.is_empty()).then(metrics),
            name: name.shared(),
        }
    }

    /// Whether a request may pass.
    pub(super) fn admits(&self) -> bool {
        if self.closed.load(Relaxed) {
            return true;
        }
        let admits = self.decide(Instant::now());
        if !admits && let Some(metrics) = &self.metrics {
            metrics.refused.add();
        }
        admits
    }

    fn decide(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        if let State::Open(until) = *state {
            if now < until {
                return false;
            }
            *state = State::Recovering(Recovery { begun: now, passed: 0, refused: 0 });
            self.show(1);
            tracing::info!(middleware = %self.name, "circuit breaker recovers");
        }
        let State::Recovering(recovery) = &mut *state else { return true };
        if now.duration_since(recovery.begun) > self.periods.recovery {
            *state = State::Closed;
            self.closed.store(true, Relaxed);
            self.show(0);
            tracing::info!(middleware = %self.name, "circuit breaker closed");
            return true;
        }
        recovery.passes(now, self.periods.recovery)
    }

    /// Counts an answer.
    pub(super) fn count(&self, status: u16) {
        self.statistics.count(self.now(), status);
    }

    /// Whether it matters how long answers take.
    pub(super) fn times(&self) -> bool {
        self.statistics.times()
    }

    /// Counts how long an answer took.
    pub(super) fn time(&self, took: Duration) {
        self.statistics.time(self.now(), took);
    }

    /// Opens if it is time to look at the expression and it holds.
    pub(super) fn check(&self) {
        let (now, due) = (self.now(), self.next_check.load(Relaxed));
        let next = now.saturating_add(nanoseconds(self.periods.check));
        if now < due || self.next_check.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return;
        }
        if !self.expression.holds(&self.statistics, now) {
            return;
        }
        let mut state = self.state.lock();
        if matches!(*state, State::Open(_)) {
            return;
        }
        *state = State::Open(Instant::now() + self.periods.open);
        self.closed.store(false, Relaxed);
        self.statistics.clear();
        if let Some(metrics) = &self.metrics {
            metrics.opened.add();
        }
        self.show(2);
        tracing::warn!(middleware = %self.name, "circuit breaker opened: its expression holds");
    }

    fn show(&self, state: u64) {
        if let Some(metrics) = &self.metrics {
            metrics.state.set(state);
        }
    }

    /// Nanoseconds since it began.
    fn now(&self) -> u64 {
        nanoseconds(self.begun.elapsed())
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Recovery {
    /// Traefik: aims at half of all requests by the end of the time, since as many passed as were refused by then, and
    /// then opens fully.
    fn passes(&mut self, now: Instant, duration: Duration) -> bool {
        let passed = self.passed + 1;
        let share = passed as f64 / (passed + self.refused) as f64;
        let time = now.duration_since(self.begun).as_secs_f64() / duration.as_secs_f64();
        let passes = share < 0.5 * time;
        if passes {
            self.passed = passed;
        } else {
            self.refused += 1;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_passes_rises_to_a_half() {
        let begun = Instant::now();
        let mut recovery = Recovery { begun, passed: 0, refused: 0 };
        let duration = Duration::from_secs(10);
        let mut passed = Vec::new();
        for second in 0..10 {
            let before = recovery.passed;
            for step in 0..100 {
                let now = begun + Duration::from_millis(second * 1000 + step * 10);
                recovery.passes(now, duration);
            }
            passed.push(recovery.passed - before);
        }
        assert!(passed.is_sorted(), "{passed:?}");
        assert!(passed[0] < 10 && passed[9] > 80, "{passed:?}");
        let all = recovery.passed + recovery.refused;
        assert!(all == 1000 && recovery.passed.abs_diff(500) < 10, "{}", recovery.passed);
    }
}
