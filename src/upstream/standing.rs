//! `Standing`: what the process knows of one server of one service: health, requests in flight, response times.
//!
//! It outlives reloads: the server of the same URL in the next snapshot has the same standing.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use super::balance::ewma::Estimate;
use super::balance::least_time::Samples;
use super::health::outlier::Conduct;
use super::health::passive::Failures;

/// What the process knows of one server of one service.
#[derive(Debug)]
pub struct Standing {
    /// As the active health check sees it; up until it was checked.
    up: AtomicBool,
    /// Left out by the passive health check until then, in nanoseconds of [`now`]; 0 = not left out.
    out_until: AtomicU64,
    /// Failures that the passive health check remembers.
    pub(super) failures: Failures,
    /// What counts for its ejection, and whether it was ejected.
    pub(super) conduct: Conduct,
    /// Times to the first byte.
    pub(super) samples: Samples,
    /// The same as a fading average.
    pub(super) estimate: Estimate,
    in_flight: AtomicUsize,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            up: AtomicBool::new(true),
            out_until: AtomicU64::new(0),
            failures: Failures::default(),
            conduct: Conduct::default(),
            samples: Samples::default(),
            estimate: Estimate::default(),
            in_flight: AtomicUsize::new(0),
        }
    }
}

/// Nanoseconds since the first call in this process, never 0.
pub(super) fn now(at: Instant) -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = at.saturating_duration_since(*BEGIN).as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX).max(1)
}

impl Standing {
    /// Whether it may get requests.
    pub fn is_up(&self) -> bool {
        self.is_checked_up() && self.is_let_in() && self.conduct.is_let_in()
    }

    /// Whether it gets requests as others do: not while a single one tries it.
    pub fn is_well(&self) -> bool {
        self.is_checked_up() && self.is_let_in() && !self.conduct.is_ejected()
    }

    /// Whether the active health check has it up.
    pub fn is_checked_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    fn is_let_in(&self) -> bool {
        let until = self.out_until.load(Relaxed);
        if until == 0 {
            return true;
        }
        let over = now(Instant::now()) >= until;
        if over {
            // Whoever loses the race finds a later ejection or 0; both are right.
            let _ = self.out_until.compare_exchange(until, 0, Relaxed, Relaxed);
        }
        over
    }

    /// Notes what the active health check found; whether that is a change.
    pub(crate) fn set_up(&self, up: bool) -> bool {
        self.up.swap(up, Relaxed) != up
    }

    /// Leaves it out until `end`.
    pub(super) fn leave_out(&self, end: Instant) {
        self.out_until.store(now(end), Relaxed);
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Standing>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_are_counted_until_they_end() {
        let standing = Arc::new(Standing::default());
        let (one, two) = (standing.enter(), standing.enter());
        assert_eq!(standing.in_flight(), 2);
        drop((one, two));
        assert_eq!(standing.in_flight(), 0);
    }

    #[test]
    fn a_server_that_was_left_out_comes_back_by_itself() {
        let standing = Standing::default();
        standing.leave_out(Instant::now() + Duration::from_mins(1));
        assert!(!standing.is_up());
        assert!(standing.is_checked_up());
        standing.leave_out(Instant::now());
        assert!(standing.is_up());
    }

    #[test]
    fn only_a_check_brings_back_what_a_check_found_down() {
        let standing = Standing::default();
        assert!(!standing.set_up(true));
        assert!(standing.set_up(false));
        assert!(!standing.is_up());
        assert!(standing.set_up(true));
        assert!(standing.is_up());
    }
}
