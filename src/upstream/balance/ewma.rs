//! Peak EWMA: how quickly a choice answers, as an average in which the past fades and slowness counts at once.
//!
//! The figures (30 ms until anything is known, a decay of 10 s, failures as slow answers of 5 s) are those of Linkerd.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is assumed of a choice that has not answered yet, in microseconds.
const UNKNOWN: f32 = 30_000.0;
/// After so many microseconds a past answer counts a third.
const DECAY: f32 = 10_000_000.0;
/// An answer that failed counts as one that took so long: failing quickly must not attract requests.
pub const FAILED: Duration = Duration::from_secs(5);
/// Time is kept in units of 2^16 nanoseconds, of which 32 bits last three days.
const UNIT: u32 = 16;
const MICROSECONDS: f32 = (1_u64 << UNIT) as f32 / 1000.0;

/// How quickly one choice answers. In one word, so that it changes as a whole: when it was last changed in the upper
/// half, the average as an `f32` of microseconds in the lower; 0 = nothing is known.
#[derive(Debug, Default)]
pub struct Estimate(AtomicU64);

impl Estimate {
    /// Takes in an answer at `now`, in nanoseconds since a beginning that is always the same.
    pub fn add(&self, now: u64, took: Duration) {
        let at = (now >> UNIT) as u32;
        let took = (took.as_secs_f32() * 1e6).max(1.0);
        let _ = self.0.fetch_update(Relaxed, Relaxed, |old| {
            let (last, average) = unpack(old);
            if old == 0 || took > average {
                return Some(pack(at, took));
            }
            let passed = at.wrapping_sub(last);
            // Of several answers within a unit of time the first one counts, and another worker's clock may be ahead.
            let rest = match passed {
                0 | 0x8000_0000.. => return None,
                passed => (passed as f32 * -MICROSECONDS / DECAY).exp(),
            };
            Some(pack(at, average * rest + took * (1.0 - rest)))
        });
    }

    /// The average at `now` in microseconds. It fades while nothing is heard, so that a choice which was slow is tried
    /// again.
    pub fn at(&self, now: u64) -> f32 {
        let word = self.0.load(Relaxed);
        if word == 0 {
            return UNKNOWN;
        }
        let (last, average) = unpack(word);
        match ((now >> UNIT) as u32).wrapping_sub(last) {
            0x8000_0000.. => average,
            passed => average * (passed as f32 * -MICROSECONDS / DECAY).exp(),
        }
    }
}

/// What a choice costs: its average times what it has to do, by weight (above 0). The cheaper of two is better.
pub fn cost(average: f32, in_flight: usize, weight: f64) -> f64 {
    f64::from(average) * (1.0 + in_flight as f64) / weight
}

fn pack(at: u32, average: f32) -> u64 {
    u64::from(at) << 32 | u64::from(average.to_bits())
}

fn unpack(word: u64) -> (u32, f32) {
    ((word >> 32) as u32, f32::from_bits(word as u32))
}

#[cfg(test)]
mod tests {
    use super::super::p2c;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn is_about(found: f32, milliseconds: f32) -> bool {
        (found / 1000.0 - milliseconds).abs() < 0.01 * milliseconds
    }

    #[test]
    fn slowness_counts_at_once_and_fades() {
        let estimate = Estimate::default();
        assert!(is_about(estimate.at(0), 30.0));
        estimate.add(SECOND, milliseconds(5));
        assert!(is_about(estimate.at(SECOND), 5.0));
        estimate.add(2 * SECOND, milliseconds(500));
        assert!(is_about(estimate.at(2 * SECOND), 500.0));
        // 500 ms × 1/e and 5 ms × (1 - 1/e).
        estimate.add(12 * SECOND, milliseconds(5));
        assert!(is_about(estimate.at(12 * SECOND), 187.1), "{}", estimate.at(12 * SECOND));
        // Nothing is heard of it.
        assert!(is_about(estimate.at(22 * SECOND), 68.83), "{}", estimate.at(22 * SECOND));
    }

    #[test]
    fn answers_at_one_instant_and_clocks_that_go_back_change_little() {
        let estimate = Estimate::default();
        estimate.add(10 * SECOND, milliseconds(50));
        estimate.add(10 * SECOND, milliseconds(1));
        estimate.add(9 * SECOND, milliseconds(1));
        assert!(is_about(estimate.at(10 * SECOND), 50.0));
        assert!(is_about(estimate.at(9 * SECOND), 50.0));
    }

    #[test]
    fn what_is_busy_costs_more_and_what_is_heavy_less() {
        assert!(cost(10.0, 1, 1.0) > cost(15.0, 0, 1.0));
        assert!(cost(10.0, 1, 2.0) < cost(15.0, 0, 1.0));
    }

    /// Requests come one each millisecond to choices that take so many milliseconds; how many each gets in 20 s.
    fn spread(times: [u64; 2]) -> [usize; 2] {
        let estimates = [Estimate::default(), Estimate::default()];
        let mut running: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
        let mut counts = [0; 2];
        for millisecond in 1..20_000_u64 {
            let now = millisecond * SECOND / 1000;
            for choice in 0..2 {
                running[choice].retain(|end| {
                    if *end <= millisecond {
                        estimates[choice].add(now, milliseconds(times[choice]));
                    }
                    *end > millisecond
                });
            }
            let cost = |choice: usize| cost(estimates[choice].at(now), running[choice].len(), 1.0);
            let choice = p2c::pick(2, |_| true, cost).unwrap();
            running[choice].push(millisecond + times[choice]);
            counts[choice] += 1;
        }
        counts
    }

    #[test]
    fn the_quicker_choice_gets_most_and_equal_ones_the_same() {
        let [quick, slow] = spread([5, 50]);
        assert!(quick > 8 * slow && slow > 2, "{quick} and {slow}");
        let [one, other] = spread([20, 20]);
        assert!(one.abs_diff(other) < 2000, "{one} and {other}");
    }
}
