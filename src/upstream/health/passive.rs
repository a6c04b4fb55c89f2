//! Passive health: a server that fails real requests too often is left out for a while.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_config::routing::http::PassiveHealthCheck;
use portcullis_middlewares::message::Response;

use crate::upstream::standing::Standing;

/// When a server is left out, and who brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passive {
    window: Duration,
    attempts: usize,
    back: Back,
}

/// Who brings back a server that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Time: it comes back after the window.
    Time,
    /// The active health check of the service.
    Check,
}

/// Failures within the window.
#[derive(Debug, Default)]
pub struct Failures {
    any: AtomicBool,
    times: Mutex<VecDeque<Instant>>,
}

impl Passive {
    /// Compiles the settings.
    pub fn new(settings: &PassiveHealthCheck, back: Back) -> Self {
        let window = settings.failure_window.positive().unwrap_or(Duration::from_secs(10));
        let attempts = usize::try_from(settings.max_failed_attempts).unwrap_or(1).max(1);
        Self { window, attempts, back }
    }

    /// Notes the answer of a server. Returns whether the server is left out because of it.
    pub fn note(&self, response: &Response, standing: &Standing, now: Instant) -> bool {
        if response.status.is_server_error() {
            return self.note_failure(standing, now);
        }
        let failures = &standing.failures;
        if failures.any.load(Relaxed) {
            failures.times.lock().clear();
            failures.any.store(false, Relaxed);
        }
        false
    }

    fn note_failure(&self, standing: &Standing, now: Instant) -> bool {
        let mut times = standing.failures.times.lock();
        let is_old = |time: &Instant| now.saturating_duration_since(*time) >= self.window;
        while times.front().is_some_and(is_old) {
            times.pop_front();
        }
        times.push_back(now);
        if times.len() < self.attempts {
            standing.failures.any.store(true, Relaxed);
            return false;
        }
        times.clear();
        standing.failures.any.store(false, Relaxed);
        match self.back {
            Back::Time => standing.leave_out(now + self.window),
            Back::Check => {
                standing.set_up(false);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use portcullis_config::units;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn passive(attempts: i64, back: Back) -> Passive {
        let settings = PassiveHealthCheck {
            failure_window: units::Duration::seconds(10),
            max_failed_attempts: attempts,
            ejection: None,
        };
        Passive::new(&settings, back)
    }

    fn answer(status: u16) -> Response {
        Response::new(StatusCode::from_u16(status).unwrap(), "")
    }

    #[test]
    fn enough_failures_within_the_window_leave_a_server_out() {
        let (passive, standing, begin) =
            (passive(3, Back::Time), Standing::default(), Instant::now());
        let mut failures = [0, 1, 9].map(|at| begin + SECOND * at).into_iter();
        assert!(!passive.note(&answer(500), &standing, failures.next().unwrap()));
        assert!(!passive.note(&answer(502), &standing, failures.next().unwrap()));
        assert!(standing.is_up());
        assert!(passive.note(&answer(599), &standing, failures.next().unwrap()));
        assert!(!standing.is_up());
    }

    #[test]
    fn old_failures_do_not_count() {
        let (passive, standing, begin) =
            (passive(2, Back::Time), Standing::default(), Instant::now());
        assert!(!passive.note(&answer(500), &standing, begin));
        assert!(!passive.note(&answer(500), &standing, begin + SECOND * 10));
        assert!(passive.note(&answer(500), &standing, begin + SECOND * 11));
    }

    #[test]
    fn a_success_clears_the_list() {
        let (passive, standing, now) =
            (passive(2, Back::Time), Standing::default(), Instant::now());
        assert!(!passive.note(&answer(500), &standing, now));
        assert!(!passive.note(&answer(499), &standing, now));
        assert!(!passive.note(&answer(500), &standing, now));
        assert!(standing.is_up());
    }

    #[test]
    fn time_brings_a_server_back() {
        let (passive, standing) = (passive(1, Back::Time), Standing::default());
        let past = Instant::now().checked_sub(SECOND * 5).unwrap();
        assert!(passive.note(&answer(503), &standing, past));
        assert!(!standing.is_up());
        let long_ago = Instant::now().checked_sub(SECOND * 10).unwrap();
        assert!(passive.note(&answer(503), &standing, long_ago));
        assert!(standing.is_up());
    }

    #[test]
    fn with_an_active_check_only_the_check_brings_it_back() {
        let (passive, standing) = (passive(1, Back::Check), Standing::default());
        let long_ago = Instant::now().checked_sub(SECOND * 60).unwrap();
        assert!(passive.note(&answer(500), &standing, long_ago));
        assert!(!standing.is_up());
        standing.set_up(true);
        assert!(standing.is_up());
    }
}
