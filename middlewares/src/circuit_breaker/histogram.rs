//! `Histogram`: how long answers took, of the last minute.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::window::Window;

/// Each power of two is divided into so many buckets, for a precision of 1 %.
const PARTS: u64 = 128;
/// Longer answers count as an hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;
const BUCKETS: usize = bucket(LONGEST) + 1;

/// How long answers took, of the last minute.
#[derive(Debug)]
pub(super) struct Histogram(Window);

impl Histogram {
    pub(super) fn new() -> Self {
        Self(Window::new(6, Duration::from_secs(10), BUCKETS))
    }

    /// Adds an answer that was complete at `now`.
    pub(super) fn add(&self, now: u64, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        self.0.add(now, bucket(took));
    }

    /// The milliseconds within which `percent` of the answers were complete, rounded down; 0 without answers.
    pub(super) fn quantile(&self, now: u64, percent: f64) -> u64 {
        let sum = |bucket: usize| -> u64 {
            let slots = self.0.recent(now).filter_map(|slot| slot.get(bucket));
            slots.map(|count| u64::from(count.load(Relaxed))).sum()
        };
        let all: u64 = (0..BUCKETS).map(sum).sum();
        let wanted = (percent.min(100.0) / 100.0 * all as f64 + 0.5).floor();
        let mut passed = 0;
        for bucket in 0..BUCKETS {
            passed += sum(bucket);
            if passed as f64 >= wanted {
                return highest(bucket) / 1000;
            }
        }
        0
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}

/// The bucket of a number of microseconds.
const fn bucket(value: u64) -> usize {
    let all = 2 * PARTS;
    let shift = u64::BITS - (value | (all - 1)).leading_zeros() - all.ilog2();
    (shift as u64 * PARTS + (value >> shift)) as usize
}

/// The largest number of microseconds of a bucket.
const fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / PARTS).saturating_sub(1);
    ((bucket - shift * PARTS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn buckets_follow_each_other_and_are_precise_to_one_in_a_hundred() {
        for index in 0..BUCKETS {
            let top = highest(index);
            assert_eq!(bucket(top), index);
            assert_eq!(bucket(top + 1), index + 1);
            let bottom = if index == 0 { 0 } else { highest(index - 1) + 1 };
            assert!((top - bottom) as f64 <= 0.01 * top as f64, "{bottom}..={top}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_last_minute() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0, 50.0), 0);
        for milliseconds in 1..=100 {
            histogram.add(0, Duration::from_millis(milliseconds));
        }
        for (percent, expected) in [(0.0, 0), (1.0, 1), (50.0, 50), (99.0, 99), (100.0, 100)] {
            let found = histogram.quantile(SECOND, percent);
            assert!(found.abs_diff(expected) <= 1, "{percent}: {found}");
        }
        assert_eq!(histogram.quantile(SECOND, 250.0), histogram.quantile(SECOND, 100.0));
        assert_eq!(histogram.quantile(59 * SECOND, 50.0), 50);
        assert_eq!(histogram.quantile(60 * SECOND, 50.0), 0);
    }

    #[test]
    fn what_takes_for_ever_counts_as_an_hour() {
        let histogram = Histogram::new();
        histogram.add(0, Duration::from_secs(100_000));
        assert!(histogram.quantile(0, 50.0).abs_diff(3_600_000) < 36_000);
    }
}
